"""Networks in the format of ONNX."""

import contextlib
import json
import logging
import tempfile
import warnings
from pathlib import Path

SUFFIX = ".onnx"

_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# Weights of 7 bits: products of 8 bits overflow the 16 bits in which processors without VNNI sum
# pairs of them, unnoticed (two small digits networks: 46 of 797 predictions changed, and 2).
_INT8 = {"per_channel": True, "reduce_range": True}


def check_packages(quantize):
    """Raise ImportError where what is needed is not installed."""
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401


def convert(model):
    """Return a Keras model as the bytes of a file in float32."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / f"student{SUFFIX}"
        # Keras asks whether NumPy still has what tf2onnx uses, which NumPy answers by a warning.
        warnings.filterwarnings("ignore", r"In the future `np\.object`", FutureWarning)
        model.export(path, format="onnx", verbose=False)
        return path.read_bytes()


def quantize(content, kind, images):
    """Return a float32 file with smaller numbers.

    Parameters
    ----------
    content : bytes
        The file.
    kind : {"int8", "float16"}
        Of weights and activations.
    images : iterable of ndarray of shape (1, ...) or None
        By which the ranges of activations are set, for "int8".
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process
    from onnxruntime.transformers.float16 import convert_float_to_float16

    class Images(CalibrationDataReader):
        def get_next(self):
            image = next(images, None)
            return None if image is None else {name: image}

    images = None if images is None else iter(images)
    with tempfile.TemporaryDirectory() as folder, _without_advice():
        path = Path(folder) / f"student{SUFFIX}"
        path.write_bytes(content)
        # Operations that become one are better quantized as one.
        quant_pre_process(path, path, skip_symbolic_shape=True)
        model = onnx.load(path)
        name = model.graph.input[0].name
        # In 8 bits a softmax knows no probability between 0 and 1/256, and makes ties; 16 bits do
        # not hold what raw images may have.
        kept = _nodes_at_the_ends(model.graph)
        if kind == "float16":
            return convert_float_to_float16(
                model, keep_io_types=True, node_block_list=kept
            ).SerializeToString()
        quantize_static(model, path, Images(), **_INT8, nodes_to_exclude=kept)
        return path.read_bytes()


def describe(content, record):
    """Return a file with a record inside, among the properties that ONNX has for it."""
    import onnx

    model = onnx.load_from_string(content)
    for name, value in record.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        model.metadata_props.add(key=name, value=text)
    return model.SerializeToString()


def load(content):
    """Return a function that runs a file's network on one image, of shape (1, ...)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: session.run(None, {name: image})[0]


def _nodes_at_the_ends(graph):
    """Return the names of what comes before the first weights and after the last ones."""
    places = [place for place, node in enumerate(graph.node) if node.op_type in _WEIGHTED]
    if not places:
        return []
    return [node.name for node in [*graph.node[: places[0]], *graph.node[places[-1] + 1 :]]]


@contextlib.contextmanager
def _without_advice():
    """Keep back advice to do what is done, which ONNX Runtime writes to the root logger."""
    logger = logging.getLogger()
    logger.addFilter(_is_no_advice)
    try:
        yield
    finally:
        logger.removeFilter(_is_no_advice)


def _is_no_advice(record):
    return "pre-processing before quantization" not in record.getMessage()
