"""What is asked of a student before it is used, on real brain MRI, in tables.

Intervals, calibration before and after, sets of labels, handing over, subgroups and shortcuts by
how files are stored, and the student in 8 bits. The images are those of ``fetch_brain_tumor`` under
the folder that SKKD_DATA names, in RGB; images that occur more than once are taken once. Tables
whose extra (conformal, export) is missing are left out.
"""

import argparse
import functools
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold

from benchmarks._timing import importable
from skkd import (
    FiveBlockCNN,
    KDClassifier,
    NetworkClassifier,
    bootstrap_scores,
    conformal_estimator,
    deferral_curve,
    expected_calibration_error,
    export_student,
    fold_temperature,
    shortcut_report,
    subgroup_report,
)
from skkd.datasets import fetch_brain_tumor, group_duplicates
from skkd.images import ImagePaths, file_metadata


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", help="path of a .keras file of the four classes; none: labels")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--n-train", type=int, default=1500)
    parser.add_argument("--n-others", type=int, default=600, help="to calibrate, and to report on")
    parser.add_argument("--epochs", type=int, default=8)
    args = parser.parse_args()
    pd.set_option("display.width", 160, "display.max_columns", 30)
    paths, y, groups = _images()
    train, calibration, test = _deal(y, groups, args.n_train, args.n_others)
    size = (args.image_size, args.image_size)
    student = NetworkClassifier(
        FiveBlockCNN(), epochs=args.epochs, image_size=size, color_mode="rgb", random_state=0
    )
    if args.teacher:
        student = KDClassifier(args.teacher, student)
    student.fit(paths[train], y[train])
    print(
        f"{len(train)} images to learn from, {len(calibration)} to calibrate, {len(test)} new ones"
    )
    _intervals(student, paths[test], y[test], groups[test])
    folded = _calibration(student, paths, y, groups, calibration, test)
    if importable("mapie"):
        _sets(student, paths, y, calibration, test)
    _handing_over(folded, paths[test], y[test])
    _looking_closer(student, paths[test], y[test], groups[test])
    if importable("ai_edge_quantizer") and importable("onnxruntime"):
        _in_eight_bits(student, paths, y, groups, calibration, test, size)


def _images():
    """Return the paths, labels and groups of alike images, of equal images one."""
    parts = [
        fetch_brain_tumor(subset=subset, as_paths=True, verbose=False)
        for subset in ("train", "validation", "test")
    ]
    paths = np.concatenate([part.data for part in parts])
    y = np.concatenate([part.target for part in parts])
    _, first = np.unique(group_duplicates(paths, method="exact", verbose=False), return_index=True)
    paths, y = paths[first], y[first]
    return paths, y, group_duplicates(paths, verbose=False)


def _deal(y, groups, n_train, n_others):
    """Return rows to learn from, to calibrate by and to report on, alike images on one side."""
    order = np.random.default_rng(0).permutation(len(y))
    folds = StratifiedGroupKFold(4, shuffle=True, random_state=0)
    parts = [held_out for _, held_out in folds.split(y, y, groups)]
    rest = np.concatenate(parts[2:])
    drawn = [(rest, n_train), (parts[0], n_others), (parts[1], n_others)]
    return [order[np.isin(order, rows)][:n] for rows, n in drawn]


def _intervals(student, X, y, groups):
    scores = ["accuracy", "neg_log_loss", "f1_macro", "roc_auc_ovr"]
    proba = student.predict_proba(X)
    table = bootstrap_scores(
        scores, y, proba, labels=student.classes_, groups=groups, random_state=0
    )
    _show("Intervals, alike images drawn together", table)


def _calibration(student, paths, y, groups, calibration, test):
    calibrated = CalibratedClassifierCV(FrozenEstimator(student), method="temperature")
    folded = fold_temperature(calibrated.fit(paths[calibration], y[calibration]))
    rows = {}
    for name, classifier in (("before", student), ("after", folded)):
        proba = classifier.predict_proba(paths[test])
        error = functools.partial(expected_calibration_error, labels=classifier.classes_)
        rows[name] = {
            "log_loss": log_loss(y[test], proba, labels=classifier.classes_),
            **bootstrap_scores(
                {"ECE": error},
                y[test],
                proba,
                labels=classifier.classes_,
                groups=groups[test],
                random_state=0,
            ).loc["ECE"],
        }
    _show("Calibration by temperature", pd.DataFrame.from_dict(rows, orient="index"))
    return folded


def _sets(student, paths, y, calibration, test):
    from mapie.classification import SplitConformalClassifier

    conformal = SplitConformalClassifier(
        conformal_estimator(student), confidence_level=0.9, prefit=True
    ).conformalize(paths[calibration], y[calibration])
    _, sets = conformal.predict_set(paths[test])
    inside = sets[np.arange(len(test)), np.searchsorted(student.classes_, y[test]), 0]
    found = {"asked for": 0.9, "covered": inside.mean(), "labels a set": sets.sum(axis=1).mean()}
    _show("Sets of labels, on images left out", pd.Series(found).to_frame("conformal").T)


def _handing_over(student, X, y):
    # Those handed over go to somebody who knows.
    curve = deferral_curve(
        y, student.predict_proba(X), labels=student.classes_, coverages=[1.0, 0.9, 0.8, 0.6, 0.4]
    )
    _show("Handing over to a person", curve)


def _looking_closer(student, X, y, groups):
    stored = file_metadata(X)[["color", "format"]]
    report = subgroup_report(student, X, y, stored, groups=groups, random_state=0)
    _show("Subgroups by how files are stored", report)
    _show("Shortcuts", shortcut_report(student, X, y, groups=groups, random_state=0))


def _in_eight_bits(student, paths, y, groups, calibration, test, size):
    images = ImagePaths(paths, image_size=size, color_mode="rgb")
    with tempfile.TemporaryDirectory() as folder:
        for name, quantize in (("tflite", "int8"), ("onnx", "int8"), ("tflite", "float16")):
            table = export_student(
                student,
                Path(folder, f"student.{name}"),
                format="litert" if name == "tflite" else name,
                quantize=quantize,
                X_representative=images[calibration[:200]] if quantize == "int8" else None,
                X=images[test],
                y=y[test],
                groups=groups[test],
                random_state=0,
            )
            _show(f"{name}, {quantize}", table.T)


def _show(title, table):
    print(f"\n{title}\n{table.to_string(float_format='{:.4f}'.format)}", flush=True)


if __name__ == "__main__":
    main()
