"""The main job as a command: distill a teacher into a student, and explain the student."""

import argparse
import logging
import os
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

DESCRIPTION = """\
Distill a large image classifier into a small one, searching alpha (the weight of the labels) and
the temperature, and show what the small one looks at, layer by layer.

Without --data the images are synthetic brain slices. With --data FOLDER they are read from a
folder of class folders, or from Training/ and Testing/ with class folders in each.

"skkd study" does the whole job, with a report: see "skkd study --help". "skkd distill", or skkd
alone, is this shorter one.

Written to --out: table.csv (the printed table), feature_maps.png (one test image of each class
and the average feature map of every convolution), maps_CLASS.png (the same for one class), and
student.keras (the best student, a Keras model from raw images to probabilities)."""


def main(argv=None):
    """Run the command.

    Parameters
    ----------
    argv : list of str, default=None
        Arguments; None takes those of the process.

    Returns
    -------
    code : int
        0, or 2 after an error in what the user gave.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv[:1] == ["study"]:
        from skkd._study_command import main as study

        return study(argv[1:])
    args = _parser().parse_args(argv[1:] if argv[:1] == ["distill"] else argv)
    try:
        data = _load(args)
        if args.teacher is not None:
            args.teacher = _read_teacher(args.teacher, len(set(data[0][1])))
        if args.out.exists() and not args.out.is_dir():
            raise NotADirectoryError(f"--out: {str(args.out)!r} is not a folder")
    except (ValueError, OSError, ImportError) as error:
        print(f"skkd: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    _distil(args, *data)
    return 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="skkd",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="folder of images")
    parser.add_argument(
        "--teacher",
        type=Path,
        metavar="FILE",
        help="trained Keras model, fed raw RGB images, whose outputs are the classes in sorted "
        "order; without it a convolutional network is trained",
    )
    parser.add_argument(
        "--image-size", type=_positive, default=64, metavar="PIXELS", help="side of the images (64)"
    )
    parser.add_argument(
        "--limit", type=_positive, metavar="N", help="use N images, drawn evenly by class (all)"
    )
    parser.add_argument(
        "--alpha",
        type=_share,
        nargs="+",
        default=[0.4, 0.7],
        metavar="A",
        help="weights of the labels to try, from 0 to 1 (0.4 0.7)",
    )
    parser.add_argument(
        "--temperature",
        type=_above_zero,
        nargs="+",
        default=[5, 10, 15],
        metavar="T",
        help="temperatures to try (5 10 15)",
    )
    parser.add_argument(
        "--epochs", type=_positive, default=12, metavar="N", help="epochs of every training (12)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random (0)")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("results"),
        metavar="FOLDER",
        help="where to write (results)",
    )
    return parser


def _positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1; got {text}")
    return number


def _above_zero(text):
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"must be greater than 0; got {text}")
    return number


def _share(text):
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1; got {text}")
    return number


def _load(args):
    """Return the images and labels of the training, validation and test part."""
    from sklearn.model_selection import train_test_split

    def split(part):
        return train_test_split(*part, test_size=0.2, stratify=part[1], random_state=args.seed)

    test = None
    if args.data is None:
        from skkd.datasets import make_brain_phantoms

        size = (args.image_size, args.image_size)
        train = make_brain_phantoms(args.limit or 1000, image_size=size, random_state=args.seed)
    else:
        train, test = _load_folders(args)
    _check_counts(train[1], at_least=10 if test is None else 5)
    if test is None:
        X, X_test, y, y_test = split(train)
        train, test = (X, y), (X_test, y_test)
    elif unknown := sorted(set(test[1]) - set(train[1])):
        raise ValueError(f"{args.data}: Testing has classes that Training has not: {unknown}")
    X, X_validation, y, y_validation = split(train)
    return (X, y), (X_validation, y_validation), test


def _load_folders(args):
    """Return the training part of a folder, and its test part if it has one."""
    from skkd.datasets import load_image_folder

    def load(subset, limit):
        bunch = load_image_folder(
            args.data,
            image_size=(args.image_size, args.image_size),
            color_mode="rgb",
            subset=subset,
            limit=limit,
            random_state=args.seed,
        )
        return bunch.data, bunch.target

    if not args.data.is_dir():
        raise NotADirectoryError(f"--data: there is no folder {str(args.data)!r}")
    names = {folder.name.casefold() for folder in args.data.iterdir() if folder.is_dir()}
    if not names & {"training", "train"}:
        return load(None, args.limit), None
    n_test = None if args.limit is None else args.limit // 5
    n_train = None if args.limit is None else args.limit - n_test
    return load("train", n_train), load("test", n_test)


def _check_counts(y, at_least):
    for label, count in Counter(y).items():
        if count < at_least:
            raise ValueError(
                f"class {str(label)!r} has {count} images to learn from; at least {at_least} are "
                "needed"
            )


def _read_teacher(path, n_classes):
    """Read the teacher's file before anything takes time."""
    from skkd.distillation import load_teacher

    teacher = load_teacher(path)
    if teacher.output_shape[1:] != (n_classes,):
        raise ValueError(
            f"--teacher: {path} has outputs of shape {teacher.output_shape[1:]}, but the images "
            f"are of {n_classes} classes"
        )
    return teacher


