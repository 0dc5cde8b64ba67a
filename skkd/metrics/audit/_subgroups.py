"""Scores of parts of the images, each held against the rest."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control
from sklearn.utils import check_consistent_length, check_random_state

from skkd._groups import check_groups
from skkd.metrics._batches import check_count
from skkd.metrics._predictions import check_labels, label_codes
from skkd.metrics.audit._columns import read_columns
from skkd.metrics.audit._comparison import Comparison
from skkd.metrics.audit._samples import Sample
from skkd.metrics.inference._bootstrap import name_scores
from skkd.metrics.inference._checks import check_confidence

ALL = "all"
INTERNAL = "internal"


def subgroup_report(
    estimator,
    X,
    y,
    metadata,
    *,
    scores="accuracy",
    groups=None,
    external=None,
    max_values=10,
    n_bands=4,
    min_count=10,
    correction="holm",
    confidence=0.95,
    n_resamples=2000,
    random_state=None,
) -> pd.DataFrame:
    """Score a classifier by site, sex, age band, scanner or file format, and at other hospitals.

    Each value of each column of `metadata` is a subgroup: its score with an interval, and how much
    higher that is than the score of the rest. Intervals are by the bootstrap, and p-values by
    permutation, each over patients where `groups` names them. `predict_proba` is called once for
    each set of images.

    A difference says that something goes with the subgroup, not what: sicker patients of one site
    differ as well as a worse scanner. No difference found says little where a subgroup is small;
    look at the interval.

    Parameters
    ----------
    estimator : classifier
        Fitted, with `predict_proba` and `classes_`.
    X : array-like of shape (n_samples, ...)
        Images that were not trained on, in whatever form the estimator takes them.
    y : array-like of shape (n_samples,)
        True labels.
    metadata : DataFrame, or mapping of str to array-like of shape (n_samples,), or None
        What is known of each image, matched by position, whatever the index says. Numbers and dates
        of more than `max_values` values are put into bands, also where they are objects because
        some are None; text stays text, whatever it says. What is missing (NaN, None, NaT) is the
        subgroup "missing". :func:`skkd.images.file_metadata` tabulates how files are stored. None
        compares only sets, and takes `external`.
    scores : str, callable, or a list or mapping of these, default="accuracy"
        What to measure, as for `bootstrap_scores`. Values by image are those of the images of `X`,
        and so do not go with `external`.
    groups : array-like of shape (n_samples,), default=None
        The patient of each image. None takes each image as a patient.
    external : mapping of str to Bunch or tuple, default=None
        Other sets by name, such as another hospital's folder: what the loaders of skkd.datasets
        return, with an attribute for each column of `metadata` that is known there, or tuples
        (X, y) or (X, y, groups). Patients of two sets are different ones, whatever they are called.
    max_values : int, default=10
        Most values of a column. Other columns than those of numbers and dates are refused where
        they have more.
    n_bands : int, default=4
        Number of bands that numbers and dates of more values are put into, of about equally many
        images. A single value of so many, such as 0 pack years, is a band of its own, and what lies
        below and above it is cut apart from it, so that bands may be one or two more. For other
        bands, pass the column through ``pandas.cut``.
    min_count : int, default=10
        Least number of patients of a subgroup that is scored, and of the rest it is held against;
        at least 2, as one patient says nothing of how patients vary. Smaller ones are listed and
        counted, with NaN for scores.
    correction : {"holm", "benjamini-hochberg"} or None, default="holm"
        How p-values are corrected for the number of comparisons in the table: "holm" [1]_ holds
        down the risk of even one false alarm, "benjamini-hochberg" [2]_ the share of false alarms
        among what is found.
    confidence : float, default=0.95
        Confidence of the intervals, in (0, 1). They are not corrected for the number of
        comparisons.
    n_resamples : int, default=2000
        Number of resamples, and of permutations. Of n permutations no p-value is below
        ``1 / (n + 1)``, which a correction for many comparisons would raise above 0.05 whatever
        was found: so where fewer than 10 permutations differ as far as the subgroup does, more are
        drawn until there are 10, or 100 permutations for each comparison in the table [3]_. That is
        not done if `correction` is None.
    random_state : int, RandomState instance or None, default=None
        Seed of resamples and permutations.

    Returns
    -------
    report : pandas.DataFrame
        A row for each set, subgroup and score, with the columns

        - `set`: "internal", or the name of an external set;
        - `column`, `value`: the subgroup, as text; "all" for the whole set, which comes first;
        - `score`: name of the score;
        - `n`, `n_patients`: images and patients of the subgroup;
        - `estimate`, `low`, `high`: the score with its interval;
        - `difference`, `difference_low`, `difference_high`: the score less that of the rest of the
          set, with its interval; for the whole of an external set, less that of the internal set;
        - `p_value`, `p_adjusted`: of the difference being 0, before and after the correction.

        NaN stands where a subgroup is too small, or the score is undefined of it, as ROC AUC is of
        a single class.

    Raises
    ------
    TypeError
        If the estimator has no `predict_proba`, or `metadata` or `external` is of another kind.
    ValueError
        If a column has too many values or not one an image, or another argument is malformed.

    See Also
    --------
    SubgroupDisplay : Draw the report.
    bootstrap_scores : Scores with intervals of given probabilities.
    shortcut_report : Whether a classifier reads the label off something else.

    Notes
    -----
    A permutation draws anew which patients are in the subgroup; of a patient that has images in it
    and in the rest, which of the images are. Of two subgroups that make up a column each is the
    rest of the other: that is one comparison and counts as one.

    Where all images of a subgroup are classified rightly, all resamples are too, and the interval
    of the estimate has no width. The p-value does not suffer from that.

    References
    ----------
    .. [1] S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal
       of Statistics 6(2):65-70, 1979.
    .. [2] Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate: a practical and
       powerful approach to multiple testing", Journal of the Royal Statistical Society B
       57(1):289-300, 1995.
    .. [3] J. Besag and P. Clifford, "Sequential Monte Carlo p-values", Biometrika 78(2):301-304,
       1991.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from skkd.metrics import subgroup_report
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 400)
    >>> site = np.where(rng.random(400) < 0.3, "north", "south")
    >>> noise = np.where(site == "north", 2.0, 0.5)
    >>> X = (y + noise * rng.normal(size=400))[:, None]
    >>> model = GaussianNB().fit(X[:200], y[:200])
    >>> report = subgroup_report(model, X[200:], y[200:], {"site": site[200:]}, random_state=0)
    >>> report[["column", "value", "n", "estimate", "low", "high", "p_adjusted"]].round(2)
      column  value    n  estimate   low  high  p_adjusted
    0    all    all  200      0.77  0.71  0.83         NaN
    1   site  north   55      0.56  0.44  0.70         0.0
    2   site  south  145      0.85  0.79  0.91         0.0
    """
    if not hasattr(estimator, "predict_proba") or not hasattr(estimator, "classes_"):
        raise TypeError(
            "estimator must be a fitted classifier with predict_proba and classes_; got "
            f"{type(estimator).__name__}"
        )
    confidence = check_confidence(confidence)
    for name, count in (
        ("n_resamples", n_resamples),
        ("max_values", max_values),
        ("n_bands", n_bands),
        ("min_count", min_count),
    ):
        check_count(count, name)
    if min_count < 2:
        raise ValueError(
            f"min_count must be at least 2, as one patient gives no interval; got {min_count}"
        )
    if correction not in ("holm", "benjamini-hochberg", None):
        raise ValueError(
            f'correction must be "holm", "benjamini-hochberg" or None; got {correction!r}'
        )
    if metadata is None and external is None:
        raise ValueError("metadata must be given, or external; got None for both")
    named = name_scores(scores)
    others = _check_external(external)
    by_image = [name for name, s in named.items() if not isinstance(s, str) and not callable(s)]
    if others and by_image:
        raise ValueError(
            f"scores[{by_image[0]!r}] holds values of the images of X, and external has other "
            "images: pass a callable (y_true, y_proba) instead, or ask for each set by itself"
        )
    options = {"max_values": max_values, "n_bands": n_bands}
    sets = {INTERNAL: _read_set(estimator, X, y, groups, metadata, options)}
    wanted = [] if metadata is None else list(metadata.keys())
    for name, other in others.items():
        try:
            sets[name] = _read_set(estimator, *_parts(other, wanted), options)
        except (TypeError, ValueError) as error:
            raise type(error)(f"external[{name!r}]: {error}") from error

    seed = check_random_state(random_state).randint(2**31 - 1)
    compare = Comparison(named, min_count, confidence, n_resamples, seed)
    rows = []
    for name, (sample, columns) in sets.items():
        other = None if name == INTERNAL else sets[INTERNAL][0]
        rows += compare.whole(sample, other, ALL)
        for column, (codes, values) in columns.items():
            rows += compare.column(sample, column, codes, values)
        for row in rows:
            row.setdefault("set", name)
    report = pd.DataFrame(rows)[
        [
            *("set", "column", "value", "score", "n", "n_patients", "estimate", "low", "high"),
            *("difference", "difference_low", "difference_high", "_test"),
        ]
    ]
    tests = report.pop("_test")
    report["p_value"] = compare.p_values(corrected=correction is not None)[tests]
    report["p_adjusted"] = _adjust(report["p_value"], tests, correction)
    return report


def _read_set(estimator, X, y, groups, metadata, options):
    """Return a sample with its predictions, and the columns of what is known of it."""
    y = check_labels(y, "y")
    classes = np.asarray(estimator.classes_)
    label_codes(y, classes, "y")
    check_consistent_length(X, y)
    units = np.arange(len(y))
    if groups is not None:
        units = pd.factorize(check_groups(groups, len(y)))[0]
        if units.max() < 1:
            raise ValueError(
                "groups must hold at least two patients, of which some are in a subgroup; got one"
            )
    columns = {}
    if metadata is not None:
        columns = read_columns(metadata, len(y), **options)
        if ALL in columns:
            raise ValueError(
                f"metadata must have no column {ALL!r}, which the report has for all images: "
                "rename it"
            )
    proba = np.asarray(estimator.predict_proba(X))
    name = f"predict_proba of {type(estimator).__name__}"
    return Sample(y, proba, classes, units, name=name), columns


def _check_external(external):
    if external is None:
        return {}
    if not isinstance(external, Mapping) or hasattr(external, "target"):
        raise TypeError(
            "external must be a mapping of names to Bunches or tuples (X, y), as in "
            f'{{"hospital B": load_image_folder(...)}}; got {type(external).__name__}'
        )
    named = {str(name): other for name, other in external.items()}
    if INTERNAL in named or len(named) < len(external):
        raise ValueError(
            f"external must have names of their own, other than {INTERNAL!r}; got {list(external)}"
        )
    return named


def _parts(other, wanted):
    """Return images, labels, patients and what else is known of a set."""
    if hasattr(other, "target"):
        known = {name: other[name] for name in wanted if name in other}
        return other.data, other.target, other.get("groups"), known or None
    if isinstance(other, tuple) and len(other) in (2, 3):
        return *(*other, None)[:3], None
    raise TypeError(
        f"a set must be a Bunch, or a tuple (X, y) or (X, y, groups); got {type(other).__name__}"
    )


def _adjust(p_values, tests, correction):
    """Return p-values corrected for the number of tests, some of which are in several rows."""
    if correction is None:
        return p_values
    known = pd.Series(p_values.to_numpy(), index=tests).dropna()
    known = known[~known.index.duplicated()]
    if correction == "benjamini-hochberg":
        values = false_discovery_control(known) if len(known) else known
    else:
        order = np.argsort(known.to_numpy(), kind="stable")
        left = np.arange(len(known), 0, -1)
        values = np.empty(len(known))
        values[order] = np.minimum(1, np.maximum.accumulate(known.to_numpy()[order] * left))
    adjusted = pd.Series(np.asarray(values, dtype=float), index=known.index)
    return adjusted.reindex(tests).to_numpy()
