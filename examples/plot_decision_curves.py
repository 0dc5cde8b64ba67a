"""
==========================
Is the student of any use?
==========================

Accuracy counts every error alike. Whoever acts on a prediction does not: to miss a tumor is worse
than to look twice at a healthy head. Decision curves [1]_ put a teacher, its student and a network
of the same size that learned from the labels alone against the two rules that need no network:
treat everybody, and treat nobody.

The real slices are used where the environment variable SKKD_DATA names a folder that holds them;
without it, synthetic ones.
"""

# %%
# Four sets of images
# -------------------
# The question is tumor or none. The teacher was trained elsewhere, on 400 images that are not
# here. Here are 60 images with labels, 300 without, and those that judge. No image of the last set
# was seen by teacher or student: a teacher that had seen them would pass on what it knows of them.
# (With the real slices a warning says that the published test images repeat some of the training
# images. They are not used here.)

import os

import numpy as np
import pandas as pd
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
    X, y = fetch_brain_tumor(subset="train", download_if_missing=False, **options)
    X_test, y_test = fetch_brain_tumor(subset="validation", download_if_missing=False, **options)
    healthy = "notumor"
else:
    X, y = make_brain_phantoms(1260, image_size=image_size, random_state=0)
    X, X_test, y, y_test = train_test_split(
        X[..., :1], y, test_size=500, stratify=y, random_state=0
    )
    healthy = "no_tumor"
y, y_test = (np.where(labels == healthy, "none", "tumor") for labels in (y, y_test))

X_teacher, X_here, y_teacher, y_here = train_test_split(
    X, y, train_size=400, test_size=360, stratify=y, random_state=0
)
X_labeled, X_unlabeled, y_labeled, _ = train_test_split(
    X_here, y_here, train_size=60, stratify=y_here, random_state=0
)
print(f"{len(X_test)} images to judge by, {np.mean(y_test == 'tumor'):.0%} of them with a tumor")

# %%
# Three networks
# --------------
# The student learns from the 60 labels and from what the teacher says of all 360 images here. The
# third network is the same student without a teacher.

from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier, classification_summary

teacher = NetworkClassifier(FiveBlockCNN(filters=(16, 32, 64)), epochs=20, random_state=0)
teacher.fit(X_teacher, y_teacher)
small = FiveBlockCNN(filters=(8, 16, 32, 32), dense=(32,), dropout=0.1)
student = KDClassifier(
    teacher.model_, NetworkClassifier(small, epochs=30, random_state=0), alpha=0.4, temperature=2
).fit(X_labeled, y_labeled, X_unlabeled=X_unlabeled)
alone = NetworkClassifier(small, epochs=60, random_state=0).fit(X_labeled, y_labeled)

models = {"teacher": teacher, "student": student, "labels alone": alone}
print(classification_summary(models, X_test, y_test).round(3).to_string())

# %%
# The threshold probability
# -------------------------
# Suppose that a prediction of "tumor" leads to a second, closer scan. The threshold probability is
# the risk of a tumor from which on one would rather have it. Whoever would order it at a risk of
# 10% accepts nine needless scans for each tumor found: the odds 0.1 / 0.9 are the price of a false
# alarm in true positives, and `~skkd.net_benefit` subtracts it,
#
# .. math:: \text{net benefit} = \frac{TP}{n} - \frac{FP}{n} \cdot \frac{t}{1 - t}.
#
# It is the reader who knows the threshold, and not the network. Look at the range within which
# reasonable people differ, here 2% to 50%.
#
# For whom the probabilities hold
# -------------------------------
# How many have the disease matters as much. In these sets most have, because they were put together
# so; scanning everybody then looks like a good rule. ``prevalence`` weighs the images as in a
# population, here one in which 10% have a tumor, which is an assumption and not a finding.
#
# That alone is not enough. Networks that learned where three of four have a tumor expect as many
# among those to come, and give everybody too high a risk. With the synthetic slices all three are
# worse than treating nobody at thresholds of 20% and more. Their odds have to be multiplied by
# those of the population over those of the training images [2]_. It changes no ranking and no ROC
# curve, and all of a decision curve.

from skkd import decision_curve

prevalence = 0.1
share = np.mean(y == "tumor")
options = {"pos_label": "tumor", "prevalence": prevalence}


