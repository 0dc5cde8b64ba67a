"""
============================
Which explanation to believe
============================

Feature maps, Grad-CAM, LayerCAM and SHAP explain one student, and they do not agree. On synthetic
brain slices it is known where the lesion is, so here they are measured: against the lesion,
against the student's own confidence, and against maps that know nothing of the student.
"""

# %%
# A student and its images
# ------------------------
# The explanations are of slices with a tumor that the student gets right: of those the class it
# predicts is the true one, and something in the image, the tumor, is known to be the reason.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier
from skkd.datasets import make_brain_phantoms

X, y, masks = make_brain_phantoms(650, image_size=(64, 64), random_state=0, return_masks=True)
X = X[..., :1]
X_train, y_train = X[:500], y[:500]
teacher = NetworkClassifier(FiveBlockCNN(filters=(16, 32, 64)), epochs=10, random_state=0)
teacher.fit(X_train, y_train)
student = KDClassifier(
    teacher.model_,
    NetworkClassifier(
        FiveBlockCNN(filters=(8, 16, 32), dense=(32,), dropout=0.1), epochs=15, random_state=0
    ),
    alpha=0.4,
    temperature=5,
).fit(X_train, y_train)

X, y, masks = X[500:], y[500:], masks[500:]
right = student.predict(X) == y
print(f"right: {right.mean():.0%} of {len(y)} slices")
rows = np.flatnonzero(right & (y != "no_tumor"))[:60]
X, y, masks = X[rows], y[rows], masks[rows]

# %%
# Four explanations and a control
# -------------------------------
# Each is made once and kept as an `~skkd.Explanation`, which the measures take in place of an
# explainer. The feature map is that of the last convolution, LayerCAM's that of the second, as it
# suits early layers. "brightness" is the image itself: a map that knows nothing of any network. An
# explanation that does no better is not worth its name, even if it is far above a random map.

from skkd import FeatureMapExplainer, GradCAMExplainer, SHAPExplainer

explainers = {
    "feature maps": FeatureMapExplainer(student, layers=[-1]),
    "Grad-CAM": GradCAMExplainer(student, target="true"),
    "LayerCAM": GradCAMExplainer(student, method="layercam", layer=1, target="true"),
    "SHAP": SHAPExplainer(student, target="true", n_samples=32, random_state=0),
}
explanations = {
    name: explainer.fit(X_train).explain(X, y) for name, explainer in explainers.items()
}
maps = {**explanations, "brightness": X[..., 0].astype(float)}

# %%
# Do they point at the lesion?
# ----------------------------
# `~skkd.pointing_game` is the share of images in which a map's highest pixel lies in the lesion;
# by chance it is the share of the image that the lesion covers. `~skkd.saliency_iou` is the overlap
# of the lesion with as many of the highest pixels as it has.

from skkd import pointing_game, saliency_iou

located = pd.DataFrame(
    {
        "pointing game": {name: pointing_game(m, masks) for name, m in maps.items()},
        "IoU": {name: saliency_iou(m, masks) for name, m in maps.items()},
    }
)
print(located.round(2).to_string())
print(f"by chance: {masks.mean():.2f}")

# %%
# Does the student decide by what they show?
# ------------------------------------------
# A lesion that is found is not yet one that is used. `~skkd.perturb_images` shows what the measures
# below show the student: the tenth of the pixels that an explanation ranks highest, over a blurred
# image (keep), or the image with that tenth blurred (remove). The titles hold its probability of
# the true class.

from skkd import perturb_images

image = np.flatnonzero(y == "pituitary")[:1]
true_class = list(student.classes_).index("pituitary")
figure, axes = plt.subplots(2, len(maps), figsize=(8, 3.7), layout="constrained")
for column, (name, m) in enumerate(maps.items()):
    values = getattr(m, "values", m)[image]
    values = values.reshape(1, 64, 64)
    for row, mode in enumerate(("keep", "remove")):
        changed = perturb_images(X[image], values, mode=mode, mask="top", fraction=0.1)
        p = student.predict_proba(changed)[0, true_class]
        ax = axes[row, column]
        ax.imshow(changed[0, ..., 0], cmap="gray", vmin=0, vmax=255)
        ax.set(xticks=[], yticks=[], title=f"{name}\n{p:.2f}" if row == 0 else f"{p:.2f}")
        if column == 0:
            ax.set_ylabel(mode, fontsize="large")

# %%
# `~skkd.fidelity_report` takes the mean of the confidence left over all images of each class, and
# adds the controls that tell what the figure is worth: a random map, and each map inverted. With
# "keep" higher is better, with "remove" lower.

from skkd import fidelity_report

options = {"mask": "top", "fraction": 0.1, "random_state": 0}
keep = fidelity_report(student, X, y, maps, mode="keep", **options)
remove = fidelity_report(student, X, y, maps, mode="remove", **options)
soft = fidelity_report(student, X, y, maps, random_state=0)
print(remove.drop(columns=["std", "n", "skipped"]).round(2).to_string())
averages = pd.DataFrame(
    {
        "keep a tenth": keep["average"],
        "remove a tenth": remove["average"],
        "soft mask": soft["average"],
        "soft mask keeps": soft["kept"],
    }
)
print(averages.loc[[*maps, "random"]].round(2).to_string())

# %%

from skkd import FidelityDisplay

figure, ax = plt.subplots(figsize=(7, 4.6), layout="constrained")
display = FidelityDisplay.from_report(remove, ax=ax)
ax.set_title("A tenth of the image removed: the shorter the better")

