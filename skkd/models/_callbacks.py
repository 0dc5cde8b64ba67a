"""Copies and pickles of callbacks, which may hold open files and connections."""

import copy

import cloudpickle

from skkd._warnings import warn


def own_callback(callback):
    """Return a copy of a callback with lists of its own, which shares what else it holds.

    Parameters
    ----------
    callback : keras.callbacks.Callback
        It is left as it is, whatever a fit makes of the copy.
    """
    own = copy.copy(callback)
    for name, value in vars(callback).items():
        if type(value) in (list, dict, set):
            setattr(own, name, copy.copy(value))
    return own


class _ByValue:
    """Something that pickles with the functions it holds, whoever defined them."""

    def __init__(self, written):
        self.written = written

    def __reduce__(self):
        return cloudpickle.loads, (self.written,)


def picklable_callbacks(callbacks):
    """Return the callbacks that can be pickled, with a warning about any other.

    Parameters
    ----------
    callbacks : list of keras.callbacks.Callback
        A pickle holds them by value, with the functions in them.
    """
    kept = []
    for callback in callbacks:
        try:
            written = cloudpickle.dumps(callback)
        # What a user's object fails with when it is pickled may be anything.
        except Exception as error:
            warn(
                f"the callback {type(callback).__name__} is left out of a pickle, as it holds what "
                f"cannot be pickled: {error}"
            )
        else:
            kept.append(_ByValue(written))
    return kept
