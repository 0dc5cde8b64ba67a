"""Gradients, for the Keras backend in use."""

import importlib

import keras

_module = importlib.import_module(f"skkd._backend.{keras.backend.backend()}")
gradient = _module.gradient
traced = _module.traced

__all__ = ["gradient", "traced"]
