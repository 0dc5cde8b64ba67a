"""A trained Keras model as a teacher."""

import hashlib
import json
import zipfile
from os import PathLike
from pathlib import Path

import h5py
import keras
import numpy as np

from skkd._keras_objects import picklable
from skkd.distillation._answers import as_logits
from skkd.models._adapter import adapt_input
from skkd.models._batches import predict
from skkd.models._graph import open_model, without_traces
from skkd.models._head import find_head
from skkd.models._read_once import read_once


def load_teacher(path) -> keras.Model:
    """Read a trained model from a file.

    Parameters
    ----------
    path : str or path
        A ``.keras`` or ``.h5`` file that holds a whole model, not its weights alone. A file from
        which Python code would be run, as that of a ``Lambda`` layer, is refused.

    Returns
    -------
    model : keras.Model
        Not compiled: a teacher is not trained, and its losses may be unknown here.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a Keras model, or holds code.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skkd import MLP
    >>> from skkd.distillation import load_teacher
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "teacher.keras"
    ...     MLP(hidden=(4,)).build((3,), n_classes=2).save(path)
    ...     load_teacher(path).output_shape
    (None, 2)
    """
    if not isinstance(path, str | PathLike):
        raise TypeError(f"path must be a str or path-like; got {path!r}")
    path = Path(path)
    if path.is_dir():
        raise ValueError(
            f"teacher: {str(path)!r} is a folder. If it is a TensorFlow SavedModel, pass a "
            f"function: layer = keras.layers.TFSMLayer({str(path)!r}, call_endpoint='serve'), or "
            "'serving_default', and a function of images that returns layer(images)"
        )
    if not path.is_file():
        raise FileNotFoundError(f"teacher: there is no file {str(path)!r}")
    if path.name.endswith(".weights.h5"):
        raise ValueError(
            f"teacher: {str(path)!r} holds weights without the network they belong to; build the "
            "network, read them with its load_weights, and pass the model"
        )
    try:
        # Keras too looks for code, but not in .h5 files before its version 3.11.3.
        holds_code = _holds_code(path)
        if not holds_code:
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    # On broken files Keras fails with whatever it trips over: KeyError, BadZipFile and more.
    except Exception as error:
        raise ValueError(f"teacher: {str(path)!r} is not a Keras model: {error}") from error
    raise ValueError(
        f"teacher: {str(path)!r} holds Python code, that of a Lambda layer, which reading the file "
        "would run. If you trust whoever made it, read it yourself, with "
        f"keras.saving.load_model({str(path)!r}, safe_mode=False), and pass the model"
    )


def _holds_code(path):
    """Tell whether a model's file says that Python code in it is to be run."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            text = file.read("config.json")
    else:
        with h5py.File(path) as file:
            text = file.attrs["model_config"]
    found = []

    def look(item):
        # As Keras 3 writes it, and as Keras 2 did.
        code = item.get("class_name") == "__lambda__" or item.get("function_type") == "lambda"
        found.append(code)
        return item

    json.loads(text, object_hook=look)
    return any(found)


def teacher_of_file(path):
    """Return the model in a file, which a process reads once for all its fits.

    It is read anew where somebody has changed the one that was read, who has it as ``teacher_``.
    """
    model, fingerprint = read_once(path, _load_with_fingerprint)
    return model if network_fingerprint(model) == fingerprint else load_teacher(path)


def _load_with_fingerprint(path):
    model = load_teacher(path)
    return model, network_fingerprint(model)


class KerasTeacher:
    """A trained Keras model.

    Parameters
    ----------
    model : keras.Model
        A functional or Sequential model, ending in logits, softmax or sigmoid. It is only read.
    labels : array-like of shape (n_outputs,), default=None
        Class label of each output. None: the class labels in sorted order.
    outputs : {"auto", "logits", "probabilities"}, default="auto"
        What the outputs are; "auto" goes by the activation of the last layer.
    """

    def __init__(self, model, labels=None, outputs="auto"):
        self.source = model
        self.labels = labels
        self.outputs = outputs
        with without_traces(model):
            self._head = find_head(model, n_classes=2) if outputs == "auto" else None
            self.network = self._head.network if self._head else open_model(model)
        self._taking = {}

    def made_of(self):
        """Return the arguments that make another one like it."""
        return self.source, self.labels, self.outputs

    def __reduce__(self):
        """Pickle the model once, not again in the models made of its layers."""
        return type(self), picklable(self.made_of())

    identity = None

    def fingerprint(self):
        """Return a text that another network, or the same with other weights, does not have."""
        return f"{network_fingerprint(self.source)}-{self.outputs}"

    def logits(self, images, batch_size):
        """Return the logits of images, of shape (n, n_outputs)."""
        shape = tuple(images.shape[1:])
        if shape not in self._taking:
            with without_traces(self.source):
                self._taking[shape] = adapt_input(self.network, shape)
        values = predict(self._taking[shape], images, batch_size)
        if self._head is None:
            return as_logits(values, self.outputs, "teacher: the model's outputs")
        if self._head.single:
            # Divided by the temperature, the difference of both scores must be the one logit.
            values = np.concatenate([np.zeros_like(values[:, :1]), values[:, 1:]], axis=1)
        return values


def network_fingerprint(model):
    """Return a digest of a model's architecture and weights, however it is compiled."""
    with without_traces(model):
        opened = model if getattr(model, "inputs", None) else open_model(model)
        bare = keras.Model(opened.inputs, opened.outputs, name=model.name)
        architecture = bare.to_json()
    digest = hashlib.blake2b(architecture.encode(), digest_size=16)
    for weights in model.get_weights():
        digest.update(np.ascontiguousarray(weights).tobytes())
    return digest.hexdigest()
