"""The main job as a command: distil a teacher into a student, and explain the student."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

DESCRIPTION = """\
Distil a large image classifier into a small one, searching alpha (the weight of the labels) and
the temperature, and show what the small one looks at, layer by layer.

Without --data the images are synthetic brain slices. With --data FOLDER they are read from a
folder of class folders, or from Training/ and Testing/ with class folders in each.

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
    args = _parser().parse_args(argv)
    # TensorFlow reads this when it is imported; its start-up notes would bury the table.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        data = _load(args)
        if args.teacher is not None and not args.teacher.is_file():
            raise FileNotFoundError(f"--teacher: there is no file {str(args.teacher)!r}")
        if args.out.exists() and not args.out.is_dir():
            raise NotADirectoryError(f"--out: {str(args.out)!r} is not a folder")
    except (ValueError, OSError, ImportError) as error:
        print(f"skkd: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    _distil(args, *data)
    return 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m skkd",
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
        "--out", type=Path, default=Path("results"), metavar="FOLDER", help="where to write (results)"
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
    """Return training images, validation images and test images, each with their labels."""
    from sklearn.model_selection import train_test_split

    size = (args.image_size, args.image_size)
    if args.data is None:
        from skkd.datasets import make_brain_phantoms

        X, y = make_brain_phantoms(args.limit or 1000, image_size=size, random_state=args.seed)
        parts = None
    else:
        from skkd.datasets import load_image_folder

        options = {"image_size": size, "color_mode": "rgb", "random_state": args.seed}
        parts = _load_folder(load_image_folder, args.data, args.limit, options)
        X, y = parts[0]
    for label, count in _counts(y):
        if count < 5:
            raise ValueError(f"class {label!r} has {count} images to learn from; at least 5 needed")

    def split(X, y):
        return train_test_split(X, y, test_size=0.2, stratify=y, random_state=args.seed)

    if parts is None or parts[1] is None:
        X, X_test, y, y_test = split(X, y)
    else:
        X_test, y_test = parts[1]
    X_train, X_validation, y_train, y_validation = split(X, y)
    return (X_train, y_train), (X_validation, y_validation), (X_test, y_test)


