"""What fails on a machine that is left alone, and that nothing done before is lost by it."""

import os
import random
import signal
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

from skkd import (
    MLP,
    FeatureMapExplainer,
    GradCAMExplainer,
    KDClassifier,
    NetworkClassifier,
    SHAPExplainer,
    _memory,
)
from skkd._backend import torch
from skkd._scikeras import alone
from skkd.distillation import _callable_teacher
from skkd.explanation._shap_package import _ONE_AT_A_TIME
from skkd.metrics import fidelity_score
from skkd.models import _batches
from skkd.models._batches import as_memory_allows, predict

NETWORK = MLP(hidden=(2,))


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits
    return X[:30], y[:30] % 2


@pytest.fixture
def blocks_of_ten(monkeypatch):
    monkeypatch.setattr("skkd.images._blocks._ROWS", 10)


class Faulty:
    """A teacher that counts the images it is asked about and fails after the first ten."""

    def __init__(self, fingerprint, fault=None):
        self.fingerprint = fingerprint
        self.fault = fault
        self.n_asked = 0

    def __call__(self, images):
        self.n_asked += len(images)
        means = images.mean(axis=(1, 2, 3))
        answers = np.stack([means, -means], axis=1)
        return self.fault(answers) if self.fault and self.n_asked > 10 else answers


def raising(answers):
    raise RuntimeError("the connection is lost")


def with_nan(answers):
    answers[3, 1] = np.nan
    return answers


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (raising, "teacher Faulty failed .* the connection is lost"),
        (with_nan, "output is NaN or infinite for 1 of 10 images"),
        (lambda answers: answers[:, [0, 1, 1]], r"shape \(10, 3\), but y has 2 classes"),
        (lambda answers: answers[1:], r"a row for each image; got shape \(9, 2\) for 10 images"),
    ],
    ids=["raises", "NaN", "another width", "a row less"],
)
def test_a_teacher_mended_in_the_middle_is_asked_about_the_missing_images_only(
    data, tmp_path, blocks_of_ten, fault, message, on_disk
):
    teacher = Faulty(str(tmp_path), fault)
    student = KDClassifier(
        teacher,
        NetworkClassifier(NETWORK, epochs=1, batch_size=10),
        memory=tmp_path if on_disk else None,
    )
    with pytest.raises(ValueError, match=message) as caught:
        student.fit(*data)
    assert caught.value.__notes__ == ["This was asked about images 10 to 19."]
    teacher.fault = None
    asked = teacher.n_asked
    student.fit(*data)
    assert teacher.n_asked == asked + 20


def test_outputs_of_several_widths_are_named(data):
    def teacher(images):
        return np.zeros((len(images), len(images)))

    student = KDClassifier(teacher, NetworkClassifier(NETWORK, epochs=1, batch_size=20))
    with pytest.raises(ValueError, match=r"as many for every image; got .* \[\(10,\), \(20,\)\]"):
        student.fit(*data)


class Interrupting:
    """Images of which some are read at the moment in which a user presses Ctrl-C."""

    def __init__(self, images, row):
        self.images = images
        self.shape = images.shape
        self.row = row

    def __getitem__(self, rows):
        if rows.stop > self.row:
            signal.raise_signal(signal.SIGINT)
        return self.images[rows]


