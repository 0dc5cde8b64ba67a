"""Windows: the part of a range of values that is shown from black to white."""

from numbers import Real

import numpy as np

# Center and width in Hounsfield units, as radiology texts list them for computed tomography.
WINDOWS = {
    "abdomen": (50, 400),
    "bone": (400, 1800),
    "brain": (40, 80),
    "liver": (30, 150),
    "lung": (-600, 1500),
    "mediastinum": (50, 350),
    "spine": (50, 250),
    "stroke": (40, 40),
    "subdural": (80, 200),
    "temporal_bone": (600, 2800),
}


def check_window(window):
    """Raise a ValueError where a window is none of "header", None, a name and a pair."""
    if window is None or (isinstance(window, str) and window in ("header", *WINDOWS)):
        return
    if (
        isinstance(window, tuple | list)
        and len(window) == 2
        and all(isinstance(value, Real) and np.isfinite(value) for value in window)
        and window[1] > 0
    ):
        return
    names = ", ".join(f'"{name}"' for name in WINDOWS)
    raise ValueError(
        f'window must be "header", None, (center, width) with width > 0, or one of {names}; '
        f"got {window!r}"
    )


def is_chosen(window):
    """Tell whether a window is given by name or by numbers."""
    return window not in ("header", None)


def show(values, window):
    """Map values to uint8: black at center - width / 2, white at center + width / 2.

    Parameters
    ----------
    values : ndarray
        The values.
    window : str or tuple of (center, width)
        A name of `WINDOWS`, or the numbers.

    Returns
    -------
    shown : ndarray of uint8
        Of the same shape.
    """
    center, width = WINDOWS[window] if isinstance(window, str) else window
    shown = (values.astype(float) - (center - width / 2)) / width
    return np.rint(255 * np.clip(shown, 0, 1)).astype(np.uint8)
