"""JAX, which is imported when asked for: it need not be installed."""

import keras
import numpy as np


def traced(function, model):
    """Compile with ``jax.jit``."""
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
    """Differentiate with ``jax.grad``."""
    import jax

    return jax.grad(function, has_aux=True)(inputs)


def is_out_of_memory(error):
    """Look for XLA's code too, whose errors are all of one type."""
    import jax

    of_xla = isinstance(error, jax.errors.JaxRuntimeError)
    return isinstance(error, MemoryError) or (of_xla and "RESOURCE_EXHAUSTED" in str(error))


def put_back_weights(model):
    """Undo what Keras does while it trains or predicts: it hands the weights through JAX."""
    if model is not None:
        model.jax_state_sync()
