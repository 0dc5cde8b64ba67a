"""One map an image, whatever form an explanation has."""

from numbers import Integral

import numpy as np

from skkd.images._conversions import as_numbers
from skkd.metrics._explainers import explain_rows, fitted_explainer


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
    # A pandas Series has transform too.
    makes_maps = hasattr(explanation, "explain") or hasattr(explanation, "transform")
    if makes_maps and not hasattr(explanation, "shape"):
        explainer = fitted_explainer(explanation, images, y)

        def read(rows):
            values, names = explain_rows(explainer, images, y, rows)
            _check_n_maps(values, len(rows))
            return one_map(values, shape, layer=layer, layer_names=names)

        return read

    values = getattr(explanation, "values", explanation)
    names = getattr(explanation, "layer_names", None)
    if not hasattr(values, "shape"):
        values = as_numbers(values, "explanation")
    _check_n_maps(values, len(images))
    # A wrong shape or layer shows before the first prediction.
    one_map(values[:1], shape, layer=layer, layer_names=names)
    return lambda rows: one_map(values[rows], shape, layer=layer, layer_names=names)


def _check_n_maps(values, n_images):
    if not np.ndim(values):
        raise ValueError(f"explanation must be maps, or what makes them; got {values!r}")
    if len(values) != n_images:
        raise ValueError(
            f"explanation must hold the maps of {n_images} images; got those of {len(values)}"
        )


def one_map(values, image_shape, *, layer=-1, layer_names=None):
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
    values = as_numbers(values, "explanation")
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


def unit_maps(maps):
    """Scale each map to [0, 1]; one that is the same everywhere becomes 0.5, of zeros 0."""
    low = maps.min(axis=(1, 2), keepdims=True)
    span = maps.max(axis=(1, 2), keepdims=True) - low
    constant = np.where(low == 0, 0.0, 0.5)
    return np.where(span > 0, (maps - low) / np.where(span > 0, span, 1), constant)


def _layer_position(layer, n_layers, layer_names):
    if isinstance(layer, str) and layer in (layer_names or []):
        return layer_names.index(layer)
    if isinstance(layer, Integral) and -n_layers <= layer < n_layers:
        return layer
    raise ValueError(
        f"layer must be a position from {-n_layers} to {n_layers - 1} or one of the names "
        f"{layer_names}; got {layer!r}"
    )
