"""What a file of a network says of itself."""

import importlib
import platform
import sys

import keras
import numpy as np

from skkd.models._graph import flatten_graph

_SETTINGS = {
    "Normalization": ("mean", "variance"),
    "Rescaling": ("scale", "offset"),
    "Resizing": ("height", "width", "interpolation"),
}
_CHANNELS = {1: "gray", 3: "RGB"}


def make_record(exported, seen, quantize, n_representative):
    """Return what whoever runs the network has to know, as what JSON holds.

    Parameters
    ----------
    exported : ExportedNetwork
        What is written.
    seen : tuple of (float, float) or None
        The least and the largest value of the images that were given with it.
    quantize : {"int8", "float16"} or None
        What its numbers are.
    n_representative : int
        Number of images that set the ranges of its activations.
    """
    shape, known, reader = exported.input_shape, exported.known_dtype, exported.reader
    inputs = {
        "shape": [1, *shape],
        "dtype": exported.model.inputs[0].dtype,
        "values": "as in training, not rescaled",
        "dtype_in_training": None if known is None else str(known),
        "range_in_training": None if known is None else [0, int(np.iinfo(known).max)],
        "range_seen": None if seen is None else list(seen),
    }
    if len(shape) == 3:
        inputs["axes"] = ["batch", "height", "width", "channels"]
        inputs["channels"] = _CHANNELS.get(shape[2], f"{shape[2]} channels, in order of training")
        inputs["resize_to"] = [*shape[:2]]
        inputs["color_mode"] = {1: "grayscale", 3: "rgb"}.get(shape[2])
        inputs["window"] = plain(getattr(reader, "window", None))
    return {
        "labels": [plain(label) for label in exported.classes],
        "input": inputs,
        "preprocessing": {
            "before_the_network": "none but reading and resizing",
            "within_the_network": preprocessing(exported.model),
        },
        "output": {
            "shape": [1, len(exported.classes)],
            "dtype": "float32",
            "values": "probabilities, in the order of labels",
            "calibration_temperature": getattr(reader, "calibration_temperature_", None),
        },
        "quantization": {"kind": quantize, "n_representative": n_representative},
        "versions": versions(),
        "data_digest": getattr(reader, "data_digest_", None),
    }


def versions():
    """Return the versions of what made a network, by name."""
    backend = keras.config.backend()
    return {
        "skkd": importlib.import_module("skkd").__version__,
        "keras": keras.__version__,
        backend: sys.modules[backend].__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def plain(value):
    """Return a value as what JSON holds; what it does not is written out."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def preprocessing(model):
    """Return what a network itself does to an image before the first layer that learned.

    Parameters
    ----------
    model : keras.Model
        The network.

    Returns
    -------
    steps : list of dict
        Each with "layer", the name of its class, and the settings that say what it computes.
    """
    steps = []
    for call in flatten_graph(model).calls:
        layer = call.layer
        if getattr(layer, "trainable_weights", None) or getattr(layer, "rank", None):
            break
        kind = type(layer).__name__
        if kind == "InputLayer":
            continue
        settings = {name: plain(_numbers(getattr(layer, name))) for name in _SETTINGS.get(kind, ())}
        steps.append({"layer": kind, **settings})
    return steps


def _numbers(value):
    if keras.ops.is_tensor(value) or isinstance(value, keras.Variable):
        return keras.ops.convert_to_numpy(value).ravel()
    return value
