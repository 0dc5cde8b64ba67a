"""Net benefit of acting on a classifier's probabilities, over threshold probabilities."""

from collections.abc import Mapping
from numbers import Real

import numpy as np
import pandas as pd

from skkd.images._conversions import as_numbers
from skkd.metrics._predictions import (
    SUM_TOLERANCE,
    Precision,
    check_columns,
    check_labels,
    check_pos_label,
    check_probabilities,
    check_weights,
    labels_and_codes,
)
from skkd.metrics.inference._intervals import Intervals
from skkd.metrics.usefulness._resampled_curve import ResampledCurve


def net_benefit(
    y_true,
    y_proba,
    thresholds,
    *,
    pos_label=None,
    prevalence=None,
    standardized=False,
    sample_weight=None,
    test_harm=0.0,
) -> float | np.ndarray:
    """Compute the net benefit of treating the rows whose probability reaches a threshold.

    The threshold probability `t` is the risk at which treating and not treating are worth the
    same, so one false positive costs ``t / (1 - t)`` true positives, and ::

        net benefit = TP / n - FP / n * t / (1 - t) - harm of the test

    in net true positives a patient. Higher is better; treating nobody has net benefit 0, and
    the best possible value is the prevalence.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels. Every label other than `pos_label` counts as negative.
    y_proba : array-like of shape (n_samples,)
        Predicted probability of `pos_label`, in [0, 1]. A row is treated when its probability
        is at least the threshold.
    thresholds : float or array-like of shape (n_thresholds,)
        Threshold probabilities, strictly between 0 and 1.
    pos_label : int, float, bool or str, default=None
        Label of the patients to treat. None means 1 when the labels are in {0, 1} or {-1, 1};
        other labels need it.
    prevalence : float, default=None
        Share of `pos_label` in the population, in (0, 1), for a case-control sample whose own
        share is set by its design. Sensitivity and false positive rate then come from the
        sample and are weighted by `prevalence` and ``1 - prevalence``; the probabilities are
        taken as they are, so those of a model made for another prevalence must be corrected
        before. None takes the share in `y_true`.
    standardized : bool, default=False
        Divide by the prevalence, so that the best possible value is 1.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, 0 or more: TP, FP and n are then sums of weights, so that a weight of 2
        counts as the same row twice. None weighs all rows 1.
    test_harm : float, default=0.0
        Harm of the test or the model itself, in net true positives a patient, which is
        subtracted from the model's net benefit [1]_: 0.02 where a doctor would test at most 50
        patients to find one more case.

    Returns
    -------
    net_benefit : float or ndarray of shape (n_thresholds,)
        Net benefit at each threshold, in the order given; a float for a single number.

    See Also
    --------
    decision_curve : Net benefit of a model, of treating all and of treating none, a class.
    DecisionCurveDisplay : Draw decision curves.

    Notes
    -----
    A threshold `t` is reached by what equals it in the precision of `y_proba` or of `thresholds`,
    whichever is coarser: float32 0.7 and the mean of ten votes reach 0.7. In float64 that is
    ``16 * eps * t`` below it (4e-15 `t`), in float32, and for float64 values that float32 holds
    exactly, the same of its eps (2e-6 `t`); in float16 and bfloat16 it is `t` rounded to
    them. A probability outside [0, 1] by no more than 1e-5, in 16 bits ``2 * eps``, is clipped.

    References
    ----------
    .. [1] Vickers AJ, Elkin EB. Decision curve analysis: a novel method for evaluating
       prediction models. Medical Decision Making 26(6):565-574, 2006.
    .. [2] Kerr KF, Brown MD, Zhu K, Janes H. Assessing the clinical impact of risk prediction
       models with decision curves. Journal of Clinical Oncology 34(21):2534-2540, 2016
       (standardized net benefit).

    Examples
    --------
    Three of four patients are treated at a threshold of 0.2, two of them rightly: 2/4 - 1/4 * 1/4.

    >>> from skkd.metrics import net_benefit
    >>> net_benefit([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.8], 0.2)
    0.4375
    >>> net_benefit(["ill", "well"], [0.9, 0.6], [0.5, 0.75], pos_label="ill")
    array([0. , 0.5])
    """
    values = _check_thresholds(thresholds)
    y_true = check_labels(y_true)
    precision = Precision(y_proba)
    proba = check_probabilities(y_proba, y_true, precision)
    if proba.ndim != 1:
        raise ValueError(
            f"y_proba must be 1-D, the probability of pos_label; got shape {proba.shape}: pass "
            "one column, or use decision_curve for all classes"
        )
    pos_label = check_pos_label(pos_label, pd.unique(y_true))
    codes = (y_true == pos_label).astype(np.intp)
    weights = check_weights(sample_weight, y_true)
    shares, of_row = _shares(codes, 2, _binary_prevalence(prevalence), weights)
    reached = np.minimum(precision.least(values), Precision(thresholds).least(values))
    result = _model_net_benefit(codes == 1, proba, values, reached, of_row)
    result = result - _check_test_harm(test_harm)
    if standardized:
        result = result / _positive_share(shares, 1, pos_label)
    return result if np.ndim(thresholds) else float(result[0])


