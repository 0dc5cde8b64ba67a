"""Gradients and training with TensorFlow."""

import contextlib
import logging

import tensorflow as tf


def traced(function, model):
    """Compile a function of arrays that calls a model.

    Parameters
    ----------
    function : callable
        From tensors to a tuple of tensors, written with ``keras.ops``.
    model : keras.Model
        The model whose weights the function uses, as they are when it is called.

    Returns
    -------
    compiled : callable
        From arrays to a tuple of arrays; traced once for each shape of the arrays.
    """
    graph = tf.function(function, autograph=False, reduce_retracing=True)

    def compiled(*arrays):
        with without_advice():
            return tuple(tensor.numpy() for tensor in graph(*arrays))

    return compiled


def gradient(function, inputs):
    """Differentiate a function inside a traced one.

    Parameters
    ----------
    function : callable
        From a list of tensors to a scalar and a tuple of further results.
    inputs : list of tensors
        Where to differentiate.

    Returns
    -------
    gradients : list of tensors
        Those of the scalar with respect to each input; zero where it does not depend on it.
    results : tuple
        The further results.
    """
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


def on_one_device(optimizer):
    """Spare an optimizer the sum of gradients over devices where there is only one.

    TensorFlow makes that sum differentiable, and so keeps the graph of every training step that
    holds one for as long as the process lives.

    Parameters
    ----------
    optimizer : keras.optimizers.Optimizer
        Not used yet; made under the distribution strategy in force, if any. It is changed.
    """
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        optimizer._all_reduce_sum_gradients = list


def put_back_weights(model):
    """Leave a model as it is: here its weights stay in it.

    Parameters
    ----------
    model : keras.Model or None
        Just trained or asked for predictions, to the end or not.
    """
