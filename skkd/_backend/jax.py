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


def n_processes():
    """Return the number of JAX's processes, where a distribution is in force."""
    import jax

    return 1 if keras.distribution.distribution() is None else jax.process_count()


def own_part():
    """Return the number of this process: Keras puts batches together from their parts."""
    import jax

    if n_processes() == 1:
        return 0, 1
    distribution = keras.distribution.distribution()
    if not isinstance(distribution, keras.distribution.DataParallel):
        raise ValueError(
            "distribution must be a keras.distribution.DataParallel where several processes train; "
            f"got {type(distribution).__name__}"
        )
    if getattr(distribution, "auto_shard_dataset", False):
        raise ValueError(
            "distribution: pass keras.distribution.DataParallel(auto_shard_dataset=False), as each "
            "process reads its own part of every batch by itself"
        )
    return jax.process_index(), jax.process_count()