def decision_curve(
    y_true,
    y_proba,
    *,
    thresholds=None,
    labels=None,
    pos_label=None,
    prevalence=None,
    standardized=False,
    sample_weight=None,
    test_harm=0.0,
    confidence=None,
    groups=None,
    n_resamples=2000,
    random_state=None,
) -> pd.DataFrame:
    """Compare the net benefit of a model with treating all and treating none, for each class.

    With two classes there is one curve, that of `pos_label`. With more, each class is set
    against the rest and has its own treat-all and treat-none lines; classes are never pooled,
    since the harm of a false alarm differs between them.

    A model is useful at the thresholds where its net benefit is above that of both treating
    all and treating none. Look only at the thresholds at which a reasonable patient or doctor
    would hesitate.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_proba : array-like of shape (n_samples,) or (n_samples, n_classes)
        Predicted probabilities, in [0, 1]: one column a class, each row summing to 1, or, for
        two classes, the probability of `pos_label` alone.
    thresholds : array-like of shape (n_thresholds,), default=None
        Threshold probabilities, strictly between 0 and 1; they are sorted and repeated ones
        dropped. None means 0.01, 0.02, ..., 0.99.
    labels : array-like of shape (n_classes,), default=None
        Classes in the order of the columns of `y_proba`, as in `classes_` of an estimator.
        None means the sorted labels of `y_true`.
    pos_label : int, float, bool or str, default=None
        For two classes, the class to treat. None means 1 when the labels are in {0, 1} or
        {-1, 1}; other labels need it. More than two classes refuse it.
    prevalence : float or mapping of label to float, default=None
        Share of each class in the population, for a sample drawn class by class: a float in
        (0, 1) for the positive one of two classes; for more, a mapping that names every class
        and sums to 1, so that the rest is weighted as in the population too. Probabilities are
        taken as they are, so those of a model made for other shares must be corrected before.
        None takes the shares in `y_true`.
    standardized : bool, default=False
        Divide each net benefit by the prevalence of its class, so that 1 is the best possible
        value.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, 0 or more: TP, FP and n are then sums of weights, so that a weight of 2
        counts as the same row twice. None weighs all rows 1.
    test_harm : float, default=0.0
        Harm of the test or the model itself, in net true positives a patient, which is
        subtracted from the model's net benefit [1]_: 0.02 where a doctor would test at most 50
        patients to find one more case.
    confidence : float, default=None
        Confidence of the interval of each net benefit, in (0, 1), such as 0.95, at each threshold
        by itself. None gives none.
    groups : array-like of shape (n_samples,), default=None
        The patient of each row, whose rows are then drawn together.
    n_resamples : int, default=2000
        Number of draws, as for `bootstrap_scores`.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws.

    Returns
    -------
    curve : pandas.DataFrame
        A row for each class, strategy and threshold, with the columns

        - `class`: the class treated;
        - `strategy`: "model", "treat all" or "treat none";
        - `threshold`: the threshold probability `t`;
        - `net_benefit`: in net true positives a patient, or as a share of the best possible
          value if `standardized`; higher is better (see :func:`net_benefit`);
        - `net_benefit_low`, `net_benefit_high`: ends of its interval; only with `confidence`.
          Treating all has one too, since the share of each class varies unless `prevalence` is
          known;
        - `net_interventions_avoided`: how many fewer of 100 patients are treated than by
          treating all, without treating fewer of those who need it,
          ``100 * (NB - NB_treat_all) * (1 - t) / t`` from the net benefit before
          standardizing [2]_; higher is better, and below 0 treating all is better;
        - `n`: the number of rows of `y_true` behind the figures, whatever their weights.

    See Also
    --------
    net_benefit : Net benefit of a model alone.
    DecisionCurveDisplay : Draw these curves.

    Notes
    -----
    A threshold `t` is reached by what equals it in the precision of `y_proba` or of `thresholds`,
    whichever is coarser: float32 0.7 and the mean of ten votes reach 0.7. In float64 that is
    ``16 * eps * t`` below it (4e-15 `t`), in float32, and for float64 values that float32 holds
    exactly, the same of its eps (2e-6 `t`); in float16 and bfloat16 it is `t` rounded to
    them. A probability outside [0, 1] by no more than 1e-5, in 16 bits ``2 * eps``, is clipped.
    Rows must sum to 1 within 1e-3, in 16 bits ``4 * eps``.

    References
    ----------
    .. [1] Vickers AJ, Elkin EB. Decision curve analysis: a novel method for evaluating
       prediction models. Medical Decision Making 26(6):565-574, 2006.
    .. [2] Vickers AJ, Cronin AM, Elkin EB, Gonen M. Extensions to decision curve analysis, a
       novel method for evaluating diagnostic tests, prediction models and molecular markers.
       BMC Medical Informatics and Decision Making 8:53, 2008.

    Examples
    --------
    >>> from skkd.metrics import decision_curve
    >>> curve = decision_curve([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.8], thresholds=[0.2])
    >>> curve.set_index("strategy")[["net_benefit", "net_interventions_avoided", "n"]]
                net_benefit  net_interventions_avoided  n
    strategy
    model            0.4375                       25.0  4
    treat all        0.3750                        0.0  4
    treat none       0.0000                     -150.0  4
    """
    if thresholds is None:
        # k / 100 is the nearest double to each decimal, so a probability of 0.3 reaches 0.3.
        thresholds = np.arange(1, 100) / 100
    test_harm = _check_test_harm(test_harm)
    given, thresholds = thresholds, np.unique(_check_thresholds(thresholds))
    precision = Precision(y_proba)
    reached = np.minimum(precision.least(thresholds), Precision(given).least(thresholds))
    y_true = check_labels(y_true)
    weights = check_weights(sample_weight, y_true)
    proba = check_probabilities(y_proba, y_true, precision)
    labels, codes = labels_and_codes(y_true, labels)
    if proba.ndim == 2:
        check_columns(proba, labels, precision.sum)
    elif len(labels) > 2:
        raise ValueError(
            f"y_proba must have one column a class for {len(labels)} classes "
            f"({labels.tolist()}); got shape {proba.shape}"
        )

    if len(labels) <= 2:
        pos_label = check_pos_label(pos_label, labels)
        if proba.ndim == 2:
            proba = proba[:, labels.tolist().index(pos_label)]
        codes = (y_true == pos_label).astype(np.intp)
        prevalence = _binary_prevalence(prevalence)
        shares, of_row = _shares(codes, 2, prevalence, weights)
        curves = [(pos_label, 1, proba)]
    else:
        if pos_label is not None:
            raise ValueError(
                f"pos_label must be None for {len(labels)} classes, each of which has a curve; "
                f"got {pos_label!r}: select that class in the result"
            )
        prevalence = _multiclass_prevalence(prevalence, labels)
        shares, of_row = _shares(codes, len(labels), prevalence, weights)
        curves = [(label, k, proba[:, k]) for k, label in enumerate(labels.tolist())]

    given = {"groups": groups, "n_resamples": n_resamples, "random_state": random_state}
    intervals = Intervals(len(y_true), confidence, **given)
    odds = thresholds / (1 - thresholds)
    frames = []
    for label, k, scores in curves:
        treat_all = shares[k] - (1 - shares[k]) * odds
        model = _model_net_benefit(codes == k, scores, thresholds, reached, of_row)
        strategies = {
            "model": model - test_harm,
            "treat all": treat_all,
            "treat none": np.zeros_like(thresholds),
        }
        scale = _positive_share(shares, k, label) if standardized else 1.0
        bands = {}
        if intervals.confidence is not None:
            resampled = ResampledCurve(
                codes,
                scores,
                thresholds,
                reached,
                k,
                weights,
                prevalence=prevalence,
                standardized=standardized,
                test_harm=test_harm,
            )
            model_ends, all_ends = (
                intervals.ends([score])[:, 0] for score in (resampled.model, resampled.treat_all)
            )
            bands = {"model": model_ends, "treat all": all_ends}
        for strategy, values in strategies.items():
            columns = {
                "class": label,
                "strategy": strategy,
                "threshold": thresholds,
                "net_benefit": values / scale,
                **_band(bands, strategy, len(thresholds)),
                "net_interventions_avoided": 100 * (values - treat_all) / odds,
                "n": len(y_true),
            }
            frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def _band(bands, strategy, n_thresholds):
    """Return the columns of the ends of a strategy's intervals, if there are any."""
    if not bands:
        return {}
    # Treating none is 0 of whatever rows.
    low, high = bands.get(strategy, np.zeros((2, n_thresholds)))
    return {"net_benefit_low": low, "net_benefit_high": high}


