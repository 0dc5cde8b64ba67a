import pickle

import keras
import numpy as np
import pytest
from keras import layers
from making import make_student
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC, LinearSVC

from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier

STUDENT = FiveBlockCNN(filters=(8,), dense=())


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits
    return X[:60], y[:60] % 4


@pytest.fixture(scope="module")
def teacher():
    """A linear model of four classes with batch normalization and a softmax."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(4, activation="softmax"),
        ]
    )


def fitted(data, teacher, **params):
    params = {"student": STUDENT, "epochs": 2, "random_state": 0} | params
    return make_student(teacher, params.pop("student"), **params).fit(*data)


def weights(classifier):
    return np.concatenate([w.ravel() for w in classifier.model_.get_weights()])


def test_alpha_1_and_no_teacher_are_plain_training_to_the_bit(data, teacher):
    plain = NetworkClassifier(STUDENT, epochs=2, random_state=0).fit(*data)
    plain = np.concatenate([w.ravel() for w in plain.model_.get_weights()])
    np.testing.assert_array_equal(weights(fitted(data, teacher, alpha=1.0)), plain)
    np.testing.assert_array_equal(weights(fitted(data, None)), plain)
    assert (weights(fitted(data, teacher, alpha=0.9)) != plain).any()


def test_alpha_0_never_looks_at_the_labels(data, teacher):
    X, y = data
    students = [fitted((X, labels), teacher, alpha=0.0) for labels in (y, y[::-1])]
    np.testing.assert_array_equal(*map(weights, students))


def test_a_student_of_the_teacher_alone_comes_to_agree_with_it(digits):
    X, y = digits
    student = KDClassifier(
        SVC(gamma=0.001),
        NetworkClassifier(STUDENT, epochs=30, learning_rate=0.01, random_state=0),
        alpha=0.0,
    ).fit(X[:600], y[:600])
    agreement = np.mean(
        student.predict(X[600:]) == student.teacher_.predict(X[600:].reshape(-1, 64))
    )
    assert agreement > 0.85


def test_the_teacher_is_left_as_it_was_and_shared_by_clones(data, teacher):
    before = [*teacher.get_weights(), teacher.trainable, teacher.compiled]
    search = GridSearchCV(
        KDClassifier(teacher, NetworkClassifier(STUDENT, epochs=1)), {"alpha": [0.2, 0.8]}, cv=2
    ).fit(*data)
    after = [*teacher.get_weights(), teacher.trainable, teacher.compiled]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    assert search.best_estimator_.teacher is teacher
    assert search.best_estimator_.teacher_ is teacher


def test_a_teacher_read_from_a_path_teaches_as_the_model_does(data, teacher, tmp_path):
    path = tmp_path / "teacher.keras"
    teacher.save(path)
    np.testing.assert_array_equal(weights(fitted(data, path)), weights(fitted(data, teacher)))
    np.testing.assert_array_equal(weights(fitted(data, str(path))), weights(fitted(data, teacher)))


def test_a_head_of_logits_and_one_of_probabilities_teach_alike(data, teacher):
    logits = keras.Sequential([keras.Input((8, 8, 1)), *teacher.layers[:-1], layers.Dense(4)])
    logits.layers[-1].set_weights(teacher.layers[-1].get_weights())
    np.testing.assert_allclose(
        weights(fitted(data, logits)), weights(fitted(data, teacher)), atol=1e-5
    )


def test_a_teacher_of_another_size_and_channel_count_gets_converted_images(data):
    X, y = data
    big = keras.Sequential(
        [keras.Input((20, 12, 3)), layers.Flatten(), layers.Dense(4, name="top")]
    )
    student = fitted((X, y), big)
    resized = keras.layers.Resizing(20, 12)(np.repeat(X, 3, axis=-1))
    expected = keras.ops.softmax(big(resized))
    np.testing.assert_allclose(student.teacher_predict_proba(X), expected, atol=1e-5)


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(10, random_state=0),
        LogisticRegression(max_iter=50),
        LinearSVC(random_state=0),
        NetworkClassifier(STUDENT, epochs=1, random_state=0),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_a_scikit_learn_classifier_is_cloned_fitted_on_the_same_rows_and_teaches(data, estimator):
    X, y = data
    student = fitted((X, y), estimator)
    assert student.teacher_ is not estimator
    assert not hasattr(estimator, "classes_")
    takes_images = isinstance(estimator, NetworkClassifier)
    rows = X if takes_images else X.reshape(len(X), -1)
    expected = clone(estimator).fit(rows, y)
    np.testing.assert_array_equal(expected.predict(rows), student.teacher_.predict(rows))
    if hasattr(expected, "predict_proba"):
        np.testing.assert_allclose(
            student.teacher_predict_proba(X), expected.predict_proba(rows), atol=1e-5
        )


def test_a_frozen_classifier_is_kept(data):
    X, y = data
    forest = RandomForestClassifier(5, random_state=0).fit(X.reshape(60, -1), y)
    student = fitted(data, FrozenEstimator(forest))
    assert student.teacher_.estimator is forest


def test_a_distilled_student_survives_pickling(data, teacher):
    student = fitted(data, teacher)
    again = pickle.loads(pickle.dumps(student))
    np.testing.assert_array_equal(again.predict_proba(data[0]), student.predict_proba(data[0]))
    np.testing.assert_allclose(
        again.teacher_predict_proba(data[0]), student.teacher_predict_proba(data[0]), atol=1e-7
    )


def test_a_pickled_student_holds_its_teacher_once(data):
    large = FiveBlockCNN(filters=(64, 64)).build((8, 8, 1), 4)
    size = len(pickle.dumps(fitted(data, large)))
    assert size < 1.5 * len(pickle.dumps(large))


@pytest.mark.parametrize("pickled", [False, True])
def test_training_that_goes_on_follows_a_changed_loss(data, teacher, pickled):
    by_labels = fitted(data, teacher, alpha=1.0, warm_start=True)
    student = fitted(data, teacher, alpha=1.0, warm_start=True)
    if pickled:
        student = pickle.loads(pickle.dumps(student))
    by_labels.fit(*data)
    student.set_params(alpha=0.0, temperature=2.0).fit(*data)
    assert (weights(student) != weights(by_labels)).any()
    plain = fitted(data, None, warm_start=True)
    np.testing.assert_array_equal(weights(plain.fit(*data)), weights(by_labels))
    plain = fitted(data, None, warm_start=True)
    plain.set_params(teacher=teacher, alpha=0.0, temperature=2.0).fit(*data)
    np.testing.assert_array_equal(weights(plain), weights(student))


def test_training_that_goes_on_follows_a_changed_teacher(data, teacher):
    other = keras.models.clone_model(teacher)
    student = fitted(data, teacher, alpha=0.0, warm_start=True)
    student.set_params(teacher=other).fit(*data)
    assert student.teacher_ is other
    same = fitted(data, teacher, alpha=0.0, warm_start=True).fit(*data)
    assert (weights(student) != weights(same)).any()


def test_training_goes_on_with_the_labels_alone_where_nobody_is_left_to_ask(data, teacher):
    X, y = data
    student = KDClassifier(student=NetworkClassifier(STUDENT, epochs=1, random_state=0))
    student.fit(X, y, teacher_logits=teacher.predict(X, verbose=0)).partial_fit(X, y)
    assert student.n_iter_ == 2


def test_a_fit_without_a_teacher_forgets_the_one_before_and_says_so_when_it_is_asked(data, teacher):
    student = fitted(data, teacher).set_params(teacher=None).fit(*data)
    assert not hasattr(student, "teacher_")
    with pytest.raises(ValueError, match="fitted without a teacher that can be asked"):
        student.agreement_score(data[0])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alpha": 1.3}, r"'alpha' parameter of KDClassifier.*\[0.0, 1.0\]. Got 1.3"),
        ({"temperature": 0}, r"'temperature' parameter of KDClassifier.*\(0.0, inf\). Got 0"),
        ({"student": "six_block"}, "student must be 'auto'"),
        ({"teacher": "nowhere.keras"}, "there is no file 'nowhere.keras'"),
        ({"teacher": __file__}, "test_kd_classifier.py' is not a Keras model"),
        ({"teacher": 3}, "'teacher' parameter of KDClassifier"),
        ({"teacher": FiveBlockCNN(filters=(4,)).build((8, 8, 1), 3)}, "but y has 4 classes"),
    ],
)
def test_bad_parameters_are_named(params, message, data):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        KDClassifier(**params).fit(*data)


def test_a_teacher_that_gives_nan_is_refused(data, teacher):
    broken = keras.models.clone_model(teacher)
    broken.set_weights([w * np.nan for w in teacher.get_weights()])
    with pytest.raises(ValueError, match="NaN or infinite for 60 of 60 images"):
        fitted(data, broken)
