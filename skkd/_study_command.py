"""The study as a command."""

import argparse
import sys
from pathlib import Path

DESCRIPTION = """\
From images to a report: check them for leaks, train a teacher or take one, search alpha and the
temperature, compare with the same network trained on labels alone, explain teacher and student,
measure how faithful the explanations are and what they cost, and say how sure all of it is.

Without --data the images are phantoms, synthetic brain slices. Written to --out: report.html, all
in one file; tables/*.csv, figures/*.png and *.pdf, models/*.keras, and study.json. A study that was
cut off goes on where it was when the same command is run again."""


def main(argv):
    """Run the command.

    Parameters
    ----------
    argv : list of str
        Arguments.

    Returns
    -------
    code : int
        0; 2 after an error in what the user gave or the system refused; 130 after Ctrl-C.
    """
    given = vars(_parser().parse_args(argv))
    dry_run = given.pop("dry_run", False)
    try:
        from skkd.study import run_study
        from skkd.study._settings import read_config

        if (config := given.pop("config", None)) is not None:
            given = read_config(config) | given
        study = run_study(dry_run=dry_run, **given)
    except (ValueError, OSError, ImportError, ArithmeticError) as error:
        print(f"skkd study: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "skkd study: interrupted; what is finished is kept, run the same command to go on",
            file=sys.stderr,
        )
        return 130
    if dry_run:
        print(study.plan.round(1).to_string(index=False))
        print(f"about {study.seconds / 60:.1f} minutes in all on this machine")
    for line in study.get("left_out", ()):
        print(f"left out: {line}")
    return 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="skkd study",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add(
        "--data",
        metavar="FOLDER",
        help="folder of class folders, or brain_tumor, eye_disease or alzheimer",
    )
    add("--out", metavar="FOLDER", help="where to write (study)")
    add("--config", type=Path, metavar="FILE", help="TOML file with any of these settings")
    add("--dry-run", action="store_true", help="plan, estimate the time, and do nothing")
    add("--budget", type=float, metavar="MINUTES", help="begin no further student after this")
    add("--manifest", metavar="FILE", help="CSV file with path, label, and patient or split")
    add("--patients", metavar="REGEX", help="finds the patient in a file's path: 'sub-([0-9]+)'")
    add("--teacher", metavar="FILE", help="trained Keras model, its outputs in sorted order")
    add("--backbone", metavar="NAME", help="backbone of the teacher that is trained: mobilenetv2")
    add("--weights", metavar="W", help="of the backbone: imagenet, a file, or none")
    add("--preprocessing", metavar="P", help="of the backbone: auto, torch, tf, caffe (auto)")
    add(
        "--teacher-learning-rate",
        type=float,
        metavar="R",
        help="of the teacher that is trained (0.001; of a backbone 0.0001)",
    )
    add("--student", metavar="NAME", help="network of the student (five_block)")
    add("--image-size", type=int, metavar="PIXELS", help="side of the images (64)")
    add("--limit", type=int, metavar="N", help="use N images, drawn evenly by class (all)")
    add("--alphas", type=float, nargs="+", metavar="A", help="weights of the labels (0.4 0.7)")
    add("--temperatures", type=float, nargs="+", metavar="T", help="temperatures (5 10 15)")
    add("--seeds", type=int, metavar="N", help="students of each kind (1)")
    add(
        "--few-labels",
        type=int,
        metavar="N",
        help="compare students once more with N labels, all other images being unlabeled",
    )
    add("--epochs", type=int, metavar="N", help="epochs of a student (12)")
    add("--teacher-epochs", type=int, metavar="N", help="epochs of the teacher (as of a student)")
    add("--batch-size", type=int, metavar="N", help="images in a batch (32)")
    add("--n-explained", type=int, metavar="N", help="images of each class explained (2)")
    add("--n-fidelity", type=int, metavar="N", help="images fidelity is measured on (64)")
    add("--confidence", type=float, metavar="C", help="of the intervals (0.95)")
    add("--n-resamples", type=int, metavar="N", help="draws of the intervals (2000)")
    add("--random-state", type=int, metavar="SEED", help="seed of everything random (0)")
    add("--verbose", type=int, choices=(0, 1), help="0 says nothing on the way (1)")
    return parser
