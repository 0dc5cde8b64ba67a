"""The paper's three sets as studies at sizes for two cores, and their tables beside its own.

    python -m benchmarks.reproduce_paper --teacher FILE --weights FILE --out FOLDER [--rst FILE]

The images are those of the fetchers, under the folder that SKKD_DATA names. ``--teacher`` is a
trained Keras model of the four classes of brain MRI at 96 pixels, ``--weights`` are ImageNet's for
MobileNetV2 without its head, with which the teachers of the other two sets begin. A study that is
finished is read, and one that was cut off goes on.
"""

import argparse
from pathlib import Path

import pandas as pd

from skkd.study import run_study

ALPHAS, TEMPERATURES = (0.4, 0.7), (5.0, 10.0, 15.0)
COMMON = {"seeds": 3, "few_labels": 100, "alphas": ALPHAS, "temperatures": TEMPERATURES}
SETS = {
    "brain_tumor": {"image_size": 96, "limit": 1400, "epochs": 6},
    "eye_disease": {"image_size": 64, "limit": 1000, "epochs": 6},
    "alzheimer": {"image_size": 64, "limit": 1000, "epochs": 6},
}
# Table 2: accuracy of the teacher, and of students by alpha and temperature in the order above.
PAPER_ACCURACY = {
    "brain_tumor": (0.9877, 0.9572, 0.9656, 0.9748, 0.9702, 0.9748, 0.9717),
    "eye_disease": (0.9837, 0.9074, 0.8750, 0.9351, 0.8958, 0.8680, 0.9219),
    "alzheimer": (0.9938, 0.9946, 0.9906, 0.9928, 0.9934, 0.9915, 0.9919),
}
# Table 3: fidelity, average of the disease classes.
PAPER_FIDELITY = {
    "brain_tumor": {"GradCAM": 0.9298, "SHAP": 0.9404, "FeatureMap": 0.9277},
    "eye_disease": {"GradCAM": 0.9059, "SHAP": 0.8700, "FeatureMap": 0.8630},
    "alzheimer": {"GradCAM": 0.9112, "SHAP": 0.9359, "FeatureMap": 0.9132},
}
# Table 4: seconds of an explanation on a CPU at 224 pixels, Grad-CAM and SHAP.
PAPER_SECONDS = {
    "brain_tumor": {"teacher": (0.95, 67.7), "student": (0.196, 15.6)},
    "eye_disease": {"teacher": (0.94, 67.6), "student": (0.190, 15.4)},
    "alzheimer": {"teacher": (0.93, 68.5), "student": (0.194, 15.6)},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rst", type=Path, help="where to write the tables; printed without it")
    args = parser.parse_args()
    begun = {
        "backbone": "mobilenetv2",
        "preprocessing": "torch",
        "weights": args.weights,
        "teacher_epochs": 30,
        "teacher_learning_rate": 2e-4,
    }
    pages = []
    for name, settings in SETS.items():
        teacher = {"teacher": args.teacher} if name == "brain_tumor" else begun
        study = run_study(name, args.out / name, **COMMON, **settings, **teacher)
        pages.append(page(name, study))
    text = "\n".join(pages)
    if args.rst is None:
        print(text)
    else:
        args.rst.write_text(text, encoding="utf-8")


def page(name, study):
    """Return the tables of one set as reStructuredText."""
    title = name.replace("_", " ").capitalize()
    return "\n".join(
        [
            title,
            "-" * len(title),
            "",
            table(f"Table 2, {title.lower()}: accuracy on test images", accuracy(name, study)),
            table("Differences of accuracy on the same test images", differences(study)),
            table("Table 3: fidelity for the student, disease classes", fidelity(name, study)),
            table("Table 4: operations, and seconds of one explanation", cost(name, study)),
        ]
    )


def accuracy(name, study):
    models = study.tables["models"]
    rows = models[models["measured on"] == "test"]
    kinds = [(alpha, t) for alpha in ALPHAS for t in TEMPERATURES]
    paper = dict(zip(kinds, PAPER_ACCURACY[name][1:], strict=True))
    for _, row in rows.iterrows():
        known = "-"
        if row["model"] == "teacher":
            known = f"{PAPER_ACCURACY[name][0]:.4f}"
        elif row["soft loss"] == "kl" and pd.isna(row["labels"]):
            known = f"{paper[row['alpha'], row['T']]:.4f}"
        model = row["model"]
        if model == "distilled student":
            model = f"distilled student, alpha {row['alpha']:g}, T {row['T']:g}"
        spread = (
            "-"
            if pd.isna(row["accuracy sd of seeds"])
            else (f"{row['accuracy mean of seeds']:.3f} +- {row['accuracy sd of seeds']:.3f}")
        )
        yield {
            "model": model,
            "accuracy, first seed": between(row, "accuracy", "accuracy low", "accuracy high"),
            "mean and deviation of seeds": spread,
            "loss": f"{row['loss']:.3f}",
            "average F1": f"{row['average F1']:.3f}",
            "images": row["n"],
            "the paper's accuracy": known,
        }


def differences(study):
    for _, row in study.tables["comparisons"].iterrows():
        yield {
            "model": row["model"],
            "against": row["against"],
            "measured on": row["measured on"],
            "difference": between(row, "difference", "low", "high"),
            "seeds, lowest to highest": (
                f"{row['lowest of seeds']:+.3f} to {row['highest of seeds']:+.3f}"
            ),
            "images": row["n"],
        }


def fidelity(name, study):
    rows = study.tables["fidelity"]
    for _, row in rows[rows["model"] == "student"].iterrows():
        paper = PAPER_FIDELITY[name].get(row["explainer"].removesuffix("Explainer"))
        yield {
            "explanation": row["explainer"],
            "average": between(row, "average", "low", "high"),
            "share of the image kept": f"{row['kept']:.2f}",
            "images": row["n"],
            "the paper's": "-" if paper is None else f"{paper:.4f}",
        }


def cost(name, study):
    for _, row in study.tables["timing"].iterrows():
        paper = dict(
            zip(
                ("GradCAMExplainer", "SHAPExplainer"),
                PAPER_SECONDS[name][row["model"]],
                strict=True,
            )
        )
        known = paper.get(row["explainer"])
        yield {
            "model": row["model"],
            "explanation": row["explainer"],
            "weights": f"{row['parameters']:,}",
            "million operations": f"{row['flops'] / 1e6:,.1f}",
            "seconds": f"{row['met']:.4f}",
            "the paper's seconds": "-" if known is None else f"{known:.3f}",
        }


def between(row, name, low, high):
    if pd.isna(row[name]):
        return "undefined"
    return f"{row[name]:.3f} ({row[low]:.3f} to {row[high]:.3f})"


def table(caption, rows):
    rows = list(rows)
    lines = [f".. csv-table:: {caption}", f"   :header: {', '.join(quoted(rows[0]))}", ""]
    lines += [f"   {', '.join(quoted(row.values()))}" for row in rows]
    return "\n".join([*lines, ""])


def quoted(cells):
    return [f'"{cell}"' for cell in cells]


if __name__ == "__main__":
    main()
