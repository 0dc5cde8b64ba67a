"""The end of a classifier: how its outputs are to be read."""

import contextlib
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from skkd.models._copies import copy_model
from skkd.models._graph import ACTIVATIONS, Alias, ends, flatten_graph, open_model

# The smallest normal float32: log of it is finite.
TINY = 1.1754944e-38

# Activations are recognized by what they compute, whatever they are called and whoever wrote them.
_PROBES = np.array([[-2.0, 0.5, 1.0, 3.0], [0.25, -1.0, 0.0, -0.5]], dtype="float32")
_ACTIVATIONS = {
    "linear": lambda z: z,
    "softmax": lambda z: ops.softmax(z, axis=-1),
    "sigmoid": ops.sigmoid,
    "log_softmax": lambda z: ops.log_softmax(z, axis=-1),
}


@keras.saving.register_keras_serializable("skkd")
class PreActivation(keras.layers.Wrapper):
    """A dense layer without its activation, sharing its weights.

    Parameters
    ----------
    layer : keras.layers.Dense
        The layer whose ``kernel`` and ``bias`` are used.
    """

    def call(self, inputs):
        """Return ``inputs @ kernel + bias``."""
        outputs = ops.matmul(inputs, self.layer.kernel)
        return outputs if self.layer.bias is None else ops.add(outputs, self.layer.bias)

    def compute_output_shape(self, input_shape):
        """Return the wrapped layer's output shape."""
        return self.layer.compute_output_shape(input_shape)


@dataclass(frozen=True)
class Head:
    """How the outputs of a classifier are to be read.

    Attributes
    ----------
    network : keras.Model
        From images to one score a class, a logit: only differences of it matter.
    activation : {"softmax", "sigmoid"}
        What turns the scores into the probabilities that the model itself gives: those of classes
        that exclude each other, or of labels that do not.
    single : bool
        Whether the model has a single output, which is about the second of two classes. The
        scores are then minus its logit, and its logit.
    """

    network: keras.Model
    activation: str = "softmax"
    single: bool = False

    def probabilities(self, scores):
        """Return the probability of each class from scores, both tensors, as float32."""
        return _ACTIVATIONS[self.activation](ops.cast(scores, "float32"))

    def probability_model(self):
        """Return a model from images to the probability of each class."""
        inputs = keras.tree.map_structure(
            lambda tensor: keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype),
            self.network.input,
        )
        return keras.Model(inputs, self.probabilities(self.network(inputs)))


def find_head(model, n_classes=None):
    """Find out how the outputs of a classifier are to be read.

    Parameters
    ----------
    model : keras.Model
        A classifier with outputs of shape (n, n_classes), or (n, 1) for two classes. It is left as
        it is.
    n_classes : int, default=None
        Number of classes that it is known to tell apart; tells a single logit from a regression.

    Returns
    -------
    head : Head
        Found by what the last layers compute, be they layers, activations, operations of
        ``keras.ops`` or functions; where those do not say it, by what the model gives for noise.

    Raises
    ------
    ValueError
        If the model is no classifier of whole images.
    """
    model = open_model(model)
    _check_outputs(model)
    end = _End(model)

    def reading(scores, *attributes):
        return Head(keras.Model(end.input, scores, name=f"{model.name}_logits"), *attributes)

    single = end.output.shape[-1] == 1
    if single and end.kind == "softmax":
        raise ValueError(
            f"model {model.name!r} ends in a softmax of a single output, which is always 1; end it "
            "in a sigmoid, or in one output for each of the two classes"
        )
    if single and end.kind == "sigmoid":
        return reading(_two_sided(end.before_activation()), "sigmoid", True)
    if single and end.kind == "linear" and n_classes == 2:
        return reading(_two_sided(end.output), "sigmoid", True)
    if end.kind in ("softmax", "sigmoid"):
        return reading(end.before_activation(), end.kind)
    if end.kind == "log_softmax":
        return reading(end.output)
    shares, sums_to_one = _look(keras.Model(end.input, end.output))
    if single and shares and end.kind == "unknown":
        return reading(_two_sided(_log_odds(end.output)), "sigmoid", True)
    if single:
        _refuse_regression(model)
    if shares and sums_to_one:
        return reading(_log(end.output))
    if shares and end.kind == "unknown":
        return reading(_log_odds(end.output), "sigmoid")
    return reading(end.output)


