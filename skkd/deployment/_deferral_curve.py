"""What handing images over gains and costs, for every threshold."""

from numbers import Real

import numpy as np
import pandas as pd

from skkd.deployment._confidence import least_reaching, number_kept
from skkd.metrics._predictions import (
    Precision,
    check_columns,
    check_labels,
    check_predictions,
    check_probabilities,
    label_codes,
)


def deferral_curve(
    y_true,
    y_proba,
    fallback=None,
    *,
    labels=None,
    coverages=None,
    student_cost=0.0,
    fallback_cost=1.0,
    error_cost=0.0,
) -> pd.DataFrame:
    """Tabulate accuracy and cost of a student that hands over what it is not sure of.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_proba : array-like of shape (n_samples, n_classes) or (n_samples,)
        Probabilities by the student, one column a class, each row summing to 1; for two classes the
        probability of the second one alone will do.
    fallback : array-like of shape (n_samples, n_classes) or (n_samples,), default=None
        What the fallback says of the same images: probabilities, one column for each of `labels`,
        or labels, such as those of a reader. `y_true` stands for one who is always right. None
        leaves open how good it is, and accuracy of both together NaN.
    labels : array-like of shape (n_classes,), default=None
        Classes in the order of the columns, as in `classes_` of an estimator. None means the sorted
        labels of `y_true`.
    coverages : array-like of shape (n_rows,), default=None
        Shares of the images, in [0, 1], that the student keeps at least. None means all that there
        are: a row for each confidence that occurs, those that rounding alone sets apart being one.
    student_cost, fallback_cost, error_cost : float, default=0.0, 1.0, 0.0
        Cost of asking the student about an image, of asking the fallback, and of a wrong answer, in
        one unit of any kind, 0 or more.

    Returns
    -------
    curve : pandas.DataFrame
        A row for each threshold, from the student that hands everything over to the one that keeps
        all, with the columns

        - `coverage`: share of the images that the student keeps;
        - `threshold`: least confidence that is kept, the `threshold` of `DeferringClassifier`;
          infinity where none is;
        - `accuracy`: share of right answers of student and fallback together;
        - `accuracy_kept`: share of right answers among those that the student keeps, NaN where that
          is none;
        - `share_asked`: share of the images that the fallback is asked about, ``1 - coverage``;
        - `cost`: mean cost of an image, ``student_cost + fallback_cost * share_asked + error_cost *
          (1 - accuracy)``.

    Raises
    ------
    ValueError
        If labels are unknown, probabilities are missing or do not sum to 1, or shares or costs are
        out of range.

    See Also
    --------
    DeferralCurveDisplay : Draw it.
    skkd.DeferringClassifier : The classifier that does so.
    skkd.bootstrap_scores : Intervals of what is read off.

    Notes
    -----
    The best of many thresholds is too good on the images that it was chosen on: choose it here, and
    report what it gives on others. Costs of a missed class and of a false alarm differ; see
    `skkd.decision_curve` for these.

    References
    ----------
    .. [1] Y. Geifman and R. El-Yaniv, "Selective classification for deep neural networks", NIPS
       2017.

    Examples
    --------
    The student is wrong where it is least sure, and the fallback is right there:

    >>> from skkd import deferral_curve
    >>> y_true = ["ill", "ill", "well", "well"]
    >>> y_proba = [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]]
    >>> deferral_curve(y_true, y_proba, ["ill", "ill", "ill", "well"])
       coverage  threshold  accuracy  accuracy_kept  share_asked  cost
    0      0.00        inf      0.75            NaN         1.00  1.00
    1      0.25        0.9      0.75           1.00         0.75  0.75
    2      0.50        0.8      1.00           1.00         0.50  0.50
    3      0.75        0.7      1.00           1.00         0.25  0.25
    4      1.00        0.6      0.75           0.75         0.00  0.00
    """
    costs = {
        "student_cost": student_cost,
        "fallback_cost": fallback_cost,
        "error_cost": error_cost,
    }
    for name, cost in costs.items():
        if not isinstance(cost, Real) or not 0 <= cost < np.inf:
            raise ValueError(f"{name} must be a finite number, 0 or more; got {cost!r}")
    labels, codes, proba, precision = check_predictions(y_true, y_proba, labels)
    confidence, right = proba.max(axis=1), proba.argmax(axis=1) == codes
    fallback_right = _right(fallback, codes, labels)

    n = len(codes)
    thresholds = np.append(np.inf, np.unique(confidence)[::-1])
    order = np.argsort(-confidence, kind="stable")
    reached = least_reaching(thresholds, precision)
    n_kept = np.searchsorted(-confidence[order], -reached, side="right")
    # Of thresholds that rounding alone sets apart, the highest stands for all.
    n_kept, first = np.unique(n_kept, return_index=True)
    thresholds = thresholds[first]
    if coverages is not None:
        rows = np.searchsorted(n_kept, number_kept(_check_coverages(coverages), n))
        rows = np.unique(rows)
        n_kept, thresholds = n_kept[rows], thresholds[rows]
    kept_right = np.append(0, np.cumsum(right[order]))[n_kept]
    asked_right = fallback_right.sum() - np.append(0, np.cumsum(fallback_right[order]))[n_kept]
    accuracy = (kept_right + asked_right) / n
    share_asked = 1 - n_kept / n
    cost = student_cost + fallback_cost * share_asked
    return pd.DataFrame(
        {
            "coverage": n_kept / n,
            "threshold": thresholds,
            "accuracy": accuracy,
            "accuracy_kept": np.where(n_kept > 0, kept_right / np.maximum(n_kept, 1), np.nan),
            "share_asked": share_asked,
            # Where errors cost nothing it does not matter how many there are.
            "cost": cost + error_cost * (1 - accuracy) if error_cost else cost,
        }
    )


def _right(fallback, codes, labels):
    """Return for each image whether the fallback is right, NaN where nothing is known of it."""
    if fallback is None:
        return np.full(len(codes), np.nan)
    if np.ndim(fallback) != 2:
        answers = check_labels(fallback, "fallback")
        if len(answers) != len(codes):
            raise ValueError(
                f"fallback must have an answer for each of the {len(codes)} labels of y_true; got "
                f"{len(answers)}"
            )
        return (label_codes(answers, labels, "fallback") == codes).astype(float)
    try:
        precision = Precision(fallback)
        proba = check_probabilities(fallback, codes, precision).reshape(len(codes), -1)
        check_columns(proba, labels, precision.sum)
    except ValueError as error:
        raise ValueError(f"fallback, given as probabilities: {error}") from error
    return (proba.argmax(axis=1) == codes).astype(float)


def _check_coverages(coverages):
    try:
        values = np.asarray(coverages, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"coverages must be numbers in [0, 1]; got {coverages!r}") from error
    if values.ndim != 1 or not len(values) or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"coverages must be 1-D and lie in [0, 1]; got {coverages!r}")
    return values
