"""Error of SHAP values against seconds: our expected gradients and shap.GradientExplainer's.

Both explain the same class of the same five-block student on brain phantoms of 128 pixels, with
the same 16 background images, against the value that 20,000 evenly spread gradients give.

    python benchmarks/shap_error.py [--images 2] [--repeats 5] [--truth 20000] [--plot curve.png]
"""

import argparse
import time

import keras
import numpy as np
import shap

from skkd import FiveBlockCNN, NetworkClassifier, SHAPExplainer
from skkd.datasets import make_brain_phantoms
from skkd.models._head import logits_model

OURS = (16, 32, 64, 96, 128)
THEIRS = (25, 50, 100, 200)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2, help="images explained")
    parser.add_argument("--repeats", type=int, default=5, help="seeds for each number of samples")
    parser.add_argument("--truth", type=int, default=20_000, help="gradients of the true value")
    parser.add_argument("--plot", help="where to save a picture of the curve")
    args = parser.parse_args()

    keras.utils.set_random_seed(0)
    X, y = make_brain_phantoms(200, image_size=(128, 128), random_state=0)
    student = NetworkClassifier(FiveBlockCNN(), epochs=5, random_state=0).fit(X, y)
    print(f"training accuracy {student.score(X, y):.3f}")
    images, background = X[: args.images].astype(np.float32), X[-16:].astype(np.float32)
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
        truth = ours(image, args.truth, 0)[0]
        for name, explain, sizes in (("skkd", ours, OURS), ("shap", shaps, THEIRS)):
            for n_samples in sizes:
                for seed in range(1, 1 + args.repeats):
                    values, taken = explain(image, n_samples, seed)
                    error = np.sqrt(np.square(values - truth).mean()) / truth.std()
                    errors.setdefault((name, n_samples), []).append(error)
                    seconds.setdefault((name, n_samples), []).append(taken)
    points = {
        key: (np.median(seconds[key]), np.sqrt(np.mean(np.square(errors[key])))) for key in errors
    }

    # The error of independent draws falls with the root of their number: one constant says it all.
    constant = np.median([e * np.sqrt(t) for (name, _), (t, e) in points.items() if name == "shap"])
    print("error is root mean square, as a share of the values' standard deviation")
    print(f"{'':6}{'samples':>8}{'seconds':>9}{'error':>8}   seconds of shap for the same error")
    for (name, n_samples), (taken, error) in points.items():
        same = (constant / error) ** 2
        line = f"{name:6}{n_samples:8}{taken:9.3f}{error:8.4f}"
        print(
            line + (f"{same:9.3f}   ours / shap's = {taken / same:.3f}" if name == "skkd" else "")
        )
    if args.plot:
        plot(points, args.plot)


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
