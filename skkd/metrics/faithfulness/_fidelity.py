"""Whether an explanation points at what a classifier decides by."""

from numbers import Integral, Real

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from skkd._warnings import warn
from skkd.metrics._names import name_by_class
from skkd.metrics.faithfulness._confidence import TrueClassConfidence
from skkd.metrics.faithfulness._maps import map_reader
from skkd.metrics.faithfulness._perturbation import (
    RANDOM_MAPS,
    Perturbation,
    draw_seed,
    image_rng,
    mix,
    substitute,
)


def fidelity_score(
    estimator,
    X,
    y,
    explanation,
    *,
    mode="keep",
    mask="soft",
    fraction=None,
    baseline="blur",
    layer=-1,
    clip=False,
    eps=0.01,
    batch_size=32,
    random_state=None,
):
    """Measure how much of a classifier's confidence an explanation accounts for.

    The mean over images of [1]_ ::

        fidelity = C_adv / C_orig

    the confidence in the true class in the image perturbed as the explanation says, over that
    in the image itself. With ``mode="keep"`` higher is better: what the explanation points at is
    enough. With ``mode="remove"`` lower is better: without it the confidence falls. 1 means that
    the perturbation changes nothing; without ``clip`` there is no upper bound.

    A value means little alone: compare it with those of random and inverted maps
    (`fidelity_report`). A soft mask changes the less of an image, the higher the map is on
    average, whatever it points at; ``mask="top"`` changes equally much for every explanation.

    Parameters
    ----------
    estimator : fitted classifier or keras.Model
        Anything with ``predict_proba`` and ``classes_``; the outputs of a model stand for the
        classes 0, 1, ...
    X : array-like of shape (n, height, width[, channels]), or paths
        The images, as the estimator takes them.
    y : array-like of shape (n,)
        True labels.
    explanation : ndarray, Explanation or explainer
        Maps of shape (n, height, width), (n, layers, height, width) or, signed, (n, height,
        width, channels), whose channels are summed; or what makes them, batch by batch. Of an
        explainer that is not fitted a copy is.
    mode : {"keep", "remove"}, default="keep"
        Keep what the explanation points at, or remove it.
    mask : {"soft", "top"}, default="soft"
        The map scaled to [0, 1], or its highest ``fraction`` of the pixels.
    fraction : float, default=None
        Share of the pixels, in (0, 1], that ``mask="top"`` points at; needed there.
    baseline : {"zero", "mean", "blur", "noise", "road"} or callable, default="blur"
        What stands in for the rest; see `perturb_images`.
    layer : int or str, default=-1
        Which map, where there is one a layer; by default the last.
    clip : bool, default=False
        Count no image as more than 1.
    eps : float, default=0.01
        Images whose C_orig is below this are skipped, as their ratio says nothing and may be
        huge. A warning tells how many.
    batch_size : int, default=32
        Images perturbed and predicted at a time.
    random_state : int, RandomState instance or None, default=None
        Seeds noise and the order of equal values in maps, for each image on its own.

    Returns
    -------
    score : float
        The mean ratio; NaN if every image is skipped.

    See Also
    --------
    fidelity_samples : The ratio of each image.
    fidelity_report : Several explainers beside random and inverted maps.
    perturb_images : The perturbed images themselves.

    References
    ----------
    .. [1] A. Chaddad et al., "Knowledge distillation and feature map visualization for medical
       image analysis", 2025. The perturbation is not given there.

    Examples
    --------
    A classifier that looks at the first pixel alone, and a map that says so:

    >>> import numpy as np
    >>> from skkd.metrics import fidelity_score
    >>> class FirstPixel:
    ...     classes_ = np.array(["dark", "bright"])
    ...
    ...     def predict_proba(self, X):
    ...         return np.stack([1 - X[:, 0, 0, 0], X[:, 0, 0, 0]], axis=1)
    >>> images, maps = np.full((1, 2, 2, 1), 0.8), np.array([[[1.0, 0.0], [0.0, 0.0]]])
    >>> fidelity_score(FirstPixel(), images, ["bright"], maps, baseline="zero")
    1.0
    >>> fidelity_score(FirstPixel(), images, ["bright"], maps, baseline="zero", mode="remove")
    0.0
    """
    samples = fidelity_samples(
        estimator,
        X,
        y,
        explanation,
        mode=mode,
        mask=mask,
        fraction=fraction,
        baseline=baseline,
        layer=layer,
        clip=clip,
        eps=eps,
        batch_size=batch_size,
        random_state=random_state,
    )
    skipped = int(samples["fidelity"].isna().sum())
    if skipped:
        warn(
            f"{skipped} of {len(samples)} images are skipped: their confidence in the true class "
            f"is below eps={eps}"
        )
    return float(samples["fidelity"].mean())