def _model_net_benefit(positive, proba, thresholds, reached, weights):
    """Return the net benefit of treating the rows at or above each threshold.

    `weights` are the share of the population that each row stands for, None where all are equal.
    """
    # One sort serves both: rows to treat come from the top, the others from the bottom.
    signed = np.where(positive, proba, -proba)
    if weights is None:
        # Sorted numbers are several times faster to come by than their order.
        signed.sort()
    else:
        order = np.argsort(signed)
        signed = signed[order]
    n_top = len(signed) - np.searchsorted(signed, reached)
    n_bottom = np.searchsorted(signed, -reached, side="right")
    if weights is None:
        treated = n_top / len(signed), n_bottom / len(signed)
    else:
        sides = (order[::-1], n_top), (order, n_bottom)
        treated = (np.append(0, weights[rows]).cumsum()[n] for rows, n in sides)
    true_positives, false_positives = treated
    return true_positives - false_positives * thresholds / (1 - thresholds)


def _shares(codes, n_classes, prevalence, weights):
    """Return the share of each class in the population, and of each row, None where all are equal.

    They are `prevalence` where it is given, else those of the sample.
    """
    counts = np.bincount(codes, weights, minlength=n_classes)
    if prevalence is None:
        return counts / counts.sum(), None if weights is None else weights / counts.sum()
    if not counts.all():
        raise ValueError(
            "prevalence needs rows of every class in y_true, to estimate the share of each that "
            f"is treated; got {counts.tolist()} rows"
        )
    of_row = (prevalence / counts)[codes]
    return prevalence, of_row if weights is None else weights * of_row


