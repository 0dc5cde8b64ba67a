"""Whether an explanation depends on what a network has learned."""

from numbers import Integral
from types import SimpleNamespace

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.stats import rankdata
from sklearn.base import clone
from tqdm.auto import tqdm

from skkd.metrics._batches import check_count, row_batches
from skkd.metrics._images import read_images
from skkd.metrics.faithfulness._maps import map_reader, unit_maps
from skkd.metrics.faithfulness._perturbation import draw_seed


def randomization_check(
    explainer,
    X,
    y=None,
    *,
    layer=-1,
    max_layers=None,
    batch_size=32,
    random_state=None,
    verbose=0,
) -> pd.DataFrame:
    """Compare explanations of a network with those of ever more random copies of it.

    Lower is better, and should fall from row to row: an explanation that stays similar when the
    network has forgotten what it learned does not explain it [1]_. Layers are randomized on a
    copy, cascading from the last one down. Feature maps depend on the layers below them alone,
    so they change only once the cascade has come down to their own.

    To randomize a layer is to shuffle the values of each of its weights: they keep their
    distribution, so that the network's signals keep their scale, and nothing else.

    Parameters
    ----------
    explainer : explainer
        Such as `GradCAMExplainer`, fitted or not; it is left as it is, and so is its network.
        Copies of it are fitted on ``X``. One that explains the predicted class explains the class
        predicted by the network as it was.
    X : array-like of shape (n, height, width[, channels]), or paths
        Images.
    y : array-like of shape (n,), default=None
        True labels, for explainers of the true class.
    layer : int or str, default=-1
        Which map, where there is one a layer.
    max_layers : int, default=None
        Randomize no more than so many layers with weights. None goes down to the first.
    batch_size : int, default=32
        Images explained and compared at a time.
    random_state : int, RandomState instance or None, default=None
        Seeds the shuffling.
    verbose : {0, 1}, default=0
        1 shows a progress bar.

    Returns
    -------
    similarity : pandas.DataFrame
        A row a layer, from the last one down, each with all rows above it randomized too:

        - "spearman": mean over images of the rank correlation of the pixels, in [-1, 1];
        - "spearman_std": its standard deviation;
        - "ssim": mean structural similarity [2]_ of the maps, each scaled to [0, 1], over windows
          of 7x7 pixels, at most 1;
        - "ssim_std": its standard deviation;
        - "n": number of images whose rank correlation is defined: maps that are the same
          everywhere have none.

    References
    ----------
    .. [1] J. Adebayo, J. Gilmer, M. Muelly, I. Goodfellow, M. Hardt, B. Kim, "Sanity checks for
       saliency maps", NeurIPS 2018.
    .. [2] Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, "Image quality assessment: from
       error visibility to structural similarity", IEEE Transactions on Image Processing 13, 2004.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skkd import FeatureMapExplainer, FiveBlockCNN, NetworkClassifier
    >>> from skkd.metrics import randomization_check
    >>> digits = load_digits()
    >>> X, y = digits.images[:100, ..., None], digits.target[:100]
    >>> classifier = NetworkClassifier(FiveBlockCNN(filters=(4,), dense=()), epochs=1).fit(X, y)
    >>> check = randomization_check(FeatureMapExplainer(classifier), X[:5], random_state=0)
    >>> check.index.to_list()
    ['logits', 'block1_conv']
    >>> round(float(check["spearman"].iloc[0]), 3)  # the map lies below the layer "logits"
    1.0
    """
    from skkd.models._batches import predict
    from skkd.models._copies import copy_model
    from skkd.models._estimators import find_classifier

    seed = draw_seed(random_state)
    rng = np.random.default_rng(seed)
    images = read_images(explainer.estimator, X)
    model, head, classes, steps_before = find_classifier(explainer.estimator)
    if steps_before is not None:
        images = read_images(model, steps_before.transform(images))
    network = copy_model(model)
    layers = _layers_with_weights(network)
    if max_layers is not None:
        layers = layers[: check_count(max_layers, "max_layers")]
    batches = row_batches(np.arange(len(images)), batch_size)
    y = None if y is None else np.asarray(y)
    params = {"estimator": SimpleNamespace(model_=network, classes_=classes)}
    own = explainer.get_params(deep=False)
    if isinstance(own.get("target"), str) and own["target"] == "predicted":
        params["target"] = classes[predict(head.network, images, batch_size).argmax(axis=1)]
    if "random_state" in own and not isinstance(own["random_state"], Integral):
        # Maps that differ by what was drawn would count as maps that differ by what was learned.
        params["random_state"] = seed

    def explain():
        # Fitted anew, as an explainer may keep what it found in the network.
        copy = clone(explainer).set_params(**params).fit(images, y)
        read = map_reader(copy, images, y, layer=layer)
        return np.concatenate([read(rows).astype(np.float32) for rows in batches])

    original = explain()
    table = {}
    for name, randomized in tqdm(layers, desc="randomization", disable=not verbose):
        weights = randomized.get_weights()
        randomized.set_weights([rng.permutation(w.ravel()).reshape(w.shape) for w in weights])
        maps = explain()
        ranks, similarity = spearman(original, maps), structural_similarity(original, maps)
        defined = ranks[~np.isnan(ranks)]
        table[name] = {
            "spearman": defined.mean() if len(defined) else np.nan,
            "spearman_std": defined.std() if len(defined) else np.nan,
            "ssim": similarity.mean(),
            "ssim_std": similarity.std(),
            "n": len(defined),
        }
    table = pd.DataFrame.from_dict(table, orient="index").rename_axis("randomized down to")
    return table.astype({"n": int})


def _layers_with_weights(network):
    """Return names and layers that have learned something, the last one first."""
    import keras

    from skkd.models._graph import flatten_graph

    layers = {}
    for call in flatten_graph(network).calls:
        # What normalizes the images is a property of theirs.
        if isinstance(call.layer, keras.layers.Normalization):
            continue
        if getattr(call.layer, "weights", None):
            layers.setdefault(id(call.layer), (call.name, call.layer))
    return list(layers.values())[::-1]


def spearman(first, second):
    """Return the rank correlation of the pixels of each pair of maps, NaN if one is constant."""
    ranks = (rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (first, second))
    a, b = (r - r.mean(axis=1, keepdims=True) for r in ranks)
    norm = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return (a * b).sum(axis=1) / np.where(norm > 0, norm, np.nan)


def structural_similarity(first, second):
    """Return the mean structural similarity of each pair of maps, scaled to [0, 1].

    Over all square windows inside the map, 7 pixels wide or, in smaller maps, as wide as an odd
    number of them allows, with the constants of Wang et al., (0.01)^2 and (0.03)^2.
    """
    a, b = unit_maps(first.astype(np.float64)), unit_maps(second.astype(np.float64))
    side = min(7, *a.shape[1:])
    side -= 1 - side % 2
    edge = side // 2
    inside = (slice(None), *(slice(edge, n - edge) for n in a.shape[1:]))

    def mean(maps):
        return ndimage.uniform_filter(maps, (1, side, side))[inside]

    mean_a, mean_b = mean(a), mean(b)
    variances = mean(a * a) - mean_a**2 + mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return (luminance * (2 * covariance + c2) / (variances + c2)).mean(axis=(1, 2))
