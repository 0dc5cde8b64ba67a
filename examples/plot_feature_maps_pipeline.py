"""
===================================
Feature maps as a scikit-learn step
===================================

A network that was taught to name tumors has never been told where they are. Its feature maps hold
it all the same: with ``flatten=True``, `~skkd.FeatureMapExplainer` is a transformer like any other,
and a linear classifier behind it learns from few labels which side a tumor is on.
"""

# %%
# A network that knows classes
# ----------------------------
# The network learns the four classes of synthetic brain slices from 500 of them. All that follows
# is done with others, as the maps of images that a network was trained on are not like those of new
# ones.

import numpy as np

from skkd import FeatureMapExplainer, FiveBlockCNN, NetworkClassifier
from skkd.datasets import make_brain_phantoms

size = 48
X, y, masks = make_brain_phantoms(1000, image_size=(size, size), random_state=0, return_masks=True)
X = X[..., :1]
architecture = FiveBlockCNN(filters=(8, 16, 32), dense=(32,), dropout=0.1)
network = NetworkClassifier(architecture, epochs=12, random_state=0).fit(X[:500], y[:500])
print(f"accuracy of the classes of new slices: {network.score(X[500:], y[500:]):.2f}")

# %%
# Another question
# ----------------
# On which side is the lesion? The masks tell. Pituitary tumors are at the midline, and so are some
# others; they are left out. Forty images have a label, the others are for the test.

from sklearn.model_selection import train_test_split

new = np.arange(500, 1000)
new = new[np.isin(y[new], ["glioma", "meningioma"])]
column = (masks[new] * np.arange(size)).sum(axis=(1, 2)) / masks[new].sum(axis=(1, 2))
off_center = column - (size - 1) / 2
aside = np.abs(off_center) > 3
side = np.where(off_center[aside] > 0, "right", "left")
X_train, X_test, y_train, y_test = train_test_split(
    X[new][aside], side, train_size=40, stratify=side, random_state=0
)
print(f"{len(X_train)} images to learn from, {len(X_test)} to test with")

# %%
# A transformer
# -------------
# Each image becomes one row, with a column for each layer and pixel. The columns have names, so
# ``set_output`` can make a DataFrame of them.

explainer = FeatureMapExplainer(network, flatten=True).set_output(transform="pandas").fit()
table = explainer.transform(X_train[:3])
print(table.iloc[:, [0, 1, size, size * size]].round(2).to_string())
print(f"{table.shape[1]} columns, the last one {explainer.get_feature_names_out()[-1]}")

# %%
# A pipeline
# ----------
# Principal components make ten numbers of the thousands, and logistic regression decides. The
# pipeline is an estimator like any other: ``maps__layers`` can be searched by cross-validation. To
# clone the pipeline, as the search does for each fold, leaves the network trained, for it is what
# is explained and not what is fitted. It has seen none of these images, so nothing leaks through
# it.

import pandas as pd
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

pipeline = Pipeline(
    [
        ("maps", FeatureMapExplainer(network, flatten=True)),
        ("pca", PCA(10, whiten=True, random_state=0)),
        ("classify", LogisticRegression()),
    ]
)
search = GridSearchCV(pipeline, {"maps__layers": ["conv", [0], [1], [2]]}, cv=5)
search.fit(X_train, y_train)
results = pd.DataFrame(search.cv_results_)
columns = ["param_maps__layers", "mean_test_score", "std_test_score"]
print(results[columns].round(2).to_string(index=False))
print(f"best, on the test images: {search.score(X_test, y_test):.2f}")

# %%
# Is it the network?
# ------------------
# Two controls: principal components and regression of the pixels themselves, and of the last maps
# of the same architecture before any training. Each is fitted to ten draws of 10, 20, 40 and 80
# labels and tested on 120 of the remaining images.

import keras
from sklearn.model_selection import StratifiedShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline

X_all, y_all = np.concatenate([X_train, X_test]), np.concatenate([y_train, y_test])
keras.utils.set_random_seed(0)
untrained = architecture.build(X.shape[1:], n_classes=4)
sources = {
    "maps of the trained network": FeatureMapExplainer(network, layers=[-1], flatten=True),
    "maps of an untrained network": FeatureMapExplainer(untrained, layers=[-1], flatten=True),
}
tables = {name: explainer.fit_transform(X_all) for name, explainer in sources.items()}
tables["pixels"] = X_all.reshape(len(X_all), -1) / 255.0
rows = {}
for name, table in tables.items():
    rows[name] = {}
    for n_labels in (10, 20, 40, 80):
        cv = StratifiedShuffleSplit(10, train_size=n_labels, test_size=120, random_state=0)
        linear = make_pipeline(PCA(9, whiten=True, random_state=0), LogisticRegression())
        rows[name][n_labels] = cross_val_score(linear, table, y_all, cv=cv).mean()
print(pd.DataFrame(rows).T.round(2).to_string())

# %%
# The maps do far better than pixels, but much of that is the architecture's doing: random filters
# and pooling already make coarse brightness of fine detail, which is enough to find a bright lump.
# Training adds the rest: with it, 20 labels do at least what 80 do without.
#
# What it reads
# -------------
# A coefficient of each component and the component's weights of each pixel multiply to one
# coefficient a pixel: they fold back to an image. Here for one pipeline a layer, over the mean
# slice: red speaks for a lesion on the right of the image, blue for one on the left. In the first
# layer folds and skull drown the lesion; in the last, little but the side is left.

import matplotlib.pyplot as plt

layer_names = FeatureMapExplainer(network).fit().layer_names_
figure, axes = plt.subplots(1, 3, figsize=(8, 2.9), layout="constrained")
for number, (ax, name) in enumerate(zip(axes, layer_names, strict=True)):
    pipeline.set_params(maps__layers=[number]).fit(X_train, y_train)
    pca, classifier = pipeline["pca"], pipeline["classify"]
    weights = classifier.coef_[0] / np.sqrt(pca.explained_variance_) @ pca.components_
    weights = weights.reshape(size, size)
    limit = np.abs(weights).max()
    ax.imshow(X_test.mean(axis=0)[..., 0], cmap="gray")
    picture = ax.imshow(weights, cmap="RdBu_r", vmin=-limit, vmax=limit, alpha=0.65)
    score = pipeline.score(X_test, y_test)
    ax.set(xticks=[], yticks=[], title=f"{name}: {score:.0%} correct")
bar = figure.colorbar(picture, ax=axes, fraction=0.02, pad=0.01, shrink=0.8)
bar.set_ticks([-limit, 0, limit], labels=["left", "0", "right"])
