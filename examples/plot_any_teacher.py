"""
=================
Trees teach a CNN
=================

A teacher need not be a network. Here a random forest and gradient boosted trees, which know digits
as tables of 64 numbers, teach a small convolutional network that has a hundred labeled images of
its own. How much do they help, and is it more than what another seed does?
"""

# %%
# Three parts
# -----------
# The teachers are fitted on 600 digits. The student has 100 others with labels and 600 without;
# the rest is for testing. Think of a hospital that may hand on what its model says of an image, but
# not the images it was fitted on.

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

digits = load_digits()
X, y = digits.images[..., None], digits.target
X_teacher, X_rest, y_teacher, y_rest = train_test_split(
    X, y, train_size=600, stratify=y, random_state=0
)
X_student, X_test, y_student, y_test = train_test_split(
    X_rest, y_rest, train_size=700, stratify=y_rest, random_state=0
)
X_labeled, X_unlabeled, y_labeled, _ = train_test_split(
    X_student, y_student, train_size=100, stratify=y_student, random_state=0
)
print(len(X_teacher), len(X_labeled), len(X_unlabeled), len(X_test))

# %%
# Teachers
# --------
# `~skkd.KDClassifier` clones a scikit-learn classifier and fits it on the student's own images,
# which is right within a grid search, where no fold may see more than its own. These teachers have
# seen more, and are to stay as they are: `sklearn.frozen.FrozenEstimator` says so.

from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator


def flat(images):
    """Make a table of images, a row each."""
    return images.reshape(len(images), -1)


forest = RandomForestClassifier(n_estimators=100, random_state=0)
boosting = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=8, random_state=0)
for model in (forest, boosting):
    model.fit(flat(X_teacher), y_teacher)
forest, boosting = FrozenEstimator(forest), FrozenEstimator(boosting)

# %%
# Students
# --------
# Each student is trained with three seeds. ``teacher=None`` trains on the labels alone, the
# baseline that any teacher has to beat. A list of teachers is averaged. ``X_unlabeled`` are images
# of which only the teacher has something to say. `~skkd.KDClassifier.agreement_score` is the share
# of test images of which student and teacher say the same.

import keras
import numpy as np
import pandas as pd

from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier

lessons = {
    "labels alone": {"teacher": None},
    "both, labeled only": {"teacher": [forest, boosting]},
    "both": {"teacher": [forest, boosting], "unlabeled": X_unlabeled},
    "boosting": {"teacher": boosting, "unlabeled": X_unlabeled},
    "forest": {"teacher": forest, "unlabeled": X_unlabeled},
    "forest, temperature 1": {"teacher": forest, "temperature": 1, "unlabeled": X_unlabeled},
}
rows = []
for name, lesson in lessons.items():
    unlabeled = lesson.pop("unlabeled", None)
    for seed in range(3):
        # Frees the memory of the students before.
        keras.utils.clear_session()
        small = NetworkClassifier(
            FiveBlockCNN(filters=(8, 16), dense=(32,), dropout=0.1),
            # As many steps with 100 images as with 700.
            epochs=66 if unlabeled is None else 10,
            learning_rate=2e-3,
            random_state=seed,
        )
        student = KDClassifier(student=small, **{"alpha": 0.3, "temperature": 3, **lesson})
        student.fit(X_labeled, y_labeled, X_unlabeled=unlabeled)
        row = {"taught by": name, "student": student.score(X_test, y_test)}
        if student.teacher is not None:
            taught = student.classes_[student.teacher_predict_proba(X_test).argmax(axis=1)]
            row |= {"teacher": np.mean(taught == y_test)}
            row |= {"agreement": student.agreement_score(X_test)}
        rows.append(row)
results = pd.DataFrame(rows)
seeds = results.groupby("taught by", sort=False)
table = seeds[["teacher", "student", "agreement"]].mean()
table.insert(2, "std over seeds", seeds["student"].std())
print(table.round(3).to_string())

# %%
# The teacher's word on the hundred labeled images moves the student by little more than another
# seed does. On 600 more images it is worth more, though not from the forest at temperature 3: the
# better teacher makes the worse student. A forest's probabilities are shares of its trees and soft
# by themselves; divided by the temperature once more, they say little. At temperature 1 the same
# forest teaches about as well as the others. Boosted trees are as sure of themselves as networks,
# and bear the softening. Averaged, the two have one temperature for both.
#
# Three seeds show gains of the size of the first as what they are, unproven. The splits are the
# same throughout, so the spread over seeds is not all there is.
#
# Every seed is a dot
# -------------------
# The gray band is where the students without a teacher ended.

import matplotlib.pyplot as plt

figure, ax = plt.subplots(figsize=(7.5, 4), layout="constrained")
alone = results.loc[results["taught by"] == "labels alone", "student"]
ax.axvspan(alone.min(), alone.max(), color="tab:gray", alpha=0.25, label="range of labels alone")
ax.plot(table["teacher"], table.index, "D", color="tab:red", markersize=9, label="teacher")
ax.plot(results["student"], results["taught by"], "o", color="tab:blue", alpha=0.7, label="student")
ax.set(xlabel="test accuracy", ylabel="taught by")
ax.grid(axis="x", alpha=0.4)
ax.margins(y=0.12)
ax.invert_yaxis()
figure.legend(loc="outside upper center", ncols=3, frameon=False)

# sphinx_gallery_thumbnail_number = -1
