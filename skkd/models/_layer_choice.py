"""The layers that a user names, as calls of a flat graph."""

import difflib
from numbers import Integral

import keras

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


def choose_layers(graph, layers, model_name):
    """Find the calls of the layers that a user names.

    Parameters
    ----------
    graph : FlatGraph
        The graph of the model.
    layers : {"conv", "all"} or list of str or int
        All convolutions but those of globally pooled features, which weigh channels, as squeeze
        and excitation does, or classify; every layer with a feature map; or some, by name or by
        position among these convolutions.
    model_name : str
        Name of the model, for the message of an error.

    Returns
    -------
    calls : list of LayerCall
        The calls, in the order asked for.
    """
    with_maps = [call for call in graph.calls if len(call.output.shape) == 4]
    convolutions = [call for call in with_maps if isinstance(call.layer, CONVOLUTIONS)]
    pooled = _pooled(graph)
    convolutions = [c for c in convolutions if id(c.output) not in pooled] or convolutions
    if layers == "all" and with_maps:
        return with_maps
    if not convolutions and (isinstance(layers, str) or not with_maps):
        raise ValueError(
            f"model {model_name!r} has no convolution to explain; its layers are "
            f"{[call.name for call in graph.calls]}"
        )
    if isinstance(layers, str):
        return convolutions
    by_name = {call.name: call for call in with_maps}
    return [_named_layer(layer, by_name, convolutions) for layer in layers]


def last_layer(graph, model_name):
    """Find the last call with a feature map of more than one place that decides everything.

    Parameters
    ----------
    graph : FlatGraph
        The graph of the model.
    model_name : str
        Name of the model, for the message of an error.

    Returns
    -------
    call : LayerCall
        Every way from the input to the output leads through what it gives, as it does not
        through one branch or through the residual before the sum. Pooling does not count.
    """
    first = channels_first(graph)
    shared = [call for call in _shared(graph) if _has_extent(call.output, first)]
    while shared and isinstance(shared[-1].layer, _PASSIVE):
        shared.pop()
    if not shared:
        names = [call.name for call in choose_layers(graph, "conv", model_name)]
        raise ValueError(
            f"model {model_name!r} has no layer with a feature map through which every way leads "
            f"to its output; name one, or a list of them, such as layer={names[-1]!r}"
        )
    chosen = shared[-1]
    for convolution in reversed(choose_layers(graph, "all", model_name)):
        if isinstance(convolution.layer, CONVOLUTIONS):
            # The activation after a convolution is known by the convolution's name.
            return convolution if graph.activated(convolution) is chosen.output else chosen
    return chosen


def channels_first(graph):
    """Return whether a network has its channels on the first axis of a feature map."""
    formats = [getattr(call.layer, "data_format", None) for call in graph.calls]
    return "channels_first" in formats


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


def _pooled(graph):
    """Return the ids of the tensors that a global pooling has left without an extent."""
    first, pooled = channels_first(graph), set()
    for call in graph.calls:
        after = any(id(tensor) in pooled for tensor in call.inputs)
        if (
            isinstance(call.layer, _GLOBAL_POOLING)
            or type(call.layer).__name__ in _REDUCTIONS
            or (after and not _has_extent(call.output, first))
        ):
            pooled.add(id(call.output))
    return pooled


def _has_extent(tensor, first):
    if len(tensor.shape) != 4:
        return False
    sides = tensor.shape[2:] if first else tensor.shape[1:3]
    return any(side != 1 for side in sides)


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
