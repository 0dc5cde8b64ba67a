"""Warnings that name the line of the user's code they are about."""

import sys
import warnings

# Others' frames lie between ours: contextlib's where a context manager decorates a function, those
# of Keras and SciKeras where they call our callbacks.
_PASSED = {__name__.partition(".")[0], "contextlib", "keras", "scikeras"}


def warn(message, category=UserWarning):
    """Warn as of the first line outside skkd on the way here, however deep in it this is."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _PASSED:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
