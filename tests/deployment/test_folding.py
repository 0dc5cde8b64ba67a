import pickle

import keras
import numpy as np
import pytest
import sklearn
from keras import layers
from PIL import Image
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.fixes import parse_version

import skkd
from skkd import (
    FiveBlockCNN,
    GradCAMExplainer,
    KDClassifier,
    NetworkClassifier,
    expected_calibration_error,
    fold_temperature,
)
from skkd.deployment._card_output import describe_output
from skkd.deployment._export_network import find_exported
from skkd.deployment._export_record import make_record
from skkd.models._head import find_head

needs_temperature = pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.8"),
    reason="scikit-learn finds temperatures from 1.8 on",
)
NAMES = np.array(["low", "middle", "high"])


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits[0].copy(), digits[1]
    # Whoever changes what a user passes in, is told.
    X.setflags(write=False)
    return X, y // 4


def trunk():
    return [keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(8, activation="relu")]


@keras.saving.register_keras_serializable("test")
class Cosine(layers.Dense):
    """Dense, and deaf to the length of its weights."""

    def call(self, inputs):
        return 9 * keras.ops.matmul(inputs, keras.utils.normalize(self.kernel, axis=0))


def called_twice():
    inputs = keras.Input((8, 8, 1))
    twice = layers.Dense(3)
    return keras.Model(inputs, twice(twice(layers.Dense(3)(layers.Flatten()(inputs)))))


def end_in(*head):
    return lambda: keras.Sequential([*trunk(), *(make() for make in head)])


# Networks, and whether the temperature is part of their last weights.
HEADS = {
    "dense softmax": (end_in(lambda: layers.Dense(3, activation="softmax")), True),
    "dense, activation": (
        end_in(lambda: layers.Dense(3), lambda: layers.Activation("softmax")),
        True,
    ),
    "logits": (end_in(lambda: layers.Dense(3)), True),
    "no bias": (end_in(lambda: layers.Dense(3, use_bias=False)), True),
    "nested": (
        lambda: keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                keras.Sequential(trunk()),
                keras.Sequential([keras.Input((8,)), layers.Dense(3, activation="softmax")]),
            ]
        ),
        True,
    ),
    "pooling": (
        lambda: keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                layers.Conv2D(3, 3),
                layers.GlobalAveragePooling2D(),
                layers.Softmax(),
            ]
        ),
        False,
    ),
    "called twice": (called_twice, False),
    "a class of its own": (end_in(lambda: Cosine(3, use_bias=False)), False),
}


def fit_student(data, network, **params):
    X, y = data
    options = {"epochs": 2, "learning_rate": 0.02, "random_state": 0, **params}
    return NetworkClassifier(network, **options).fit(X[:200], y[:200])


def calibrate(student, X, y, **options):
    options = {"method": "temperature", **options}
    return CalibratedClassifierCV(FrozenEstimator(student), **options).fit(X, y)


@pytest.fixture(scope="module")
def student(data):
    X, y = data
    student = fit_student((X, NAMES[y]), HEADS["dense softmax"][0]())
    # Far too sure of itself, as networks that train for long are.
    student._trainer.model_.set_weights([w * 1.5 for w in student.model_.get_weights()])
    return student


@pytest.fixture(scope="module")
def calibrated(student, data):
    X, y = data
    return calibrate(student, X[200:600], NAMES[y[200:600]])


@pytest.fixture(scope="module")
def folded(calibrated):
    return fold_temperature(calibrated)


