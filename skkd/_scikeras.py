"""SciKeras, which changes Keras for the whole process where it is imported."""

import contextlib
import random
import sys
import threading

import keras


@contextlib.contextmanager
def _keras_left_as_it_is():
    # Importing scikeras replaces these methods for the whole process. Keras 3 pickles and copies
    # its own models, so we keep Keras's versions.
    replaced = [
        (keras.Model, "__reduce__"),
        (keras.Model, "__deepcopy__"),
        (keras.losses.Loss, "__reduce__"),
        (keras.metrics.Metric, "__reduce__"),
        (keras.optimizers.Optimizer, "__reduce__"),
    ]
    before = [vars(owner).get(name) for owner, name in replaced]
    yield
    for (owner, name), method in zip(replaced, before, strict=True):
        if method is not None:
            setattr(owner, name, method)
        elif name in vars(owner):
            delattr(owner, name)


with _keras_left_as_it_is():
    from scikeras.utils import random_state
    from scikeras.wrappers import BaseWrapper

if hasattr(random_state, "config"):
    # SciKeras asks whether TensorFlow's operations are deterministic after it has set the
    # environment variable that makes them so. Asked before, TensorFlow remembers what it was, and
    # SciKeras leaves it as it was.
    random_state.config.is_op_determinism_enabled()

# What SciKeras seeds, for the whole process, it puts back afterwards: two threads that do so at the
# same time have each other's random numbers, and leave them behind.
alone = threading.RLock()


# Where Keras draws the seeds of layers and initializers that have none.
_drawing = sys.modules[keras.random.SeedGenerator.__module__]


@contextlib.contextmanager
def own_seeds(seed):
    """Give layers made in this thread the seeds that they have by a seed, one thread at a time.

    Keras draws these from Python's own random numbers, out of which any other thread may draw in
    the meantime, such as that by which a worker of Dask talks to the others.
    """

    class Numbers:
        def __getattr__(self, name):
            return getattr(own if threading.get_ident() == thread else random, name)

    own, thread = random.Random(seed), threading.get_ident()
    with alone:
        before = _drawing.python_random
        _drawing.python_random = Numbers()
        try:
            yield
        finally:
            _drawing.python_random = before


@contextlib.contextmanager
def seeded(seed):
    """Seed every library's random numbers and put them back, one thread at a time."""
    with alone, random_state.tensorflow_random_state(seed), own_seeds(seed):
        yield


__all__ = ["BaseWrapper", "alone", "own_seeds", "seeded"]
