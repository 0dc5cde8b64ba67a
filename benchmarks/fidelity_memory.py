"""Peak memory of fidelity_report over its input: 5,000 images at 96 px must stay within 500 MB.

    python benchmarks/fidelity_memory.py [--images 5000] [--baseline blur]

Linux only: resident memory and its peak are read from /proc.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from skkd import FeatureMapExplainer, FiveBlockCNN, fidelity_report

LIMIT = 500


def status(name):
    """Return a figure of this process in bytes: VmRSS, resident now, or VmHWM, its peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"/proc/self/status does not have {name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--baseline", default="blur")
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (options.images, 96, 96, 3), dtype=np.uint8)
    y = rng.integers(0, 4, options.images)
    model = FiveBlockCNN().build((96, 96, 3), 4)

    before = status("VmRSS")
    start = time.perf_counter()
    explainers = [FeatureMapExplainer(model)]
    report = fidelity_report(model, X, y, explainers, baseline=options.baseline, random_state=0)
    seconds = time.perf_counter() - start
    peak = status("VmHWM")

    over = (peak - before) / 1e6
    print(report.round(4).to_string())
    print(
        f"{options.images} images ({X.nbytes / 1e6:.0f} MB): {over:.0f} MB over the input and the "
        f"network, {seconds:.0f} s"
    )
    if over > LIMIT:
        raise SystemExit(f"more than {LIMIT} MB")


if __name__ == "__main__":
    main()
