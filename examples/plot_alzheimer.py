"""
======================================
Rare classes, few labels and a teacher
======================================

Half of the slices in the Alzheimer MRI set are of healthy brains, and one in a hundred is of
moderate dementia. A network that never says "moderate" is right about that in 99 of 100 slices.
What does a student with few labels make of a rare class, and does a teacher that speaks about
unlabeled slices help?

The slices are real where the set lies in the folder that the environment variable ``SKKD_DATA``
names, or in ``skkd_data`` in the home folder; otherwise they are synthetic ones of brain tumors,
with classes as unequal.
"""

# %%
# Images
# ------
# The public set has no patient numbers, so slices of one patient are on both sides of any split:
# figures on it tell how well patients are recognized more than how well dementia is. They serve to
# compare networks here, and nothing else.

import numpy as np
from sklearn.model_selection import train_test_split

from skkd.datasets import fetch_alzheimer, make_brain_phantoms

options = {"image_size": (48, 48), "color_mode": "grayscale", "return_X_y": True}
try:
    X, y = fetch_alzheimer(subset="train", download_if_missing=False, verbose=False, **options)
    X_test, y_test = fetch_alzheimer(
        subset="validation", download_if_missing=False, verbose=False, **options
    )
    kind = "real"
except OSError:
    X, y = make_brain_phantoms(4800, image_size=(48, 48), random_state=0)
    counts = {"no_tumor": 1200, "glioma": 840, "meningioma": 336, "pituitary": 24}
    rows = np.concatenate([np.flatnonzero(y == name)[:n] for name, n in counts.items()])
    X, X_test, y, y_test = train_test_split(
        X[rows, ..., :1], y[rows], test_size=400, stratify=y[rows], random_state=0
    )
    kind = "synthetic"

# %%
# The teacher has 1200 slices of its own with labels. The student has 160 others with labels and 640
# without.

import pandas as pd

X_teacher, X, y_teacher, y = train_test_split(X, y, train_size=1200, stratify=y, random_state=0)
X_labeled, X_unlabeled, y_labeled, _ = train_test_split(
    X, y, train_size=160, test_size=640, stratify=y, random_state=0
)
parts = {"teacher": y_teacher, "student": y_labeled, "test": y_test}
counts = pd.DataFrame({name: pd.Series(part).value_counts() for name, part in parts.items()})
order = counts.index[np.argsort(-counts["teacher"])].to_list()
print(f"{kind} slices with labels, by class:")
print(counts.loc[order].to_string())

# %%
# Teacher and students
# --------------------
# ``class_weight="balanced"`` weighs each image by the inverse of its class's frequency, so that all
# classes together weigh the same in the loss. The images in ``X_unlabeled`` have no class to be
# weighed by; of them the student learns what the teacher says.
#
# The students with 160 images pass over them more often, for as many steps as the one with 800.

from sklearn.base import clone

from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier, classification_summary

teacher = NetworkClassifier(
    FiveBlockCNN(filters=(16, 32, 64, 128)), epochs=14, class_weight="balanced", random_state=0
).fit(X_teacher, y_teacher)
small = NetworkClassifier(
    FiveBlockCNN(filters=(8, 16, 32, 32), dense=(32,), dropout=0.1), epochs=70, random_state=0
)
balanced = clone(small).set_params(class_weight="balanced")
taught = KDClassifier(
    teacher.model_, clone(balanced).set_params(epochs=14), alpha=0.3, temperature=3
)
models = {
    "teacher": teacher,
    "labels, classes as they come": small.fit(X_labeled, y_labeled),
    "labels, balanced": balanced.fit(X_labeled, y_labeled),
    "with unlabeled": taught.fit(X_labeled, y_labeled, X_unlabeled=X_unlabeled),
}
student = models["with unlabeled"]
print(classification_summary(models, X_test, y_test).round(3).to_string())

# %%
# Accuracy and macro F1 disagree: the accuracy is mostly that of the two frequent classes, while F1
# averaged over the classes counts the rarest as much as the most frequent. Its test images are a
# handful, and one more or less that is right moves the average by several hundredths, so read the
# confusion matrices below before the table.
#
# What the teacher says of unlabeled slices shows in the log loss and the area under the ROC curve,
# to which every slice contributes. For the rarest class it may help little: among the unlabeled
# slices it is as rare as anywhere, and no class weight reaches them. And a student learns a
# teacher's mistakes with the rest, so look at the teacher's row first.
#
# `sklearn.metrics.ConfusionMatrixDisplay` shows the share of each true class, from the most
# frequent class at the top to the rarest.

import matplotlib.pyplot as plt
from sklearn.metrics import ConfusionMatrixDisplay

figure, axes = plt.subplots(1, 3, figsize=(10.5, 4.4), sharey=True, layout="constrained")
short = [name.replace("Demented", "").replace("_", " ") for name in order]
for ax, name in zip(axes, list(models)[1:], strict=True):
    ConfusionMatrixDisplay.from_predictions(
        y_test,
        models[name].predict(X_test),
        labels=order,
        display_labels=short,
        normalize="true",
        values_format=".2f",
        cmap="Blues",
        colorbar=False,
        im_kw={"vmin": 0, "vmax": 1},
        xticks_rotation=30,
        ax=ax,
    )
    ax.set(title=name, xlabel="predicted", ylabel="true" if ax is axes[0] else "")

# %%
# What speaks for each class
# --------------------------
# The signed values of `~skkd.SHAPExplainer` tell for each pixel how much it raises (red) or lowers
# (blue) the score of a class, against a background of other slices. A row is a slice that the
# student gets right, where there is one of its class; a column is the class asked about.

from skkd import SHAPExplainer

predicted = student.predict(X_test)
shown = []
for name in student.classes_:
    of_class = np.flatnonzero(y_test == name)
    right = of_class[predicted[of_class] == name]
    shown.append((right if len(right) else of_class)[0])
explainer = SHAPExplainer(student, classes="all", random_state=0).fit(X_labeled)
explanation = explainer.explain(X_test[shown], y_test[shown])
gap = np.abs(explanation.additivity_gap).max()
print(f"values of an image add up to its score over the background's, to within {gap:.2f}")
display = explanation.plot(size=1.6)

# %%
# In a row, places that speak for one class speak against others. The specks scattered over the rest
# of the slice are also part of what this student goes by: worth knowing before anybody takes its
# accuracy for insight.

# sphinx_gallery_thumbnail_number = -1
