"""Gradients and training with PyTorch, imported when asked for: it need not be installed."""

import contextlib

import keras

# Here nobody gives any.
without_advice = contextlib.nullcontext


def traced(function, model):
    """Make a function of tensors that calls a model into one of arrays.

    Parameters
    ----------
    function : callable
        From tensors to a tuple of tensors, written with ``keras.ops``.
    model : keras.Model
        The model whose weights the function uses, as they are when it is called.

    Returns
    -------
    compiled : callable
        From arrays to a tuple of arrays.
    """
    import torch

    def compiled(*arrays):
        with torch.no_grad():
            results = function(*(keras.ops.convert_to_tensor(array) for array in arrays))
        return tuple(keras.ops.convert_to_numpy(result) for result in results)

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
    import torch

    with torch.enable_grad():
        inputs = [tensor.detach().requires_grad_() for tensor in inputs]
        scalar, results = function(inputs)
        gradients = torch.autograd.grad(scalar, inputs, allow_unused=True, materialize_grads=True)
    return list(gradients), results


def on_one_device(optimizer):
    """Leave an optimizer as it is: here it keeps nothing.

    Parameters
    ----------
    optimizer : keras.optimizers.Optimizer
        Not used yet.
    """


def put_back_weights(model):
    """Leave a model as it is: here its weights stay in it.

    Parameters
    ----------
    model : keras.Model or None
        Just trained or asked for predictions, to the end or not.
    """