def fidelity_samples(
    estimator,
    X,
    y,
    explanation,
    *,
    mode="keep",
    mask="soft",
    fraction=None,
    baseline="blur",
    layer=-1,
    clip=False,
    eps=0.01,
    batch_size=32,
    random_state=None,
):
    """Measure the fidelity of an explanation to each image.

    Higher is better with ``mode="keep"``, lower with ``mode="remove"``. `fidelity_score` is the
    mean of the column "fidelity".

    Parameters
    ----------
    estimator : fitted classifier or keras.Model
        Anything with ``predict_proba`` and ``classes_``; the outputs of a model stand for the
        classes 0, 1, ...
    X : array-like of shape (n, height, width[, channels]), or paths
        The images, as the estimator takes them.
    y : array-like of shape (n,)
        True labels.
    explanation : ndarray, Explanation or explainer
        Maps, or what makes them; see `fidelity_score`.
    mode : {"keep", "remove"}, default="keep"
        Keep what the explanation points at, or remove it.
    mask : {"soft", "top"}, default="soft"
        The map scaled to [0, 1], or its highest ``fraction`` of the pixels.
    fraction : float, default=None
        Share of the pixels, in (0, 1], that ``mask="top"`` points at; needed there.
    baseline : {"zero", "mean", "blur", "noise", "road"} or callable, default="blur"
        What stands in for the rest; see `perturb_images`.
    layer : int or str, default=-1
        Which map, where there is one a layer; by default the last.
    clip : bool, default=False
        Count no image as more than 1.
    eps : float, default=0.01
        Images whose C_orig is below this are skipped.
    batch_size : int, default=32
        Images perturbed and predicted at a time.
    random_state : int, RandomState instance or None, default=None
        Seeds noise and the order of equal values in maps, for each image on its own.

    Returns
    -------
    samples : pandas.DataFrame
        A row an image, with the columns

        - "class": its true class;
        - "c_orig", "c_adv": confidence in the true class in the image and in its perturbed copy;
        - "fidelity": ``c_adv / c_orig``, NaN where ``c_orig`` is below ``eps``;
        - "kept": mean of the mask, the share of the image that stays.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyClassifier
    >>> from skkd.metrics import fidelity_samples
    >>> X, y = np.zeros((4, 2, 2, 1)), np.array([0, 1, 1, 1])
    >>> classifier = DummyClassifier().fit(X[:, 0, 0], y)
    >>> fidelity_samples(classifier, X, y, np.ones((4, 2, 2)))
       class  c_orig  c_adv  fidelity  kept
    0      0    0.25   0.25       1.0   0.5
    1      1    0.75   0.75       1.0   0.5
    2      1    0.75   0.75       1.0   0.5
    3      1    0.75   0.75       1.0   0.5
    """
    perturbation = Perturbation(mode, mask, fraction, baseline)
    confidence = TrueClassConfidence(estimator, X, y)
    read = map_reader(explanation, confidence.images, confidence.y, layer=layer)
    measured = _measure(
        confidence,
        {"explanation": read},
        perturbation,
        rows=np.arange(len(confidence.y)),
        seed=draw_seed(random_state),
        batch_size=check_count(batch_size),
    )
    return _with_ratios(measured["explanation"], clip, eps)


