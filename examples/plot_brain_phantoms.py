"""
===================================
What a small network sees in brains
===================================

A network teaches one that has a fraction of its weights to tell three kinds of brain tumor from
none, and the small one shows, layer by layer, what it responds to.

The real slices are used where the environment variable SKKD_DATA names a folder that holds them;
without it, synthetic ones with the same four classes.
"""

# %%
# Images
# ------
# `~skkd.datasets.fetch_brain_tumor` deals the published training images into "train" and
# "validation" and keeps identical files on one side. The published test images repeat some of the
# training images, and it warns of that; this example learns from "train" and looks at
# "validation" alone.

import os

from sklearn.model_selection import train_test_split

from skkd.datasets import fetch_brain_tumor, make_brain_phantoms

image_size = (64, 64)
if os.environ.get("SKKD_DATA"):
    options = {
        "image_size": image_size,
        "color_mode": "grayscale",
        "return_X_y": True,
        "verbose": False,
    }
    X_train, y_train = fetch_brain_tumor(subset="train", download_if_missing=False, **options)
    X_test, y_test = fetch_brain_tumor(subset="validation", download_if_missing=False, **options)
    X_train, _, y_train, _ = train_test_split(
        X_train, y_train, train_size=800, stratify=y_train, random_state=0
    )
    print(f"real slices: {len(X_train)} to learn from, {len(X_test)} to look at")
else:
    X, y = make_brain_phantoms(800, image_size=image_size, random_state=0)
    X_train, X_test, y_train, y_test = train_test_split(
        X[..., :1], y, test_size=0.25, stratify=y, random_state=0
    )
    print(
        f"SKKD_DATA is not set, so these are synthetic slices: {len(X_train)} to learn from, "
        f"{len(X_test)} to look at"
    )

# %%
# Teacher and student
# -------------------
# The teacher sees the training images alone: one that had seen the images in the table below
# would pass what it knows of them on to its student.

from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier, classification_summary

teacher = NetworkClassifier(FiveBlockCNN(filters=(16, 32, 64, 128)), epochs=12, random_state=0).fit(
    X_train, y_train
)
student = KDClassifier(
    teacher.model_,
    student=FiveBlockCNN(filters=(8, 16, 32, 32), dense=(32,), dropout=0.1),
    alpha=0.4,
    temperature=5,
    epochs=16,
    random_state=0,
).fit(X_train, y_train)
table = classification_summary({"teacher": teacher, "student": student}, X_test, y_test)
table["weights"] = [teacher.model_.count_params(), student.student_.count_params()]
print(table.round(3).to_string())

# %%
# Layer by layer
# --------------
# One slice of each class that the student gets right. In the synthetic slices glioma and
# meningioma stand out from the first layer on; the third responds at the base of the head with a
# pituitary tumor and without one. Real slices are harder: layers follow the skull as much as the
# tumor, and the last one also responds outside the head. Bright means that filters respond there,
# and not that the class is decided there; `~skkd.GradCAMExplainer` asks about a class.

import numpy as np

from skkd import FeatureMapExplainer

right = student.predict(X_test) == y_test
rows = [np.flatnonzero(right & (y_test == label))[0] for label in student.classes_]
explanation = FeatureMapExplainer(student).fit().explain(X_test[rows], y_test[rows])
display = explanation.plot(size=1.6)
