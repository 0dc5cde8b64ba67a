import json
import os
import subprocess
import sys
import warnings
import zipfile
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import sklearn
from keras import layers
from PIL import Image
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

from skkd import MLP, FiveBlockCNN, NetworkClassifier, TransferNet
from skkd.deployment import _export, export_student, fold_temperature

SUFFIXES = {"litert": ".tflite", "onnx": ".onnx"}
LABELS = np.array(["Gliom ü", "a,b", "<b>", "4", "5", "6", "7", "8", "9", "健康"])


def needs(format):
    names = {
        "litert": ("ai_edge_litert", "ai_edge_quantizer"),
        "onnx": ("onnx", "onnxruntime", "tf2onnx"),
    }
    for name in names[format]:
        pytest.importorskip(name, reason="needs the extra 'export'")


@pytest.fixture(params=SUFFIXES)
def format(request):
    needs(request.param)
    return request.param


@pytest.fixture(scope="module")
def labeled(digits):
    """A student of labels that are texts, on bytes."""
    X, y = digits
    network = FiveBlockCNN(filters=(16, 32), dense=(64,))
    student = NetworkClassifier(network, epochs=4, learning_rate=5e-3, random_state=0)
    return student.fit((X[:1000] * 15).astype(np.uint8), LABELS[y[:1000]])


