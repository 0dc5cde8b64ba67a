"""Explainers at work on batches of a set of images."""

import copy

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted


def fitted_explainer(explainer, images, y=None):
    """Return an explainer itself, or a fitted copy where it is not fitted yet."""
    if not hasattr(explainer, "fit"):
        return explainer
    try:
        check_is_fitted(explainer)
    except NotFittedError:
        return clone(explainer).fit(images, y)
    return explainer


def explain_rows(explainer, images, y, rows):
    """Explain a batch of a set of images.

    Parameters
    ----------
    explainer : explainer
        Fitted.
    images : array-like of shape (n, height, width, channels)
        The set.
    y : ndarray of shape (n,) or None
        Its labels.
    rows : ndarray of int or slice
        The batch.

    Returns
    -------
    values : ndarray of shape (n_rows, ...)
        The maps.
    layer_names : list of str or None
        Names of their layers.
    """
    target = getattr(explainer, "target", None)
    if not isinstance(target, str) and np.ndim(target) == 1 and len(target) == len(images):
        # A target an image goes with its rows; the copy shares all that is compiled.
        explainer = copy.copy(explainer)
        explainer.target = np.asarray(target)[rows]
    batch = np.asarray(images[rows])
    if not hasattr(explainer, "explain"):
        return np.asarray(explainer.transform(batch)), None
    explanation = explainer.explain(batch, None if y is None else y[rows])
    return explanation.values, explanation.layer_names
