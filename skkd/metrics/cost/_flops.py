"""Floating-point operations of one forward pass."""

import math

import pandas as pd

from skkd._warnings import warn

_CONVENTIONS = ("profiler", "2mac", "mac")

# Operations of keras.ops in a functional model are no layers, and their classes are not public.
_ARITHMETIC_OPERATIONS = {"Add", "Subtract", "Multiply", "Divide", "TrueDivide"}
_FREE_OPERATIONS = {
    *("Concatenate", "ExpandDims", "Flip", "GetItem", "Pad", "Reshape", "Squeeze", "Transpose"),
    *("Relu", "Relu6", "Sigmoid", "Silu", "Tanh"),
}


def count_flops(
    model, input_shape=None, convention="profiler", per_layer=False
) -> int | pd.DataFrame:
    """Count the floating-point operations of one forward pass of one image.

    Lower is cheaper. The layers are walked through nested models, and a layer that is called
    twice counts twice.

    ================================ =================================================
    layer                            operations under "profiler"
    ================================ =================================================
    convolution, dense               2 a multiply-add, and 1 an output for the bias
    pooling by a window of k values  k an output
    global pooling                   1 an input
    sum, product, ... of m inputs    m - 1 an output
    softmax                          5 an output
    batch normalization              0 on images and their maps, 8 a value on vectors
    other activations, dropout,      0
    padding, reshaping, rescaling,
    resizing, concatenation
    ================================ =================================================

    Parameters
    ----------
    model : keras.Model, fitted estimator or Pipeline
        A network, or what holds a trained one in ``model_``.
    input_shape : tuple of int, default=None
        Shape of one image (height, width, channels). None takes the model's own; a model of any
        input size needs it.
    convention : {"profiler", "2mac", "mac"}, default="profiler"
        What counts: everything in the table above, which is what TensorFlow's profiler reports
        and the figures of [1]_ hold; the multiply-adds of convolutions and dense layers alone, as
        two operations each ("2mac"); or as one ("mac").
    per_layer : bool, default=False
        Return a table of all layers instead of the sum.

    Returns
    -------
    flops : int or pandas.DataFrame
        The sum; or a row a call of a layer, with the columns "layer" (its name, with those of
        the models it is nested in), "type", "output_shape" and "flops".

    Warns
    -----
    UserWarning
        Names a layer of a type this function does not know, whose operations are left out.

    References
    ----------
    .. [1] A. Chaddad et al., "Knowledge distillation and feature map visualization for medical
       image analysis", 2025, Table 4.

    Examples
    --------
    A 3x3 convolution of one channel into two makes 18 multiply-adds a pixel, or 36 operations.

    >>> import keras
    >>> from skkd.metrics import count_flops
    >>> layers = [keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 3, padding="same")]
    >>> model = keras.Sequential(layers)
    >>> count_flops(model, convention="mac"), count_flops(model, convention="2mac")
    (288, 576)
    >>> count_flops(model)  # and 32 for the biases
    608
    """
    from skkd.models._estimators import find_model
    from skkd.models._graph import flatten_graph

    if convention not in _CONVENTIONS:
        raise ValueError(f"convention must be one of {list(_CONVENTIONS)}; got {convention!r}")
    network = find_model(model)[0]
    if input_shape is not None:
        input_shape = _check_input_shape(input_shape, network)
    rows = []
    for call in flatten_graph(network, input_shape).calls:
        shapes = [tuple(tensor.shape[1:]) for tensor in call.inputs]
        output_shape = tuple(call.output.shape[1:])
        if None in output_shape or any(None in shape for shape in shapes):
            raise ValueError(
                f"input_shape must be given for model {network.name!r}, whose layer {call.name!r} "
                f"has outputs of the open shape {output_shape}"
            )
        macs, others = _count_call(call, shapes, output_shape)
        flops = {"profiler": 2 * macs + others, "2mac": 2 * macs, "mac": macs}[convention]
        rows.append((call.name, type(call.layer).__name__, output_shape, flops))
    table = pd.DataFrame(rows, columns=["layer", "type", "output_shape", "flops"])
    return table if per_layer else int(table["flops"].sum())


def _check_input_shape(input_shape, network):
    shape = tuple(input_shape)
    wanted = tuple(network.input_shape[1:])
    if len(shape) != len(wanted) or any(
        w not in (None, side) for w, side in zip(wanted, shape, strict=True)
    ):
        raise ValueError(
            f"input_shape must fit model {network.name!r}, which takes inputs of shape {wanted}; "
            f"got {input_shape}"
        )
    return shape