def run(path, images):
    """Run a file as its users do."""
    if path.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path)
        return session.run(None, {session.get_inputs()[0].name: images})[0]
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    (inputs,), (outputs,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(inputs["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(inputs["index"], images)
    interpreter.invoke()
    return interpreter.get_tensor(outputs["index"])


def test_a_file_in_float32_predicts_what_the_student_does(format, trained, digits, tmp_path):
    X, y = digits[0][1000:], digits[1][1000:]
    path = tmp_path / f"student{SUFFIXES[format]}"
    report = export_student(trained, path, format=format, X=X, y=y, random_state=0)
    np.testing.assert_allclose(run(path, X), trained.predict_proba(X), atol=1e-5)
    assert report.index.tolist() == ["student", "float32"]
    found = report.loc["float32"]
    assert found["bytes"] == path.stat().st_size
    assert found[["share", "n_images", "n_changed", "difference"]].tolist() == [1, 797, 0, 0]
    assert found["max_difference"] < 1e-5
    assert found["ms"] > 0
    assert found["accuracy"] == report.loc["student", "accuracy"] == trained.score(X, y)
    assert found["low"] < found["accuracy"] < found["high"]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("quantize", ["int8", "float16"])
def test_a_quantized_file_is_measured_as_it_runs(format, quantize, labeled, digits, tmp_path):
    X, y = (digits[0][1000:] * 15).astype(np.uint8), LABELS[digits[1][1000:]]
    path = tmp_path / f"student{SUFFIXES[format]}"
    representative = (digits[0][:100] * 15).astype(np.uint8) if quantize == "int8" else None
    report = export_student(
        labeled,
        path,
        format=format,
        quantize=quantize,
        X_representative=representative,
        X=X,
        y=y,
        random_state=0,
    )
    found, proba = report.loc[quantize], run(path, X.astype(np.float32))
    expected = labeled.predict_proba(X)
    predicted = labeled.classes_[proba.argmax(axis=1)]
    assert found["bytes"] == path.stat().st_size
    assert found["bytes"] < 0.7 * report.loc["float32", "bytes"]
    assert found["max_difference"] == pytest.approx(np.abs(proba - expected).max(), abs=1e-3)
    assert found["accuracy"] == np.mean(predicted == y)
    assert found["n_changed"] == np.sum(predicted != labeled.predict(X)) < 12
    assert found["difference"] == pytest.approx(found["accuracy"] - labeled.score(X, y))
    # A softmax in 8 bits knows multiples of 1/256 alone.
    assert len(np.unique(proba)) > 1000
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-3 if quantize == "float16" else 1e-5)


def test_ranges_hold_what_only_a_few_representative_images_have(format, labeled, digits, tmp_path):
    X = (digits[0][1000:1200] * 15).astype(np.uint8)
    report = export_student(
        labeled,
        tmp_path / f"student{SUFFIXES[format]}",
        format=format,
        quantize="int8",
        # An average of the ranges of images would be that of the dark ones, which come last.
        X_representative=np.concatenate([X[:20], X // 20]),
        X=X,
        y=LABELS[digits[1][1000:1200]],
    )
    assert report.loc["int8", "n_changed"] < 6


def test_others_warnings_are_kept_back(format, labeled, tmp_path, monkeypatch):
    # Keras asks for it where it is not there, which NumPy warns of.
    monkeypatch.delitem(vars(np), "object", raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        export_student(labeled, tmp_path / f"student{SUFFIXES[format]}", format=format)


READERS = {
    "litert": (
        "import zipfile; archive = zipfile.ZipFile(sys.argv[1]); "
        "record = json.loads(archive.read('metadata.json')); "
        "record['lines'] = archive.read('labels.txt').decode().splitlines()"
    ),
    "onnx": (
        "import onnxruntime; session = onnxruntime.InferenceSession(sys.argv[1]); "
        "properties = session.get_modelmeta().custom_metadata_map; "
        "record = {key: json.loads(properties[key]) for key in ('labels', 'input', "
        "'preprocessing', 'output', 'quantization', 'versions')}"
    ),
}


def test_a_file_says_of_itself_what_its_user_has_to_know(format, labeled, digits, tmp_path):
    path = tmp_path / f"Mappe mit ü{SUFFIXES[format]}"
    X = (digits[0][:30] * 15).astype(np.uint8)
    export_student(labeled, path, format=format, quantize="int8", X_representative=X)
    script = f"import json, sys; {READERS[format]}; print(json.dumps(record))"
    command = [sys.executable, "-c", script, str(path)]
    record = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert record["labels"] == labeled.classes_.tolist() == sorted(LABELS)
    if format == "litert":
        assert record["lines"] == record["labels"]
    inputs = record["input"]
    assert inputs["shape"] == [1, 8, 8, 1]
    assert inputs["dtype"] == "float32"
    assert inputs["dtype_in_training"] == "uint8"
    assert inputs["range_in_training"] == [0, 255]
    assert inputs["range_seen"] == [0, 240]
    assert inputs["channels"] == "gray"
    assert record["quantization"] == {"kind": "int8", "n_representative": 30}
    assert record["versions"]["keras"] == keras.__version__
    # The network subtracts the training images' mean, and divides by their deviation.
    mean, scale = record["preprocessing"]["within_the_network"]
    images = (digits[0][:1000] * 15).astype(np.uint8)
    assert mean["offset"][0] == pytest.approx(-images.mean(), rel=1e-4)
    assert scale["scale"][0] == pytest.approx(1 / images.std(), rel=1e-4)


def test_export_leaves_the_student_as_it_is(format, trained, digits, tmp_path):
    before = trained.predict_proba(digits[0])
    nodes = [len(layer._inbound_nodes) for layer in trained.model_._flatten_layers()]
    export_student(trained, tmp_path / f"s{SUFFIXES[format]}", format=format, X=digits[0][:5])
    np.testing.assert_array_equal(trained.predict_proba(digits[0]), before)
    assert [len(layer._inbound_nodes) for layer in trained.model_._flatten_layers()] == nodes


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_student_of_16_bits_is_written_in_float32(format, policy, digits, tmp_path):
    X, y = digits
    student = NetworkClassifier(FiveBlockCNN(filters=(4,)), epochs=1, dtype_policy=policy)
    student.fit(X[:200], y[:200])
    path = tmp_path / f"student{SUFFIXES[format]}"
    report = export_student(student, path, format=format, X=X[:100])
    assert 0 < report.loc["float32", "max_difference"] < 0.03
    assert student.model_.layers[-3].compute_dtype == policy.removeprefix("mixed_")
    np.testing.assert_allclose(run(path, X[:100]).sum(axis=1), 1, atol=1e-6)


def test_weights_of_16_bits_are_refused(digits, tmp_path):
    student = NetworkClassifier(FiveBlockCNN(filters=(4,)), epochs=1, dtype_policy="bfloat16")
    student.fit(digits[0][:100], digits[1][:100])
    with pytest.raises(ValueError, match="keeps its weights in bfloat16"):
        export_student(student, tmp_path / "student.onnx", format="onnx")


def test_a_nested_network_with_one_sigmoid_is_exported(format, nested_model, rng, tmp_path):
    model = nested_model([layers.Dense(1, activation="sigmoid")])
    X = rng.random((20, 16, 16, 3)).astype(np.float32)
    path = tmp_path / f"student{SUFFIXES[format]}"
    report = export_student(model, path, format=format, X=X, y=rng.integers(0, 2, 20))
    second = model.predict(X, verbose=0)[:, 0]
    np.testing.assert_allclose(run(path, X), np.c_[1 - second, second], atol=1e-5)
    assert report.loc["float32", "n_changed"] == 0


def test_image_files_of_another_size_are_read_as_in_training(format, rng, tmp_path):
    paths = [str(tmp_path / f"{number}.png") for number in range(12)]
    for number, path in enumerate(paths):
        pixels = rng.integers(0, 128, (20, 24, 3)) + 127 * (number % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    y = np.arange(12) % 2
    inputs = keras.Input((16, 16, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    backbone = keras.Model(inputs, layers.Conv2D(4, 3, strides=2, activation="relu")(x))
    network = TransferNet(backbone, dense=(), dropout=0.0)
    student = NetworkClassifier(network, epochs=20, learning_rate=0.05, image_size=(16, 16))
    student.fit(paths, y)
    path = tmp_path / f"student{SUFFIXES[format]}"
    report = export_student(
        student, path, format=format, quantize="int8", X_representative=paths, X=paths, y=y
    )
    assert report.loc["int8", "n_images"] == 12
    assert report.loc["float32", "max_difference"] < 1e-5


@pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.8"),
    reason="scikit-learn finds temperatures from 1.8 on",
)
def test_a_folded_temperature_is_in_the_file(format, trained, digits, tmp_path):
    X, y = digits[0][1000:1100], digits[1][1000:1100]
    calibrated = CalibratedClassifierCV(FrozenEstimator(trained), method="temperature").fit(X, y)
    calibrated = fold_temperature(calibrated)
    path = tmp_path / f"student{SUFFIXES[format]}"
    export_student(calibrated, path, format=format, X=X)
    np.testing.assert_allclose(run(path, X), calibrated.predict_proba(X), atol=1e-5)
    assert np.abs(calibrated.predict_proba(X) - trained.predict_proba(X)).max() > 1e-3


def test_a_student_of_a_table_is_exported(format, digits, tmp_path):
    X = digits[0].reshape(len(digits[0]), -1)
    student = NetworkClassifier(MLP(hidden=(8,)), epochs=1).fit(X[:200], digits[1][:200])
    path = tmp_path / f"student{SUFFIXES[format]}"
    report = export_student(
        make_pipeline("passthrough", student), path, format=format, X=X[:50], y=digits[1][:50]
    )
    assert report.loc["float32", "n_changed"] == 0
    np.testing.assert_allclose(run(path, X[:50]), student.predict_proba(X[:50]), atol=1e-5)


@pytest.fixture
def stand_in(trained, monkeypatch):
    """Let files of LiteRT hold nothing, and give what a function makes of the student's answers."""

    def put(**changes):
        def load(content):
            change = changes.get(content.decode(), lambda proba: proba)
            return lambda image: change(trained.predict_proba(image))

        runtime = SimpleNamespace(
            SUFFIX=".tflite",
            check_packages=lambda quantize: None,
            convert=lambda model: b"float32",
            quantize=lambda content, kind, images: kind.encode(),
            describe=lambda content, record: content,
            load=load,
        )
        monkeypatch.setitem(_export._FORMATS, "litert", runtime)

    return put


def test_a_file_that_is_measurably_worse_warns_and_is_written(stand_in, trained, digits, tmp_path):
    stand_in(float16=np.fliplr)
    path = tmp_path / "student.tflite"
    options = {"quantize": "float16", "X": digits[0][1000:1040]}
    with pytest.warns(UserWarning, match="in float16 is measurably worse than the student: acc"):
        report = export_student(trained, path, y=digits[1][1000:1040], random_state=0, **options)
    assert report.loc["float16", "difference_high"] < 0
    assert path.read_bytes() == b"float16"
    with pytest.warns(UserWarning, match=r"\d+ of 40 predictions of the network in float16"):
        export_student(trained, path, **options)


def test_a_conversion_that_changes_predictions_warns(stand_in, trained, digits, tmp_path):
    stand_in(float32=np.fliplr)
    with pytest.warns(UserWarning, match=r"\d+ of 40 predictions changed by more than rounding"):
        export_student(trained, tmp_path / "student.tflite", X=digits[0][:40])


def test_what_rounding_explains_does_not_warn(stand_in, trained, digits, tmp_path):
    stand_in(float32=lambda proba: proba + np.eye(10)[:1] * 1e-4, int8=lambda proba: proba + 0.01)
    path, X = tmp_path / "student.tflite", digits[0][:20]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_student(trained, path, X=X)
        report = export_student(trained, path, quantize="int8", X_representative=X)
    assert report.loc["int8", "n_images"] == 20
    assert report.loc["int8", "max_difference"] == pytest.approx(0.01, abs=1e-6)
    assert "accuracy" not in report


def test_a_file_that_gives_no_numbers_is_refused(stand_in, trained, digits, tmp_path):
    stand_in(float16=lambda proba: proba + np.nan)
    with pytest.raises(ValueError, match="float16 gives NaN or infinity for 5 of 5 images of X"):
        export_student(trained, tmp_path / "s.tflite", quantize="float16", X=digits[0][:5])
    assert not list(tmp_path.iterdir())


def test_a_file_that_could_not_be_written_leaves_the_old_one(
    stand_in, trained, tmp_path, monkeypatch
):
    stand_in()
    path = tmp_path / "student.tflite"
    path.write_text("old")

    def fail(*args):
        raise OSError("no space left")

    monkeypatch.setattr(_export.os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        export_student(trained, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "pb"}, "format must be 'litert' or 'onnx'; got 'pb'"),
        ({"quantize": "int4"}, "quantize must be 'int8', 'float16' or None; got 'int4'"),
        ({"format": "onnx"}, "path must end in '.onnx' for format='onnx'; got 'student.tflite'"),
        ({"quantize": "int8"}, "quantize='int8' needs X_representative, a few hundred images"),
        ({"X_representative": np.zeros((2, 8, 8, 1))}, "no effect with quantize=None"),
        ({"y": [1]}, "y has the labels of the images X, which is None"),
        ({"groups": [1]}, "groups are for the intervals of accuracy, which needs y"),
        (
            {"X": np.zeros((2, 8, 8, 1)), "y": [1, 2], "groups": [1]},
            "groups must have one group, such as a patient, for each of the 2 images",
        ),
        ({"X": np.zeros((2, 9, 8, 1))}, r"X has images of shape \(9, 8, 1\), but Net"),
        (
            {"quantize": "int8", "X_representative": np.zeros((2, 8, 8, 3))},
            r"X_representative has images of shape \(8, 8, 3\).*rgb_to_grayscale",
        ),
        ({"X": np.zeros((2, 8, 8, 1)), "y": [1]}, "y must have one label for each of the 2"),
        ({"X": np.zeros((2, 8, 8, 1)), "y": [1, 77]}, r"only the classes .*; got \[77\] as well"),
    ],
)
def test_what_cannot_be_honored_is_refused(options, message, trained, tmp_path):
    with pytest.raises(ValueError, match=message):
        export_student(trained, tmp_path / "student.tflite", **options)
    assert not list(tmp_path.iterdir())


def test_images_of_another_type_than_in_training_are_refused(labeled, digits, tmp_path):
    path, X = tmp_path / "student.tflite", digits[0][:10]
    with pytest.raises(ValueError, match=r"X_representative has values up to 1, and the student.*"):
        export_student(labeled, path, quantize="int8", X_representative=X / 16)
    with pytest.raises(ValueError, match="X has images of type uint16, and the student was train"):
        export_student(labeled, path, X=X.astype(np.uint16))


def test_what_is_no_trained_network_alone_is_refused(trained, digits, tmp_path):
    path, X = tmp_path / "student.tflite", digits[0].reshape(len(digits[0]), -1)
    with pytest.raises(NotFittedError):
        export_student(NetworkClassifier(), path)
    scaled = make_pipeline(StandardScaler(), NetworkClassifier(MLP(hidden=(4,)), epochs=1))
    with pytest.raises(ValueError, match="step StandardScaler stands before the network"):
        export_student(scaled.fit(X[:100], digits[1][:100]), path)
    several = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="sigmoid")])
    with pytest.raises(ValueError, match="do not exclude each other"):
        export_student(several, path)
    any_size = keras.Sequential(
        [keras.Input((None, None, 3)), layers.GlobalAveragePooling2D(), layers.Dense(3)]
    )
    with pytest.raises(ValueError, match="takes images of any size"):
        export_student(any_size, path)


def test_a_path_that_cannot_be_written_to_is_found_out_first(trained, tmp_path):
    with pytest.raises(TypeError, match="path must be a str or a path; got None"):
        export_student(trained, None)
    with pytest.raises(FileNotFoundError, match="path: there is no folder"):
        export_student(trained, tmp_path / "none" / "student.tflite")
    (tmp_path / "folder.tflite").mkdir()
    with pytest.raises(IsADirectoryError, match="path must be a file"):
        export_student(trained, tmp_path / "folder.tflite")


def test_a_folder_that_is_read_only_is_found_out_first(trained, tmp_path, monkeypatch):
    # Whoever is root may write anywhere.
    access = os.access
    monkeypatch.setattr(
        _export.os, "access", lambda path, mode: path != tmp_path and access(path, mode)
    )
    with pytest.raises(PermissionError, match="cannot be written to"):
        export_student(trained, tmp_path / "student.tflite")


def test_what_keras_cannot_write_with_a_backend_is_refused(
    stand_in, trained, tmp_path, monkeypatch
):
    stand_in()
    monkeypatch.setattr(_export.keras.config, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="cannot be written with Keras's backend 'jax'"):
        export_student(trained, tmp_path / "student.tflite")


def test_what_a_converter_says_is_handed_on(stand_in, trained, tmp_path, monkeypatch):
    stand_in()

    def convert(model):
        raise RuntimeError("there is no\n such operation")

    monkeypatch.setattr(_export._FORMATS["litert"], "convert", convert)
    with pytest.raises(ValueError, match=r"'litert' with .* RuntimeError: there is no such oper"):
        export_student(trained, tmp_path / "student.tflite")
    assert not list(tmp_path.iterdir())


def test_a_package_that_is_missing_is_named(trained, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"needs onnx: pip install 'skkd\[export\]'"):
        export_student(trained, tmp_path / "student.onnx", format="onnx")


def test_the_same_student_makes_the_same_file(trained, tmp_path):
    needs("litert")
    paths = [tmp_path / "a.tflite", tmp_path / "b.tflite"]
    for path in paths:
        export_student(trained, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].read_bytes()[4:8] == b"TFL3"
    assert zipfile.ZipFile(paths[0]).testzip() is None
