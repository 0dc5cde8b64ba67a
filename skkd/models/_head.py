"""The end of a classifier: from its last layer to logits or to probabilities."""

import keras
from keras import ops

from skkd.models._graph import ends, flatten_graph, open_model

# The smallest normal float32: log of it is finite.
TINY = 1.1754944e-38


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


def logits_model(model):
    """Return a model of the same layers that stops short of the final softmax or sigmoid.

    Parameters
    ----------
    model : keras.Model
        A classifier with outputs of shape (n, n_classes), ending in logits, or in a softmax or
        sigmoid that is a layer of its own or a dense layer's activation. It is left as it is.

    Returns
    -------
    model : keras.Model
        From the same inputs to logits. A softmax that follows no dense layer gives log(p), which
        equals the logits up to a constant per image that softmax ignores.
    """
    layer, model_input, layer_input, output = _head(model)
    name = _activation_name(layer)
    if name == "linear":
        logits = output
    elif name not in ("softmax", "sigmoid"):
        raise ValueError(
            f"model {model.name!r} ends in the activation {name!r}; a classifier must end in "
            "softmax, sigmoid or logits"
        )
    elif isinstance(layer, keras.layers.Softmax | keras.layers.Activation):
        logits = layer_input
    elif isinstance(layer, keras.layers.Dense):
        logits = PreActivation(layer, name=f"{layer.name}_logits")(layer_input)
    else:
        logits = ops.log(ops.maximum(output, TINY))
        if name == "sigmoid":
            logits = logits - ops.log(ops.maximum(1.0 - output, TINY))
    return keras.Model(model_input, logits, name=f"{model.name}_logits")


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
    layer, model_input, layer_input, output = _head(model)
    if _activation_name(layer) == "softmax":
        return model
    if isinstance(layer, PreActivation) and _activation_name(layer.layer) == "softmax":
        # The dense layer as its user wrote it, so that the model is read without this package.
        return keras.Model(model_input, layer.layer(layer_input), name=_without_suffix(model))
    softmax = keras.layers.Softmax(name="probabilities", dtype="float32")
    return keras.Model(model_input, softmax(output), name=_without_suffix(model))


def _without_suffix(model):
    return model.name.removesuffix("_logits")


def _head(model):
    """Return a model's last layer, the model's input, the layer's input and its output."""
    model = open_model(model)
    if len(model.outputs) != 1:
        raise ValueError(
            f"model {model.name!r} has {len(model.outputs)} outputs; a classifier has one"
        )
    last = model.layers[-1]
    if not isinstance(last, keras.Model) and last.output is model.outputs[0]:
        return last, ends(model)[0], last.input, model.outputs[0]
    graph = flatten_graph(model)
    for call in reversed(graph.calls):
        if call.output is graph.outputs[0]:
            return call.layer, graph.input, call.inputs[0], call.output
    raise ValueError(f"the output of model {model.name!r} is not the output of one of its layers")


def _activation_name(layer):
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    activation = getattr(layer, "activation", None)
    return "linear" if activation is None else getattr(activation, "__name__", "unknown")