def _count_call(call, shapes, output_shape):
    """Return the multiply-adds and the other operations of one call of a layer."""
    from keras import layers

    from skkd.models._head import PreActivation

    layer, activated = call.layer, True
    while isinstance(layer, layers.Wrapper):
        activated = activated and not isinstance(layer, PreActivation)
        layer = layer.layer
    outputs = math.prod(output_shape)
    macs = _multiply_adds(layer, shapes, outputs)
    if macs is not None:
        softmax = activated and getattr(layer.activation, "__name__", "") == "softmax"
        return macs, outputs * (bool(layer.use_bias) + 5 * softmax)
    others = _other_operations(layer, shapes, output_shape)
    if others is None:
        warn(
            f"the operations of layer {call.name!r} are not counted: its type "
            f"{type(layer).__name__} is unknown"
        )
    return 0, others or 0


def _multiply_adds(layer, shapes, outputs):
    """Return the multiply-adds of a convolution or dense layer, None for another layer."""
    from keras import layers

    if isinstance(layer, layers.Dense):
        return outputs * shapes[0][-1]
    if isinstance(layer, layers.SeparableConv1D | layers.SeparableConv2D):
        channels = layer.depth_multiplier * _channels(layer, shapes[0])
        # The depthwise step leaves `channels` maps of the output's size.
        return outputs // layer.filters * channels * (math.prod(layer.kernel_size) + layer.filters)
    if isinstance(layer, layers.DepthwiseConv1D | layers.DepthwiseConv2D):
        return outputs * math.prod(layer.kernel_size)
    if isinstance(layer, layers.Conv1DTranspose | layers.Conv2DTranspose | layers.Conv3DTranspose):
        return math.prod(shapes[0]) * math.prod(layer.kernel_size) * layer.filters
    if isinstance(layer, layers.Conv1D | layers.Conv2D | layers.Conv3D):
        channels = _channels(layer, shapes[0]) // layer.groups
        return outputs * math.prod(layer.kernel_size) * channels
    return None


def _channels(layer, shape):
    return shape[0] if layer.data_format == "channels_first" else shape[-1]


def _other_operations(layer, shapes, output_shape):
    """Return the operations of a layer without multiply-adds, None for an unknown one."""
    from keras import layers

    outputs = math.prod(output_shape)
    name = type(layer).__name__
    if isinstance(layer, layers.Softmax):
        return 5 * outputs
    if isinstance(layer, layers.Activation):
        return 5 * outputs if getattr(layer.activation, "__name__", "") == "softmax" else 0
    if isinstance(layer, layers.BatchNormalization):
        return 8 * outputs if len(output_shape) == 1 else 0
    if isinstance(layer, _kinds("MaxPooling", "AveragePooling")):
        return outputs * math.prod(layer.pool_size)
    if isinstance(layer, _kinds("GlobalAveragePooling", "GlobalMaxPooling")):
        return math.prod(shapes[0])
    if isinstance(
        layer,
        layers.Add
        | layers.Subtract
        | layers.Multiply
        | layers.Average
        | layers.Maximum
        | layers.Minimum,
    ):
        return outputs * (len(shapes) - 1)
    if isinstance(layer, layers.Layer):
        return 0 if isinstance(layer, _free_layers()) else None
    if name in _ARITHMETIC_OPERATIONS:
        return outputs
    return 0 if name in _FREE_OPERATIONS else None


def _kinds(*names):
    """Return the layers of these names for one, two and three dimensions."""
    from keras import layers

    return tuple(getattr(layers, f"{name}{n}D") for name in names for n in (1, 2, 3))


def _free_layers():
    """Return the layers that do not compute, or whose arithmetic is not counted."""
    from keras import layers

    return (
        *(layers.InputLayer, layers.Identity, layers.Flatten, layers.Reshape, layers.Permute),
        *(layers.Concatenate, layers.RepeatVector, *_kinds("Cropping", "ZeroPadding")),
        *(*_kinds("UpSampling"), layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU),
        *(layers.Dropout, *_kinds("SpatialDropout"), layers.GaussianDropout),
        *(layers.AlphaDropout, layers.GaussianNoise, layers.ActivityRegularization),
        *(layers.Normalization, layers.Rescaling, layers.Resizing, layers.CenterCrop),
        *(layers.RandomBrightness, layers.RandomContrast, layers.RandomCrop, layers.RandomFlip),
        *(layers.RandomRotation, layers.RandomTranslation, layers.RandomZoom),
    )
