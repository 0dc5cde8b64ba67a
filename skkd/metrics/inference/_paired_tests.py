"""Tests of whether two models differ on the same rows."""

import numpy as np
import pandas as pd
from scipy.stats import binomtest, norm, rankdata
from sklearn.utils import Bunch, column_or_1d

from skkd._warnings import warn
from skkd.metrics._predictions import check_labels, check_pos_label
from skkd.metrics.inference._checks import check_confidence


def mcnemar_test(y_true, y_pred, y_pred_other) -> Bunch:
    """Test whether two models are right equally often on the same rows.

    Of the rows of which one model is right and the other wrong, each model is expected to be right
    of half; the exact binomial test says how likely a split at least as uneven is [1]_. Rows of
    which both are right, or both wrong, say nothing of a difference.

    Rows must be independent. Where several images are of one patient, pass `groups` and
    `paired_with` to :func:`bootstrap_scores` in place of this.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_pred, y_pred_other : array-like of shape (n_samples,)
        Labels that the two models predict.

    Returns
    -------
    result : Bunch
        With the attributes

        - pvalue : float, two-sided
        - only_first, only_other : int, the rows of which only one model is right
        - both, neither : int, the rows of which both or none are
        - difference : float, accuracy of the first model less that of the other

    See Also
    --------
    bootstrap_scores : Intervals of the difference of any score, by patient.
    delong_test : Compare the areas under two ROC curves.

    References
    ----------
    .. [1] Q. McNemar, "Note on the sampling error of the difference between correlated proportions
       or percentages", Psychometrika 12:153-157, 1947.

    Examples
    --------
    One model is right of five rows, one of them with the other, which is right of it alone:

    >>> from skkd.metrics import mcnemar_test
    >>> result = mcnemar_test([0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 0])
    >>> result.only_first, result.only_other, result.both, result.neither, result.pvalue
    (4, 0, 1, 1, 0.125)
    """
    y_true = check_labels(y_true)
    right = [
        _check_predictions(name, predicted, y_true) == y_true
        for name, predicted in (("y_pred", y_pred), ("y_pred_other", y_pred_other))
    ]
    first, other = right
    only_first, only_other = int((first & ~other).sum()), int((other & ~first).sum())
    n_apart = only_first + only_other
    return Bunch(
        pvalue=float(binomtest(only_first, n_apart).pvalue) if n_apart else 1.0,
        only_first=only_first,
        only_other=only_other,
        both=int((first & other).sum()),
        neither=int((~first & ~other).sum()),
        difference=float(first.mean() - other.mean()),
    )


