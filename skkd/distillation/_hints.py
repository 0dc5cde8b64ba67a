"""Learning from what a teacher's hidden layers see."""

import difflib

import keras
import numpy as np
from keras import layers, ops

from skkd.models._adapter import adapt_input
from skkd.models._batches import Batches, predict_batches
from skkd.models._graph import flatten_graph, own_layers


class Hints:
    """Pairs of a teacher's and a student's layers whose features are to be alike.

    Parameters
    ----------
    pairs : dict of str to str
        Name of a layer of the teacher: name of a layer of the student. Layers of nested models
        are called "outer/inner".
    kind : {"mse", "attention"}
        Compare features as they are, or the maps of their mean squares over channels.
    teacher : keras.Model
        The teacher's network.
    student : keras.Model
        A network of the student's architecture.
    """

    def __init__(self, pairs, kind, teacher, student):
        self.kind = kind
        teacher_graph, student_graph = flatten_graph(teacher), flatten_graph(student)
        self._student_names = []
        self._channels = []
        outputs = []
        for teacher_name, student_name in pairs.items():
            theirs = _named(teacher_graph, teacher_name, "teacher").output
            ours = _named(student_graph, student_name, "student").output
            if len(theirs.shape) != len(ours.shape) or len(ours.shape) not in (2, 4):
                raise ValueError(
                    f"hints: layer {teacher_name!r} of the teacher gives shape {theirs.shape[1:]}, "
                    f"layer {student_name!r} of the student {ours.shape[1:]}; both must be "
                    "feature maps, or both vectors"
                )
            if kind == "attention" and len(ours.shape) == 2:
                raise ValueError(
                    f"hint_loss='attention' needs feature maps; layer {student_name!r} gives "
                    "vectors"
                )
            if len(ours.shape) == 4 and theirs.shape[1:3] != ours.shape[1:3]:
                theirs = ops.image.resize(theirs, ours.shape[1:3])
            self._student_names.append(student_name)
            self._channels.append(int(theirs.shape[-1]))
            outputs.append(_flat(theirs, kind))
        joined = outputs[0] if len(outputs) == 1 else layers.Concatenate()(outputs)
        self._teacher_features = teacher_graph.model(joined)
        self.sizes = [int(output.shape[-1]) for output in outputs]

    def targets(self, images, batch_size):
        """Return the teacher's features of all images, of shape (n, sum of sizes), float32.

        They are computed once and kept in memory, resized to the student's layers.
        """
        batches = Batches(images, batch_size=batch_size)
        features = adapt_input(self._teacher_features, tuple(images.shape[1:]))
        return predict_batches(features, batches).astype(np.float32)

    @property
    def attachment(self):
        """What `with_hints` needs to know, without the teacher."""
        return {"names": self._student_names, "channels": self._channels, "kind": self.kind}


def with_hints(build, names, channels, kind):
    """Make a network that gives its hidden features after its logits.

    Parameters
    ----------
    build : callable
        Makes the network, from images to logits.
    names : list of str
        Layers of the network.
    channels : list of int
        Channels of the teacher's features, to which a learned 1x1 convolution brings ours.
    kind : {"mse", "attention"}
        As in `Hints`.

    Returns
    -------
    model : keras.Model
        `without_hints` gives back the network, which has no part in the convolutions.
    """
    model = build()
    graph = flatten_graph(model)
    features = []
    for number, (name, n_channels) in enumerate(zip(names, channels, strict=True)):
        ours = _named(graph, name, "student").output
        if kind == "mse" and ours.shape[-1] != n_channels:
            projection = f"hint_projection{number + 1}"
            if len(ours.shape) == 4:
                ours = layers.Conv2D(n_channels, 1, name=projection)(ours)
            else:
                ours = layers.Dense(n_channels, name=projection)(ours)
        features.append(_flat(ours, kind))
    outputs = layers.Concatenate(name="with_hints")([graph.outputs[0], *features])
    return own_layers(graph.model(outputs, name=model.name))


def without_hints(model):
    """Return the network from images to logits inside one that `with_hints` made.

    Any other is returned as it is.
    """
    if all(layer.name != "with_hints" for layer in model.layers):
        return model
    return keras.Model(model.input, model.get_layer("with_hints").input[0], name=model.name)


def _flat(features, kind):
    """Return features, or their attention map scaled to length 1, as one row an image.

    Attention: S. Zagoruyko and N. Komodakis, "Paying more attention to attention", ICLR 2017.
    Features: A. Romero et al., "FitNets: hints for thin deep nets", ICLR 2015.
    """
    if kind == "attention":
        features = ops.mean(ops.square(features), axis=-1)
    flat = layers.Flatten()(features)
    return layers.UnitNormalization()(flat) if kind == "attention" else flat


def _named(graph, name, side):
    for call in graph.calls:
        if call.name == name:
            return call
    names = [call.name for call in graph.calls]
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.0)
    raise ValueError(f"hints: the {side} has no layer {name!r}; the closest are {near}")
