"""Seconds of the measures: fidelity, decision curves and near-duplicate images."""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks._timing import in_turn, row


def rows(full=False):
    """Return the lines of this benchmark."""
    repeats = 7 if full else 3
    return [
        fidelity(repeats),
        decision_curves(repeats),
        intervals(repeats),
        duplicates(20_000 if full else 2_000),
    ]


def fidelity(repeats):
    from skkd import FeatureMapExplainer, FiveBlockCNN, fidelity_score

    X = np.random.default_rng(0).uniform(0, 255, (256, 128, 128, 3)).astype(np.float32)
    model = FiveBlockCNN().build(X.shape[1:], 4)
    y = model.predict(X, verbose=0).argmax(axis=1)
    explainer = FeatureMapExplainer(model).fit()

    def two_passes():
        for _ in range(2):
            model.predict(X, verbose=0)

    ways = {
        "ours": lambda: fidelity_score(model, X, y, explainer, random_state=0),
        "predict": two_passes,
    }
    taken = in_turn(ways, repeats)
    what = "fidelity_score, 256 images of 128 px"
    return row(what, taken["ours"], "two passes of predict", taken["predict"], 2.3)


def decision_curves(repeats):
    from skkd.metrics import decision_curve

    rng = np.random.default_rng(0)
    y, scores = rng.integers(0, 2, 1_000_000), rng.uniform(size=1_000_000).astype(np.float32)
    thresholds = np.linspace(0.01, 0.99, 99)
    ways = {
        "ours": lambda: decision_curve(y, scores, thresholds=thresholds),
        "sort": lambda: np.sort(scores),
    }
    taken = in_turn(ways, repeats)
    what = "decision_curve, a million rows, 99 thresholds"
    return row(what, taken["ours"], "numpy.sort of the scores", taken["sort"], 1.5)


def intervals(repeats):
    from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

    from skkd.metrics import bootstrap_scores

    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 10_000)
    proba = rng.dirichlet(np.ones(4), len(y))

    def one_at_a_time():
        for _ in range(100):
            rows = rng.integers(0, len(y), len(y))
            accuracy_score(y[rows], proba[rows].argmax(axis=1))
            f1_score(y[rows], proba[rows].argmax(axis=1), average="macro")
            log_loss(y[rows], proba[rows])
            roc_auc_score(y[rows], proba[rows], multi_class="ovr")

    scores = ["accuracy", "f1_macro", "neg_log_loss", "roc_auc_ovr"]
    ways = {
        "ours": lambda: bootstrap_scores(scores, y, proba, random_state=0),
        "one": one_at_a_time,
    }
    taken = in_turn(ways, repeats)
    what = "bootstrap_scores, 10,000 images, 4 scores, 2,000 resamples"
    return row(what, taken["ours"], "scikit-learn, 100 resamples", taken["one"], 1.0)


def duplicates(n_images):
    from PIL import Image

    from skkd.datasets import find_duplicates
    from skkd.images import ImagePaths

    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number in range(n_images):
            small = Image.fromarray(rng.integers(0, 256, (9, 9), dtype=np.uint8))
            paths.append(str(Path(folder, f"{number}.jpg")))
            small.resize((96, 96), Image.Resampling.BICUBIC).save(paths[-1])
        images = ImagePaths(paths, image_size=(96, 96), color_mode="grayscale")

        def decode():
            for start in range(0, n_images, 256):
                images[np.arange(start, min(start + 256, n_images))]

        ways = {
            "ours": lambda: find_duplicates(paths, method="perceptual", verbose=False),
            "decoding": decode,
        }
        taken = in_turn(ways, 1 if n_images > 5_000 else 3)
    what = f"find_duplicates, perceptual, {n_images:,} files of 96 px"
    return row(what, taken["ours"], "decoding them alone", taken["decoding"], 2.0)
