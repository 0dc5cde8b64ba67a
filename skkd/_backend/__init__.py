"""What differs from one Keras backend to another, for the one in use."""

import importlib

import keras

_module = importlib.import_module(f"skkd._backend.{keras.backend.backend()}")
gradient = _module.gradient
on_one_device = _module.on_one_device
put_back_weights = _module.put_back_weights
traced = _module.traced
without_advice = _module.without_advice

__all__ = ["gradient", "on_one_device", "put_back_weights", "traced", "without_advice"]