@needs_temperature
@pytest.mark.parametrize("head", HEADS)
def test_the_network_gives_what_scikit_learn_calibrated(data, head):
    X, y = data
    make, in_weights = HEADS[head]
    student = fit_student(data, make())
    before = [weight.copy() for weight in student.model_.get_weights()]
    calibrated = calibrate(student, X[200:500], y[200:500])
    folded = fold_temperature(calibrated)
    expected = calibrated.predict_proba(X[500:600])
    assert abs(expected - student.predict_proba(X[500:600])).max() > 0.01
    for proba in (
        folded.predict_proba(X[500:600]),
        folded.model_.predict(X[500:600], verbose=0),
        pickle.loads(pickle.dumps(folded)).predict_proba(X[500:600]),
    ):
        np.testing.assert_allclose(proba, expected, atol=1e-5)
    added = [layer for layer in folded.model_.layers if layer.name == "inverse_temperature"]
    assert not added if in_weights else len(added) == 1
    for weight, now in zip(before, student.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, now)


@needs_temperature
def test_files_hold_the_temperature(folded, calibrated, data, tmp_path):
    X = data[0][600:700]
    expected = calibrated.predict_proba(X)
    folded.save(tmp_path / "student.skkd")
    loaded = skkd.load(tmp_path / "student.skkd")
    np.testing.assert_allclose(loaded.predict_proba(X), expected, atol=1e-5)
    assert loaded.classes_.tolist() == folded.classes_.tolist()
    folded.model_.save(tmp_path / "student.keras")
    network = keras.saving.load_model(tmp_path / "student.keras")
    np.testing.assert_allclose(network.predict(X, verbose=0), expected, atol=1e-5)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="TensorFlow runs what it exports"
)
@needs_temperature
def test_an_exported_network_is_calibrated(folded, calibrated, data, tmp_path):
    X = data[0][600:700]
    folded.model_.export(tmp_path / "saved", verbose=False)
    exported = keras.layers.TFSMLayer(tmp_path / "saved", call_endpoint="serve")
    np.testing.assert_allclose(exported(X), calibrated.predict_proba(X), atol=1e-5)


@needs_temperature
def test_logits_are_divided_by_the_temperature_and_labels_stay(folded, student, calibrated, data):
    X = data[0][600:700]
    beta = calibrated.calibrated_classifiers_[0].calibrators[0].beta_
    np.testing.assert_allclose(
        folded.decision_function(X), beta * student.decision_function(X), atol=1e-4
    )
    np.testing.assert_array_equal(folded.predict(X), student.predict(X))
    assert folded.n_iter_ == student.n_iter_
    assert folded.data_digest_ == student.data_digest_


@needs_temperature
def test_a_student_says_what_it_was_calibrated_by(folded, student, calibrated, data, tmp_path):
    X, y = data
    temperature = 1 / calibrated.calibrated_classifiers_[0].calibrators[0].beta_
    folded.save(tmp_path / "student.skkd")
    loaded = skkd.load(tmp_path / "student.skkd")
    taught = KDClassifier(None, clone(student)).fit(X[:50], y[:50])
    taught.student_ = folded
    for known in (folded, loaded, pickle.loads(pickle.dumps(folded)), taught):
        assert known.calibration_temperature_ == pytest.approx(temperature, rel=1e-4)
    record = make_record(find_exported(loaded), None, None, 0)
    assert record["output"]["calibration_temperature"] == folded.calibration_temperature_
    said = describe_output(folded.model_, find_head(folded.model_), folded.classes_, folded)
    assert f"divided by a temperature of {temperature:.4g}" in said
    again = fold_temperature(calibrate(folded, X[600:], NAMES[y[600:]]))
    np.testing.assert_allclose(
        again.decision_function(X[:5]) * again.calibration_temperature_,
        student.decision_function(X[:5]),
        rtol=1e-4,
        atol=1e-4,
    )
    for plain in (student, loaded.fit(X[:50], y[:50])):
        assert not hasattr(plain, "calibration_temperature_")


@needs_temperature
def test_confidence_comes_nearer_to_accuracy(folded, student, data):
    X, y = data
    before, after = (
        expected_calibration_error(
            NAMES[y[600:]], model.predict_proba(X[600:]), labels=model.classes_
        )
        for model in (student, folded)
    )
    assert after < before / 2


