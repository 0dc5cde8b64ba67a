"""Seconds and memory of explanations: ours, those of installed peers, and the paper's own way.

256 images of 128 pixels on the five-block student. Peers are timed where they can be imported:
xplique and tf-keras-vis.

    python -m benchmarks.explain_speed [--repeats 7] [--memory]
"""

import argparse
import os
import resource
import subprocess
import sys

import keras
import numpy as np

from benchmarks._timing import importable, in_turn, row
from skkd import FeatureMapExplainer, FiveBlockCNN, GradCAMExplainer
from skkd.models._head import logits_model

SIZE = 128


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="turns that medians are over")
    parser.add_argument("--memory", action="store_true", help="measure memory, not time")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    keras.utils.set_random_seed(0)
    model = FiveBlockCNN().build((SIZE, SIZE, 3), n_classes=4)
    if args.peak:
        print_peak(model, args.peak[0], int(args.peak[1]))
    elif args.memory:
        print_memory()
    else:
        print_speed(args.repeats)


def rows(full=False, repeats=None):
    """Return the lines of this benchmark."""
    keras.utils.set_random_seed(0)
    model = FiveBlockCNN().build((SIZE, SIZE, 3), n_classes=4)
    n_images = 256 if full else 128
    images = np.random.default_rng(0).uniform(0, 255, (n_images, SIZE, SIZE, 3)).astype(np.float32)
    maps, cams = FeatureMapExplainer(model).fit(), GradCAMExplainer(model).fit()
    others = peers(model, images)
    ways = {
        "predict": lambda: model.predict(images, verbose=0),
        "feature maps": lambda: maps.transform(images),
        "Grad-CAM": lambda: cams.transform(images),
        **others,
    }
    taken = in_turn(ways, repeats or (7 if full else 3))
    few = images[:8]
    slow = in_turn(
        {"ours": lambda: maps.transform(few), "paper": lambda: as_in_the_paper(model, few)}, 1
    )
    of_images = f"{n_images} images of {SIZE} px"
    return [
        row(f"feature maps, {of_images}", taken["feature maps"], "predict", taken["predict"], 0.9),
        row(f"Grad-CAM, {of_images}", taken["Grad-CAM"], "predict", taken["predict"], 1.3),
        *(
            row(f"Grad-CAM, {of_images}", taken["Grad-CAM"], name, taken[name], 0.5)
            for name in others
        ),
        row(
            f"feature maps, 8 images of {SIZE} px",
            slow["ours"],
            "the paper's way",
            slow["paper"],
            0.02,
        ),
    ]


def print_speed(repeats):
    for line in rows(full=True, repeats=repeats):
        print(f"{line.what}: {line.seconds:.3f} s, {line.median:.3f} of {line.against}")


def as_in_the_paper(model, images):
    """Average each layer's features with a model of its own, image by image."""
    from PIL import Image

    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    maps = np.empty((len(images), len(layers), SIZE, SIZE), np.float32)
    for column, layer in enumerate(layers):
        part = keras.Model(model.inputs[0], layer.output)
        for number, image in enumerate(images):
            average = part.predict(image[None], verbose=0)[0].mean(axis=-1)
            size = (SIZE, SIZE)
            maps[number, column] = Image.fromarray(average).resize(size, Image.Resampling.BILINEAR)
    return maps


def peers(model, images):
    logits = logits_model(model)
    classes = logits.predict(images, verbose=0).argmax(axis=1)
    ways = {}
    if importable("xplique"):
        from xplique.attributions import GradCAM

        xplique = GradCAM(logits, batch_size=32)
        targets = np.eye(4, dtype=np.float32)[classes]
        ways["Grad-CAM of xplique"] = lambda: xplique.explain(images, targets)
    if importable("tf_keras_vis"):
        from tf_keras_vis.gradcam import Gradcam
        from tf_keras_vis.utils.scores import CategoricalScore

        vis = Gradcam(logits, clone=False)
        score = CategoricalScore(classes.tolist())
        ways["Grad-CAM of tf-keras-vis"] = lambda: vis(score, images, penultimate_layer=-1)
    return ways


class RandomImages:
    """Images that are made when they are read, so that they take no memory."""

    def __init__(self, n_images):
        self.shape = (n_images, SIZE, SIZE, 3)

    def __getitem__(self, rows):
        start, stop, _ = rows.indices(self.shape[0])
        rng = np.random.default_rng(start)
        return rng.integers(256, size=(stop - start, *self.shape[1:]), dtype=np.uint8)


def print_peak(model, name, n_images):
    explainer = {"feature maps": FeatureMapExplainer, "Grad-CAM": GradCAMExplainer}[name]
    values = explainer(model).fit().transform(RandomImages(n_images))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{peak:.0f} {values.nbytes / 2**20:.0f}")


def print_memory():
    for name in ("feature maps", "Grad-CAM"):
        beside = []
        for n_images in (500, 5000):
            command = [
                sys.executable,
                "-m",
                "benchmarks.explain_speed",
                "--peak",
                name,
                str(n_images),
            ]
            output = subprocess.run(
                command, capture_output=True, check=True, text=True, env=os.environ
            )
            peak, result = map(int, output.stdout.split()[-2:])
            beside.append(peak - result)
            print(
                f"{name:14}{n_images:6} images: peak {peak:5} MB, of which the maps {result:5} MB"
            )
        print(f"{name:14}difference beside the maps themselves: {beside[1] - beside[0]} MB")


if __name__ == "__main__":
    main()
