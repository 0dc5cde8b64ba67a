"""The sizes that a network is made of."""

from numbers import Integral, Real

import numpy as np


def check_shapes(input_shape, n_classes, *, of_images=True, any_side=False):
    """Refuse what no network can be built for.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of one image, or of a row.
    n_classes : int
        Number of classes.
    of_images : bool, default=True
        Whether it must be an image.
    any_side : bool, default=False
        Whether sides may be None, for images of any size.
    """
    whole = isinstance(input_shape, tuple | list) and len(input_shape) > 0
    if of_images:
        whole = whole and len(input_shape) == 3
    for number, side in enumerate(input_shape if whole else ()):
        is_any = any_side and side is None and number < 2
        whole = whole and (is_any or (isinstance(side, Integral) and side > 0))
    if not whole:
        what = "(height, width, channels)" + ("" if of_images else " or (n_features,)")
        way = "; tables are for MLP()" if of_images else ""
        raise ValueError(f"input_shape must be {what} in whole numbers{way}; got {input_shape!r}")
    if not isinstance(n_classes, Integral) or n_classes < 1:
        raise ValueError(f"n_classes must be a whole number above 0; got {n_classes!r}")


def check_widths(widths, name):
    """Return the widths of several layers; refuse what are no whole numbers above 0."""
    if not isinstance(widths, list | tuple | np.ndarray) or not all(
        isinstance(width, Integral) and width > 0 for width in widths
    ):
        raise ValueError(f"{name} must be a sequence of whole numbers above 0; got {widths!r}")
    return widths


def check_rate(rate, name):
    """Return a share of units to leave out; refuse what is no number in [0, 1)."""
    if not isinstance(rate, Real) or not 0 <= rate < 1:
        raise ValueError(f"{name} must be a number in [0, 1); got {rate!r}")
    return rate
