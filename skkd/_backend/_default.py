"""What the code above the backends asks of them, and what most of them need not do."""

import contextlib

import keras


def traced(function, model):
    """Compile a function of tensors that calls a model, where the backend can, for arrays.

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

    def compiled(*arrays):
        results = function(*(keras.ops.convert_to_tensor(array) for array in arrays))
        return tuple(keras.ops.convert_to_numpy(result) for result in results)

    return compiled


def draws_in_threads():
    """Return whether random layers may draw in one thread while a network trains in another."""
    return True


def gradient(function, inputs):
    """Differentiate a function inside a traced one. Every backend has its own way.

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
    raise NotImplementedError(f"gradients with the Keras backend {keras.backend.backend()!r}")


def is_out_of_memory(error):
    """Return whether an error says that there is not enough memory, of a device or the machine.

    Parameters
    ----------
    error : Exception
        From computing with a model.
    """
    return isinstance(error, MemoryError)


def may_share_traces():
    """Return whether anything is traced, and on one device, where it could serve again."""
    return keras.distribution.distribution() is None


def n_processes():
    """Return how many processes train one network under the distribution strategy in force."""
    return 1


def on_one_device(optimizer):
    """Spare an optimizer what training on several devices needs, where there is only one.

    Parameters
    ----------
    optimizer : keras.optimizers.Optimizer
        Not used yet; made under the distribution strategy in force, if any. It may be changed.
    """


def own_part():
    """Return which part of each batch this process has to give, as (number, of how many).

    Where the backend itself takes the process's part out of whole batches, it is the whole.
    """
    return 0, 1


def put_back_weights(model):
    """Give a model its weights back where it was interrupted.

    Parameters
    ----------
    model : keras.Model or None
        Just trained or asked for predictions, to the end or not.
    """


def random_state_kept():
    """Return a context that leaves the backend's own random state, if any, as it was."""
    return contextlib.nullcontext()


def set_random_state(seed):
    """Seed what random layers draw from beside the generators Keras gives them.

    Parameters
    ----------
    seed : int
        In [0, 2**31).
    """


def together(model):
    """Make a model ready to be trained by several processes, if it is to be.

    Parameters
    ----------
    model : keras.Model
        Compiled under the distribution strategy in force. It may be changed.
    """


def without_advice():
    """Return a context that keeps back advice about which whoever trains can do nothing."""
    return contextlib.nullcontext()
