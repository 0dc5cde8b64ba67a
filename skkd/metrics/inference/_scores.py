"""Scores of rows that are there any number of times."""

import inspect
import warnings

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import get_scorer


def accuracy(codes, proba):
    """Return what computes the share of right predictions."""
    return mean_of(codes == proba.argmax(axis=1))


def log_loss(codes, proba, eps=None):
    """Return what computes the mean negative log-probability of the true class."""
    # As scikit-learn does: a probability of 0 costs as much as one of the eps of its type.
    eps = np.finfo(proba.dtype).eps if eps is None else eps
    true = np.clip(proba[np.arange(len(codes)), codes], eps, 1 - eps)
    return mean_of(-np.log(true.astype(np.float64)))


def balanced_accuracy(codes, proba):
    """Return what computes the mean share of right predictions of the classes that occur."""
    confusion = _confusion(codes, proba)

    def score(counts):
        table = confusion(counts)
        of_class = table.sum(axis=2)
        with np.errstate(invalid="ignore"):
            recall = np.diagonal(table, axis1=1, axis2=2) / of_class
        return np.where(of_class > 0, recall, 0).sum(axis=1) / (of_class > 0).sum(axis=1)

    return score


def macro_f1(codes, proba):
    """Return what computes the mean F1 of the classes that occur or are predicted."""
    confusion = _confusion(codes, proba)

    def score(counts):
        table = confusion(counts)
        either = table.sum(axis=1) + table.sum(axis=2)
        with np.errstate(invalid="ignore"):
            f1 = 2 * np.diagonal(table, axis1=1, axis2=2) / either
        return np.where(either > 0, f1, 0).sum(axis=1) / (either > 0).sum(axis=1)

    return score


def matthews_corrcoef(codes, proba):
    """Return what computes the correlation of true and predicted classes."""
    confusion = _confusion(codes, proba)

    def score(counts):
        table = confusion(counts)
        n = table.sum(axis=(1, 2))
        true, predicted = table.sum(axis=2), table.sum(axis=1)
        right = np.trace(table, axis1=1, axis2=2)
        covariance = right * n - (true * predicted).sum(axis=1)
        variances = [n**2 - (of_class**2).sum(axis=1) for of_class in (true, predicted)]
        with np.errstate(invalid="ignore", divide="ignore"):
            found = covariance / np.sqrt(variances[0] * variances[1])
        # Predictions of one class go with nothing; of labels of one class nothing can be said.
        found = np.where(variances[1] == 0, 0.0, found)
        return np.where(variances[0] == 0, np.nan, found)

    return score


def roc_auc(codes, proba):
    """Return what computes the area under the ROC curve, of many classes the mean over each."""
    n_classes = proba.shape[1]
    of_class = range(1, 2) if n_classes == 2 else range(n_classes)
    curves = [_one_against_rest(codes == k, proba[:, k]) for k in of_class]
    return lambda counts: np.mean([curve(counts) for curve in curves], axis=0)


def mean_of(values):
    """Return what computes the mean of one value a row."""
    values = np.asarray(values, dtype=np.float64)
    return lambda counts: counts @ values / counts.sum(axis=1)


def minus(prepared):
    """Return what computes the negative of a score."""
    return lambda counts: -prepared(counts)


def of_resampled_rows(score, n_rows):
    """Return what computes any score of rows, one resample after the other.

    Parameters
    ----------
    score : callable
        Takes row numbers and returns a number. A ValueError says that it is undefined of them, as
        of rows of a single class, and so does scikit-learn's warning that it took 0 for it.
    n_rows : int
        Number of rows.
    """
    rows = np.arange(n_rows)

    def prepared(counts):
        return np.array([_or_nan(score, np.repeat(rows, drawn)) for drawn in counts.astype(int)])

    return prepared


def of_scorer(name_or_scorer, y_true, proba, labels):
    """Return a score of row numbers that asks a scorer of scikit-learn."""
    scorer = get_scorer(name_or_scorer)
    # scikit-learn's metrics take columns to be in the order of the sorted labels.
    order = np.argsort(labels)
    given, proba = _Given(labels[order]), proba[:, order]
    return lambda rows: float(scorer(given, proba[rows], y_true[rows]))


def is_scorer(score):
    """Return whether a callable takes an estimator, as scorers do, or labels, as metrics do."""
    try:
        parameters = list(inspect.signature(score).parameters)
    except (TypeError, ValueError):
        return False
    return parameters[:1] == ["estimator"]


class _Given(ClassifierMixin, BaseEstimator):
    """A classifier that answers with the probabilities it is asked about."""

    def __init__(self, classes):
        self.classes = classes
        self.classes_ = np.asarray(classes)

    def predict_proba(self, X):
        return X

    def predict(self, X):
        return self.classes_[X.argmax(axis=1)]


def _confusion(codes, proba):
    """Return what computes tables of shape (n, n_classes, n_classes), true classes first."""
    n_rows, n_classes = proba.shape
    cells = codes * n_classes + proba.argmax(axis=1)
    # One entry a row: a product with it adds up the rows of each cell.
    of_cell = csr_array((np.ones(n_rows), (cells, np.arange(n_rows))), shape=(n_classes**2, n_rows))
    return lambda counts: (of_cell @ counts.T).T.reshape(len(counts), n_classes, n_classes)


def _one_against_rest(positive, scores):
    ours, theirs = np.flatnonzero(positive), np.flatnonzero(~positive)
    theirs = theirs[np.argsort(scores[theirs], kind="stable")]
    # How many of the rest are ranked below each positive one, those of equal rank by half.
    ends = [np.searchsorted(scores[theirs], scores[ours], side) for side in ("left", "right")]
    tied = (ends[0] != ends[1]).any()

    def score(counts):
        below = np.zeros((len(counts), len(theirs) + 1))
        np.cumsum(counts[:, theirs], axis=1, out=below[:, 1:])
        mine = counts[:, ours]
        pairs = np.einsum("ij,ij->i", mine, below[:, ends[0]])
        if tied:
            pairs = (pairs + np.einsum("ij,ij->i", mine, below[:, ends[1]])) / 2
        with np.errstate(invalid="ignore"):
            return pairs / (mine.sum(axis=1) * below[:, -1])

    return score


def _or_nan(score, rows):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UndefinedMetricWarning)
        warnings.filterwarnings("error", "No positive class found", UserWarning)
        try:
            return float(score(rows))
        except (ValueError, UserWarning):
            return np.nan