def logits_model(model):
    """Return a model of the same layers that gives logits, whichever activation followed them.

    Parameters
    ----------
    model : keras.Model
        A classifier with outputs of shape (n, n_classes). It is left as it is.

    Returns
    -------
    model : keras.Model
        From the same inputs.
    """
    return find_head(model).network


def probability_model(model):
    """Return a model of the same layers that ends in a softmax.

    Parameters
    ----------
    model : keras.Model
        A functional or Sequential classifier ending in logits or in a softmax.

    Returns
    -------
    model : keras.Model
        The model itself where it ends in a softmax already.
    """
    end = _End(open_model(model))
    if end.kind == "softmax":
        return model
    name = model.name.removesuffix("_logits")
    if isinstance(end.layer, PreActivation) and _kind_of(end.layer.layer.activation) == "softmax":
        # The dense layer as its user wrote it, so that the model is read without this package.
        return keras.Model(end.input, end.layer.layer(end.inputs[0]), name=name)
    softmax = keras.layers.Softmax(name="probabilities", dtype="float32")
    return keras.Model(end.input, softmax(end.output), name=name)


def with_scaled_logits(model, factor):
    """Return a copy of a classifier whose logits are multiplied by a number.

    Parameters
    ----------
    model : keras.Model
        A functional or Sequential classifier ending in a softmax. It is left as it is.
    factor : float
        The number.

    Returns
    -------
    model : keras.Model
        Of the same layers where the last of them is dense, whose weights then hold the factor;
        elsewhere of one more.
    """
    copy = copy_model(model)
    end = _End(logits_model(copy))
    dense = _unwrapped(end.layer)
    # A class of a user may do anything with its weights, and other numbers than those of its
    # kernel may take part in what is quantized or adapted.
    plain = (
        type(dense) is keras.layers.Dense
        and not getattr(dense, "lora_enabled", False)
        and getattr(dense, "quantization_mode", None) is None
    )
    if plain and sum(_unwrapped(call.layer) is dense for call in flatten_graph(copy).calls) == 1:
        for weight in dense.weights:
            weight.assign(weight * factor)
        return copy
    scaled = keras.layers.Rescaling(factor, name="inverse_temperature", dtype="float32")
    return probability_model(keras.Model(end.input, scaled(end.output), name=copy.name))


def _unwrapped(layer):
    """Return the layer inside those that only give it another name or leave its activation out."""
    while isinstance(layer, Alias | PreActivation):
        layer = layer.layer
    return layer


class _End:
    """The last layer or operation of a model that computes something.

    Attributes
    ----------
    input : structure of keras.KerasTensor
        The model's input.
    output : keras.KerasTensor
        What the layer gives.
    layer : keras.layers.Layer or keras.Operation
        The layer.
    inputs : list of keras.KerasTensor
        What it takes.
    kind : {"linear", "softmax", "sigmoid", "log_softmax", "unknown"}
        Its activation, or what it computes itself where it has no weights.
    """

    def __init__(self, model):
        self.input, self.output = ends(model)[0], model.outputs[0]
        found = self._walk(_plain_calls(model))
        if not found:
            # Something in the way is a model of its own, or is called more than once.
            graph = flatten_graph(model)
            self.input, self.output = graph.input, graph.outputs[0]
            found = self._walk(
                [(call.layer, list(call.inputs), call.output) for call in graph.calls]
            )
        if not found:
            raise ValueError(
                f"the output of model {model.name!r} is not the output of one of its layers"
            )

    def before_activation(self):
        """Return what the softmax or sigmoid takes, or what is as good where that is hidden."""
        if not getattr(self.layer, "weights", None):
            return self.inputs[0]
        if isinstance(self.layer, keras.layers.Dense):
            return PreActivation(self.layer, name=f"{self.layer.name}_logits")(self.inputs[0])
        return _log(self.output) if self.kind == "softmax" else _log_odds(self.output)

    def _walk(self, calls):
        """Go back to the last call that changes its input; return whether it is known."""
        while True:
            call = next((c for c in reversed(calls) if c[2] is self.output), None)
            if call is None:
                return False
            self.layer, self.inputs, _ = call
            self.kind = _kind_of_layer(self.layer, self.inputs, self.output)
            if self.kind != "linear" or getattr(self.layer, "weights", None):
                return True
            self.output = self.inputs[0]


