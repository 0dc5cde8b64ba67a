"""
===========================================
Alpha, temperature and a score for the maps
===========================================

How much should a student listen to the labels, and how softly should its teacher speak? A grid
search answers with a table of numbers that differ a little. This one scores students by accuracy
and by how faithful their feature maps are, asks the teacher about each image once, and then asks
which of its differences mean anything.
"""

# %%
# Three parts
# -----------
# The slices are those of the brain tumor MRI set where it lies in the folder that the environment
# variable ``SKKD_DATA`` names, or in ``skkd_data`` in the home folder, and synthetic otherwise. Of
# the public set only the published training images are used; the loader's warning is about the
# others. The teacher has training images of its own: had it been trained on those of the search, it
# would have seen the validation images of every fold, and the search would prefer students that
# listen to it.

from sklearn.model_selection import train_test_split

from skkd.datasets import fetch_brain_tumor, make_brain_phantoms

try:
    images = fetch_brain_tumor(
        subset="train",
        image_size=(48, 48),
        color_mode="grayscale",
        download_if_missing=False,
        verbose=False,
    )
    X, y, kind = images.data, images.target, "real"
except OSError:
    X, y = make_brain_phantoms(1000, image_size=(48, 48), random_state=0)
    X, kind = X[..., :1], "synthetic"
X_teacher, X, y_teacher, y = train_test_split(X, y, train_size=400, stratify=y, random_state=0)
X_search, X_test, y_search, y_test = train_test_split(
    X, y, train_size=240, test_size=300, stratify=y, random_state=0
)
print(f"{kind} slices: {len(X_teacher)} for the teacher, {len(X_search)}, {len(X_test)} to test")

# %%
# A teacher that counts
# ---------------------
# A function from images to logits can be a teacher; `~skkd.Teacher` adds which classes they are of.
# This one counts the images it is asked about.

from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier, Teacher

network = NetworkClassifier(FiveBlockCNN(filters=(16, 32, 64)), epochs=12, random_state=0)
network.fit(X_teacher, y_teacher)
asked = []


def ask(images):
    """Count the images and return their logits."""
    asked.append(len(images))
    return network.decision_function(images)


# %%
# Search
# ------
# `~skkd.make_fidelity_scorer` makes a scorer like any of scikit-learn's. It keeps the fifth of the
# pixels where the last feature map is highest, blurs the rest, and asks how much of the confidence
# in the true class is left; ``clip=True`` counts no image as more than 1, ``eps=0`` leaves none
# out. ``refit`` says by which score the best student is chosen. The grid is that of the KD-FMV
# paper.

from sklearn.model_selection import GridSearchCV, StratifiedKFold

from skkd import FeatureMapExplainer, make_fidelity_scorer

student = KDClassifier(
    Teacher(ask, classes=network.classes_),
    NetworkClassifier(
        FiveBlockCNN(filters=(8, 16, 32), dense=(32,), dropout=0.1), epochs=8, random_state=0
    ),
)
search = GridSearchCV(
    student,
    {"alpha": [0.4, 0.7], "temperature": [5, 10, 15]},
    scoring={
        "accuracy": "accuracy",
        "neg_log_loss": "neg_log_loss",
        "f1_macro": "f1_macro",
        "fidelity": make_fidelity_scorer(
            FeatureMapExplainer, mask="top", fraction=0.2, clip=True, eps=0
        ),
    },
    refit="accuracy",
    cv=StratifiedKFold(3, shuffle=True, random_state=0),
).fit(X_search, y_search)
n_fits = len(search.cv_results_["params"]) * search.n_splits_ + 1
n_asked = sum(asked)
print(f"{n_fits} students trained; the teacher was asked about {n_asked} of {len(X_search)} images")

# %%
# Each image was taught once, whatever the grid and however many folds it is in; where the teacher
# was asked about fewer, the same image is there twice.
#
# Table 2
# -------
# `~skkd.distillation_report` is laid out as Table 2 of the paper: a row for each student and,
# measured on images that none of the models has seen, one for the teacher and one for the best
# student.

from skkd import distillation_report

report = distillation_report(search, X_test, y_test)
print(report.round(3).to_string(index=False))

# %%
# How much of it is chance
# ------------------------
# Two spreads belong beside the table: that of the means over the settings, which is what a search
# chooses by, and that of one setting over the folds, which is what another draw of images does. A
# setting whose mean is a fraction of the second better than another's has not been shown to be
# better. All settings have the same folds, so they are best compared fold by fold: where the winner
# is ahead of the next in some folds and behind in others, take either.

import numpy as np


def spreads(score):
    """Compare what settings and what folds do to a score."""
    results = search.cv_results_
    folds = np.stack([results[f"split{i}_test_{score}"] for i in range(search.n_splits_)], axis=1)
    best, second = np.argsort(-folds.mean(axis=1), kind="stable")[:2]
    print(f"{score}: means from {folds.mean(axis=1).min():.3f} to {folds.mean(axis=1).max():.3f},")
    print(f"  standard deviation over folds {folds.std(axis=1, ddof=1).mean():.3f},")
    ahead = ", ".join(f"{value:+.3f}" for value in folds[best] - folds[second])
    print(f"  best minus second best, fold by fold: {ahead}")


for score in ("accuracy", "fidelity"):
    spreads(score)

# %%
# Two more cautions. The best of six noisy means is too good, as it was chosen for being the best:
# only the rows measured on "test" say what to expect. And a fidelity means something beside that of
# a map drawn at random, which `~skkd.fidelity_report` gives. The report is of the best student and
# of the tumor classes, since a slice without one has nothing to keep.

from skkd import fidelity_report

tumors = [name for name in search.classes_ if name not in ("notumor", "no_tumor")]
print(
    fidelity_report(
        search.best_estimator_,
        X_test,
        y_test,
        [FeatureMapExplainer(search.best_estimator_)],
        classes=tumors,
        mask="top",
        fraction=0.2,
        clip=True,
        eps=0,
        random_state=0,
    )
    .round(3)
    .to_string()
)

# %%
# Two scores, two maps
# --------------------
# `~skkd.DistillationGridDisplay` draws the means of a score. The colors run from the lowest mean
# to the highest, however near they are: read the numbers, and the spreads above, before the
# colors. Where the two maps disagree, the student that is right most often is not the one whose
# feature maps account for most of its confidence, and somebody has to say which matters more.

import matplotlib.pyplot as plt

from skkd import DistillationGridDisplay

figure, axes = plt.subplots(1, 2, figsize=(9.5, 3), layout="constrained")
for ax, score in zip(axes, ("accuracy", "fidelity"), strict=True):
    DistillationGridDisplay.from_search(search, score=score, ax=ax)
    ax.set_title(f"{score}, mean of {search.n_splits_} folds")

# sphinx_gallery_thumbnail_number = -1
