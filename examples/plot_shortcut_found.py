"""
================
A shortcut found
================

A network is right about images of the hospitals that it was trained on, and much less so at
another. It has learned which hospital an image is from, because that goes with the diagnosis [1]_.
Accuracy on images left out cannot tell, as the hospitals are the same there. Three looks can:
exchanging parts of the images, reading the label off everything that should not tell it, and
scores by subgroup.

The real slices are used where the environment variable SKKD_DATA names a folder that holds them;
without it, synthetic ones.
"""

# %%
# Scans of two clinics
# --------------------
# The synthetic scans are saved as two clinics would. Clinic A burns a marker into a corner and
# stores JPEG in color, clinic B stores gray PNG without a marker. Nine in ten tumors come from A,
# and nine in ten healthy heads from B. At a third hospital, which was not there in training, every
# second scan has a marker, with and without a tumor.
#
# The real slices were put together from several collections, and nothing is planted.

import os
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.model_selection import train_test_split

from skkd.datasets import fetch_brain_tumor, make_brain_phantoms
from skkd.images import file_metadata

temporary = tempfile.TemporaryDirectory()


def save_scans(name, X, from_a):
    """Save images as clinic A does, or as clinic B."""
    paths = []
    for number, (image, is_a) in enumerate(zip(X, from_a, strict=True)):
        path = Path(temporary.name, f"{name}{number}.{'jpg' if is_a else 'png'}")
        image = image.copy() if is_a else image[..., 0]
        if is_a:
            image[3:12, 3:6] = image[9:12, 3:10] = 230
        Image.fromarray(image).save(path)
        paths.append(str(path))
    return np.array(paths)


if os.environ.get("SKKD_DATA"):
    options = {"as_paths": True, "return_X_y": True, "download_if_missing": False}
    paths, y = fetch_brain_tumor(subset="train", verbose=False, **options)
    paths, _, y, _ = train_test_split(paths, y, train_size=900, stratify=y, random_state=0)
    others, y_others = fetch_brain_tumor(subset="test", verbose=False, **options)
    others, _, y_others, _ = train_test_split(
        *(others, y_others), train_size=300, stratify=y_others, random_state=0
    )
    elsewhere = "published test images"
else:
    rng = np.random.default_rng(0)
    X, y = make_brain_phantoms(900, image_size=(64, 64), random_state=0)
    y = np.where(y == "no_tumor", "none", "tumor")
    often = rng.random(900) < 0.9
    paths = save_scans("here", X[:700], ((y == "tumor") == often)[:700])
    others, y_others = save_scans("there", X[700:], rng.random(200) < 0.5), y[700:]
    y = y[:700]
    elsewhere = "third hospital"

paths_train, paths_test, y_train, y_test = train_test_split(
    paths, y, test_size=300, stratify=y, random_state=0
)
storage = file_metadata(paths_test)
print(storage.groupby(["color", "format"]).size().to_string())

# %%
# A network that looks fine
# -------------------------

from skkd import FiveBlockCNN, NetworkClassifier

network = NetworkClassifier(
    FiveBlockCNN(filters=(16, 32, 64)),
    epochs=12,
    image_size=(64, 64),
    color_mode="grayscale",
    random_state=0,
)
network.fit(paths_train, y_train)
print(f"right of the images left out: {network.score(paths_test, y_test):.0%}")

# %%
# What it relies on, and what there is to be read
# -----------------------------------------------
# `~skkd.shortcut_report` takes the border and the corners of each image from another one. What
# accuracy loses by that hung on them. A simple classifier then reads the label off gray values
# alone, and off how the files are stored. It has never seen a pixel of the latter, so whatever it
# gets right can be had without looking at a head.

import pandas as pd

from skkd import shortcut_report

report = shortcut_report(network, paths_test, y_test, random_state=0)
print(report[["accuracy", "low", "high", "difference", "suspicious"]].round(2).to_string())
print("\n".join(report.loc[report["suspicious"], "finding"]))

