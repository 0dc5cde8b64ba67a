"""Networks in the format of LiteRT, once TensorFlow Lite."""

import contextlib
import io
import json
import re
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np

SUFFIX = ".tflite"

_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL")


def check_packages(quantize):
    """Raise ImportError where what is needed is not installed."""
    import ai_edge_litert.interpreter  # noqa: F401

    if quantize is not None:
        import ai_edge_quantizer  # noqa: F401


def convert(model):
    """Return a Keras model as the bytes of a file in float32."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"student{SUFFIX}"
        model.export(path, format="litert", verbose=False)
        return path.read_bytes()


def quantize(content, kind, images):
    """Return a float32 file with smaller numbers.

    Parameters
    ----------
    content : bytes
        The file.
    kind : {"int8", "float16"}
        Of weights and activations, or of weights alone.
    images : iterable of ndarray of shape (1, ...) or None
        By which the ranges of activations are set, for "int8".
    """
    from ai_edge_quantizer import qtyping, recipe
    from ai_edge_quantizer.calibrator import Calibrator
    from ai_edge_quantizer.quantizer import Quantizer
    from ai_edge_quantizer.recipe_manager import RecipeManager
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    quantizer = Quantizer(content)
    ranges = None
    if kind == "int8":
        quantizer.load_quantization_recipe(recipe.static_wi8_ai8())
        for end in ("INPUT", "OUTPUT"):
            quantizer.update_quantization_recipe(
                regex=".*", operation_name=end, algorithm_key="no_quantize"
            )
        # In 8 bits a softmax knows no probability between 0 and 1/256, and makes ties.
        for name in _names_at_the_ends(content):
            quantizer.update_quantization_recipe(
                regex=f"^{re.escape(name)};?$", operation_name="*", algorithm_key="no_quantize"
            )
        ((signature, names),) = _interpreter(content).get_signature_list().items()
        samples = [{names["inputs"][0]: image} for image in images]
        recipes = RecipeManager()
        recipes.load_quantization_recipe(quantizer.get_quantization_recipe())
        with _quietly():
            # Its own way is a moving average, which cuts off what only some images have: of a
            # student of MRI 6 of 600 predictions changed, and 1 with ranges that hold all.
            calibrator = Calibrator(content, num_threads=1, qsv_update_func=min_max_update)
            calibrator.calibrate({signature: samples}, recipes)
        ranges = calibrator.get_model_qsvs()
    else:
        weights = qtyping.TensorQuantizationConfig(16, dtype=qtyping.TensorDataType.FLOAT)
        quantizer.update_quantization_recipe(
            regex=".*",
            operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
            op_config=qtyping.OpQuantizationConfig(
                weight_tensor_config=weights,
                compute_precision=qtyping.ComputePrecision.FLOAT,
                explicit_dequantize=True,
            ),
            algorithm_key="float_casting",
        )
    with _quietly():
        result = quantizer.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model)


def describe(content, record):
    """Return a file with a record inside, as a zip archive that is appended to it.

    That is how files belong to a model in TensorFlow Lite's standard of metadata. LiteRT reads past
    it, and whatever reads zip archives reads it.
    """
    archive = io.BytesIO(content)
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as members:
        for name, text in (
            ("metadata.json", json.dumps(record, indent=2, ensure_ascii=False)),
            ("labels.txt", _lines(record["labels"])),
        ):
            # Of one date, so that the same student makes the same file.
            members.writestr(zipfile.ZipInfo(name), text)
    return archive.getvalue()


def load(content):
    """Return a function that runs a file's network on one image, of shape (1, ...)."""
    interpreter = _interpreter(content)
    interpreter.allocate_tensors()
    (inputs,), (outputs,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(image):
        interpreter.set_tensor(inputs["index"], image)
        interpreter.invoke()
        return interpreter.get_tensor(outputs["index"])

    return run


def _interpreter(content):
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(model_content=content, num_threads=1)


def _names_at_the_ends(content):
    """Return the outputs of what comes before the first weights and after the last ones."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    kinds = [
        names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes
    ]
    graph = model.subgraphs[0]
    weighted = [
        place
        for place, operator in enumerate(graph.operators)
        if kinds[operator.opcodeIndex] in _WEIGHTED
    ]
    if not weighted:
        return []
    ends = graph.operators[: weighted[0]] + graph.operators[weighted[-1] + 1 :]
    places = np.concatenate([operator.outputs for operator in ends] or [[]]).astype(int)
    return [graph.tensors[place].name.decode() for place in places]


def _lines(labels):
    """Return labels as lines, each of one line."""
    return "".join(" ".join(str(label).split("\n")) + "\n" for label in labels)


@contextlib.contextmanager
def _quietly():
    """Keep back a bar that cannot be switched off, and warnings of what the quantizer does."""
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield
