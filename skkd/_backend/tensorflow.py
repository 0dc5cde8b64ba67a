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