def _distil(args, train, validation, test):
    """Train, search, explain, and write what came of it."""
    import numpy as np
    from sklearn.model_selection import GridSearchCV, PredefinedSplit

    from skkd import (
        FeatureMapExplainer,
        FiveBlockCNN,
        KDClassifier,
        NetworkClassifier,
        distillation_report,
    )

    X, y = np.concatenate([train[0], validation[0]]), np.concatenate([train[1], validation[1]])
    in_validation = np.arange(len(y)) >= len(train[1])
    print(f"{len(train[1])} training, {len(validation[1])} validation, {len(test[1])} test images")
    common = {"epochs": args.epochs, "random_state": args.seed}

    teacher = args.teacher
    if teacher is None:
        print("training the teacher")
        network = FiveBlockCNN(filters=(16, 32, 64, 128), dense=(256,))
        teacher = NetworkClassifier(network, early_stopping=True, **common).fit(*train).model_
    student = (
        FiveBlockCNN() if args.data else FiveBlockCNN(filters=(8, 16, 32, 64, 64), dense=(64,))
    )
    grid = {"alpha": args.alpha, "temperature": args.temperature}
    n_students = len(args.alpha) * len(args.temperature)
    print(f"training {n_students} students, then the best once more on all but the test images")
    search = GridSearchCV(
        KDClassifier(teacher, NetworkClassifier(student, **common)),
        grid,
        scoring=["accuracy", "neg_log_loss", "f1_macro"],
        refit="accuracy",
        cv=PredefinedSplit(np.where(in_validation, 0, -1)),
        verbose=3,
        error_score="raise",
    ).fit(X, y)
    best = search.best_estimator_
    table = distillation_report(search, *test).drop(columns="roc_auc")
    table = table.rename(columns={"temperature": "T", "log_loss": "loss", "macro_f1": "average F1"})
    print()
    print(table.to_string(index=False, na_rep="", float_format="{:.4f}".format))

    first_of_class = [int(np.flatnonzero(test[1] == label)[0]) for label in np.unique(test[1])]
    explanation = (
        FeatureMapExplainer(best).fit().explain(test[0][first_of_class], test[1][first_of_class])
    )
    args.out.mkdir(parents=True, exist_ok=True)
    # Files appear in the output folder only when all of them are complete.
    with tempfile.TemporaryDirectory(dir=args.out, prefix=".unfinished-") as folder:
        _write(Path(folder), table, explanation, best)
        for path in sorted(Path(folder).iterdir()):
            path.replace(args.out / path.name)
            print(f"wrote {args.out / path.name}")


def _write(folder, table, explanation, best):
    import matplotlib as mpl

    table.to_csv(folder / "table.csv", index=False)
    best.model_.save(folder / "student.keras")
    with mpl.rc_context({"backend": "agg"}):
        import matplotlib.pyplot as plt

        display = explanation.plot()
        display.figure_.savefig(folder / "feature_maps.png", dpi=150)
        plt.close(display.figure_)
        for row, label in enumerate(explanation.labels):
            display = explanation.plot(rows=[row], size=2.5)
            display.figure_.savefig(folder / f"maps_{_file_name(label, row)}.png", dpi=150)
            plt.close(display.figure_)


def _file_name(label, row):
    """Return a label as part of a file's name, on any system."""
    name = re.sub(r"[^\w .+-]", "_", label)[:60]
    return name if name == label else f"{name}_{row}"


def run():
    """Run the command in a process of its own."""
    # TensorFlow leaves oneDNN's convolutions, several times as fast, to whoever starts a process
    # on processors it does not know them from.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # Its notes on processors and on tracing would bury the table.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    sys.exit(main())


if __name__ == "__main__":
    run()