def fidelity_report(
    estimator,
    X,
    y,
    explainers,
    *,
    classes=None,
    mode="keep",
    mask="soft",
    fraction=None,
    baseline="blur",
    layer=-1,
    clip=False,
    eps=0.01,
    batch_size=32,
    random_state=None,
    verbose=0,
):
    """Tabulate the fidelity of several explainers for each class, with controls.

    The paper's Table 3 [1]_, and below it what tells whether its figures mean anything: a random
    map, uniform in every pixel, and each explainer's map inverted. An explanation is worth
    something if it beats the random map: from above with ``mode="keep"``, where higher is better,
    and from below with ``mode="remove"``. Its inverse should do the opposite; with soft masks,
    keeping an inverted map is removing the map. Mind the column "kept": with soft masks, maps
    that keep more of the image score higher whatever they point at. And compare "average" with
    "median": a few images of little confidence, whose ratios reach ``1 / eps``, can make up most
    of a mean; ``clip=True`` does not let them.

    Parameters
    ----------
    estimator : fitted classifier or keras.Model
        Anything with ``predict_proba`` and ``classes_``; the outputs of a model stand for the
        classes 0, 1, ...
    X : array-like of shape (n, height, width[, channels]), or paths
        The images, as the estimator takes them.
    y : array-like of shape (n,)
        True labels.
    explainers : mapping of str to explanation, or list of explainers
        Explainers, maps or Explanations by name. Those in a list are named after their class,
        numbered where one occurs more than once.
    classes : array-like, default=None
        The classes to report, such as the diseases: perturbation hardly moves a normal class.
        Images of others are left out. None means all in ``y``.
    mode : {"keep", "remove"}, default="keep"
        Keep what the explanation points at, or remove it.
    mask : {"soft", "top"}, default="soft"
        The map scaled to [0, 1], or its highest ``fraction`` of the pixels.
    fraction : float, default=None
        Share of the pixels, in (0, 1], that ``mask="top"`` points at; needed there.
    baseline : {"zero", "mean", "blur", "noise", "road"} or callable, default="blur"
        What stands in for the rest; see `perturb_images`.
    layer : int or str, default=-1
        Which map, where there is one a layer; by default the last.
    clip : bool, default=False
        Count no image as more than 1.
    eps : float, default=0.01
        Images whose C_orig is below this are skipped.
    batch_size : int, default=32
        Images perturbed and predicted at a time.
    random_state : int, RandomState instance or None, default=None
        Seeds noise and the order of equal values in maps, for each image on its own.
    verbose : {0, 1}, default=0
        1 shows a progress bar.

    Returns
    -------
    report : pandas.DataFrame
        A row for each explainer, "random", and a row "inverted ..." for each explainer, with

        - a column for each class: the mean ratio of its images;
        - "average": the mean of the classes' means, as in the paper; NaN if all images of a class
          are skipped;
        - "median", "std": median and standard deviation over all images measured;
        - "kept": mean share of the image that stays;
        - "n", "skipped": number of images measured, and left out as their C_orig is below
          ``eps``.

    See Also
    --------
    FidelityDisplay : Draw the report.
    fidelity_score : The definition.

    References
    ----------
    .. [1] A. Chaddad et al., "Knowledge distillation and feature map visualization for medical
       image analysis", 2025, Table 3.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skkd import FeatureMapExplainer, FiveBlockCNN, NetworkClassifier, fidelity_report
    >>> digits = load_digits()
    >>> X, y = digits.images[:200, ..., None], digits.target[:200]
    >>> classifier = NetworkClassifier(FiveBlockCNN(filters=(4, 8)), epochs=1).fit(X, y)
    >>> explainers = [FeatureMapExplainer(classifier)]
    >>> report = fidelity_report(classifier, X, y, explainers, classes=[3, 8])
    >>> report.index.to_list()
    ['FeatureMapExplainer', 'random', 'inverted FeatureMapExplainer']
    >>> report.columns.to_list()
    [3, 8, 'average', 'median', 'std', 'kept', 'n', 'skipped']
    """
    perturbation = Perturbation(mode, mask, fraction, baseline)
    confidence = TrueClassConfidence(estimator, X, y)
    explainers = name_by_class(explainers, "explainers")
    classes = np.unique(confidence.y) if classes is None else np.asarray(classes)
    if len(absent := np.setdiff1d(classes, confidence.y)):
        raise ValueError(f"classes must occur in y; got {absent.tolist()}, which do not")
    readers = {
        name: map_reader(explainer, confidence.images, confidence.y, layer=layer)
        for name, explainer in explainers.items()
    }
    measured = _measure(
        confidence,
        readers,
        perturbation,
        rows=np.flatnonzero(np.isin(confidence.y, classes)),
        seed=draw_seed(random_state),
        batch_size=check_count(batch_size),
        controls=True,
        verbose=verbose,
    )
    order = [*readers, "random", *(f"inverted {name}" for name in readers)]
    rows = {}
    for name in order:
        samples = _with_ratios(measured[name], clip, eps)
        ratios, of_class = samples["fidelity"], samples["fidelity"].groupby(samples["class"])
        means = of_class.mean().loc[classes]
        rows[name] = means.to_dict() | {
            "average": means.mean(skipna=False),
            "median": ratios.median(),
            "std": ratios.std(ddof=0),
            "kept": samples["kept"].mean(),
            "n": ratios.count(),
            "skipped": ratios.isna().sum(),
        }
    report = pd.DataFrame.from_dict(rows, orient="index").rename_axis("explainer")
    return report.astype({"n": int, "skipped": int})


