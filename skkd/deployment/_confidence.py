"""How sure a classifier is, and from where on it answers."""

import numpy as np

from skkd.metrics._predictions import Precision, check_columns, check_probabilities


def check_confidence(proba, classes, name):
    """Return a classifier's probabilities, checked, and the precision they came in.

    Parameters
    ----------
    proba : array-like of shape (n, n_classes)
        From its ``predict_proba``.
    classes : ndarray of shape (n_classes,)
        The labels of the columns.
    name : str
        What the user calls the classifier, for errors.
    """
    try:
        precision = Precision(proba)
        proba = check_probabilities(proba, proba, precision)
        check_columns(proba.reshape(len(proba), -1), classes, precision.sum)
    except ValueError as error:
        raise ValueError(f"predict_proba of {name}: {error}") from error
    return proba.reshape(len(proba), -1).copy(), precision


def least_reaching(threshold, precision):
    """Return the least confidence that reaches a threshold, or each of several.

    Parameters
    ----------
    threshold : float or ndarray
        Thresholds, of which 0.7 is reached by what 0.7 is in the type of the probabilities.
    precision : Precision
        That of the probabilities.
    """
    values = np.asarray(threshold, dtype=np.float64)
    return np.minimum(precision.least(values), Precision(threshold).least(values))


def threshold_keeping(confidence, coverage):
    """Return the highest threshold that a share of confidences, or more, reach."""
    return float(np.sort(confidence)[len(confidence) - number_kept(coverage, len(confidence))])


def number_kept(coverage, n_images):
    """Return how many images a share is, or each of several shares, rounded up."""
    # A share that is a hair above a whole number of images means that number.
    return np.ceil(np.asarray(coverage) * n_images * (1 - 1e-12)).astype(int)
