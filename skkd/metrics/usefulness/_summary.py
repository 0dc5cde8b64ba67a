"""One row of the usual figures for each classifier."""

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score
from sklearn.preprocessing import label_binarize
from sklearn.utils import check_consistent_length

from skkd.metrics._names import name_by_class
from skkd.metrics._predictions import (
    Precision,
    check_columns,
    check_labels,
    check_probabilities,
    label_codes,
)
from skkd.metrics.inference import _scores
from skkd.metrics.inference._intervals import Intervals

# What computes a figure of any rows, by its column.
_FIGURES = {
    "accuracy": _scores.accuracy,
    "log_loss": _scores.log_loss,
    "macro_f1": _scores.macro_f1,
    "roc_auc": _scores.roc_auc,
}


def classification_summary(
    estimators, X, y, *, confidence=None, groups=None, n_resamples=2000, random_state=None
) -> pd.DataFrame:
    """Tabulate accuracy, log loss, macro F1 and ROC AUC of fitted classifiers.

    All four figures come from a single call of `predict_proba` of each estimator: a prediction
    is the class of the highest probability, which for most classifiers is what `predict` gives.

    Parameters
    ----------
    estimators : mapping of str to estimator, or list of estimators
        Fitted classifiers with `predict_proba` and `classes_`. Those in a list are named after
        their class, numbered where a class occurs more than once.
    X : array-like of shape (n_samples, ...)
        Samples, in whatever form the estimators take.
    y : array-like of shape (n_samples,)
        True labels, all of them known to every estimator.
    confidence : float, default=None
        Confidence of the intervals of all figures, in (0, 1), such as 0.95. None gives none.
    groups : array-like of shape (n_samples,), default=None
        The patient of each sample, whose samples are then drawn together.
    n_resamples : int, default=2000
        Number of draws, the same for all estimators, as for `bootstrap_scores`.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws.

    Returns
    -------
    summary : pandas.DataFrame
        A row for each estimator, in the order given, with the columns

        - `accuracy`: share of right predictions; higher is better;
        - `log_loss`: mean negative log-probability of the true class, in nats; lower is better;
        - `macro_f1`: F1 averaged over the classes that occur among the true or the predicted
          labels, each counting the same; higher is better;
        - `roc_auc`: area under the ROC curve, for more than two classes the mean over each
          class against the rest; higher is better. It is NaN when a class of the estimator is
          absent from `y`: ranking it against the rest takes at least one row of it, and a mean
          over the other classes would not compare with that of another sample.

        and with `confidence` after each the ends of its interval, such as `accuracy_low` and
        `accuracy_high`.

    Raises
    ------
    TypeError
        If `estimators` is neither a mapping nor a list, or one lacks `predict_proba`.
    ValueError
        If there is no estimator, if `y` holds a label an estimator does not know, or if
        probabilities are not in [0, 1] or do not sum to 1.

    See Also
    --------
    bootstrap_scores : The interval of any score, and of the difference of two models.
    decision_curve : Whether acting on the probabilities does more good than harm.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.dummy import DummyClassifier
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from skkd.metrics import classification_summary
    >>> X, y = load_iris(return_X_y=True)
    >>> models = {"prior": DummyClassifier(), "bayes": GaussianNB()}
    >>> fitted = {name: model.fit(X[::2], y[::2]) for name, model in models.items()}
    >>> classification_summary(fitted, X[1::2], y[1::2]).round(3)
               accuracy  log_loss  macro_f1  roc_auc
    estimator
    prior         0.333     1.099     0.167    0.500
    bayes         0.960     0.114     0.960    0.996
    """
    named = _named_estimators(estimators)
    y = check_labels(y, "y")
    check_consistent_length(X, y)
    given = {"groups": groups, "n_resamples": n_resamples, "random_state": random_state}
    intervals = Intervals(len(y), confidence, **given)
    rows = {name: _summarize(name, estimator, X, y, intervals) for name, estimator in named.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("estimator")


def _named_estimators(estimators):
    """Return the estimators by name, all of them with probabilities."""
    named = name_by_class(estimators, "estimators")
    for name, estimator in named.items():
        if not hasattr(estimator, "predict_proba"):
            raise TypeError(
                f"estimators[{name!r}] must have predict_proba; got {type(estimator).__name__}: "
                "wrap it in sklearn.calibration.CalibratedClassifierCV"
            )
    return named


def _summarize(name, estimator, X, y, intervals):
    """Return the figures of one estimator, from one call of its predict_proba."""
    proba = np.asarray(estimator.predict_proba(X))
    classes = np.asarray(estimator.classes_)
    try:
        # Positions instead of labels: columns then need not be in sorted order.
        codes = label_codes(y, classes, "y")
        precision = Precision(proba)
        checked = check_probabilities(proba, y, precision).reshape(len(y), -1)
        check_columns(checked, classes, precision.sum)
    except ValueError as error:
        raise ValueError(f"estimators[{name!r}]: {error}") from error
    if proba.dtype.kind != "f" or proba.dtype.itemsize < 4:
        # scikit-learn does not know bfloat16, and wants sums that 16 bits do not hold; 0 and 1 may
        # be integers.
        proba = checked / checked.sum(axis=1, keepdims=True)
    n_classes = len(classes)
    predicted = proba.argmax(axis=1)
    if len(np.unique(codes)) < n_classes:
        auc = np.nan
    elif n_classes == 2:
        auc = roc_auc_score(codes, proba[:, 1])
    else:
        auc = roc_auc_score(label_binarize(codes, classes=range(n_classes)), proba)
    figures = {
        "accuracy": accuracy_score(codes, predicted),
        "log_loss": log_loss(codes, proba, labels=range(n_classes)),
        "macro_f1": f1_score(codes, predicted, average="macro"),
        "roc_auc": auc,
    }
    if intervals.confidence is None:
        return figures
    return intervals.beside(figures, {column: _FIGURES[column](codes, proba) for column in figures})
