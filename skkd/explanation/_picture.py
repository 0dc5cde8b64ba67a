"""Images as they are drawn: gray or in color, by one window of values."""

import numpy as np


def to_pictures(images):
    """Return images as matplotlib draws them, and their window.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, channels)
        Images of one channel are gray, of three red, green and blue. Of any other number the
        mean over the channels is drawn.

    Returns
    -------
    pictures : ndarray of shape (n, height, width) or (n, height, width, 3)
        Gray values as they are; colors in [0, 1].
    grays : ndarray of shape (n, height, width)
        The mean over the channels, in the same values as gray pictures.
    window : tuple of float
        The values drawn black and white: 0 and 255 of uint8, 0 and 1 of bool, else the lowest
        and highest of all images. Where these are one value, the window starts or ends at zero.
    """
    n_channels = images.shape[-1]
    grays = images[..., 0] if n_channels == 1 else images.mean(axis=-1, dtype=float)
    if grays.dtype == bool or not np.issubdtype(grays.dtype, np.integer):
        # Half precision and long doubles too; matplotlib draws none of them.
        grays = grays.astype(float)
    window = _window(images if n_channels == 3 else grays, images.dtype)
    if n_channels != 3:
        return grays, grays, window
    low, high = window
    return np.clip((images.astype(float) - low) / (high - low), 0, 1), grays, window


def _window(values, dtype):
    if dtype == np.uint8:
        return 0, 255
    if dtype.kind == "b":
        return 0, 1
    values = values[np.isfinite(values)]
    low, high = (values.min().item(), values.max().item()) if values.size else (0, 1)
    if low == high:
        low, high = min(low, 0), max(high, 0)
    return (low, high) if low < high else (0, 1)