# %%
# For whom it holds
# -----------------
# `~skkd.subgroup_report` scores the network by how files are stored, and on images from elsewhere.
# Where scanner, site, age or sex are known, they are further columns. Differences come with
# p-values that are corrected for the number of looks.

from skkd import subgroup_report

metadata = storage[["color"]].assign(label=y_test)
subgroups = subgroup_report(
    *(network, paths_test, y_test, metadata),
    external={elsewhere: (others, y_others)},
    random_state=0,
)
columns = ["set", "column", "value", "n", "estimate", "low", "high", "difference", "p_adjusted"]
print(subgroups[columns].round(3).to_string())

# %%
# The same, without the corners
# -----------------------------
# A second network of the same kind learns from images whose corners are black, and is given such
# images. If what it has lost was a shortcut, it is the better one elsewhere, whatever it is here.

from skkd.images import ImagePaths


def without_corners(paths):
    """Read images and blacken their corners."""
    images = ImagePaths(paths, image_size=(64, 64), color_mode="grayscale")[:]
    for rows in (slice(13), slice(-13, None)):
        for columns in (slice(13), slice(-13, None)):
            images[:, rows, columns] = 0
    return images


mended = NetworkClassifier(FiveBlockCNN(filters=(16, 32, 64)), epochs=12, random_state=0)
mended.fit(without_corners(paths_train), y_train)
scores = {
    "as it was": [network.score(paths_test, y_test), network.score(others, y_others)],
    "without corners": [
        mended.score(without_corners(images), labels)
        for images, labels in ((paths_test, y_test), (others, y_others))
    ],
}
print(pd.DataFrame(scores, index=["left out", elsewhere]).round(3).to_string())

# %%
# Seen at once
# ------------
# Grad-CAM shows where both networks look in scans with a marker, and the plots what is behind it.
# With the synthetic scans, the first network looks at the marker. Its accuracy falls with other
# corners, it is worst at the third hospital, and the second one holds there.

import matplotlib.pyplot as plt

from skkd import GradCAMExplainer, SubgroupDisplay

shown = [row for row in range(len(paths_test)) if storage["color"][row] == "color"][:3]
figure = plt.figure(figsize=(10.5, 6.4), layout="constrained")
top, bottom = figure.subfigures(2, 1, height_ratios=[1, 1.6])
axes = top.subplots(1, 6)
images = without_corners(paths_test[shown])
pictures = {
    "as it was": (GradCAMExplainer(network), paths_test[shown]),
    "without corners": (GradCAMExplainer(mended), images),
}
for column, (name, (explainer, given)) in enumerate(pictures.items()):
    explanation = explainer.fit().explain(given)
    for number in range(3):
        ax = axes[3 * column + number]
        ax.imshow(explanation.images[number][..., 0], cmap="gray")
        ax.imshow(explanation.values[number].squeeze(), cmap="inferno", alpha=0.5)
        ax.set_axis_off()
    axes[3 * column + 1].set_title(f"Grad-CAM, network {name}")

left, right = bottom.subplots(1, 2)
rows = report.iloc[::-1]
colors = np.where(rows["suspicious"], "C3", "C0")
places = np.arange(len(rows))
left.hlines(places, rows["low"], rows["high"], color=colors, linewidth=2)
left.scatter(rows["accuracy"], places, color=colors, zorder=3)
left.axvline(report.loc["most common class", "accuracy"], linestyle=":", color="0.5")
left.set_yticks(places, rows.index)
left.set(title="Shortcuts (red: suspicious)", xlabel="accuracy", xlim=(0, 1.02))
SubgroupDisplay.from_report(subgroups, ax=right)
right.set_title("Subgroups (red: differs from the rest)")

# %%
# .. rubric:: References
#
# .. [1] J. R. Zech et al., "Variable generalization performance of a deep learning model to detect
#    pneumonia in chest radiographs: a cross-sectional study", PLOS Medicine 15(11):e1002683, 2018.
