import numpy as np
import pytest


@pytest.fixture(scope="module")
def student(trained):
    return trained.model_


def test_a_student_exported_to_onnx_predicts_the_same(student, digits, tmp_path):
    pytest.importorskip("tf2onnx", reason="needs the extra 'export'")
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra 'export'")
    images = digits[0][:5]
    path = tmp_path / "student.onnx"
    student.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path)
    (proba,) = session.run(None, {session.get_inputs()[0].name: images})
    np.testing.assert_allclose(proba, student.predict(images, verbose=0), atol=1e-4)


def test_a_student_exported_to_litert_predicts_the_same(student, digits, tmp_path):
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra 'export'")
    images = digits[0][:5]
    path = tmp_path / "student.tflite"
    student.export(path, format="litert", verbose=False)
    interpreter = litert.Interpreter(str(path))
    (inputs,), (outputs,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(inputs["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(inputs["index"], images)
    interpreter.invoke()
    proba = interpreter.get_tensor(outputs["index"])
    np.testing.assert_allclose(proba, student.predict(images, verbose=0), atol=1e-4)