@pytest.fixture
def ctrl_c():
    """Have Ctrl-C raise KeyboardInterrupt, which a test run in parallel may have turned off."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals go to the main thread")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def global_state():
    """What belongs to the whole process, and is to be as it was."""
    return [
        random.getstate(),
        str(np.random.get_state()),
        os.environ.get("TF_DETERMINISTIC_OPS"),
        _memory._users,
        _ONE_AT_A_TIME.locked(),
        keras.backend.floatx(),
    ]


def fitted(images, teacher=None):
    labels = np.arange(images.shape[0]) % 10
    student = NetworkClassifier(NETWORK, epochs=1, random_state=0, batch_size=10)
    return KDClassifier(teacher, student).fit(images, labels).history_["loss"]


def taught(images, classifier):
    plain = getattr(images, "images", images)

    def teacher(batch):
        if images is not plain and (batch == plain[25]).all(axis=(1, 2, 3)).any():
            signal.raise_signal(signal.SIGINT)
        return classifier.decision_function(batch)

    return fitted(plain, teacher)


def explained(images, explainer):
    return explainer.fit(getattr(images, "images", images)[:2]).explain(images).values


ACTS = {
    "images are read": lambda images, classifier: fitted(images),
    "a teacher answers": taught,
    "predicting": lambda images, classifier: classifier.predict_proba(images),
    "feature maps": lambda images, classifier: explained(
        images, FeatureMapExplainer(classifier, batch_size=10)
    ),
    "Grad-CAM": lambda images, classifier: explained(
        images, GradCAMExplainer(classifier, batch_size=10)
    ),
    "gradients": lambda images, classifier: explained(
        images, SHAPExplainer(classifier, n_samples=2, background=2, random_state=0)
    ),
    "partitions": lambda images, classifier: explained(
        images,
        SHAPExplainer(classifier, method="partition", max_evals=4, background=2, random_state=0),
    ),
    "fidelity": lambda images, classifier: fidelity_score(
        classifier,
        images,
        np.arange(images.shape[0]) % 10,
        FeatureMapExplainer(classifier),
        batch_size=10,
        eps=0,
        random_state=0,
    ),
}


@pytest.mark.parametrize(
    "act",
    [pytest.param(act, marks=pytest.mark.slow if act == "partitions" else ()) for act in ACTS],
)
def test_ctrl_c_leaves_the_process_as_it_was(act, trained, digits, blocks_of_ten, ctrl_c):
    images = digits[0][:40]
    before = global_state()
    with pytest.raises(KeyboardInterrupt):
        ACTS[act](Interrupting(images, 25), trained)
    assert global_state() == before
    assert alone.acquire(blocking=False), "nobody holds it any more"
    alone.release()
    again = ACTS[act](images, trained)
    np.testing.assert_array_equal(again, ACTS[act](images, trained))
    assert np.isfinite(again).all()


@keras.saving.register_keras_serializable("tests")
class Greedy(keras.layers.Layer):
    """A layer for whose work there is memory with some images only, as with TensorFlow's own."""

    def __init__(self, most, **options):
        super().__init__(**options)
        self.most = most

    def call(self, images):
        import tensorflow as tf

        def allocate(images):
            if len(images) > self.most:
                raise MemoryError(f"{len(images)} images")
            return images[:1] * 0

        nothing = tf.stop_gradient(tf.numpy_function(allocate, [images], images.dtype))
        nothing.set_shape((1, *images.shape[1:]))
        return images + nothing

    def get_config(self):
        return {**super().get_config(), "most": self.most}


def greedy_model(most):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            Greedy(most),
            keras.layers.Conv2D(2, 3),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model


EXPLAINERS = {
    "feature maps": FeatureMapExplainer,
    "Grad-CAM": GradCAMExplainer,
    "SHAP": lambda model, **options: SHAPExplainer(
        model, n_samples=16, background=2, random_state=0, **options
    ),
}


@pytest.fixture
def own_allocator():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the layer that runs out of memory is TensorFlow's")


@pytest.mark.parametrize("kind", EXPLAINERS)
def test_where_memory_is_short_explanations_are_those_of_a_smaller_batch(kind, data, own_allocator):
    images = data[0][:20]

    def explain(most, batch_size):
        explainer = EXPLAINERS[kind](greedy_model(most), batch_size=batch_size).fit(images[:2])
        return explainer.explain(images), explainer

    with pytest.warns(UserWarning, match="16 images at a time take more memory") as told:
        explanation, explainer = explain(4, 16)
    assert [str(warning.message) for warning in told if "memory" in str(warning.message)] == [
        "16 images at a time take more memory than there is, and 4 do not; set batch_size=4 to "
        "save the attempts"
    ]
    assert explainer.batch_size == 16
    np.testing.assert_array_equal(explanation.values, explain(99, 4)[0].values)


