"""Gradients and training with JAX, which is imported when asked for: it need not be installed."""

import contextlib

import keras
import numpy as np

# Here nobody gives any.
without_advice = contextlib.nullcontext


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
        From arrays to a tuple of arrays; compiled once for each shape of the arrays.
    """
    import jax

    @jax.jit
    def pure(weights, arrays):
        # Weights that are captured rather than passed would be frozen into the compiled code.
        with keras.StatelessScope(state_mapping=list(zip(model.variables, weights, strict=True))):
            return function(*arrays)

    def compiled(*arrays):
        results = pure([variable.value for variable in model.variables], arrays)
        return tuple(np.array(result) for result in results)

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
    import jax

    return jax.grad(function, has_aux=True)(inputs)


def on_one_device(optimizer):
    """Leave an optimizer as it is: here it keeps nothing.

    Parameters
    ----------
    optimizer : keras.optimizers.Optimizer
        Not used yet.
    """


def put_back_weights(model):
    """Give a model its weights back where it was interrupted.

    While it trains or predicts, Keras takes them out of it and hands them through JAX.

    Parameters
    ----------
    model : keras.Model or None
        Just trained or asked for predictions, to the end or not.
    """
    if model is not None:
        model.jax_state_sync()
