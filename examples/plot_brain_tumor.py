"""
===========================================
What a small network sees in a brain tumor
===========================================

A network teaches one that has a fraction of its weights to tell three kinds of brain tumor from
none. How much does the small one lose, and where do its layers respond? Before either question
can be answered, images that are on both sides of the split have to go.

The slices are real where the brain tumor MRI set lies in the folder that the environment variable
``SKKD_DATA`` names, or in ``skkd_data`` in the home folder; otherwise they are synthetic, with the
same four classes.
"""

# %%
# Images
# ------
# `~skkd.datasets.fetch_brain_tumor` deals the published training images into "train" and
# "validation"; this example learns from the first and looks at the second. Nothing is downloaded:
# ``download_if_missing=False`` raises if the set is not there, and
# `~skkd.datasets.make_brain_phantoms` takes its place. With the public set the loader warns that
# published test images are also among the published training images; this example leaves the
# published test images alone.

from sklearn.model_selection import train_test_split

from skkd.datasets import (
    check_split,
    fetch_brain_tumor,
    find_duplicates,
    make_brain_phantoms,
)

options = {"image_size": (64, 64), "color_mode": "grayscale", "return_X_y": True}
try:
    X_train, y_train = fetch_brain_tumor(
        subset="train", download_if_missing=False, verbose=False, **options
    )
    X_test, y_test = fetch_brain_tumor(
        subset="validation", download_if_missing=False, verbose=False, **options
    )
    kind = "real"
except OSError:
    X, y = make_brain_phantoms(1200, image_size=(64, 64), random_state=0)
    X_train, X_test, y_train, y_test = train_test_split(
        X[..., :1], y, test_size=0.25, stratify=y, random_state=0
    )
    kind = "synthetic"
print(f"{len(X_train)} {kind} slices to learn from, {len(X_test)} to look at")

# %%
# What is on both sides
# ---------------------
# The loader keeps files that are equal byte for byte on one side of its split. The public set also
# has slices that were saved anew, which no longer are. `~skkd.datasets.check_split` compares what
# the images show, and those that "train" has too are left out here: a network that knows them by
# heart would get them right without having understood anything. `~skkd.datasets.find_duplicates`
# does the same within one side, where copies waste time and count double.
#
# Neither finds two different slices of one patient. The public set has no patient numbers, so its
# accuracies below are better than those on new patients would be.

import numpy as np

report = check_split((X_train, y_train), (X_test, y_test), method="perceptual", verbose=False)
print(report.summary)
new = np.setdiff1d(np.arange(len(X_test)), report.shared["test"])
X_test, y_test = X_test[new], y_test[new]

groups = find_duplicates(X_train, method="perceptual", verbose=False)
copies = [row for group in groups for row in group[1:]]
print(f"{len(copies)} images of train are copies of others.")
X_train, y_train = np.delete(X_train, copies, axis=0), np.delete(y_train, copies)

# Enough for a minute on two cores.
X_train, _, y_train, _ = train_test_split(
    X_train, y_train, train_size=800, stratify=y_train, random_state=0
)
print(f"{len(X_train)} slices to learn from, {len(X_test)} to look at")

# %%
# Teacher and student
# -------------------
# The teacher sees the same training images as its student, and none of those in the table: one
# that had seen them would pass on what it knows of them. Accuracy, log loss and F1 come from
# `~skkd.classification_summary`, the operations of one forward pass from `~skkd.count_flops`.

from skkd import (
    FiveBlockCNN,
    KDClassifier,
    NetworkClassifier,
    classification_summary,
    count_flops,
)

teacher = NetworkClassifier(FiveBlockCNN(filters=(16, 32, 64, 128)), epochs=12, random_state=0).fit(
    X_train, y_train
)
student = KDClassifier(
    teacher.model_,
    NetworkClassifier(
        FiveBlockCNN(filters=(8, 16, 32, 32), dense=(32,), dropout=0.1), epochs=16, random_state=0
    ),
    alpha=0.4,
    temperature=5,
).fit(X_train, y_train)

networks = {"teacher": teacher.model_, "student": student.model_}
table = classification_summary({"teacher": teacher, "student": student}, X_test, y_test)
table["weights"] = [network.count_params() for network in networks.values()]
table["Mflop"] = [count_flops(network) / 1e6 for network in networks.values()]
print(table.round(3).to_string())
print(f"student and teacher agree on {student.agreement_score(X_test):.1%} of the slices")

# %%
# This is one seed and one split. With a few hundred slices an accuracy is known to about one or two
# hundredths, so smaller differences say nothing of which network is better. The weights and the
# operations do not depend on chance.
#
# Layer by layer
# --------------
# One slice of each class that the student gets right, and the mean response of the filters of each
# of its convolutions, from `~skkd.FeatureMapExplainer`. The first layer follows whatever is bright,
# a tumor or the skull; the last responds in a few coarse places, some of them outside the head.
# Bright means that filters respond there, and not that the class is decided there: the map is the
# same whichever class is asked about. `~skkd.GradCAMExplainer` asks about a class.

from skkd import FeatureMapExplainer

right = student.predict(X_test) == y_test
rows = [np.flatnonzero(right & (y_test == label))[0] for label in student.classes_]
explanation = FeatureMapExplainer(student).fit().explain(X_test[rows], y_test[rows])
display = explanation.plot(size=1.6)
