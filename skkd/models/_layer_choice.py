"""The layers that a user names, as calls of a flat graph."""

import difflib
from numbers import Integral

import keras
import numpy as np
from keras import ops

from skkd.models._graph import NORMALIZATIONS, flatten_graph

CONVOLUTIONS = (
    keras.layers.Conv2D,
    keras.layers.Conv2DTranspose,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
)
# Layers that only thin out or spread what those before them have found.
_PASSIVE = (
    keras.layers.AveragePooling2D,
    keras.layers.Cropping2D,
    keras.layers.Dropout,
    keras.layers.GaussianNoise,
    keras.layers.Identity,
    keras.layers.MaxPooling2D,
    keras.layers.Permute,
    keras.layers.SpatialDropout2D,
    keras.layers.UpSampling2D,
    keras.layers.ZeroPadding2D,
)
_GLOBAL_POOLING = (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D)
# Operations of keras.ops by which networks pool globally; their classes are not public.
_REDUCTIONS = ("Amax", "Max", "Mean")
# What only arranges tokens anew.
_ARRANGING = (*_PASSIVE, *NORMALIZATIONS, keras.layers.Concatenate)


def choose_layers(graph, layout, layers, model_name):
    """Find the calls of the layers that a user names.

    Parameters
    ----------
    graph : FlatGraph
        The graph of the model.
    layout : Layout
        How its features lie over the image.
    layers : {"conv", "all"} or list of str or int
        All convolutions but those of globally pooled features, which weigh channels, as squeeze
        and excitation does, or classify, and what each step of a vision transformer makes of its
        tokens; every layer with a feature map; or some, by name or by position among the first.
    model_name : str
        Name of the model, for the message of an error.

    Returns
    -------
    calls : list of LayerCall
        The calls, in the order asked for.
    """
    with_maps = [call for call in graph.calls if layout.size(call.output) is not None]
    convolutions = [call for call in with_maps if isinstance(call.layer, CONVOLUTIONS)]
    pooled = _pooled(graph, layout)
    convolutions = [c for c in convolutions if id(c.output) not in pooled] or convolutions
    steps = {id(call.output) for call in _shared(graph) if _is_step(call, layout)}
    steps |= {id(call.output) for call in convolutions}
    convolutions = [call for call in with_maps if id(call.output) in steps]
    if layers == "all" and with_maps:
        return with_maps
    if not convolutions and (isinstance(layers, str) or not with_maps):
        raise ValueError(
            f"model {model_name!r} has no convolution to explain, over height and width, and no "
            "tokens that lie over the image; its layers are "
            f"{[call.name for call in graph.calls]}"
        )
    if isinstance(layers, str):
        return convolutions
    by_name = {call.name: call for call in with_maps}
    return [_named_layer(layer, by_name, convolutions) for layer in layers]


def last_layer(network, graph, layout, model_name):
    """Find the last call with a feature map of more than one place that decides everything.

    Parameters
    ----------
    network : keras.Model
        The model.
    graph : FlatGraph
        Its graph.
    layout : Layout
        How the features of this graph lie over the image.
    model_name : str
        Name of the model, for the message of an error.

    Returns
    -------
    name : str
        Name of the call. Every way from the input to the output leads through what it gives, as it
        does not through one branch or through the residual before the sum. Pooling does not
        count, nor do tokens of which only that of the class is read further on.
    """
    shared = [call for call in _shared(graph) if layout.has_extent(call.output)]
    while shared and isinstance(shared[-1].layer, _PASSIVE):
        shared.pop()
    if not shared:
        names = [call.name for call in choose_layers(graph, layout, "conv", model_name)]
        raise ValueError(
            f"model {model_name!r} has no layer with a feature map through which every way leads "
            f"to its output; name one, or a list of them, such as layer={names[-1]!r}"
        )
    chosen = shared[-1]
    if layout.grid(chosen.output):
        tokens = [call for call in shared if layout.grid(call.output)]
        return _last_read(network, layout, [call.name for call in tokens])
    for convolution in reversed(choose_layers(graph, layout, "all", model_name)):
        if isinstance(convolution.layer, CONVOLUTIONS):
            # The activation after a convolution is known by the convolution's name.
            activated = graph.activated(convolution) is chosen.output
            return convolution.name if activated else chosen.name
    return chosen.name


def _last_read(network, layout, names):
    """Return the last of some calls whose tokens of the image decide what a network gives.

    After its last attention, those of a network that classifies by a token of its own do not.
    """
    graph = flatten_graph(network, taps=names)
    inputs = [*keras.tree.flatten(graph.input), *graph.taps]
    model = keras.Model(inputs, graph.outputs[0])
    rng = np.random.default_rng(0)
    image = rng.random((1, *inputs[0].shape[1:]))
    zeros = [np.zeros((1, *tap.shape[1:])) for tap in graph.taps]

    def outputs(added):
        tensors = [
            ops.cast(array, tensor.dtype)
            for array, tensor in zip([image, *added], inputs, strict=True)
        ]
        return ops.convert_to_numpy(ops.cast(model(tensors, training=False), "float32"))

    plain = outputs(zeros)
    for number in reversed(range(len(names))):
        grid = layout.grid(graph.taps[number])
        change = zeros[number].copy()
        places = change[:, grid.start : grid.start + grid.height * grid.width]
        places[:] = rng.normal(size=places.shape)
        changed = outputs([*zeros[:number], change, *zeros[number + 1 :]])
        if np.abs(changed - plain).max() > 1e-6 * max(1.0, np.abs(plain).max()):
            return names[number]
    return names[-1]


def _is_step(call, layout):
    """Return whether a call makes something of the tokens of a vision transformer."""
    # The operation of keras.ops is called as the layer is.
    if isinstance(call.layer, _ARRANGING) or type(call.layer).__name__ == "Reshape":
        return False
    return layout.grid(call.output) is not None


def _shared(graph):
    """Return the calls through whose output every way from the input to the output leads."""
    wanted, calls = {id(graph.outputs[0])}, []
    for call in reversed(graph.calls):
        if id(call.output) in wanted:
            calls.insert(0, call)
            wanted |= {id(tensor) for tensor in call.inputs}
    last_reader = {id(t): number for number, call in enumerate(calls) for t in call.inputs}
    made_here = {id(call.output) for call in calls}
    # The last call that reads anything from before the one at hand.
    horizon = max((n for t, n in last_reader.items() if t not in made_here), default=0)
    shared = []
    for number, call in enumerate(calls):
        if horizon <= number:
            shared.append(call)
        horizon = max(horizon, last_reader.get(id(call.output), number))
    return shared


def _pooled(graph, layout):
    """Return the ids of the tensors that a global pooling has left without an extent."""
    pooled = set()
    for call in graph.calls:
        after = any(id(tensor) in pooled for tensor in call.inputs)
        if (
            isinstance(call.layer, _GLOBAL_POOLING)
            or type(call.layer).__name__ in _REDUCTIONS
            or (after and not layout.has_extent(call.output))
        ):
            pooled.add(id(call.output))
    return pooled


def _named_layer(layer, by_name, convolutions):
    if isinstance(layer, str) and layer in by_name:
        return by_name[layer]
    if isinstance(layer, Integral) and -len(convolutions) <= layer < len(convolutions):
        return convolutions[layer]
    near = difflib.get_close_matches(str(layer), by_name, n=3, cutoff=0.0)
    raise ValueError(
        f"{layer!r} is not a layer with a feature map; the closest are {near}, and positions run "
        f"from 0 to {len(convolutions) - 1}"
    )