def test_where_memory_is_short_predictions_are_those_of_a_smaller_batch(data, own_allocator):
    images = data[0][:20]
    with pytest.warns(UserWarning, match="16 images at a time take more memory .* batch_size=4 "):
        found = predict(greedy_model(4), images, 16)
    np.testing.assert_array_equal(found, predict(greedy_model(99), images, 4))


def test_where_there_is_no_memory_for_one_image_the_error_goes_up(data, own_allocator):
    import tensorflow as tf

    with pytest.raises(tf.errors.ResourceExhaustedError, match="1 images"):
        predict(greedy_model(0), data[0], 16)


def test_other_errors_are_not_tried_again():
    sizes = []

    def compute(size):
        sizes.append(size)
        raise RuntimeError("the device is lost")

    with pytest.raises(RuntimeError, match="lost"):
        as_memory_allows(compute, 16)
    assert sizes == [16]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory")])
def test_a_function_that_teaches_is_asked_about_fewer_images_where_memory_is_short(
    data, monkeypatch, error
):
    for module in (_batches, _callable_teacher):
        monkeypatch.setattr(module, "is_out_of_memory", torch.is_out_of_memory)

    class Teacher:
        def __call__(self, images):
            if len(images) > 5:
                raise error
            return np.stack([images.mean(axis=(1, 2, 3))] * 2, axis=1)

    student = KDClassifier(Teacher(), NetworkClassifier(NETWORK, epochs=1, batch_size=20))
    with pytest.warns(UserWarning, match="20 images at a time .* and 5 do not"):
        student.fit(*data)


@pytest.mark.slow
def test_a_search_that_is_killed_loses_the_epoch_it_was_in(data, tmp_path):
    code = """
import os, signal, sys
import joblib, numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import ParameterGrid, cross_val_score
from sklearn.svm import SVC
from skkd import MLP, KDClassifier, NetworkClassifier
from skkd.models._trainer import EpochSeeds
scores, checkpoints, log, last, output = sys.argv[1:]
on_epoch_begin = EpochSeeds.on_epoch_begin
def begin(self, epoch, logs=None):
    with open(log, "a") as file:
        file.write(".")
    if os.path.getsize(log) == int(last):
        os.kill(os.getpid(), signal.SIGKILL)
    on_epoch_begin(self, epoch, logs)
EpochSeeds.on_epoch_begin = begin
digits = load_digits()
X, y = digits.images[:30, ..., None].astype("float32"), digits.target[:30] % 2
student = KDClassifier(SVC(), NetworkClassifier(MLP(hidden=(2,)), epochs=3, random_state=0,
                                                checkpoint=checkpoints))
score = joblib.Memory(scores, verbose=0).cache(cross_val_score)
grid = ParameterGrid({"alpha": [0.1, 0.9], "temperature": [1, 8]})
found = [score(clone(student).set_params(**p), X, y, cv=2).mean() for p in grid]
np.save(output, found)
"""
    log, output = tmp_path / "log", tmp_path / "found.npy"
    folders = [str(tmp_path / "scores"), str(tmp_path / "checkpoints"), str(log)]

    def run(last):
        return subprocess.run([sys.executable, "-c", code, *folders, str(last), output]).returncode

    # Two candidates of two folds and three epochs each are done, and an epoch of the third.
    assert run(14) == -signal.SIGKILL
    assert run(0) == 0
    assert log.stat().st_size == 4 * 2 * 3 + 1
    assert os.listdir(tmp_path / "checkpoints") == []
    search = GridSearchCV(
        KDClassifier(SVC(), NetworkClassifier(NETWORK, epochs=3, random_state=0)),
        {"alpha": [0.1, 0.9], "temperature": [1, 8]},
        cv=2,
        error_score="raise",
    ).fit(*data)
    np.testing.assert_allclose(np.load(output), search.cv_results_["mean_test_score"])
