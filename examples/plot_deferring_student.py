"""
=====================
A student that defers
=====================

A small network that runs anywhere is wrong more often than the large one that taught it, and most
often where it is not sure. A student that knows this answers what it is sure of, and asks its
teacher, or a person, about the rest. How sure it is has to mean something first: it is calibrated.

The real slices are used where the environment variable SKKD_DATA names a folder that holds them;
without it, synthetic ones.
"""

# %%
# Three sets of images
# --------------------
# One to train on, one to calibrate and to choose a threshold on, which no network has seen, and one
# to judge by, on which nothing is chosen.

import os

import numpy as np
from sklearn.model_selection import train_test_split

from skkd.datasets import fetch_brain_tumor, make_brain_phantoms

image_size = (48, 48)
if os.environ.get("SKKD_DATA"):
    X, y = fetch_brain_tumor(
        subset="train",
        image_size=image_size,
        color_mode="grayscale",
        return_X_y=True,
        download_if_missing=False,
        verbose=False,
    )
    X, _, y, _ = train_test_split(X, y, train_size=1500, stratify=y, random_state=0)
else:
    X, y = make_brain_phantoms(1500, image_size=image_size, random_state=0)
    X = X[..., :1]
X_train, X_rest, y_train, y_rest = train_test_split(
    X, y, train_size=700, stratify=y, random_state=0
)
X_choose, X_test, y_choose, y_test = train_test_split(
    X_rest, y_rest, train_size=300, stratify=y_rest, random_state=0
)

# %%
# Teacher and student
# -------------------
# The student has a fiftieth of the teacher's weights.

from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier, classification_summary

teacher = NetworkClassifier(FiveBlockCNN(filters=(16, 32, 64)), epochs=15, random_state=0)
teacher.fit(X_train, y_train)
small = FiveBlockCNN(filters=(4, 8, 8), dense=(16,))
student = KDClassifier(
    teacher.model_, NetworkClassifier(small, epochs=30, random_state=0), alpha=0.4, temperature=3
).fit(X_train, y_train)
for name, model in {"teacher": teacher, "student": student}.items():
    print(f"{name}: {model.model_.count_params():,} weights")

# %%
# Calibration
# -----------
# scikit-learn finds the temperature by which the student's logits have to be divided, and
# `~skkd.fold_temperature` makes it part of the network: whatever is saved or exported from here on
# is calibrated. No label changes.

from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from skkd import fold_temperature

calibrated = fold_temperature(
    CalibratedClassifierCV(FrozenEstimator(student), method="temperature").fit(X_choose, y_choose)
)
models = {"teacher": teacher, "student": student, "student, calibrated": calibrated}
print(classification_summary(models, X_test, y_test).round(3).to_string())

# %%
# The expected calibration error compares how sure a network is with how often it is right. Its
# plain value is above 0 for a calibrated network too, by chance; see
# `~skkd.expected_calibration_error`.

from functools import partial

from skkd import bootstrap_scores, expected_calibration_error

error = {"error": partial(expected_calibration_error, labels=student.classes_)}
proba = {name: model.predict_proba(X_test) for name, model in models.items()}
for name, p in proba.items():
    row = bootstrap_scores(error, y_test, p, labels=student.classes_, random_state=0).iloc[0]
    print(f"{name}: {row['estimate']:.3f} ({row['low']:.3f} to {row['high']:.3f})")

# %%
# scikit-learn draws it for one class, or, as here, for being right: a network whose line is under
# the diagonal is surer than it should be.

import matplotlib.pyplot as plt
from sklearn.calibration import CalibrationDisplay

figure, ax = plt.subplots(figsize=(5.4, 4.6), layout="constrained")
for name in ("student", "student, calibrated"):
    right = calibrated.classes_[proba[name].argmax(axis=1)] == y_test
    CalibrationDisplay.from_predictions(
        right, proba[name].max(axis=1), n_bins=6, strategy="quantile", name=name, ax=ax
    )
ax.set(
    xlabel="Probability of the predicted class",
    ylabel="Share of right predictions",
    xlim=(0.35, 1.02),
    ylim=(0.35, 1.02),
)

# %%
# What a threshold costs
# ----------------------
# On the images to choose on, `~skkd.deferral_curve` tells what each threshold would give. Suppose
# that an answer of the student costs 1, one of the teacher 50, for its weights, and a wrong one as
# much as ten of the teacher's.

from skkd import deferral_curve

costs = {"student_cost": 1, "fallback_cost": 50, "error_cost": 500}
curve = deferral_curve(
    y_choose,
    calibrated.predict_proba(X_choose),
    teacher.predict_proba(X_choose),
    labels=calibrated.classes_,
    coverages=[0, 0.5, 0.6, 0.7, 0.8, 0.9, 1],
    **costs,
)
print(curve.round(3).to_string(index=False))

# %%
# A student that defers
# ---------------------
# It takes the cheapest threshold of these, and asks its teacher about the images below it, and no
# others. That the threshold was the best of several on other images does not flatter it here.

from skkd import DeferringClassifier

cheapest = curve.loc[curve["cost"].idxmin()]
deferring = DeferringClassifier(
    FrozenEstimator(calibrated), FrozenEstimator(teacher), threshold=cheapest["threshold"]
).fit(X_choose, y_choose)
accuracies = {"student": calibrated, "student that defers": deferring, "teacher": teacher}
for name, model in accuracies.items():
    row = bootstrap_scores(
        "accuracy", y_test, model.predict_proba(X_test), labels=model.classes_, random_state=0
    ).iloc[0]
    print(f"{name}: {row['estimate']:.3f} ({row['low']:.3f} to {row['high']:.3f})")
print(f"handed over: {deferring.defer(X_test).mean():.0%} of the images to judge by")

# %%
# Least sure first
# ----------------
# To hand over images drawn at random would gain the same with each: the dashed line. To hand over
# those that the student is least sure of gains most with the first. Below are the images that it is
# most and least sure of, with what it says of them, in red where that is wrong.

from skkd import DeferralCurveDisplay

figure = plt.figure(figsize=(7.2, 6.4), layout="constrained")
above, below = figure.subfigures(2, height_ratios=[1.25, 1])
ax = above.subplots()
display = DeferralCurveDisplay.from_estimator(deferring, X_test, y_test, ax=ax, name="Student")
display.line_.set_linewidth(2)

p = calibrated.predict_proba(X_test)
order = np.argsort(p.max(axis=1))
rows = {"surest": order[-6:][::-1], "least sure": order[:6]}
axes = below.subplots(2, 6)
for (name, images), line in zip(rows.items(), axes, strict=True):
    line[0].set_ylabel(name)
    for row, cell in zip(images, line, strict=True):
        answer = calibrated.classes_[p[row].argmax()]
        color = "black" if answer == y_test[row] else "tab:red"
        cell.imshow(X_test[row, ..., 0], cmap="gray")
        cell.set_title(f"{answer}, {p[row].max():.0%}", fontsize=7, color=color)
        cell.set(xticks=[], yticks=[])

# %%
# Where there is no teacher to ask, ``fallback=None`` stands for a person: ``defer`` then names the
# images for them, and nothing is predicted for these. Images unlike all of training are another
# matter: a network may be sure of what it has never seen.
