"""Floating-point operations of one forward pass."""

import contextlib
import inspect
import math

import pandas as pd

from skkd._warnings import warn
from skkd.metrics.cost._operations import count_attention, count_einsum, count_operation

_CONVENTIONS = ("profiler", "2mac", "mac")


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
    attention of several heads       2 a multiply-add of projections, scores and mix, 1 an
                                     output for their biases, 1 a query's value for the
                                     scale, 5 a score
    recurrent layer                  those of its cell, as often as there are steps: 2 a
                                     multiply-add, 1 for each bias, sum and product
    batch normalization              0 on images and their maps, 8 a value on vectors
    layer, group normalization       5 a value, and 1 each for scale and offset
    RMS normalization                4 a value
    matmul, einsum, conv, ... of     2 a multiply-add
    ``keras.ops``
    mean, sum, maximum over axes     1 an input
    square, logarithm, negative      1 an output, 2 for rsqrt
    other activations and functions  0
    of single values, dropout,
    padding, reshaping, rescaling,
    resizing, concatenation, masks,
    whatever gives integers
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
        Names a layer whose operations are left out.

    Notes
    -----
    A layer of another type counts what it calls inside, found by calling it on symbolic images.
    Not counted but named in a warning are layers that call TensorFlow, JAX, torch or NumPy, and
    the operations of ``keras.ops`` that decompose or solve, transform (fft), sort, scatter,
    loop or branch, and `keras.layers.AdditiveAttention`.

    Every multiply-add of a transposed or grouped convolution is counted once, where TensorFlow's
    profiler counts otherwise.

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
    from skkd.models._graph import flatten_graph, without_traces

    if convention not in _CONVENTIONS:
        raise ValueError(f"convention must be one of {list(_CONVENTIONS)}; got {convention!r}")
    network = find_model(model, "model")[0]
    if input_shape is not None:
        input_shape = _check_input_shape(input_shape, network)
    images = network.inputs[0].shape[0] if getattr(network, "inputs", None) else None
    rows = []
    with without_traces(network):
        # One image at a time, since windows and patches may be folded into the batch.
        for call in flatten_graph(network, input_shape, batch_size=images or 1).calls:
            if any(None in tensor.shape for tensor in (call.output, *call.inputs)):
                shape = tuple(call.output.shape[1:])
                if None not in (*shape, *(side for x in call.inputs for side in x.shape[1:])):
                    raise ValueError(
                        f"layer {call.name!r} of model {network.name!r} cannot be counted, as it "
                        "is not known for how many images it is called: EinsumDense forgets that "
                        "before Keras 3.15; install a newer Keras"
                    )
                if input_shape or None not in network.inputs[0].shape[1:]:
                    raise ValueError(
                        f"layer {call.name!r} of model {network.name!r} does not say the whole "
                        f"shape of its outputs, {shape}, although that of the images is known; "
                        "give it in the layer, as in EinsumDense(..., output_shape=(8, 5))"
                    )
                raise ValueError(
                    f"input_shape must be given for model {network.name!r}, whose layer "
                    f"{call.name!r} has outputs of the open shape {shape}"
                )
            macs, others = _count_call(call, call.name)
            flops = {"profiler": 2 * macs + others, "2mac": 2 * macs, "mac": macs}[convention]
            output_shape = tuple(call.output.shape[1:])
            rows.append(
                (call.name, type(call.layer).__name__, output_shape, flops // (images or 1))
            )
    table = pd.DataFrame(rows, columns=["layer", "type", "output_shape", "flops"])
    return table if per_layer else int(table["flops"].sum())


def _check_input_shape(input_shape, network):
    if not isinstance(input_shape, tuple | list):
        raise ValueError(
            f"input_shape must be None or (height, width, channels); got {input_shape}"
        )
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


def _count_call(call, path):
    """Return the multiply-adds and the other operations of one call of a layer or operation."""
    from keras import layers

    operation, node_index, _ = call.output._keras_history
    arguments = operation._inbound_nodes[node_index].arguments
    layer, args, kwargs = call.layer, arguments.args, arguments.kwargs
    # A subclass with a call of its own may do anything.
    if type(layer).call.__module__.startswith("keras."):
        if not isinstance(layer, layers.Layer):
            counted = count_operation(layer, args, kwargs, call.output)
        elif isinstance(layer, layers.MultiHeadAttention | layers.GroupQueryAttention):
            given = inspect.signature(layer.call).bind(*args, **kwargs).arguments
            key = given["value"] if given.get("key") is None else given["key"]
            return count_attention(layer, given["query"].shape, given["value"].shape, key.shape)
        else:
            shapes = [tuple(tensor.shape) for tensor in call.inputs]
            counted = _count_layer(layer, shapes, tuple(call.output.shape))
        if counted[0] is not None:
            return counted
        with contextlib.suppress(Exception):
            counted = _count_wrapper(layer, call, path)
        if counted[0] is not None:
            return counted
    if isinstance(layer, layers.Layer) or not type(layer).__module__.startswith("keras."):
        if "training" in inspect.signature(layer.call).parameters:
            kwargs = {**kwargs, "training": False}
        # Whatever a user's layer fails with, its operations are not known.
        with contextlib.suppress(Exception):
            return _count_drawn(layer.call, args, kwargs, path)
    warn(
        f"the operations of layer {path!r} are not counted: its type {type(layer).__name__} is "
        "unknown"
    )
    return 0, 0


def _count_wrapper(layer, call, path):
    """Count a layer that calls another one at every step, None if it is not such a layer."""
    from keras import layers

    images = call.inputs[0]
    if isinstance(layer, layers.RNN):
        return _count_steps(layer, images, path)
    if isinstance(layer, layers.TimeDistributed):
        once = _count_drawn(layer.layer, [_without_steps(images)], {}, path)
        return tuple(images.shape[1] * n for n in once)
    if isinstance(layer, layers.Bidirectional):
        ways = [
            _count_steps(way, images, path) for way in (layer.forward_layer, layer.backward_layer)
        ]
        merging = {"sum": 1, "mul": 1, "ave": 2}.get(layer.merge_mode, 0)
        macs, others = (sum(n) for n in zip(*ways, strict=True))
        return macs, others + merging * math.prod(call.output.shape)
    return None, None


def _count_drawn(function, args, kwargs, path):
    """Count what a function calls when it is given symbolic inputs of these shapes."""
    import keras

    from skkd.models._graph import flatten_graph

    inputs = []

    def anew(value):
        if not isinstance(value, keras.KerasTensor):
            return value
        inputs.append(keras.Input(batch_shape=value.shape, dtype=value.dtype))
        return inputs[-1]

    args, kwargs = keras.tree.map_structure(anew, (list(args), dict(kwargs)))
    outputs = [
        tensor
        for tensor in keras.tree.flatten(function(*args, **kwargs))
        if isinstance(tensor, keras.KerasTensor) and not any(tensor is i for i in inputs)
    ]
    if not outputs:
        return 0, 0
    counts = [
        _count_call(call, f"{path}/{call.name}")
        for call in flatten_graph(keras.Model(inputs, outputs)).calls
    ]
    return tuple(sum(n) for n in zip(*counts, strict=True))


def _count_steps(layer, sequences, path):
    """Count a recurrent layer: its cell, as many times as there are steps."""
    import keras

    images = _without_steps(sequences)
    if hasattr(layer.cell, "kernel_size"):
        shape = layer.compute_output_shape(sequences.shape)
        shape = shape[0] if layer.return_state else shape
        shape = (shape[0], *shape[2:]) if layer.return_sequences else shape
        states = [keras.KerasTensor(shape, images.dtype) for _ in range(2)]
    else:
        states = keras.tree.map_structure(
            lambda state: keras.KerasTensor(state.shape, state.dtype),
            layer.cell.get_initial_state(batch_size=sequences.shape[0]),
        )
        states = states if isinstance(states, list | tuple) else [states]
    once = _count_drawn(layer.cell, [images, states], {}, path)
    return tuple(sequences.shape[1] * n for n in once)


def _without_steps(sequences):
    import keras

    return keras.KerasTensor((sequences.shape[0], *sequences.shape[2:]), sequences.dtype)


def _count_layer(layer, shapes, output_shape):
    """Return the multiply-adds and the other operations of a layer of Keras, None if unknown."""
    from keras import layers

    outputs = math.prod(output_shape)
    macs = _multiply_adds(layer, shapes, outputs)
    if macs is not None:
        softmax = getattr(layer.activation, "__name__", "") == "softmax"
        if isinstance(layer, layers.EinsumDense):
            return macs, outputs * ((layer.bias is not None) + 5 * softmax)
        return macs, outputs * (bool(layer.use_bias) + 5 * softmax)
    others = _other_operations(layer, shapes, output_shape)
    return (None if others is None else 0), others


def _multiply_adds(layer, shapes, outputs):
    """Return the multiply-adds of a convolution or dense layer, None for another layer."""
    from keras import layers

    if isinstance(layer, layers.Dense):
        return outputs * shapes[0][-1]
    if isinstance(layer, layers.EinsumDense):
        return sum(count_einsum(layer.equation, [shapes[0], tuple(layer.kernel.shape)]))
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
    return shape[1] if layer.data_format == "channels_first" else shape[-1]


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
        return 8 * outputs if len(output_shape) == 2 else 0
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
    values = math.prod(shapes[0])
    if isinstance(layer, layers.RMSNormalization):
        return 4 * values
    if isinstance(layer, layers.LayerNormalization | layers.GroupNormalization):
        return (5 + bool(layer.scale) + bool(layer.center)) * values
    if isinstance(layer, layers.UnitNormalization):
        return 3 * values
    return 0 if isinstance(layer, _free_layers()) or name.startswith("Random") else None


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
        *(layers.Masking, layers.Embedding),
    )