# %%
# The soft mask is the map itself, which keeps more of the image the brighter it is on average. The
# last two columns show why its figures cannot be compared: a random map keeps half of the image and
# scores well for that. A tenth is a tenth for every map.
#
# `~skkd.fidelity_samples` has a row for each image. It shows that a mean hides where an explanation
# fails: of how many images of each class would a random map have removed more?

from skkd import fidelity_samples

random_maps = np.random.default_rng(0).random(masks.shape)
by_chance = fidelity_samples(student, X, y, random_maps, mode="remove", **options)["fidelity"]
worse = {}
for name, m in maps.items():
    samples = fidelity_samples(student, X, y, m, mode="remove", **options)
    worse[name] = (samples["fidelity"] >= by_chance).groupby(samples["class"]).mean()
print("share of images in which a random map removes as much or more")
print(pd.DataFrame(worse).T.round(2).to_string())

# %%
# Grad-CAM and LayerCAM differ here in the layer and in how they weigh it. `~skkd.fidelity_score` of
# both methods on both layers, with a tenth removed, takes the two apart.

from skkd import fidelity_score

scores = {
    layer: {
        method: fidelity_score(
            *(student, X, y, GradCAMExplainer(student, method=method, layer=layer, target="true")),
            mode="remove",
            **options,
        )
        for method in ("gradcam", "gradcam++", "layercam")
    }
    for layer in ("block2_conv", "block3_conv")
}
print(pd.DataFrame(scores).round(2).to_string())

# %%
# It is the weights: on either layer, Grad-CAM leaves most of the confidence.
#
# More measures
# -------------
# Deletion and insertion replace more and more pixels, the most important ones first, and take the
# area under the confidence: no fraction has to be chosen. Average drop and increase in confidence
# are the measures of the Grad-CAM++ paper, with soft masks over black.

from skkd import average_drop, deletion_curve, increase_in_confidence, insertion_curve

curves = {
    name: deletion_curve(student, X, y, m, random_state=0)
    for name, m in {**maps, "random": random_maps}.items()
}
table = pd.DataFrame(
    {
        "deletion": {name: curve.auc.mean() for name, curve in curves.items()},
        "insertion": {
            name: insertion_curve(student, X, y, m, random_state=0).auc.mean()
            for name, m in {**maps, "random": random_maps}.items()
        },
        "average drop": {name: average_drop(student, X, y, m) for name, m in maps.items()},
        "increase": {name: increase_in_confidence(student, X, y, m) for name, m in maps.items()},
    }
)
print(table.round(2).to_string())

# %%

from skkd import PerturbationCurveDisplay

figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
display = PerturbationCurveDisplay.from_curves(curves, kind="deletion", ax=ax)
for band in display.bands_:
    band.set_visible(False)
ax.set_title("Deletion: the earlier a line falls, the better")

# %%
# Do they depend on what was learned?
# -----------------------------------
# `~skkd.randomization_check` shuffles the student's weights, layer by layer from the last one down,
# and compares the maps with the original ones. Rank correlations should fall. Feature maps of the
# last convolution do not change until the shuffling has come down to it: they depend on the layers
# below theirs and on no class.

from skkd import randomization_check

checks = {
    name: randomization_check(explainer, X[:12], y[:12], random_state=0)["spearman"]
    for name, explainer in explainers.items()
}
print(pd.DataFrame(checks).round(2).to_string())

# %%
# What to make of it
# ------------------
# LayerCAM of the second convolution and SHAP do what an explanation should. Nearly always their
# highest pixel lies in the tumor, a tenth of the pixels takes nearly all confidence away, and they
# beat the brightness of the image and not only chance.
#
# The feature map beats chance by far and brightness hardly. These tumors are bright, and filters
# respond to what is bright: its ranking of the pixels stays much the same when the student has
# forgotten everything. It shows what a layer responds to, as it is meant to, and not what a class
# is decided by.
#
# Grad-CAM is the worst of the four and does not beat brightness. In about half of the images its
# highest pixel lies elsewhere, and with what it ranks highest removed, most of the confidence
# stays. It gives each filter one weight for the whole image, the mean of its gradients, which suits
# networks that average their last map. This student, like the paper's, flattens it, and weighs
# every place by itself. With a soft mask Grad-CAM and a random map even score alike.
#
# Average drop and increase put brightness first or nearly so: with soft masks over black, they
# reward maps that keep much of the image. A measure has to pass a control as well.
#
# All of this is one student, one training and images whose lesions are bright. Real images have
# lesions that are not, and mostly no masks; the controls and the fidelity measures need none.

# %%
# The maps
# --------
# One slice of each kind of tumor, the lesion outlined in cyan. By eye, Grad-CAM and feature maps
# look more convincing here than they measure; three slices are an illustration and no evidence.

from skkd import ExplanationDisplay

rows = [np.flatnonzero(y == label)[0] for label in ("glioma", "meningioma", "pituitary")]
display = ExplanationDisplay.from_explanations(
    list(explanations.values()), rows=rows, colorbar=False, size=1.7
)
for row, axes in zip(rows, display.axes_, strict=True):
    for ax in axes:
        ax.contour(masks[row], levels=[0.5], colors="cyan", linewidths=1)
for ax, name in zip(display.axes_[0, 1:], explanations, strict=True):
    ax.set_title(name)

# sphinx_gallery_thumbnail_number = -1
