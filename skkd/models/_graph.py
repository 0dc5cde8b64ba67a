"""A Keras model as one flat graph of its leaf layers, however deeply they are nested."""

import contextlib
import threading
from dataclasses import dataclass, field

import keras
from keras import ops

ACTIVATIONS = (
    keras.layers.Activation,
    keras.layers.ELU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ReLU,
)

NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
)
# What keras.ops.relu and the like put into a functional model is not a layer, and its classes are
# not public.
ACTIVATION_OPERATIONS = (
    *("Celu", "Elu", "Gelu", "HardSigmoid", "HardSilu", "HardTanh", "LeakyRelu", "Mish", "ReLU"),
    *("Relu", "Relu6", "Selu", "Sigmoid", "Silu", "Softplus", "Softsign", "Tanh"),
)


@dataclass(frozen=True)
class LayerCall:
    """One call of a leaf layer inside a model.

    Attributes
    ----------
    name : str
        Name of the layer, with the names of the models it is nested in before it
        ("densenet121/conv1_conv"); unique within the model.
    layer : keras.layers.Layer or keras.Operation
        The layer itself, shared with the model, or an operation of ``keras.ops``.
    inputs : tuple of keras.KerasTensor
        Its symbolic inputs in the flattened graph.
    output : keras.KerasTensor
        Its symbolic output in the flattened graph, with its tap added if it has one.
    """

    name: str
    layer: keras.layers.Layer
    inputs: tuple = field(repr=False)
    output: keras.KerasTensor = field(repr=False)


@dataclass(frozen=True)
class FlatGraph:
    """A model re-drawn without nesting, sharing every layer and so every weight.

    Attributes
    ----------
    input : keras.KerasTensor or structure of them
        The symbolic input.
    outputs : list of keras.KerasTensor
        The symbolic outputs.
    calls : list of LayerCall
        Every leaf layer's call, in the order in which data passes through them.
    taps : list of keras.KerasTensor
        Inputs that are added to the outputs of the layers asked for, in the order asked for.
    """

    input: keras.KerasTensor = field(repr=False)
    outputs: list = field(repr=False)
    calls: list = field(repr=False)
    taps: list = field(repr=False, default_factory=list)

    def activated(self, call):
        """Return a layer's output after the activation that follows it.

        Parameters
        ----------
        call : LayerCall
            One of ``calls``.

        Returns
        -------
        output : keras.KerasTensor
            The output of the activation layer that alone reads this layer's output, directly or
            through a normalization; the layer's own output if there is none.
        """
        output = call.output
        while True:
            readers = [c for c in self.calls if any(t is output for t in c.inputs)]
            if len(readers) != 1:
                return call.output
            output = readers[0].output
            layer = readers[0].layer
            if isinstance(layer, ACTIVATIONS) or type(layer).__name__ in ACTIVATION_OPERATIONS:
                return output
            if not isinstance(layer, NORMALIZATIONS):
                return call.output

    def name_of(self, tensor):
        """Return the name of the call whose output a tensor is."""
        return next(call.name for call in self.calls if call.output is tensor)

    def model(self, outputs, name=None):
        """Return a model from this graph's inputs to any tensors of it."""
        return keras.Model(self.input, outputs, name=name)


def check_built(model):
    """Raise unless a model has known inputs, which a model that was never called has not."""
    if not model.built or not getattr(model, "inputs", None):
        raise ValueError(
            f"model {model.name!r} has no input shape yet; give it a keras.Input as first layer, "
            "or write it with the functional API"
        )


def open_model(model):
    """Return a model whose layers can be walked.

    Parameters
    ----------
    model : keras.Model
        Any model. A subclassed one must have been built or called, and must consist of layers and
        of operations of ``keras.ops``.

    Returns
    -------
    model : keras.Model
        The model itself where it is functional or Sequential; otherwise a functional one of the
        same layers.
    """
    if _is_open(model):
        check_built(model)
        return model
    shape = (model.get_build_config() or {}).get("input_shape")
    if not model.built or shape is None:
        raise ValueError(
            f"model {model.name!r} has no input shape yet; call it once on images before"
        )
    try:
        return _draw(model, (None, *shape[1:]), None)
    except Exception as error:
        raise ValueError(
            f"model {model.name!r} is a subclass of keras.Model whose call cannot be drawn as a "
            f"graph of Keras layers and keras.ops: {error}"
        ) from error


def _draw(model, shape, dtype):
    """Make a functional model of what a subclassed model calls."""
    inputs = keras.Input(batch_shape=shape, dtype=dtype)
    return keras.Model(inputs, model.call(inputs), name=model.name)


_DRAWING = threading.RLock()


@contextlib.contextmanager
def without_traces(model):
    """Draw graphs over a model's layers and leave none of it on them.

    Keras writes every symbolic call of a layer down on that layer, for good. What is written
    inside this context is taken off at its end. One thread at a time is inside.

    Parameters
    ----------
    model : keras.Model
        The model whose layers are called, nested ones included.

    Notes
    -----
    A model made inside can be called afterwards, and gives the gradients that it did. Save,
    clone or nest it inside: these look for its calls on the layers.
    """
    with _DRAWING:
        lists = [
            nodes
            for operation in _all_operations(model)
            for nodes in (operation._inbound_nodes, operation._outbound_nodes)
        ]
        lengths = [len(nodes) for nodes in lists]
        try:
            yield
        finally:
            for nodes, length in zip(lists, lengths, strict=True):
                del nodes[length:]


