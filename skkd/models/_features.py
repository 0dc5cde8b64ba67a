"""Networks that give what their hidden layers see beside their logits."""

import difflib

import keras
from keras import layers, ops

from skkd.models._copies import copy_model
from skkd.models._graph import flatten_graph


def with_features(build, names, channels, kind):
    """Make a network that gives its hidden features after its logits.

    ``build`` makes the network, from images to logits, ``names`` are layers of it, and ``channels``
    those that their features are to have: where a layer has others, a learned 1x1 convolution
    brings them there. `without_features` gives back the network, which has no part in it.
    """
    model = build()
    graph = flatten_graph(model)
    features = []
    for number, (name, n_channels) in enumerate(zip(names, channels, strict=True)):
        ours = named_call(graph, name, "student").output
        if kind == "mse" and ours.shape[-1] != n_channels:
            projection = f"hint_projection{number + 1}"
            if len(ours.shape) == 4:
                ours = layers.Conv2D(n_channels, 1, name=projection)(ours)
            else:
                ours = layers.Dense(n_channels, name=projection)(ours)
        features.append(flat_features(ours, kind, number + 1))
    outputs = layers.Concatenate(name="with_hints")([graph.outputs[0], *features])
    return copy_model(graph.model(outputs, name=model.name))


def without_features(model):
    """Return the network from images to logits inside one that `with_features` made.

    Any other is returned as it is.
    """
    if all(layer.name != "with_hints" for layer in model.layers):
        return model
    return keras.Model(model.input, model.get_layer("with_hints").input[0], name=model.name)


def flat_features(features, kind, number):
    """Return features, or their attention map scaled to length 1, as one row an image.

    ``number`` names the layers: those that Keras would call "flatten" and so on may be there.

    Attention: S. Zagoruyko and N. Komodakis, "Paying more attention to attention", ICLR 2017.
    Features: A. Romero et al., "FitNets: hints for thin deep nets", ICLR 2015.
    """
    if kind == "attention":
        features = ops.mean(ops.square(features), axis=-1)
    flat = layers.Flatten(name=f"hint_flat{number}")(features)
    if kind != "attention":
        return flat
    return layers.UnitNormalization(name=f"hint_length{number}")(flat)


def named_call(graph, name, side):
    """Return the call of a layer by its name; ``side`` says whose it is, for errors."""
    for call in graph.calls:
        if call.name == name:
            return call
    names = [call.name for call in graph.calls]
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.0)
    raise ValueError(f"hints: the {side} has no layer {name!r}; the closest are {near}")
