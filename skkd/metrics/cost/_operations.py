"""Operations of each of the functions in ``keras.ops``."""

import itertools
import math

# The classes behind the functions of keras.ops are not public, but for their names.
_ONE_AN_OUTPUT = {
    *("Add", "Subtract", "Multiply", "Divide", "DivideNoNan", "TrueDivide", "FloorDivide", "Mod"),
    *("Maximum", "Minimum", "Fmax", "Fmin", "Power", "Square", "Negative", "Reciprocal", "Glu"),
    *("Log", "Log10", "Log1p", "Log2", "Cumsum", "Cumprod", "Outer", "AddN", "Lerp"),
}
_AN_INPUT = {
    **dict.fromkeys(("Mean", "Sum", "Max", "Min", "Amax", "Amin", "Prod", "Average"), 1),
    **dict.fromkeys(("AdaptiveAveragePool", "AdaptiveMaxPool"), 1),
    **dict.fromkeys(("Norm",), 2),
    **dict.fromkeys(("Normalize",), 3),
    **dict.fromkeys(("Moments", "Std", "Var"), 4),
}
_FREE = {
    # What moves values, or makes them of none.
    *("Arange", "Array", "ArraySplit", "BroadcastTo", "Cast", "Concatenate", "ConvertToTensor"),
    *("Copy", "CropImages", "DepthToSpace", "Diag", "Diagonal", "Dstack", "ExpandDims"),
    *("ExtractPatches", "Flip", "Full", "FullLike", "GetItem", "Hstack", "Moveaxis", "MultiHot"),
    *("OneHot", "OnesLike", "Pad", "PadImages", "Ravel", "Rearrange", "Repeat", "Reshape", "Roll"),
    *("Rot90", "Select", "Slice", "SliceUpdate", "SpaceToDepth", "Split", "Squeeze", "Stack"),
    *("StopGradient", "Swapaxes", "Take", "TakeAlongAxis", "Tile", "Transpose", "Tril", "Triu"),
    *("Unfold", "Unstack", "Vstack", "Where", "ZerosLike", "Resize", "SaturateCast"),
    # Functions of single values, which count like activations.
    *("Abs", "Absolute", "Arccos", "Arcsin", "Arctan", "Cbrt", "Ceil", "Celu", "Clip", "Cos"),
    *("Cosh", "Elu", "Erf", "Erfc", "Exp", "Exp2", "Expm1", "Floor", "Gelu", "HardShrink"),
    *("HardSigmoid", "HardSilu", "HardTanh", "LeakyRelu", "LogSigmoid", "NanToNum", "Relu"),
    *("Relu6", "Round", "Selu", "Sigmoid", "Sign", "Silu", "Sin", "Sinh", "SoftShrink"),
    *("Softplus", "Softsign", "SparsePlus", "SparseSigmoid", "Sqrt", "Squareplus", "Tan", "Tanh"),
    *("TanhShrink", "Threshold", "Trunc"),
}


def count_operation(operation, args, kwargs, output):
    """Count one call of a function of ``keras.ops``.

    Parameters
    ----------
    operation : keras.Operation
        What the function put into a functional model.
    args, kwargs : tuple, dict
        What it was called with, tensors symbolic or not.
    output : keras.KerasTensor
        What it gave, the first of several.

    Returns
    -------
    macs, others : int
        Multiply-adds and other operations; None for both where they are not known.
    """
    import keras

    name = type(operation).__name__
    given = [*args, *kwargs.values()]
    shapes = [tuple(x.shape) for x in keras.tree.flatten(given) if hasattr(x, "shape")]
    outputs = math.prod(output.shape)
    if name in _FREE or not keras.backend.is_float_dtype(output.dtype):
        return 0, 0
    if name in _ONE_AN_OUTPUT:
        return 0, outputs
    if name in _AN_INPUT:
        return 0, _AN_INPUT[name] * math.prod(shapes[0])
    if name == "Rsqrt":
        return 0, 2 * outputs
    if name in ("Softmax", "LogSoftmax"):
        return 0, 5 * outputs
    if name in ("MaxPool", "AveragePool"):
        size = operation.pool_size
        size = (size,) * (len(shapes[0]) - 2) if isinstance(size, int) else size
        return 0, outputs * math.prod(size)
    if name in ("BatchNorm", "LayerNorm", "RMSNorm"):
        # Mean, deviation, its square and their mean, and the division; or what of that there is.
        statistics = {"BatchNorm": 2, "LayerNorm": 5, "RMSNorm": 3}[name]
        weights = 0 if name == "BatchNorm" else len(shapes) - 1
        return 0, (statistics + weights) * math.prod(shapes[0])
    if name in ("Matmul", "Dot", "Inner", "Tensordot", "Vdot"):
        return _count_product(name, shapes, output)
    if name == "Einsum":
        return count_einsum(operation.subscripts, shapes)
    if name in ("Conv", "DepthwiseConv", "SeparableConv", "ConvTranspose"):
        return _count_convolution(name, shapes, outputs), 0
    if name == "DotProductAttention":
        query, key, value = shapes[:3]
        scores = math.prod(query[:-1]) * key[1]
        return scores * (query[-1] + value[-1]), 5 * scores + math.prod(query)
    return None, None


