"""
===========================
A folder larger than memory
===========================

Whoever has a hundred thousand images has them as files, of many sizes, in folders. Every estimator
and explainer takes the paths of the files in place of the images and decodes them batch by batch.
Does a network that learns from paths learn the same as from an array?
"""

# %%
# A folder
# --------
# Synthetic photographs, one folder for each class, written to a temporary directory; as in life
# they are not all of one size.

import tempfile
from pathlib import Path

from PIL import Image

from skkd.datasets import make_fundus_phantoms

workplace = tempfile.TemporaryDirectory()
root = Path(workplace.name) / "photographs"
for side in (64, 80):
    X, y = make_fundus_phantoms(320, image_size=(side, side), random_state=side)
    for number, (image, name) in enumerate(zip(X, y, strict=True)):
        (root / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(root / name / f"{side}px-{number:03d}.png")

# %%
# `~skkd.datasets.load_image_folder` gives the paths alone, after it has read the header of every
# file, so that a file that is no image is found now and not in the tenth epoch. The labels are the
# folders' names.

from sklearn.model_selection import train_test_split

from skkd.datasets import load_image_folder

files = load_image_folder(root, as_paths=True, verbose=False)
print(files.DESCR.partition("\n\n")[2])
paths_train, paths_test, y_train, y_test = train_test_split(
    files.data, files.target, test_size=160, stratify=files.target, random_state=0
)

# %%
# Learning from paths
# -------------------
# ``image_size`` and ``color_mode`` say how files are read, wherever their images are wanted; those
# of a student hold for what its teacher is shown too. The teacher is trained from paths and saved.
# A `~skkd.KDClassifier` takes the path of a saved model too, and ``memory`` names a folder where it
# keeps what the teacher said of each image, by the image's content, for later fits.

from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier

reading = {"image_size": (64, 64), "color_mode": "rgb"}
teacher = NetworkClassifier(
    FiveBlockCNN(filters=(16, 32, 64)), epochs=8, random_state=0, image_cache="memory", **reading
).fit(paths_train, y_train)
teacher.model_.save(root.parent / "teacher.keras")

student = KDClassifier(
    root.parent / "teacher.keras",
    NetworkClassifier(
        FiveBlockCNN(filters=(8, 16, 32), dense=(32,), dropout=0.1),
        epochs=6,
        random_state=0,
        **reading,
    ),
    alpha=0.4,
    memory=root.parent / "teacher says",
).fit(paths_train, y_train)
print(f"teacher {teacher.score(paths_test, y_test):.3f}")
print(f"student {student.score(paths_test, y_test):.3f}")

# %%
# Four ways to the same weights
# -----------------------------
# That student decoded every file in every epoch, which needs the least memory and the most time.
# ``image_cache="memory"`` decodes once and keeps 8-bit images, a fraction of what floats would
# take; it may also be a folder, where they are kept in one file. An array is what fits into memory
# anyway, and a memory map of one, `numpy.memmap`, is read from disk where it is needed.
#
# With the same seed all four are trained on the same values in the same order, and end with the
# same weights, to the last bit.

import numpy as np
from sklearn.base import clone

position = {path: row for row, path in enumerate(files.filenames)}
rows = [position[path] for path in paths_train]
array = load_image_folder(root, verbose=False, **reading).data[rows]
np.save(root.parent / "images.npy", array)
mapped = np.load(root.parent / "images.npy", mmap_mode="r")

decoded_once = clone(student).set_params(student__image_cache="memory")
others = {
    'paths, image_cache="memory"': decoded_once.fit(paths_train, y_train),
    "array": clone(student).fit(array, y_train),
    type(mapped).__name__: clone(student).fit(mapped, y_train),
}
weights = student.model_.get_weights()
for name, other in others.items():
    pairs = zip(weights, other.model_.get_weights(), strict=True)
    print(f"{name}: equal weights {all(np.array_equal(a, b) for a, b in pairs)}")

# %%
# This holds because the files are lossless and both ways resize them with the same code. JPEG files
# decoded by something else give slightly other values, and other weights.
#
# Explaining paths
# ----------------
# Explainers take paths as well. An `~skkd.Explanation` holds the paths and reads images when they
# are drawn. LayerCAM, in the first column, weighs each pixel of a filter by its own gradient; it is
# less often empty than Grad-CAM. The others are the mean responses of the three convolutions.

from skkd import ExplanationDisplay, FeatureMapExplainer, GradCAMExplainer

right = student.predict(paths_test) == y_test
shown = np.array([np.flatnonzero(right & (y_test == name))[0] for name in student.classes_])
explanations = [
    explainer.fit().explain(paths_test[shown], y_test[shown])
    for explainer in (GradCAMExplainer(student, method="layercam"), FeatureMapExplainer(student))
]
display = ExplanationDisplay.from_explanations(explanations, size=1.6)

# %%
# Nothing is left behind.

del mapped
workplace.cleanup()