def _plain_calls(model):
    """Return layer, inputs and output of what a model itself calls, once and not as a model."""
    calls = []
    for layer in getattr(model, "operations", model.layers):
        if not isinstance(layer, keras.Model):
            with contextlib.suppress(AttributeError, ValueError):
                calls.append((layer, keras.tree.flatten(layer.input), layer.output))
    return calls


def _kind_of_layer(layer, inputs, output):
    if isinstance(layer, keras.layers.InputLayer) or len(inputs) != 1:
        return "unknown"
    activated = isinstance(layer, (keras.layers.Activation, *ACTIVATIONS))
    if getattr(layer, "weights", None) and not isinstance(layer, ACTIVATIONS):
        function = getattr(layer, "activation", None)
        kind, activated = "linear" if function is None else _kind_of(function), True
    elif inputs[0].shape == output.shape:
        function, kind = layer, _kind_of(layer)
    else:
        return "unknown"
    if kind == "unknown" and activated:
        function = getattr(layer, "activation", layer)
        name = getattr(function, "__name__", type(function).__name__)
        raise ValueError(
            f"the model ends in the activation {name!r}; a classifier must end in softmax, sigmoid "
            "or logits"
        )
    return kind


def _kind_of(function):
    """Return which activation a function, layer or operation computes."""
    try:
        values = ops.convert_to_numpy(function(ops.convert_to_tensor(_PROBES)))
    # Whatever a user's function fails with, it is none of these activations.
    except Exception:
        return "unknown"
    # 16 bits hold three digits.
    tolerance = 1e-5 if values.dtype in ("float32", "float64") else 2e-2
    for kind, known in _ACTIVATIONS.items():
        expected = ops.convert_to_numpy(known(ops.convert_to_tensor(_PROBES)))
        if values.shape == expected.shape and np.allclose(
            values.astype("float32"), expected, atol=tolerance
        ):
            return kind
    return "unknown"


def _check_outputs(model):
    if len(model.outputs) != 1:
        names = getattr(model, "output_names", None) or len(model.outputs)
        raise ValueError(
            f"model {model.name!r} has several outputs, {names}; a classifier has one. Choose it: "
            "keras.Model(model.inputs, model.outputs[0])"
        )
    shape = model.outputs[0].shape
    if len(shape) != 2:
        raise ValueError(
            f"model {model.name!r} gives outputs of shape {tuple(shape[1:])} for an image, as for "
            "segmentation or detection; a classifier gives one value a class. Pool them: "
            "keras.Model(model.inputs, keras.layers.GlobalAveragePooling2D()(model.outputs[0]))"
        )


def _refuse_regression(model):
    raise ValueError(
        f"model {model.name!r} gives a single number, which may be a logit or a regression. If it "
        "is the logit of the second of two classes, say so: keras.Model(model.inputs, "
        "keras.layers.Activation('sigmoid')(model.outputs[0])); a regression has no classes"
    )


def _look(model):
    """Return whether a model's outputs are all in [0, 1], and whether each image's sum to 1."""
    rng = np.random.default_rng(0)
    # As images of both usual ranges. Where a model takes any size, this one will do.
    noise = [
        rng.random((6, *(64 if side is None else side for side in tensor.shape[1:])))
        * np.repeat([1.0, 255.0], 3).reshape(-1, *[1] * (len(tensor.shape) - 1))
        for tensor in model.inputs
    ]
    noise = [
        ops.cast(array, tensor.dtype) for array, tensor in zip(noise, model.inputs, strict=True)
    ]
    inputs = keras.tree.pack_sequence_as(model.input, noise)
    outputs = ops.convert_to_numpy(ops.cast(model(inputs, training=False), "float32"))
    tolerance = 1e-4 if model.outputs[0].dtype in ("float32", "float64") else 2e-2
    shares = ((outputs >= -tolerance) & (outputs <= 1 + tolerance)).all()
    return shares, np.allclose(outputs.sum(axis=-1), 1, atol=tolerance)


def _two_sided(logit):
    """Return the scores of both classes from the logit of the second."""
    return ops.concatenate([-logit, logit], axis=-1)


def _log(probabilities):
    return ops.log(ops.maximum(probabilities, TINY))


def _log_odds(probabilities):
    return _log(probabilities) - _log(1.0 - probabilities)
