"""One map an image, whatever form an explanation has."""

import copy
from numbers import Integral

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted


def map_reader(explanation, images, y=None, *, layer=-1):
    """Return a function that gives the maps of some images.

    Parameters
    ----------
    explanation : ndarray, Explanation or explainer
        Maps of shape (n, height, width), (n, layers, height, width) or (n, height, width,
        channels), or what makes them. An explainer that is not fitted is left so: a copy is
        fitted on the images.
    images : array-like of shape (n, height, width, channels)
        The images explained.
    y : ndarray of shape (n,), default=None
        True labels, for explainers that want them.
    layer : int or str, default=-1
        Which map of several layers, by position or name.

    Returns
    -------
    read : function
        From an array of rows to maps of shape (n_rows, height, width), float64.
    """
    shape = tuple(images.shape[1:])
    if hasattr(explanation, "explain") or hasattr(explanation, "transform"):
        explainer = fitted_explainer(explanation, images, y)

        def read(rows):
            labels = None if y is None else y[rows]
            values, names = explain_rows(
                explainer, np.asarray(images[rows]), labels, rows, len(images)
            )
            _check_count(values, len(rows))
            return one_map(values, shape, layer, names)

        return read

    values = getattr(explanation, "values", explanation)
    names = getattr(explanation, "layer_names", None)
    if not hasattr(values, "shape"):
        values = np.asarray(values)
    _check_count(values, len(images))
    # A wrong shape or layer shows before the first prediction.
    one_map(values[:1], shape, layer, names)
    return lambda rows: one_map(values[rows], shape, layer, names)


def fitted_explainer(explainer, images, y=None):
    """Return an explainer itself, or a fitted copy where it is not fitted yet."""
    if not hasattr(explainer, "fit"):
        return explainer
    try:
        check_is_fitted(explainer)
    except NotFittedError:
        return clone(explainer).fit(images, y)
    return explainer


def explain_rows(explainer, images, y, rows, n_images):
    """Explain a batch of a set of images.

    Parameters
    ----------
    explainer : explainer
        Fitted.
    images : ndarray of shape (n_rows, height, width, channels)
        The batch.
    y : ndarray of shape (n_rows,) or None
        Its labels.
    rows : ndarray of int or slice
        Where it is in the set, for an explainer with a target for each image.
    n_images : int
        Number of images in the set.

    Returns
    -------
    values : ndarray of shape (n_rows, ...)
        The maps.
    layer_names : list of str or None
        Names of their layers.
    """
    target = getattr(explainer, "target", None)
    if not isinstance(target, str) and np.ndim(target) == 1 and len(target) == n_images:
        # A target an image goes with its rows; the copy shares all that is compiled.
        explainer = copy.copy(explainer)
        explainer.target = np.asarray(target)[rows]
    if not hasattr(explainer, "explain"):
        return np.asarray(explainer.transform(images)), None
    explanation = explainer.explain(images, y)
    return explanation.values, explanation.layer_names


def _check_count(values, n_images):
    if len(values) != n_images:
        raise ValueError(
            f"explanation must hold the maps of {n_images} images; got those of {len(values)}"
        )


def one_map(values, image_shape, layer=-1, layer_names=None):
    """Choose a layer, or sum over the channels, so that each image has one map.

    Parameters
    ----------
    values : array-like
        Maps of shape (n, height, width), (n, layers, height, width) or (n, height, width,
        channels).
    image_shape : tuple of int
        Shape of one image, with or without its channels.
    layer : int or str, default=-1
        Which map of several layers.
    layer_names : list of str, default=None
        Names of the layers.

    Returns
    -------
    maps : ndarray of shape (n, height, width), float64
        High where the explanation sees the most evidence.
    """
    values = np.asarray(values)
    size = tuple(image_shape[:2])
    if values.ndim == 4 and layer_names is None and values.shape[1:3] == size:
        maps = values.sum(axis=-1, dtype=np.float64)
    elif values.ndim == 4 and values.shape[2:] == size:
        maps = values[:, _layer_position(layer, values.shape[1], layer_names)]
    else:
        maps = values
    if maps.shape[1:] != size:
        height, width = size
        raise ValueError(
            f"explanation must have the shape (n, {height}, {width}), (n, layers, {height}, "
            f"{width}) or (n, {height}, {width}, channels) for images of {height}x{width}; got "
            f"shape {values.shape}"
        )
    if not np.isfinite(maps).all():
        raise ValueError("explanation must be finite; got NaN or infinity in its maps")
    return maps.astype(np.float64)


def _layer_position(layer, n_layers, layer_names):
    if isinstance(layer, str) and layer in (layer_names or []):
        return layer_names.index(layer)
    if isinstance(layer, Integral) and -n_layers <= layer < n_layers:
        return layer
    raise ValueError(
        f"layer must be a position from {-n_layers} to {n_layers - 1} or one of the names "
        f"{layer_names}; got {layer!r}"
    )
