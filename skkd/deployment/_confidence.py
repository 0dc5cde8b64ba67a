"""How sure a classifier is, and from where on it answers."""

import numpy as np

from skkd.metrics._predictions import Precision, check_columns, check_probabilities


def check_confidence(proba, classes, name):
    """Return a classifier's probabilities, checked, and the highest of each row.

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
    proba = proba.reshape(len(proba), -1).copy()
    return proba, proba.max(axis=1)


def threshold_keeping(confidence, coverage):
    """Return the highest threshold that a share of confidences, or more, reach."""
    # A share that is a hair above a whole number of images means that number.
    n_kept = int(np.ceil(coverage * len(confidence) * (1 - 1e-12)))
    return float(np.sort(confidence)[len(confidence) - n_kept])
