"""Warnings that name the line of the user's code they are about."""

import sys
import warnings

# contextlib's frames lie between ours where a context manager decorates a function.
_PASSED = {__name__.partition(".")[0], "contextlib"}


def warn(message, category=UserWarning):
    """Warn as of the first line outside skkd on the way here, however deep in it this is."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _PASSED:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
