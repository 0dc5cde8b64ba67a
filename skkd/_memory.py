"""Memory that stays with the process while a network computes."""

import contextlib
import ctypes
import functools
import os
import threading

# glibc's name of how much it asks of the system beyond what is needed, and keeps when it trims.
_M_TOP_PAD = -2
_DEFAULT_PAD = 128 * 1024
_PAD = 64 * 1024 * 1024

_LOCK = threading.Lock()
_users = 0


@contextlib.contextmanager
def kept_memory():
    """Keep freed memory in the process, where the C library would hand it back at every step.

    TensorFlow frees what a training step has used at its end, glibc returns it to the system, and
    the next step has it mapped and zeroed again, page by page. Here up to 64 MiB for each of
    glibc's arenas stay. Other allocators and other systems are left alone, and so is a process
    whose user has set ``MALLOC_TOP_PAD_``, or ``SKKD_KEEP_MEMORY=0``. After the last user glibc's
    own default holds again.
    """
    mallopt = _mallopt() if os.environ.get("SKKD_KEEP_MEMORY", "1") != "0" else None
    if mallopt is None:
        yield
        return
    _count(mallopt, 1)
    try:
        yield
    finally:
        _count(mallopt, -1)


def _count(mallopt, change):
    global _users
    with _LOCK:
        before, _users = _users, _users + change
        if not before or not _users:
            mallopt(_M_TOP_PAD, _PAD if _users else _DEFAULT_PAD)


@functools.cache
def _mallopt():
    """Return glibc's function, None where memory is not glibc's or its user has a say in it."""
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if "MALLOC_TOP_PAD_" in os.environ or "glibc.malloc.top_pad" in tunables:
        return None
    try:
        library = ctypes.CDLL(None)
        # An allocator that was preloaded has a malloc of its own.
        if _file_of(library, library.malloc) != _file_of(library, library.gnu_get_libc_version):
            return None
        return library.mallopt
    # Windows has no such library, and other C libraries have no such functions.
    except (AttributeError, OSError, TypeError):
        return None


class _Symbol(ctypes.Structure):
    """What ``dladdr`` tells of an address."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


def _file_of(library, function):
    symbol = _Symbol()
    if not library.dladdr(ctypes.cast(function, ctypes.c_void_p), ctypes.byref(symbol)):
        raise OSError("the address is in no library")
    return symbol.file