def delong_test(y_true, y_score, y_score_other, *, pos_label=None, confidence=0.95) -> Bunch:
    """Test whether two models have the same area under the ROC curve on the same rows.

    The areas are correlated, as the rows are the same; DeLong's estimate of their covariance [1]_
    accounts for it, and is computed from ranks [2]_. Of more than two classes, test one against
    the rest at a time.

    Rows must be independent. Where several images are of one patient, pass `groups` and
    `paired_with` to :func:`bootstrap_scores` in place of this.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels. Every label other than `pos_label` counts as negative.
    y_score, y_score_other : array-like of shape (n_samples,)
        Probability of `pos_label`, or any score that is higher where it is likelier, from the two
        models.
    pos_label : int, float, bool or str, default=None
        The positive label. None means 1 when the labels are in {0, 1} or {-1, 1}; other labels need
        it.
    confidence : float, default=0.95
        Confidence of the intervals, in (0, 1).

    Returns
    -------
    result : Bunch
        With the attributes

        - pvalue : float, two-sided, of the areas being equal; NaN, as the interval, with a warning
          where the areas differ and their variance is estimated as 0
        - statistic : float, the difference over its standard error; NaN if both are 0
        - auc, auc_other : float, the areas
        - difference : float, `auc` less `auc_other`
        - low, high : float, ends of the interval of the difference
        - auc_interval, auc_other_interval : tuple of two floats, the ends of those of the areas,
          within [0, 1]

    See Also
    --------
    bootstrap_scores : Intervals of any score, by patient.
    mcnemar_test : Compare the predictions of two models.

    Notes
    -----
    An area of 1, or scores of both models that rank all rows alike, have a variance of 0 by this
    estimate. That is its limit, and no certainty.

    References
    ----------
    .. [1] E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, "Comparing the areas under two or
       more correlated receiver operating characteristic curves: a nonparametric approach",
       Biometrics 44(3):837-845, 1988.
    .. [2] X. Sun and W. Xu, "Fast implementation of DeLong's algorithm for comparing the areas
       under correlated receiver operating characteristic curves", IEEE Signal Processing Letters
       21(11):1389-1393, 2014.

    Examples
    --------
    >>> from skkd.metrics import delong_test
    >>> y = [0, 0, 0, 1, 1, 1]
    >>> result = delong_test(y, [1, 2, 4, 3, 5, 6], [3, 5, 1, 2, 4, 6])
    >>> round(result.auc, 3), round(result.auc_other, 3), round(result.pvalue, 3)
    (0.889, 0.667, 0.48)
    """
    y_true = check_labels(y_true)
    positive = y_true == check_pos_label(pos_label, pd.unique(y_true))
    confidence = check_confidence(confidence)
    if positive.all() or not positive.any():
        raise ValueError(
            f"y_true must hold rows of pos_label and others, to rank one against the other; got "
            f"{int(positive.sum())} of {len(positive)}"
        )
    if min(positive.sum(), (~positive).sum()) < 2:
        raise ValueError(
            "y_true must hold at least two rows of pos_label and two others, of which a variance "
            f"can be estimated; got {int(positive.sum())} and {int((~positive).sum())}"
        )
    scores = np.stack(
        [
            _check_scores(name, values, y_true)
            for name, values in (("y_score", y_score), ("y_score_other", y_score_other))
        ]
    )
    areas, covariance = _areas(scores, positive)
    difference = float(areas[0] - areas[1])
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    error = float(np.sqrt(max(variance, 0.0)))
    z = norm.ppf((1 + confidence) / 2)
    low, high = float(difference - z * error), float(difference + z * error)
    if error > 0:
        statistic = difference / error
        pvalue = float(2 * norm.sf(abs(statistic)))
    elif difference == 0:
        statistic, pvalue = np.nan, 1.0
    else:
        statistic = pvalue = low = high = np.nan
        warn(
            "delong_test estimates a variance of 0 for areas that differ, as scores that rank all "
            "rows rightly, wrongly or alike have; take bootstrap_scores with paired_with, or more "
            "rows"
        )
    intervals = [
        tuple(np.clip([area - half, area + half], 0, 1).tolist())
        for area, half in zip(areas, z * np.sqrt(np.diag(covariance)), strict=True)
    ]
    return Bunch(
        pvalue=pvalue,
        statistic=statistic,
        auc=float(areas[0]),
        auc_other=float(areas[1]),
        difference=difference,
        low=low,
        high=high,
        auc_interval=intervals[0],
        auc_other_interval=intervals[1],
    )


def _areas(scores, positive):
    """Return the areas under the curves of shape (2,), and their covariance."""
    n_positive, n_negative = positive.sum(), (~positive).sum()
    ranks = rankdata(scores, axis=1)
    # For each row the share of the other side that it is ranked right of.
    above = (ranks[:, positive] - rankdata(scores[:, positive], axis=1)) / n_negative
    below = 1 - (ranks[:, ~positive] - rankdata(scores[:, ~positive], axis=1)) / n_positive
    return above.mean(axis=1), np.cov(above) / n_positive + np.cov(below) / n_negative


def _check_predictions(name, predicted, y_true):
    predicted = check_labels(predicted, name)
    if len(predicted) != len(y_true):
        raise ValueError(
            f"{name} must have a label for each of the {len(y_true)} true ones; got "
            f"{len(predicted)}"
        )
    if not np.isin(predicted, y_true).any():
        raise ValueError(
            f"{name} must hold labels as y_true does; got {predicted.tolist()[0]!r} and "
            f"{y_true.tolist()[0]!r}, and no label of one is in the other"
        )
    return predicted


def _check_scores(name, values, y_true):
    values = column_or_1d(np.asarray(values), dtype=np.float64)
    if len(values) != len(y_true):
        raise ValueError(
            f"{name} must have a score for each of the {len(y_true)} labels; got {len(values)}"
        )
    if not np.isfinite(values).all():
        raise ValueError(
            f"{name} must be finite; got {values[~np.isfinite(values)][0]} in row "
            f"{np.argmin(np.isfinite(values))}"
        )
    return values