def net_benefits(proba):
    """Return the net benefit of each strategy at some thresholds."""
    curve = decision_curve(y_test, proba, thresholds=[0.05, 0.1, 0.2, 0.4], **options)
    return curve.pivot(index="strategy", columns="threshold", values="net_benefit")


raw = {name: model.predict_proba(X_test)[:, 1] for name, model in models.items()}
proba = {}
for name, p in raw.items():
    odds = p / (1 - p).clip(min=1e-7) * (prevalence / (1 - prevalence)) / (share / (1 - share))
    proba[name] = odds / (1 + odds)

tables = {
    "as they come": pd.DataFrame({name: net_benefits(p).loc["model"] for name, p in raw.items()}),
    "corrected": pd.DataFrame({name: net_benefits(p).loc["model"] for name, p in proba.items()}),
    "rules": net_benefits(proba["student"]).loc[["treat all", "treat none"]].T,
}
print(pd.concat(tables, axis=1).round(3).to_string())

# %%
# Chance in the test images
# -------------------------
# Another set of images would give other curves. Drawing the test images anew with replacement, 200
# times, shows by how much, for each network and for the difference of the two small ones on the
# same images. It tells nothing about another training.

from sklearn.utils import resample

from skkd import net_benefit

thresholds = np.arange(2, 51) / 100
draws = {name: [] for name in models}
for seed in range(200):
    rows = resample(np.arange(len(y_test)), stratify=y_test, random_state=seed)
    for name, p in proba.items():
        draws[name].append(net_benefit(y_test[rows], p[rows], thresholds, **options))
bands = {name: np.percentile(drawn, [2.5, 97.5], axis=0) for name, drawn in draws.items()}

difference = np.subtract(draws["student"], draws["labels alone"])
for t in (0.05, 0.1, 0.2, 0.4):
    low, high = np.percentile(difference[:, np.searchsorted(thresholds, t)], [2.5, 97.5])
    print(f"threshold {t:.2f}: student minus labels alone {low:+.3f} to {high:+.3f}")

# %%
# In numbers of patients: how many fewer of 100 are scanned than if all were, without finding fewer
# tumors.

avoided = {}
for name, p in proba.items():
    curve = decision_curve(y_test, p, thresholds=[0.05, 0.1, 0.2, 0.4], **options)
    of_model = curve[curve["strategy"] == "model"].set_index("threshold")
    avoided[name] = of_model["net_interventions_avoided"]
print(pd.DataFrame(avoided).round(0).to_string())

# %%
# Decision curves
# ---------------
# `~skkd.DecisionCurveDisplay` draws what `~skkd.decision_curve` computes. A network is useful at
# the thresholds where its line is above both rules. At a threshold of a few percent, scanning
# everybody costs so little that there is hardly anything to gain. The bands hold 95% of the draws.
#
# With the synthetic slices the student is about as useful as its teacher, and more so than the
# network that learned from the labels alone, by more than chance in the test images explains. With
# the real ones 60 labels are nearly enough: the difference between the small networks is within
# chance, and near a threshold of 40% neither is of more use than scanning nobody.

import matplotlib.pyplot as plt

from skkd import DecisionCurveDisplay

figure, ax = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
for number, (name, p) in enumerate(proba.items()):
    DecisionCurveDisplay.from_predictions(
        *(y_test, p),
        thresholds=thresholds,
        name=name,
        ax=ax,
        ref_lines=name == "labels alone",
        curve_kwargs={"color": f"C{number}", "linewidth": 2},
        **options,
    )
    ax.fill_between(thresholds, *bands[name], color=f"C{number}", alpha=0.15, linewidth=0)
ax.set(title="Tumor or none, at a prevalence of 10%", xlabel="Threshold probability of a tumor")
ax.get_legend().remove()
figure.legend(loc="outside lower center", ncols=5, fontsize="small")

# %%
# .. rubric:: References
#
# .. [1] A. J. Vickers and E. B. Elkin, "Decision curve analysis: a novel method for evaluating
#    prediction models", Medical Decision Making 26(6):565-574, 2006.
# .. [2] M. Saerens, P. Latinne and C. Decaestecker, "Adjusting the outputs of a classifier to new a
#    priori probabilities: a simple procedure", Neural Computation 14(1):21-41, 2002.