def _positive_share(shares, positive, label):
    """Return the share of the positive class, which standardizing divides by."""
    if not shares[positive]:
        raise ValueError(
            f"standardized=True divides by the prevalence, which is 0: y_true has no row of "
            f"class {label!r}"
        )
    return shares[positive]


def _binary_prevalence(prevalence):
    """Check one prevalence and return the shares of the negative and the positive class."""
    if prevalence is None:
        return None
    if not isinstance(prevalence, Real) or not 0 < prevalence < 1:
        raise ValueError(
            "prevalence must be a number in (0, 1), the share of the positive class; "
            f"got {prevalence!r}"
        )
    return np.array([1 - prevalence, prevalence])


def _multiclass_prevalence(prevalence, labels):
    """Check a prevalence for each class and return them in the order of `labels`."""
    if prevalence is None:
        return None
    if not isinstance(prevalence, Mapping) or set(prevalence) != set(labels.tolist()):
        raise ValueError(
            f"prevalence must map each of the classes {labels.tolist()} to its share; "
            f"got {prevalence!r}"
        )
    shares = np.array([prevalence[label] for label in labels.tolist()], dtype=float)
    if not (shares > 0).all() or abs(shares.sum() - 1) > SUM_TOLERANCE:
        raise ValueError(f"prevalence must be above 0 and sum to 1; got {prevalence!r}")
    return shares


def _check_thresholds(thresholds):
    """Return the thresholds as a 1-D array, all of them strictly between 0 and 1."""
    values = np.atleast_1d(as_numbers(thresholds, "thresholds").astype(float))
    if values.ndim != 1 or not len(values):
        raise ValueError(
            f"thresholds must be a number or 1-D and not empty; got shape {values.shape}"
        )
    inside = (values > 0) & (values < 1)
    if not inside.all():
        raise ValueError(
            f"thresholds must lie strictly between 0 and 1, where the odds t / (1 - t) are "
            f"defined; got {values[~inside][0]}"
        )
    return values


def _check_test_harm(test_harm):
    if not isinstance(test_harm, Real) or not 0 <= test_harm < np.inf:
        raise ValueError(
            "test_harm must be a finite number of net true positives a patient, 0 or more; got "
            f"{test_harm!r}"
        )
    return test_harm
