"""The precision of layers that must not compute in 16 bits."""

import keras


def full_precision():
    """Return the type for raw images, which 16 bits may not hold, and for logits."""
    return keras.config.dtype_policy().variable_dtype