@needs_temperature
def test_an_explanation_has_calibrated_probabilities_and_the_same_map(data):
    X, y = data
    student = fit_student(data, FiveBlockCNN(filters=(4,), dense=()))
    calibrated = calibrate(student, X[200:500], y[200:500])
    folded = GradCAMExplainer(fold_temperature(calibrated)).fit().explain(X[600:604])
    before = GradCAMExplainer(student).fit().explain(X[600:604])
    np.testing.assert_array_equal(folded.targets, before.targets)
    np.testing.assert_allclose(
        folded.probabilities, calibrated.predict_proba(X[600:604]).max(axis=1), atol=1e-5
    )
    scale = before.values.max() / folded.values.max()
    np.testing.assert_allclose(scale * folded.values, before.values, rtol=1e-3, atol=1e-5)


@needs_temperature
def test_two_classes_are_calibrated_by_the_difference_of_their_logits(data):
    X, y = data
    for labels in (y > 0, np.where(y > 0, "ill", "well")):
        student = fit_student((X, labels), end_in(lambda: layers.Dense(2))())
        calibrated = calibrate(student, X[200:500], labels[200:500])
        np.testing.assert_allclose(
            fold_temperature(calibrated).predict_proba(X[500:]),
            calibrated.predict_proba(X[500:]),
            atol=1e-5,
        )


@needs_temperature
def test_training_does_not_go_on_but_begins_anew(folded, student, data, tmp_path):
    X, y = data
    folded.save(tmp_path / "student.skkd")
    for model in (folded, skkd.load(tmp_path / "student.skkd")):
        with pytest.raises(ValueError, match="a temperature is part of the weights"):
            model.partial_fit(X[:10], NAMES[y[:10]])
    copy = pickle.loads(pickle.dumps(folded))
    again = copy.fit(X[:200], NAMES[y[:200]]).partial_fit(X[:200], NAMES[y[:200]])
    fresh = fit_student((X, NAMES[y]), student.network).partial_fit(X[:200], NAMES[y[:200]])
    np.testing.assert_array_equal(again.predict_proba(X[600:]), fresh.predict_proba(X[600:]))


@needs_temperature
def test_a_student_of_a_teacher_keeps_it_and_the_one_given_trains_on(data):
    X, y = data
    network = NetworkClassifier(end_in(lambda: layers.Dense(3))(), epochs=1, random_state=0)
    student = KDClassifier(teach, network).fit(X[:200], y[:200])
    calibrated = calibrate(student, X[200:500], y[200:500])
    folded = fold_temperature(calibrated)
    expected = calibrated.predict_proba(X[500:])
    assert type(folded) is KDClassifier
    np.testing.assert_allclose(folded.predict_proba(X[500:]), expected, atol=1e-5)
    np.testing.assert_allclose(folded.model_.predict(X[500:], verbose=0), expected, atol=1e-5)
    assert folded.teacher_ is student.teacher_
    np.testing.assert_array_equal(
        folded.teacher_predict_proba(X[500:]), student.teacher_predict_proba(X[500:])
    )
    with pytest.raises(ValueError, match="a temperature is part of the weights"):
        folded.partial_fit(X[:200], y[:200])
    student.partial_fit(X[:200], y[:200])
    np.testing.assert_allclose(folded.predict_proba(X[500:]), expected, atol=1e-5)


def teach(X):
    return np.stack([X[:, 2, 2, 0], X[:, 4, 4, 0], X[:, 6, 3, 0]], axis=1)


@needs_temperature
def test_a_pipeline_or_search_gives_a_copy_of_its_steps(data):
    X, y = data
    network = NetworkClassifier(end_in(lambda: layers.Dense(3))(), random_state=0)
    steps = make_pipeline(FunctionTransformer(halve), network)
    search = GridSearchCV(steps, {"networkclassifier__epochs": [1]}, cv=2).fit(X[:200], y[:200])
    calibrated = calibrate(search, X[200:500], y[200:500])
    folded = fold_temperature(calibrated)
    assert type(folded) is Pipeline
    assert folded[0] is not search.best_estimator_[0]
    np.testing.assert_allclose(
        folded.predict_proba(X[500:]), calibrated.predict_proba(X[500:]), atol=1e-5
    )


