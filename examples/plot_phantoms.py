"""
===================================
Synthetic images with known lesions
===================================

Nobody can say of a real image which pixels a diagnosis rests on. Of a synthetic one it is known,
because the lesion was drawn in. This example shows what `~skkd.datasets.make_brain_phantoms` and
`~skkd.datasets.make_fundus_phantoms` draw, how hard it is to tell the classes apart, and what the
images are good for and what they are not.
"""

# %%
# Images, labels and masks
# ------------------------
# Both functions return images of type uint8 with three channels and the class of each image, and,
# if asked, a mask that is true where the lesion changed the image. What is no lesion, such as
# pose, anatomy, light and noise, is drawn alike for all classes, so nothing but the lesion tells
# them apart.

import numpy as np
import pandas as pd

from skkd.datasets import make_brain_phantoms, make_fundus_phantoms

makers = {"brain": make_brain_phantoms, "fundus": make_fundus_phantoms}
for name, make in makers.items():
    X, y, masks = make(200, image_size=(64, 64), random_state=0, return_masks=True)
    print(f"{name}: X {X.shape} {X.dtype}, masks {masks.shape} {masks.dtype}")
    share = pd.Series(masks.mean(axis=(1, 2)), index=y)
    print(share.groupby(level=0).agg(["count", "min", "mean", "max"]).round(3).to_string(), "\n")

# %%
# The table holds the share of the image that the mask covers. It matters for every measure that
# uses the masks: a map that points anywhere at all hits a cataract, whose veil covers most of the
# image, more often than not, and hits a pituitary tumor about once in fifty times.

# %%
# What a seed fixes
# -----------------
# One seed and one number of images give one set, to the bit. At another size the same seed gives
# the same heads and eyes, with other noise. Another number of images gives another set and not a
# longer one, so draw once and split.

X, y = make_brain_phantoms(8, image_size=(64, 64), random_state=0)
again, _ = make_brain_phantoms(8, image_size=(64, 64), random_state=0)
more, _ = make_brain_phantoms(12, image_size=(64, 64), random_state=0)
print("drawn again, the same:", np.array_equal(X, again))
print("the first eight of twelve, the same:", np.array_equal(X, more[:8]))

# %%
# Below, a glioma and a glaucoma at three sizes. A mask is drawn anew at each size, too.

import matplotlib.pyplot as plt

sizes = [32, 64, 128]
figure, axes = plt.subplots(2, 3, figsize=(6.5, 4.6), layout="constrained")
for row, (make, label) in enumerate(
    [(make_brain_phantoms, "glioma"), (make_fundus_phantoms, "glaucoma")]
):
    for ax, size in zip(axes[row], sizes, strict=True):
        X, y, masks = make(8, image_size=(size, size), random_state=1, return_masks=True)
        first = np.flatnonzero(y == label)[0]
        ax.imshow(X[first])
        ax.contour(masks[first], levels=[0.5], colors="cyan", linewidths=1)
        ax.set(xticks=[], yticks=[], title=f"{label}, {size} x {size}")

# %%
# How hard they are
# -----------------
# There is no parameter for difficulty. The number of images to learn from sets it, and their size:
# a small network learns less from 60 images than from 400, and less at 32 pixels than at 64, above
# all of eyes, whose disc needs about 64 to show its cup. Logistic regression on principal
# components is far behind, as lesions lie elsewhere in every image. The last column tells which
# class the network recognizes least often; it is often the healthy one, as what makes it is that
# there is nothing to see.

from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, recall_score
from sklearn.pipeline import make_pipeline

from skkd import FiveBlockCNN, NetworkClassifier

rows = []
for name, make in makers.items():
    for size, n_train in [(32, 400), (64, 60), (64, 400)]:
        X, y = make(600, image_size=(size, size), random_state=0)
        X_train, y_train, X_test, y_test = X[:n_train], y[:n_train], X[400:], y[400:]
        table = X.mean(axis=-1).reshape(len(X), -1) / 255
        linear = make_pipeline(PCA(30, whiten=True, random_state=0), LogisticRegression())
        linear.fit(table[:n_train], y_train)
        network = NetworkClassifier(
            FiveBlockCNN(filters=(8, 16, 32, 32), dense=(32,), dropout=0.1),
            epochs=15 if n_train == 400 else 60,
            random_state=0,
        ).fit(X_train, y_train)
        predicted = network.predict(X_test)
        recalls = recall_score(y_test, predicted, average=None)
        rows.append(
            {
                "images": name,
                "size": size,
                "n_train": n_train,
                "linear": linear.score(table[400:], y_test),
                "network": accuracy_score(y_test, predicted),
                "least recognized": network.classes_[recalls.argmin()],
            }
        )
print(pd.DataFrame(rows).round(2).to_string(index=False))

# %%
# Good for, and not
# -----------------
# They are good for
#
# - measuring explanations against the truth with `~skkd.pointing_game` and `~skkd.saliency_iou`,
# - examples, tests and dry runs of a whole study before the real images have arrived,
# - finding errors: a network that learns nothing from them has a fault in its training.
#
# They are not good for
#
# - any statement about patients. Their anatomy is a handful of ellipses and random fields; a
#   network trained on them has not learned to read scans;
# - comparing architectures or losses for a real task, as the order may be another there;
# - testing a network against other scanners, artifacts, rare findings or several slices of one
#   patient. None of these occur: every image is another head or eye.
#
# A mask says where the lesion is, and not that the network uses all of it: the rim alone may be
# enough for a decision. A map that misses part of a mask can still be right about the network.

# %%
# All classes
# -----------
# The first image of each class, with its mask outlined.

figure, axes = plt.subplots(2, 4, figsize=(8, 4.4), layout="constrained")
for row, (name, make) in enumerate(makers.items()):
    X, y, masks = make(8, random_state=1, return_masks=True)
    for ax, label in zip(axes[row], np.unique(y), strict=True):
        first = np.flatnonzero(y == label)[0]
        ax.imshow(X[first])
        if masks[first].any():
            ax.contour(masks[first], levels=[0.5], colors="cyan", linewidths=1.2)
        ax.set(xticks=[], yticks=[], title=label.replace("_", " "))
    axes[row, 0].set_ylabel(name, fontsize="large")

# sphinx_gallery_thumbnail_number = -1