def _count_product(name, shapes, output):
    left, right = shapes[:2]
    if not left or not right:
        return 0, math.prod(output.shape)
    if name == "Tensordot" or name == "Vdot":
        # What is summed over stands in both factors.
        summed = math.isqrt(math.prod(left) * math.prod(right) // math.prod(output.shape))
    else:
        summed = left[-1]
    return math.prod(output.shape) * summed, 0


def _count_convolution(name, shapes, outputs):
    """Return the multiply-adds of a convolution from the shapes of its input and kernels."""
    images, kernel = shapes[:2]
    if name == "Conv":
        return outputs * math.prod(kernel[:-1])
    if name == "ConvTranspose":
        return math.prod(images) * math.prod(kernel[:-1])
    if name == "DepthwiseConv":
        return outputs * math.prod(kernel[:-2])
    filters, channels = shapes[2][-1], math.prod(kernel[-2:])
    return outputs // filters * channels * (math.prod(kernel[:-2]) + filters)


def count_einsum(subscripts, shapes):
    """Count a sum of products, its factors multiplied in pairs from the left."""
    factors, result, sizes = _read_subscripts(subscripts, shapes)
    macs = others = 0
    held = factors[0]
    for k, factor in enumerate(factors[1:], 1):
        wanted = set(itertools.chain(result, *factors[k + 1 :]))
        indices = set(held) | set(factor)
        products = math.prod(sizes[index] for index in indices)
        if indices <= wanted:
            others += products
        else:
            macs += products
        held = indices & wanted
    if len(factors) == 1 and set(held) - set(result):
        others += math.prod(sizes[index] for index in held)
    return macs, others


def _read_subscripts(subscripts, shapes):
    """Return the indices of each factor and of the result, and the size of each index."""
    left, arrow, result = subscripts.replace(" ", "").partition("->")
    n_dots = max(
        len(shape) - len(factor.replace("...", ""))
        for factor, shape in zip(left.split(","), shapes, strict=True)
    )
    # Digits are no letters, so that they can stand for the axes behind an ellipsis.
    dots = [str(k) for k in range(n_dots)]
    factors, sizes = [], {}
    for factor, shape in zip(left.split(","), shapes, strict=True):
        before, ellipsis, after = factor.partition("...")
        n = len(shape) - len(before) - len(after)
        indices = [*before, *(dots[n_dots - n :] if ellipsis else ()), *after]
        factors.append(indices)
        for index, size in zip(indices, shape, strict=True):
            sizes[index] = max(size, sizes.get(index, 1))
    if arrow:
        before, ellipsis, after = result.partition("...")
        return factors, [*before, *(dots if ellipsis else ()), *after], sizes
    letters = [index for factor in factors for index in factor]
    return factors, [i for i in sizes if letters.count(i) == 1 or i in dots], sizes


def count_attention(layer, query, value, key):
    """Count a layer of attention with several heads from the shapes of what it is given."""
    import keras

    n_queries, n_keys, n_values = (math.prod(shape[:-1]) for shape in (query, key, value))
    if isinstance(layer, keras.layers.GroupQueryAttention):
        heads, shared, width = layer.num_query_heads, layer.num_key_value_heads, layer.head_dim
        mixed, axes, outputs, use_bias = width, (1,), query[-1:], layer.use_bias
    else:
        heads = shared = layer.num_heads
        width, mixed, axes = layer.key_dim, layer.value_dim, layer._attention_axes
        outputs, use_bias = layer._output_shape or query[-1:], layer.use_bias
    n_outputs = n_queries * math.prod([outputs] if isinstance(outputs, int) else outputs)
    scores = heads * n_queries * math.prod(key[axis] for axis in axes)
    projected = heads * n_queries * width, shared * n_keys * width, shared * n_values * mixed
    macs = sum(n * shape[-1] for n, shape in zip(projected, (query, key, value), strict=True))
    macs += scores * (width + mixed) + n_outputs * heads * mixed
    biases = (sum(projected) + n_outputs) * bool(use_bias)
    if getattr(layer, "_use_gate", getattr(layer, "use_gate", False)):
        gates = heads * n_queries * mixed
        macs, biases = macs + gates * query[-1], biases + gates * (1 + bool(use_bias))
    return macs, biases + projected[0] + 5 * scores
