"""TensorFlow."""

import contextlib
import logging

import tensorflow as tf


def traced(function, model):
    """Compile with ``tf.function``."""
    graph = tf.function(function, autograph=False, reduce_retracing=True)

    def compiled(*arrays):
        with without_advice():
            return tuple(tensor.numpy() for tensor in graph(*arrays))

    return compiled


def gradient(function, inputs):
    """Differentiate with a ``tf.GradientTape``."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        scalar, results = function(inputs)
    zero = tf.UnconnectedGradients.ZERO
    return tape.gradient(scalar, inputs, unconnected_gradients=zero), results


@contextlib.contextmanager
def without_advice():
    """Keep back TensorFlow's advice not to trace many functions, which every network needs.

    Whoever trains the candidates of a search would read it again and again, and could do nothing.
    """
    logger = logging.getLogger("tensorflow")
    logger.addFilter(_is_no_advice)
    try:
        yield
    finally:
        logger.removeFilter(_is_no_advice)


def _is_no_advice(record):
    return "triggered tf.function retracing" not in record.getMessage()


def is_out_of_memory(error):
    """Look for TensorFlow's error too."""
    return isinstance(error, MemoryError | tf.errors.ResourceExhaustedError)


def may_share_traces():
    """Return whether no strategy places variables on several devices."""
    return not tf.distribute.has_strategy()


def on_one_device(optimizer):
    """Spare an optimizer the sum of gradients over devices where there is only one.

    TensorFlow makes that sum differentiable, and so keeps the graph of every training step that
    holds one for as long as the process lives.
    """
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        optimizer._all_reduce_sum_gradients = list


def n_processes():
    """Return the number of workers of the strategy in force."""
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 1
    tasks = strategy.cluster_resolver.cluster_spec().as_dict()
    return sum(len(tasks.get(kind, ())) for kind in ("chief", "worker")) or 1


def together(model):
    """Go round two places at which Keras 3 fails under a ``MultiWorkerMirroredStrategy``.

    It averages what a step returns over an axis, which numbers do not have; and it brings a batch
    of all workers together to build a model from it, which is no operation of that strategy.
    """
    if n_processes() == 1:
        return
    model.optimizer.build(model.trainable_variables)
    model._maybe_symbolic_build = _nothing_to_build
    for name in ("train_step", "test_step"):
        # Those of the class: a network that is trained on comes here again.
        setattr(model, name, _with_axis(model, getattr(type(model), name)))


def _nothing_to_build(iterator=None, data_batch=None):
    return None


def _with_axis(model, step):
    def returning_rows(data):
        return {name: value[None] for name, value in step(model, data).items()}

    return returning_rows
