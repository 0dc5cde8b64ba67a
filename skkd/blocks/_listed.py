"""Paths of a block, whatever an engine holds them in."""

import os

from pandas.api.types import is_list_like


def listed(paths):
    """Return the paths of a block as a list of str, or raise TypeError for what is none."""
    if not is_list_like(paths) or isinstance(paths, dict | set):
        raise TypeError(f"paths must be a sequence of paths of image files; got {paths!r}")
    for path in paths:
        if not isinstance(path, str | bytes | os.PathLike):
            raise TypeError(f"paths must hold paths of image files; got {path!r}")
    return [os.fsdecode(path) for path in paths]
