"""Memory, open files and threads of a process that fits, predicts and explains for a long time.

Memory is compared with what it was after the third fit; files and threads with the third fit too,
and then with the first 120 predictions or explanations, by when all that is made once has been
made. Nothing is timed. Exits with 1 where one has grown. Linux only.
"""

import argparse
import gc
import resource
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from skkd import (
    FeatureMapExplainer,
    FiveBlockCNN,
    GradCAMExplainer,
    KDClassifier,
    NetworkClassifier,
    SHAPExplainer,
)


def resident():
    """Return this process's resident memory in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def measured():
    """Return memory in MB, the number of open files and that of threads."""
    gc.collect()
    n_files, n_threads = (len(list(Path("/proc/self", name).iterdir())) for name in ("fd", "task"))
    return round(resident()), n_files, n_threads


def soak(n_fits, n_predicts, n_explanations, folder):
    """Yield what was done, how often, and what was measured then."""
    digits = load_digits()
    X, y = digits.images[:60].astype("uint8"), digits.target[:60] % 3
    paths = [folder / f"{number}.png" for number in range(len(X))]
    for path, image in zip(paths, X, strict=True):
        Image.fromarray(image).save(path)
    kept = {"checkpoint": folder / "checkpoints", "image_cache": folder / "images"}

    def student(images, number):
        options = kept if images is paths else {}
        small = NetworkClassifier(
            FiveBlockCNN(filters=(4,)), epochs=1, random_state=number, **options
        )
        return KDClassifier(SVC(), small, memory=folder / "teacher").fit(images, y)

    # Arrays and files in turn, each time another network.
    for number, images in enumerate(islice(cycle([X, paths]), n_fits), start=1):
        fitted = student(images, number)
        fitted.predict(images)
        yield "fits", number, measured()

    explainers = [
        FeatureMapExplainer(fitted),
        GradCAMExplainer(fitted),
        SHAPExplainer(fitted, n_samples=2, background=2, random_state=0),
    ]
    for explainer in explainers:
        explainer.fit(X[:2])
    tasks = {
        "predictions": (n_predicts, lambda number: fitted.predict_proba(X[: 1 + number % 40])),
        "explanations": (
            n_explanations,
            lambda number: explainers[number % 3].explain(X[: 1 + number // 3 % 40]),
        ),
    }
    for name, (n_times, act) in tasks.items():
        for number in range(n_times):
            act(number)
            if number + 1 in (n_times, 120) or (number + 1) % 1000 == 0:
                yield name, number + 1, measured()


def growth(rows, most):
    """Return in words what has grown, memory by more than so many MB.

    ``rows`` are what `soak` yields, at least three fits.
    """
    (after_third,) = (found[0] for name, number, found in rows if (name, number) == ("fits", 3))
    grown = []
    for kind in dict.fromkeys(name for name, _, _ in rows):
        found = [found for name, _, found in rows if name == kind]
        first = found[2] if kind == "fits" else found[0]
        memory, files, threads = map(max, zip(*found[2:], found[-1], strict=True))
        if memory > after_third + most:
            grown.append(f"memory in {kind}: {memory} MB, {after_third} after the third fit")
        for what, now, then in (("files", files, first[1]), ("threads", threads, first[2])):
            if now > then:
                grown.append(f"{what} in {kind}: {now} after {then}")
    return grown


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fits", type=int, default=50, help="3 or more")
    parser.add_argument("--predicts", type=int, default=5000)
    parser.add_argument("--explanations", type=int, default=5000)
    parser.add_argument("--most", type=int, default=100, help="MB that memory may grow by")
    args = parser.parse_args()
    print(f"{'after':>20} {'MB':>6} {'files':>6} {'threads':>8}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for row in soak(args.fits, args.predicts, args.explanations, Path(folder)):
            rows.append(row)
            name, number, found = row
            print(f"{number:>7} {name:>12} {found[0]:>6} {found[1]:>6} {found[2]:>8}", flush=True)
    grown = growth(rows, args.most)
    print("\n".join(grown) or "flat")
    return bool(grown)


if __name__ == "__main__":
    sys.exit(main())
