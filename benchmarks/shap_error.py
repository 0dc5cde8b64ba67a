"""Error of SHAP values against seconds: our expected gradients and shap.GradientExplainer's.

Both explain the same class of the same five-block student on brain phantoms of 128 pixels, with
the same 16 background images, against the value that 20,000 evenly spread gradients give.

    python -m benchmarks.shap_error [--images 2] [--repeats 5] [--truth 20000] [--plot curve.png]
"""

import argparse
import time

import keras
import numpy as np
import shap

from benchmarks._timing import Row
from skkd import FiveBlockCNN, NetworkClassifier, SHAPExplainer
from skkd.datasets import make_brain_phantoms
from skkd.models._head import logits_model

OURS = (16, 32, 64, 96, 128)
THEIRS = (25, 50, 100, 200)


def rows(full=False):
    """Return the lines of this benchmark."""
    measured = measure(**({} if full else {"n_images": 1, "repeats": 3, "truth": 1_600}))
    found = []
    for n_samples in OURS:
        taken, error = measured["skkd", n_samples]
        ratio = taken / seconds_of_shap(measured, error)
        what = f"SHAP of an image of 128 px, {n_samples} samples"
        target = 0.25 if n_samples == 16 else 0.12
        found.append(Row(what, "shap.GradientExplainer, same error", [ratio], target, taken))
    return found


def measure(n_images=2, repeats=5, truth=20_000):
    """Return median seconds and error, by package and number of samples."""
    keras.utils.set_random_seed(0)
    X, y = make_brain_phantoms(200, image_size=(128, 128), random_state=0)
    student = NetworkClassifier(FiveBlockCNN(), epochs=5, random_state=0).fit(X, y)
    images, background = X[:n_images].astype(np.float32), X[-16:].astype(np.float32)
    theirs = shap.GradientExplainer(logits_model(student.model_), background)

    def ours(image, n_samples, seed):
        explainer = SHAPExplainer(
            student, background=background, n_samples=n_samples, random_state=seed
        ).fit()
        explainer.transform(image)  # compiles
        return timed(lambda: explainer.transform(image)[0])

    def shaps(image, n_samples, seed):
        return timed(
            lambda: theirs.shap_values(image, nsamples=n_samples, ranked_outputs=1, rseed=seed)[0][
                0, ..., 0
            ]
        )

    shaps(images[:1], 50, 0)
    errors, seconds = {}, {}
    for image in images[:, None]:
        true = ours(image, truth, 0)[0]
        for seed in range(1, 1 + repeats):
            for name, explain, sizes in (("skkd", ours, OURS), ("shap", shaps, THEIRS)):
                for n_samples in sizes:
                    values, taken = explain(image, n_samples, seed)
                    error = np.sqrt(np.square(values - true).mean()) / true.std()
                    errors.setdefault((name, n_samples), []).append(error)
                    seconds.setdefault((name, n_samples), []).append(taken)
    return {
        key: (np.median(seconds[key]), np.sqrt(np.mean(np.square(errors[key])))) for key in errors
    }


def seconds_of_shap(measured, error):
    """Return how long shap takes to an error, which falls with the root of the draws."""
    constants = [e * np.sqrt(t) for (name, _), (t, e) in measured.items() if name == "shap"]
    return (np.median(constants) / error) ** 2


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2, help="images explained")
    parser.add_argument("--repeats", type=int, default=5, help="seeds for each number of samples")
    parser.add_argument("--truth", type=int, default=20_000, help="gradients of the true value")
    parser.add_argument("--plot", help="where to save a picture of the curve")
    args = parser.parse_args()
    measured = measure(args.images, args.repeats, args.truth)
    print("error is root mean square, as a share of the values' standard deviation")
    print(f"{'':6}{'samples':>8}{'seconds':>9}{'error':>8}   seconds of shap for the same error")
    for (name, n_samples), (taken, error) in measured.items():
        same = seconds_of_shap(measured, error)
        line = f"{name:6}{n_samples:8}{taken:9.3f}{error:8.4f}"
        print(
            line + (f"{same:9.3f}   ours / shap's = {taken / same:.3f}" if name == "skkd" else "")
        )
    if args.plot:
        plot(measured, args.plot)


def timed(function):
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


def plot(points, path):
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(layout="constrained")
    for wanted in ("skkd", "shap"):
        curve = [point for (name, _), point in points.items() if name == wanted]
        ax.loglog(*zip(*curve, strict=True), marker="o", label=wanted)
    ax.set(xlabel="seconds an image", ylabel="error / standard deviation of the values")
    ax.legend()
    ax.figure.savefig(path)


if __name__ == "__main__":
    main()