def halve(X):
    return X / 2


@needs_temperature
def test_a_wrong_temperature_of_labels_that_scikit_learn_takes_for_positions_is_refused(data):
    X, y = data
    student = fit_student((X, y + 1), end_in(lambda: layers.Dense(3))())
    with pytest.raises(ValueError, match=r"np.searchsorted\(student.classes_, y\)"):
        fold_temperature(calibrate(student, X[200:500], y[200:500] + 1))
    positions = np.searchsorted(student.classes_, y[200:500] + 1)
    right = fold_temperature(calibrate(student, X[200:500], positions))
    assert right.classes_.tolist() == [1, 2, 3]
    zero_based = fit_student(data, end_in(lambda: layers.Dense(3))())
    expected = fold_temperature(calibrate(zero_based, X[200:500], y[200:500]))
    np.testing.assert_array_equal(right.predict_proba(X[500:]), expected.predict_proba(X[500:]))


@needs_temperature
def test_calibration_images_that_lack_a_class_are_refused(student, data):
    X, y = data
    rows = 200 + np.flatnonzero(y[200:600] > 0)
    calibrated = calibrate(student, X[200:600], NAMES[y[200:600]])
    # Newer versions of scikit-learn may take them, whose fit fails in 1.9.
    calibrated.classes_ = np.unique(NAMES[y[rows]])
    with pytest.raises(ValueError, match="calibrate on images of every class"):
        fold_temperature(calibrated)


@needs_temperature
def test_several_students_are_no_one_network(data):
    X, y = data
    network = NetworkClassifier(end_in(lambda: layers.Dense(3))(), epochs=1, random_state=0)
    ensemble = CalibratedClassifierCV(network, method="temperature", cv=2).fit(X[:100], y[:100])
    with pytest.raises(ValueError, match=r"averages 2 students.*ensemble=False"):
        fold_temperature(ensemble)
    one = CalibratedClassifierCV(network, method="temperature", cv=2, ensemble=False)
    one.fit(X[:100], y[:100])
    np.testing.assert_allclose(
        fold_temperature(one).predict_proba(X[500:]), one.predict_proba(X[500:]), atol=1e-5
    )


def test_what_is_no_student_with_a_temperature_is_refused(student, data):
    X, y = data
    with pytest.raises(TypeError, match="must be a fitted CalibratedClassifierCV"):
        fold_temperature(student)
    with pytest.raises(sklearn.exceptions.NotFittedError):
        fold_temperature(CalibratedClassifierCV(FrozenEstimator(student)))
    for method in ("sigmoid", "isotonic"):
        with pytest.raises(ValueError, match="fit it with method='temperature'"):
            fold_temperature(calibrate(student, X[200:500], NAMES[y[200:500]], method=method))


@needs_temperature
def test_a_classifier_without_a_network_is_refused(data):
    X, y = data[0].reshape(len(data[0]), -1), data[1]
    model = LogisticRegression(max_iter=2000).fit(X[:200], y[:200])
    with pytest.raises(TypeError, match="got LogisticRegression, which has no network"):
        fold_temperature(calibrate(model, X[200:], y[200:]))


@needs_temperature
def test_files_calibrate_as_their_images_do(data, tmp_path):
    X, y = (data[0][:260] * 15).astype(np.uint8), data[1][:260]
    paths = [str(tmp_path / f"{number}.png") for number in range(60)]
    for path, image in zip(paths, X[200:], strict=True):
        Image.fromarray(image[..., 0]).save(path)
    student = fit_student((X, y), end_in(lambda: layers.Dense(3))())
    expected = fold_temperature(calibrate(student, X[200:], y[200:])).predict_proba(X[200:])
    for files in (paths, np.array(paths)):
        folded = fold_temperature(calibrate(student, files, y[200:]))
        np.testing.assert_array_equal(folded.predict_proba(files), expected)
