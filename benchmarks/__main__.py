"""All benchmarks of time, each in a process of its own, as one table.

    python -m benchmarks [NAME ...] [--full] [--out FILE.rst]

Every line is the median of ratios of seconds that were taken in turn, ours over theirs, and their
range. Peers that are not installed are left out, which is said; the extra ``benchmarks`` of skkd
has them.
"""

import argparse
import csv
import datetime
import io
import os
import platform
import sys
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

from benchmarks._timing import rows_of

NAMES = (
    *("import_speed", "fit_speed", "search_speed", "distil_speed", "explain_speed"),
    *("shap_error", "metric_speed", "growth"),
)
PACKAGES = ("skkd", "keras", "tensorflow", "scikit-learn", "numpy", "scikeras", "shap")


def machine():
    """Return in words what the table was measured on."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{datetime.date.today():%d %B %Y}, {processor()}, {os.cpu_count()} cores, "
        f"{platform.system()}, Python {platform.python_version()}, {versions}"
    )


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(line.split(": ")[1] for line in lines if line.startswith("model name"))


def as_csv(rows):
    """Return the lines as comma-separated values under a header."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["What", "Seconds", "Against", "Ratio", "Range", "Target", ""])
    for row in rows:
        ratios = f"{min(row.ratios):.2f} to {max(row.ratios):.2f}"
        met = "met" if row.met else "missed"
        table.writerow(
            [row.what, f"{row.seconds:.2f}", row.against, f"{row.median:.2f}", ratios]
            + [f"{row.target:.2f}", met]
        )
    return text.getvalue()


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--full", action="store_true", help="more of everything, for hours")
    parser.add_argument("--out", type=Path, help="a file for the table, as reStructuredText")
    args = parser.parse_args()
    if unknown := set(args.names) - set(NAMES):
        parser.error(f"there is no benchmark {sorted(unknown)}: choose from {', '.join(NAMES)}")

    # Set before any of the processes imports TensorFlow.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    rows = []
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as processes:
        for name in args.names or NAMES:
            print(f"{name} ...", file=sys.stderr, flush=True)
            found = processes.submit(rows_of, name, args.full).result()
            print(as_csv(found).partition("\n")[2], end="", flush=True)
            rows += found
    if args.out is not None:
        lines = "".join(f"   {line}\n" for line in as_csv(rows).splitlines())
        args.out.write_text(
            f"Measured on {machine()}.\n\n.. csv-table::\n   :header-rows: 1\n\n{lines}"
        )


if __name__ == "__main__":
    main()
