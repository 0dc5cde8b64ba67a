"""The network of a classifier as another runtime is to run it."""

from dataclasses import dataclass, replace

import keras
import numpy as np

from skkd.images._input import as_images
from skkd.images._shapes import check_image_shape
from skkd.models._batches import predict
from skkd.models._classifier import NetworkClassifier
from skkd.models._copies import copy_model
from skkd.models._estimators import find_model, find_reader, read_for
from skkd.models._graph import without_traces
from skkd.models._head import Head, find_head
from skkd.models._layout import image_network

_BATCH = 32


@dataclass(frozen=True)
class ExportedNetwork:
    """A copy of a classifier's network that computes in float32, and how it is fed.

    Attributes
    ----------
    estimator : keras.Model, estimator or Pipeline
        The classifier, which is left as it is.
    head : Head
        Of the classifier's own network.
    model : keras.Model
        The copy, from raw images with their channels last to the probability of each class.
    classes : ndarray of shape (n_classes,)
        Labels of its outputs.
    reader : NetworkClassifier or None
        Which says how files are read.
    in_16_bits : bool
        Whether the classifier itself computes in 16 bits.
    """

    estimator: object
    head: Head
    model: keras.Model
    classes: np.ndarray
    reader: NetworkClassifier | None
    in_16_bits: bool

    @property
    def input_shape(self):
        """Return the shape of one image, or of a table's row."""
        return tuple(self.model.input_shape[1:])

    def blank(self):
        """Return a batch of one image, of zeros."""
        return np.zeros((1, *self.input_shape), dtype=self.model.inputs[0].dtype)

    @property
    def known_dtype(self):
        """Return the integer type that images had in training, None where that is not known."""
        return getattr(self.reader, "_files_dtype", None)

    def read(self, X, name):
        """Read what a user calls images, called so in errors, as the network takes them."""
        try:
            images = as_images(X) if len(self.input_shape) == 1 else read_for(self.estimator, X)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        whose = f"{type(self.estimator).__name__} takes images of shape {self.input_shape}"
        check_image_shape(images, self.input_shape, whose, name)
        if len(images) == 0:
            raise ValueError(f"{name} must hold at least one image; got none")
        self._check_type(images, name)
        return images

    def predict_proba(self, images):
        """Return the probabilities that the classifier itself gives."""
        with without_traces(self.head.network):
            model = self.head.probability_model()
            return predict(model, images, _BATCH)

    def batches(self, images):
        """Yield images a batch at a time, in the type that the network takes."""
        for start in range(0, len(images), _BATCH):
            rows = np.arange(start, min(start + _BATCH, len(images)))
            yield np.asarray(images[rows]).astype(self.model.inputs[0].dtype)

    def _check_type(self, images, name):
        known = self.known_dtype
        if known is None:
            return
        if images.dtype.kind == "u" and images.dtype != known:
            raise ValueError(
                f"{name} has images of type {images.dtype}, and the student was trained on "
                f"{known}: pass them in the type and the values of training"
            )
        if images.dtype.kind == "f" and 0 < next(self.batches(images)).max() <= 1:
            raise ValueError(
                f"{name} has values up to 1, and the student was trained on {known} images, from "
                f"0 to {np.iinfo(known).max}: pass images as they were in training, not rescaled"
            )


def find_exported(estimator):
    """Copy the network inside a classifier, as another runtime is to run it.

    Parameters
    ----------
    estimator : keras.Model, estimator or Pipeline
        A fitted classifier.

    Returns
    -------
    exported : ExportedNetwork
        What is to be written.
    """
    model, classes, steps_before = find_model(estimator)
    steps = [step for _, step in steps_before.steps] if steps_before is not None else []
    steps = [type(step).__name__ for step in steps if step not in (None, "passthrough")]
    if steps:
        raise ValueError(
            f"estimator is a Pipeline whose step {steps[0]} stands before the network and would "
            "not be in the file, so that whoever runs it feeds it other values; put what it does "
            "into the network, as keras.layers, or export the last step alone"
        )
    with without_traces(model):
        head = find_head(model, None if classes is None else len(classes))
        if len(head.network.inputs) != 1:
            raise ValueError(
                f"model {model.name!r} has {len(head.network.inputs)} inputs; a student takes one "
                "image"
            )
        if head.activation == "sigmoid" and not head.single:
            raise ValueError(
                f"model {model.name!r} ends in a sigmoid for each of several classes, which then "
                "do not exclude each other; a student to be exported ends in softmax, in logits, "
                "or in one sigmoid for two classes"
            )
        if len(head.network.inputs[0].shape) != 2:
            head = replace(head, network=image_network(head.network))
        copy = copy_model(head.network)
    if None in copy.input_shape[1:]:
        raise ValueError(
            f"model {model.name!r} takes images of any size, {copy.input_shape[1:]}, and a file "
            "for other runtimes has one: give it an Input of that size, model(keras.Input((128, "
            "128, 3)))"
        )
    in_16_bits = _to_float32(copy)
    n_scores = copy.output_shape[-1]
    classes = np.arange(n_scores) if classes is None else classes
    if classes.shape != (n_scores,):
        raise ValueError(
            f"{type(estimator).__name__} has the classes_ {classes.tolist()}, but its model "
            f"{model.name!r} tells {n_scores} classes apart"
        )
    images = keras.Input(copy.input_shape[1:], dtype=copy.inputs[0].dtype, name="images")
    exported = keras.Model(images, head.probabilities(copy(images)), name="student")
    return ExportedNetwork(estimator, head, exported, classes, find_reader(estimator), in_16_bits)


def _to_float32(model):
    """Let a model compute in float32; return whether it did so in 16 bits."""
    found = False
    for layer in model._flatten_layers():
        if layer.compute_dtype in ("float32", None):
            continue
        if layer.variable_dtype != "float32":
            raise ValueError(
                f"the layer {layer.name!r} keeps its weights in {layer.variable_dtype}, of which "
                "other runtimes know little; train with float32, Keras's default, or with "
                "dtype_policy='mixed_bfloat16', which keeps weights in float32"
            )
        layer.dtype_policy = "float32"
        found = True
    return found