def _measure(
    confidence, readers, perturbation, *, rows, seed, batch_size, controls=False, verbose=0
):
    """Return confidences and share kept of each image, a table for each source of maps."""
    results = {}

    def record(name, batch, maps, images, fill, original):
        masks = perturbation.masks(maps, seed, batch)
        perturbed = confidence(mix(images, masks, fill(masks)), batch)
        table = {"c_orig": original, "c_adv": perturbed, "kept": masks.mean(axis=(1, 2))}
        results.setdefault(name, []).append(pd.DataFrame(table, index=batch))

    starts = range(0, len(rows), batch_size)
    for start in tqdm(starts, desc="fidelity", unit="batch", disable=not verbose):
        batch = rows[start : start + batch_size]
        images = confidence.read(batch)
        shared = (images, substitute(images, perturbation.baseline, seed, batch))
        shared += (confidence(images, batch),)
        for name, read in readers.items():
            maps = read(batch)
            record(name, batch, maps, *shared)
            if controls:
                record(f"inverted {name}", batch, -maps, *shared)
        if controls:
            size = images.shape[1:3]
            maps = np.stack([image_rng(seed, row, RANDOM_MAPS).random(size) for row in batch])
            record("random", batch, maps, *shared)
    tables = {name: pd.concat(parts) for name, parts in results.items()}
    for table in tables.values():
        table.insert(0, "class", confidence.y[rows])
    return tables


def _with_ratios(table, clip, eps):
    """Add the ratio of each image to the confidences."""
    if not isinstance(eps, Real) or eps < 0:
        raise ValueError(f"eps must be a number of at least 0; got {eps!r}")
    ratios = table["c_adv"] / table["c_orig"].where(table["c_orig"] >= eps)
    ratios = ratios.replace(np.inf, np.nan)
    table.insert(3, "fidelity", ratios.clip(upper=1) if clip else ratios)
    return table


def check_count(value, parameter="batch_size"):
    """Raise unless a count is a whole number above 0."""
    if not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{parameter} must be a whole number above 0; got {value!r}")
    return value
