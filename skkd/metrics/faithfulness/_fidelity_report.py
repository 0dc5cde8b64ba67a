"""Fidelity of several explainers side by side, with what it is to be held against."""

import numpy as np
import pandas as pd

from skkd._groups import check_groups
from skkd.metrics._confidence import TrueClassConfidence
from skkd.metrics._names import apart_from, name_by_class
from skkd.metrics.faithfulness._fidelity import measure_fidelity
from skkd.metrics.faithfulness._maps import map_reader
from skkd.metrics.faithfulness._perturbation import Perturbation
from skkd.metrics.inference._intervals import Intervals


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
    confidence=None,
    groups=None,
    n_resamples=2000,
    verbose=0,
) -> pd.DataFrame:
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
    estimator, X, y : see `fidelity_score`
        A classifier, its images and their true labels.
    explainers : mapping of str to explanation, or list of explainers
        Explainers, maps or Explanations by name. Those in a list are named after their class,
        numbered where one occurs more than once.
    classes : array-like, default=None
        The classes to report, such as the diseases: perturbation hardly moves a normal class.
        Images of others are left out. None means all in ``y``.
    mode, mask, fraction, baseline, layer : see `fidelity_score`
        What of an image is kept or removed by which map, and what stands in for the rest.
    clip, eps, batch_size, random_state : see `fidelity_score`
        How ratios are taken, images at a time, and what seeds noise, ties and the draws below.
    confidence : float, default=None
        Confidence of the interval of each average, in (0, 1), such as 0.95. None gives none.
    groups : array-like of shape (n,), default=None
        The patient of each image, whose images are then drawn together.
    n_resamples : int, default=2000
        Number of draws, the same for all rows, as for `bootstrap_scores`.
    verbose : {0, 1}, default=0
        1 shows a progress bar.

    Returns
    -------
    report : pandas.DataFrame
        A row for each explainer, "random", and a row "inverted ..." for each explainer, with

        - a column for each class: the mean ratio of its images;
        - "average": the mean of the classes' means, as in the paper; NaN if all images of a class
          are skipped;
        - "low", "high": ends of the interval of "average", only with `confidence`. Draws that lack
          a class are left out, and if all do, it is NaN;
        - "median", "std": median and standard deviation over all images measured;
        - "kept": mean share of the image that stays;
        - "n", "skipped": number of images measured, and left out as their C_orig is below
          ``eps``.

        A class or an explainer with one of these names, such as a class "average", is called
        "class average" or "explainer random".

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
    perturbation = Perturbation(mode=mode, mask=mask, fraction=fraction, baseline=baseline)
    confidence_of = TrueClassConfidence(estimator, X, y)
    explainers = name_by_class(explainers, "explainers")
    classes = np.unique(confidence_of.y) if classes is None else np.asarray(classes)
    if classes.ndim != 1 or not len(classes):
        raise ValueError(f"classes must be None or a list of at least one class; got {classes}")
    if len(absent := np.setdiff1d(classes, confidence_of.y)):
        raise ValueError(f"classes must occur in y; got {absent.tolist()}, which do not")
    rows = np.flatnonzero(np.isin(confidence_of.y, classes))
    if groups is not None:
        groups = check_groups(groups, len(confidence_of.y))
    intervals = Intervals(
        len(rows),
        confidence,
        groups=None if groups is None else groups[rows],
        n_resamples=n_resamples,
        random_state=random_state,
    )
    controls = {"random", *(f"inverted {name}" for name in explainers)}
    readers = {}
    for name, explainer in explainers.items():
        row = apart_from(controls | (explainers.keys() - {name}), name, "explainer")
        readers[row] = map_reader(explainer, confidence_of.images, confidence_of.y, layer=layer)
    measured = measure_fidelity(
        confidence_of,
        readers,
        perturbation,
        rows=rows,
        clip=clip,
        eps=eps,
        batch_size=batch_size,
        random_state=random_state,
        controls=True,
        verbose=verbose,
    )
    order = [*readers, "random", *(f"inverted {name}" for name in readers)]
    ends = _intervals(intervals, [measured[name] for name in order], classes)
    table = {}
    for place, name in enumerate(order):
        samples = measured[name]
        ratios, of_class = samples["fidelity"], samples["fidelity"].groupby(samples["class"])
        means = of_class.mean().loc[classes]
        figures = {
            "average": means.mean(skipna=False),
            **({} if ends is None else {"low": ends[0, place], "high": ends[1, place]}),
            "median": ratios.median(),
            "std": ratios.std(ddof=0),
            "kept": samples["kept"].mean(),
            "n": ratios.count(),
            "skipped": ratios.isna().sum(),
        }
        of_classes = {
            apart_from({*figures, *means.index.drop(label)}, label, "class"): mean
            for label, mean in means.items()
        }
        table[name] = of_classes | figures
    report = pd.DataFrame.from_dict(table, orient="index").rename_axis("explainer")
    return report.astype({"n": int, "skipped": int})


def _intervals(intervals, measured, classes):
    """Return the ends of the intervals of the averages over classes, None for none."""
    if intervals.confidence is None:
        return None
    return intervals.ends([_average_of(samples, classes) for samples in measured])


def _average_of(samples, classes):
    """Return what computes the mean of the classes' means of counted images."""
    ratios = samples["fidelity"].to_numpy()
    known = np.isfinite(ratios)
    of_class = known[:, None] & (samples["class"].to_numpy()[:, None] == np.asarray(classes))
    summed = np.where(of_class, np.where(known, ratios, 0)[:, None], 0)

    def average(counts):
        with np.errstate(invalid="ignore"):
            means = (counts @ summed) / (counts @ of_class.astype(np.float64))
        return means.mean(axis=1)

    return average
