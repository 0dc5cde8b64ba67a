"""What differs from one Keras backend to another, for the one in use."""

import importlib

import keras

from skkd._backend import _default

_own = importlib.import_module(f"skkd._backend.{keras.backend.backend()}")


def _pick(name):
    return getattr(_own, name, getattr(_default, name))


draws_in_threads = _pick("draws_in_threads")
gradient = _pick("gradient")
is_out_of_memory = _pick("is_out_of_memory")
may_share_traces = _pick("may_share_traces")
n_processes = _pick("n_processes")
on_one_device = _pick("on_one_device")
own_part = _pick("own_part")
put_back_weights = _pick("put_back_weights")
random_state_kept = _pick("random_state_kept")
set_random_state = _pick("set_random_state")
together = _pick("together")
traced = _pick("traced")
without_advice = _pick("without_advice")

__all__ = [
    *("draws_in_threads", "gradient", "is_out_of_memory", "may_share_traces", "n_processes"),
    *("on_one_device", "own_part", "put_back_weights", "random_state_kept", "set_random_state"),
    *("together", "traced", "without_advice"),
]
