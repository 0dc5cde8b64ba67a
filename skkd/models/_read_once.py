"""Models that are read from their file once a process."""

import os
import threading
from collections import OrderedDict

# Those of one job; more large ones would not fit beside each other.
_MOST = 4
_kept = OrderedDict()
_reading = threading.Lock()


def read_once(path, read):
    """Return what is in a file, read once a process for as long as the file stays as it is.

    Parameters
    ----------
    path : str or path
        The file.
    read : callable
        ``(path) -> object``, which raises where there is no such file.
    """
    if not os.path.isfile(path):
        return read(path)
    now = os.stat(path)
    key = (read, os.path.realpath(path), now.st_ino, now.st_size, now.st_mtime_ns)
    # Of several threads one reads, and the others wait for it.
    with _reading:
        if key not in _kept:
            _kept[key] = read(path)
        _kept.move_to_end(key)
        while len(_kept) > _MOST:
            _kept.popitem(last=False)
        return _kept[key]
