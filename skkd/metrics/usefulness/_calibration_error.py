"""How far a classifier's confidence is from how often it is right."""

from numbers import Integral

import numpy as np
from scipy.stats import norm
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from skkd.metrics._predictions import check_predictions


@validate_params(
    {
        "n_bins": [Interval(Integral, 1, None, closed="left")],
        "strategy": [StrOptions({"uniform", "quantile"})],
        "debiased": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def expected_calibration_error(
    y_true, y_proba, *, labels=None, n_bins=15, strategy="uniform", debiased=False
) -> float:
    r"""Compute the expected calibration error of the predicted class.

    Confidence is the highest probability of a row, and accuracy how often that class is the true
    one. Rows are put into bins by their confidence, and [1]_ ::

        ECE = sum over bins of n_bin / n * |accuracy - mean confidence|

    Lower is better; 0 means that of the images predicted with a confidence of 80 %, 80 % are right.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_proba : array-like of shape (n_samples, n_classes) or (n_samples,)
        Predicted probabilities, one column a class, each row summing to 1; for two classes the
        probability of the second one alone will do.
    labels : array-like of shape (n_classes,), default=None
        Classes in the order of the columns of `y_proba`, as in `classes_` of an estimator. None
        means the sorted labels of `y_true`.
    n_bins : int, default=15
        Number of bins, those without a row included.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width in [0, 1], which contain their upper edge, or of equal numbers of rows;
        rows of one confidence are in one bin. What equals an edge in the type of `y_proba` is on
        it, so that 0.6 is in the same bin as float32 and as float64.
    debiased : bool, default=False
        Subtract from each bin an estimate of its bias, see Notes.

    Returns
    -------
    error : float
        In [0, 1]; a debiased one can be slightly below 0, which means no error that these rows
        could show.

    Raises
    ------
    ValueError
        If `y_true` has labels that are not among `labels`, if probabilities are missing, not in
        [0, 1] or do not sum to 1, or if there are too few or too many columns.

    See Also
    --------
    skkd.bootstrap_scores : An interval of it, with ``functools.partial`` to set its parameters.
    skkd.fold_temperature : A student with calibrated probabilities.
    sklearn.calibration.CalibrationDisplay : The picture, for one class.

    Notes
    -----
    The plain value is too high, as chance in a bin counts as error whichever side it falls on: a
    perfectly calibrated model gets about

    .. math:: \frac{1}{n} \sqrt{\frac{2}{\pi}} \sum_\text{bins} \sqrt{\sum_\text{rows} p (1 - p)},

    which is .02 for 300 rows of confidences around .9 that fall into three bins, and grows with the
    number of bins. Compare models on the same rows and bins only. What a calibrated model gets is
    also found by drawing labels from its probabilities [2]_.

    ``debiased=True`` takes accuracy in a bin as normally distributed around what was observed, of
    variance ``accuracy * (1 - accuracy) / n_bin``, and subtracts by how much that raises the mean
    absolute difference [3]_. This removes the bias where the error of a bin is well above chance,
    and about two fifths of it where a model is calibrated.

    The error says nothing of the probabilities of the other classes, and is 0 for a model that
    gives every image the shares of the classes. Proper scores, such as
    ``sklearn.metrics.log_loss``, have neither fault.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On calibration of modern neural
       networks", ICML 2017.
    .. [2] J. Bröcker and L. A. Smith, "Increasing the reliability of reliability diagrams", Weather
       and Forecasting 22(3), 2007.
    .. [3] A. Kumar, P. Liang and T. Ma, "Verified uncertainty calibration", NeurIPS 2019.

    Examples
    --------
    Five images of confidence .9, of which four are right, and five of .6, of which two are right:
    half of .1, and half of .2.

    >>> from skkd.metrics import expected_calibration_error
    >>> y_true = [1, 1, 1, 1, 0, 1, 1, 0, 0, 0]
    >>> round(expected_calibration_error(y_true, [0.9] * 5 + [0.6] * 5), 3)
    0.15
    """
    labels, codes, proba, precision = check_predictions(y_true, y_proba, labels)

    confidence = proba.max(axis=1)
    right = proba.argmax(axis=1) == codes
    inner = np.linspace(0, 1, n_bins + 1)[1:-1]
    edges = inner if strategy == "uniform" else np.quantile(confidence, inner)
    # What passes an edge by no more than rounding in its type is on it, and in the bin below.
    edges = np.maximum(edges, precision.least(edges))
    bins = np.searchsorted(edges, precision.least(confidence))
    counts = np.bincount(bins, minlength=n_bins)
    filled = counts > 0
    n = counts[filled]
    accuracy = np.bincount(bins, right, n_bins)[filled] / n
    gap = np.abs(accuracy - np.bincount(bins, confidence, n_bins)[filled] / n)
    if debiased:
        gap = 2 * gap - _mean_absolute(gap, np.sqrt(accuracy * (1 - accuracy) / n))
    return float(n @ gap / n.sum())


def _mean_absolute(mean, deviation):
    """Return the mean absolute value of normal variables."""
    ratio = np.divide(mean, deviation, out=np.full_like(mean, np.inf), where=deviation > 0)
    return 2 * deviation * norm.pdf(ratio) + mean * (1 - 2 * norm.cdf(-ratio))