def _all_operations(model):
    """Return a model, the layers within its layers, and the operations between them, each once."""
    found = {}
    for layer in model._flatten_layers():
        for operation in (layer, *getattr(layer, "operations", ())):
            found[id(operation)] = operation
    return list(found.values())


def ends(model):
    """Return the structures of a model's own input and output tensors."""
    if isinstance(model, keras.Sequential):
        # Its ``input`` and ``output`` are those of the first model that it is nested in.
        return model.inputs[0], model.outputs[0]
    return model.input, model.output


def flatten_graph(model, image_shape=None, taps=(), batch_size=None):
    """Re-draw a model without nested models.

    Parameters
    ----------
    model : keras.Model
        A model; models nested in it to any depth are opened. A subclassed one that does more than
        call layers and ``keras.ops`` counts as one layer where it is nested.
    image_shape : tuple of int, default=None
        Shape of one image, for models of any input size. None keeps the model's own.
    taps : sequence of str, default=()
        Names of calls to whose output a new input is added. Where that input is zero the model
        computes what it did, and the gradient with respect to the input is the one with respect
        to the layer's output.
    batch_size : int, default=None
        Number of images in a batch. None keeps the model's own.

    Returns
    -------
    graph : FlatGraph
        The same computation over the same layers. ``keras.Model(model.inputs, inner.output)``
        fails for layers of nested models; a model made from this graph does not.
    """
    model = open_model(model)
    inputs = [
        keras.Input(
            batch_shape=(
                batch_size or (tensor.shape[0] if image_shape is None else None),
                *(tensor.shape[1:] if image_shape is None else image_shape),
            ),
            dtype=tensor.dtype,
            name=tensor.name.split(":")[0],
        )
        for tensor in model.inputs
    ]
    calls = []
    tapped = dict.fromkeys(taps)
    outputs = _redraw(model, inputs, calls, tapped, prefix="")
    inputs = keras.tree.pack_sequence_as(ends(model)[0], inputs)
    return FlatGraph(inputs, outputs, calls, list(tapped.values()))


def _redraw(model, inputs, calls, tapped, prefix):
    def call(layer, *args, **kwargs):
        if isinstance(layer, keras.Model):
            opened = _open_nested(layer, args)
            if opened is not None:
                flat_args = keras.tree.flatten(args)
                # What only gives a model its images in another form is called as the model is.
                inner = prefix if layer.name == model.name else f"{prefix}{layer.name}/"
                outputs = _redraw(opened, flat_args, calls, tapped, inner)
                return keras.tree.pack_sequence_as(ends(opened)[1], outputs)
        name = _unique(f"{prefix}{layer.name}", calls)
        output = _renamed(layer, name, calls)(*args, **kwargs)
        if name in tapped:
            tapped[name] = keras.Input(batch_shape=output.shape, dtype=output.dtype)
            output = ops.add(output, tapped[name])
        tensors = tuple(
            tensor
            for tensor in keras.tree.flatten((args, kwargs))
            if isinstance(tensor, keras.KerasTensor)
        )
        calls.append(LayerCall(name, layer, tensors, keras.tree.flatten(output)[0]))
        return output

    if isinstance(model, keras.Sequential):
        (tensor,) = inputs
        for layer in model.layers:
            tensor = call(layer, tensor)
        return [tensor]
    # keras.models.clone_model with a call_function does the same, but then makes a model of the
    # result, which fails for a nested model whose inputs are other layers' outputs.
    outputs = model._run_through_graph(
        keras.tree.pack_sequence_as(model.input, inputs),
        operation_fn=lambda layer: layer,
        call_fn=call,
    )
    return keras.tree.flatten(outputs)


def _is_open(model):
    """Whether the graph inside a model is known, as it is not for a subclassed one."""
    return isinstance(model, keras.Sequential) or hasattr(model, "operations")


def _open_nested(model, args):
    """Return a model to walk in the place of a nested one, None where that cannot be had."""
    if _is_open(model):
        return model
    tensors = keras.tree.flatten(args)
    if len(tensors) != 1:
        return None
    try:
        return _draw(model, tensors[0].shape, tensors[0].dtype)
    except Exception:
        return None


def _renamed(layer, name, calls):
    """Return a layer that may stand in one model with those called before.

    Keras asks that names be unique, which those of two nested models need not be.
    """
    if isinstance(layer, keras.layers.Layer) and any(
        call.layer is not layer and call.layer.name == layer.name for call in calls
    ):
        return Alias(layer, name=name.replace("/", "_").replace(":", "_"))
    return layer


@keras.saving.register_keras_serializable("skkd")
class Alias(keras.layers.Wrapper):
    """A layer under another name, sharing its weights.

    Parameters
    ----------
    layer : keras.layers.Layer
        The layer that is called.
    """

    def call(self, *args, **kwargs):
        """Return what the layer does."""
        return self.layer(*args, **kwargs)


def _unique(name, calls):
    taken = sum(call.name.split(":")[0] == name for call in calls)
    return f"{name}:{taken}" if taken else name
