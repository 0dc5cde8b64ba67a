"""Where the places of an image are in the inputs and the features of a network."""

import keras
import numpy as np
from keras import ops

from skkd.images import ImagePaths, as_images
from skkd.images._stores import StoredImages
from skkd.models._graph import ends, flatten_graph
from skkd.models._tokens import find_grids

_OTHER_INPUTS = {
    2: "rows of a table",
    3: "signals or sequences",
    5: "volumes or videos",
}
# Operations by which a network gives its images a channel axis, or none.
_RESHAPES = ("ExpandDims", "Flatten", "Reshape")
_ELEMENTWISE = ("Add", "Cast", "Divide", "Multiply", "Normalization", "Rescaling", "Subtract")


def image_layout(model):
    """Return how a model of one input takes an image.

    Parameters
    ----------
    model : keras.Model
        Functional or Sequential, of one input.

    Returns
    -------
    layout : {"channels_last", "channels_first", "no_channels"}
        The last is that of gray images of shape (height, width), to which the model itself adds an
        axis.

    Raises
    ------
    ValueError
        If it takes no images.
    """
    shape = tuple(model.inputs[0].shape[1:])
    if len(shape) == 3:
        return "channels_first" if _takes_channels_first(model) else "channels_last"
    if len(shape) == 2 and _reshapes_first(model):
        return "no_channels"
    what = _OTHER_INPUTS.get(len(shape) + 1, "no images")
    raise ValueError(
        f"model {model.name!r} takes inputs of shape {shape}, which are {what}; what is explained "
        "are images, (height, width, channels) or (channels, height, width)"
    )


def image_network(network):
    """Return a network of the same layers that takes images with their channels last.

    Parameters
    ----------
    network : keras.Model
        Functional or Sequential, of one input.

    Returns
    -------
    network : keras.Model
        The network itself where it takes such images.
    """
    layout = image_layout(network)
    if layout == "channels_last":
        return network
    tensor = network.inputs[0]
    if layout == "channels_first":
        channels, *sides = tensor.shape[1:]
        images = keras.Input((*sides, channels), dtype=tensor.dtype)
        x = ops.transpose(images, (0, 3, 1, 2))
    else:
        images = keras.Input((*tensor.shape[1:], 1), dtype=tensor.dtype)
        x = ops.squeeze(images, axis=-1)
    # Under its own name: the names of its layers stay what they are.
    packed = keras.tree.pack_sequence_as(ends(network)[0], [x])
    return keras.Model(images, network(packed), name=network.name)


def read_as_taken(X, shape, layout, reader=None):
    """Read what a user calls images as a network of `image_network` takes them.

    Parameters
    ----------
    X : array-like or paths
        Arrays in the layout of the model itself, or with their channels last.
    shape : tuple of (height, width, channels)
        What the network takes, None where that is any.
    layout : {"channels_last", "channels_first", "no_channels"}
        That of the model.
    reader : NetworkClassifier, default=None
        Which says in what window files are read, and what type their pixels had in training.

    Returns
    -------
    images : array-like of shape (n, height, width, channels), or as X
        What is of another shape is left for the caller to refuse.
    """
    height, width, channels = shape
    images = as_images(
        X,
        image_size=None if None in (height, width) else (height, width),
        color_mode={1: "grayscale", 3: "rgb"}.get(channels),
        window="header" if reader is None else reader.window,
    )
    if reader is not None and isinstance(images, ImagePaths):
        reader._check_files(images)
    if layout != "channels_first" or isinstance(images, ImagePaths) or len(images.shape) != 4:
        return images
    wanted = (channels, height, width)
    if any(w not in (None, have) for w, have in zip(wanted, images.shape[1:], strict=True)):
        return images
    if isinstance(images, StoredImages):
        return StoredImages(images.source, channels_first=True)
    return np.moveaxis(images, 1, -1)


class Layout:
    """How the features of a flat graph lie over the image.

    Parameters
    ----------
    graph : FlatGraph
        The graph of a network that takes images with their channels last.
    """

    def __init__(self, graph):
        self._first = _channels_first(graph)
        self._moved = {id(call.output) for call in graph.calls if _axes(call.layer) is not None}
        self._grids = find_grids(graph)

    def size(self, tensor):
        """Return the height and width of a tensor's features, None where they are no maps."""
        shape = tensor.shape
        if id(tensor) in self._moved:
            # The features are those before, under other axes.
            return None
        if len(shape) == 4:
            return tuple(shape[2:] if id(tensor) in self._first else shape[1:3])
        grid = self.grid(tensor)
        return None if grid is None else (grid.height, grid.width)

    def has_extent(self, tensor):
        """Return whether a tensor is a map of more than one place."""
        size = self.size(tensor)
        return size is not None and any(side != 1 for side in size)

    def maps(self, tensor, values=None):
        """Return features as maps.

        Parameters
        ----------
        tensor : keras.KerasTensor
            A tensor of the graph.
        values : tensor, default=None
            What is to be laid out as it is, of the same shape. None: itself.

        Returns
        -------
        maps : tensor of shape (n, height, width, channels)
            Tokens that are no part of the image, such as that of the class, are left out.
        """
        values = tensor if values is None else values
        if len(tensor.shape) == 4:
            return ops.moveaxis(values, 1, -1) if id(tensor) in self._first else values
        grid = self.grid(tensor)
        tokens = values[:, grid.start : grid.start + grid.height * grid.width]
        return ops.reshape(tokens, (-1, grid.height, grid.width, tensor.shape[-1]))

    def grid(self, tensor):
        """Return the `Grid` of a sequence of tokens with places in the image, or None."""
        return self._grids.get(tensor.shape[1]) if len(tensor.shape) == 3 else None


def _takes_channels_first(model):
    # Most models have no such layer at all, which is seen without drawing them.
    formats = [getattr(layer, "data_format", None) for layer in model._flatten_layers()]
    if "channels_first" not in formats:
        return False
    for call in flatten_graph(model).calls:
        data_format = getattr(call.layer, "data_format", None)
        if _axes(call.layer) is not None:
            return False
        if data_format is not None:
            return data_format == "channels_first"
    return False


def _reshapes_first(model):
    for call in flatten_graph(model).calls:
        name = type(call.layer).__name__
        if name in _RESHAPES:
            return True
        if name not in (*_ELEMENTWISE, "InputLayer"):
            return False
    return False


def _channels_first(graph):
    """Return the ids of the tensors that have their channels on the first axis."""
    first = set()
    for call in graph.calls:
        data_format, axes = getattr(call.layer, "data_format", None), _axes(call.layer)
        if axes is not None:
            here = axes == (3, 1, 2)
        elif data_format is not None:
            here = data_format == "channels_first"
        else:
            here = any(id(tensor) in first for tensor in call.inputs)
        if here:
            first.add(id(call.output))
    return first


def _axes(layer):
    """Return how a layer or operation permutes the axes of images, None if it does not."""
    if isinstance(layer, keras.layers.Permute):
        return tuple(layer.dims)
    if type(layer).__name__ == "Transpose":
        return tuple(layer.axes or ())[1:]
    return None
