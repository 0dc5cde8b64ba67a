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


def choose_layers(graph, layers, model_name):
    """Find the calls of the layers that a user names.

    Parameters
    ----------
    graph : FlatGraph
        The graph of the model.
    layers : {"conv", "all"} or list of str or int
        All convolutions; every layer with a feature map; or some, by name or by position among
        the convolutions.
    model_name : str
        Name of the model, for the message of an error.

    Returns
    -------
    calls : list of LayerCall
        The calls, in the order asked for.
    """
    with_maps = [call for call in graph.calls if len(call.output.shape) == 4]
    convolutions = [call for call in with_maps if isinstance(call.layer, CONVOLUTIONS)]
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
