import pickle

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.estimator_checks import parametrize_with_checks

from skkd import DeferringClassifier, KDClassifier, NetworkClassifier

NAMES = np.array(["setosa", "versicolor", "virginica"])


class Known(ClassifierMixin, BaseEstimator):
    """Gives probabilities that it was told, by the number in each row; counts what it is asked."""

    def __init__(self, proba, classes):
        self.proba = proba
        self.classes = classes

    def fit(self, X, y):
        self.classes_ = np.asarray(self.classes)
        self.asked_ = []
        return self

    def predict_proba(self, X):
        rows = np.asarray(X)[:, 0].astype(int)
        self.asked_.append(rows.tolist())
        return np.asarray(self.proba, dtype=float)[rows]


class Typed(Known):
    """Leaves its probabilities in their type."""

    def __init__(self, proba, classes=("a", "b")):
        super().__init__(proba, classes)

    def predict_proba(self, X):
        return self.proba[np.asarray(X)[:, 0]]


STUDENT = [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.45, 0.55], [0.7, 0.3]]
TEACHER = [[0.3, 0.7], [0.1, 0.9], [0.6, 0.4], [0.2, 0.8], [0.5, 0.5]]
X = np.arange(5)[:, None]
Y = np.array(["a", "b", "a", "a", "b"])


def pair(student=STUDENT, teacher=TEACHER, classes=("a", "b"), teacher_classes=None, **options):
    student = FrozenEstimator(Known(student, classes).fit(None, None))
    teacher = FrozenEstimator(Known(teacher, teacher_classes or classes).fit(None, None))
    options = options or {"threshold": 0.65}
    return DeferringClassifier(student, teacher, **options)


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return X, NAMES[y]


@parametrize_with_checks(
    [
        DeferringClassifier(GaussianNB(), LogisticRegression(), threshold=0.8),
        DeferringClassifier(LogisticRegression(), GaussianNB(), coverage=0.7, cv=2),
    ]
)
def test_it_passes_the_check_of_scikit_learn(estimator, check):
    check(estimator)


def test_the_fallback_answers_where_the_student_is_not_sure_and_is_asked_no_more():
    deferring = pair().fit(X, Y)
    proba = deferring.predict_proba(X)
    expected = np.where(np.array([0, 1, 0, 1, 0], dtype=bool)[:, None], TEACHER, STUDENT)
    np.testing.assert_array_equal(proba, expected)
    assert deferring.fallback_.asked_ == [[1, 3]]
    assert deferring.defer(X).tolist() == [False, True, False, True, False]
    assert deferring.predict(X).tolist() == ["a", "b", "b", "b", "a"]
    assert deferring.score(X, Y) == 2 / 5
    assert deferring.predict(X[:1]).tolist() == ["a"]
    deferring.fallback_.asked_.clear()
    deferring.predict_proba(X[[0, 2]])
    assert deferring.fallback_.asked_ == []


def test_answers_are_matched_by_label():
    same = pair().fit(X, Y).predict_proba(X)
    turned = pair(teacher=np.array(TEACHER)[:, ::-1], teacher_classes=("b", "a")).fit(X, Y)
    np.testing.assert_array_equal(turned.predict_proba(X), same)


@pytest.mark.parametrize("classes", [(0, 1), (3, 7), (False, True), (-1.0, 1.0), ("b", "a")])
def test_labels_are_of_any_kind(classes):
    predicted = pair(classes=classes).fit(X, np.array(classes)[[0, 1, 0, 0, 1]]).predict(X)
    assert predicted.tolist() == np.array(classes)[[0, 1, 1, 1, 0]].tolist()


@pytest.mark.parametrize(
    ("coverage", "threshold"), [(0.2, 0.9), (0.21, 0.8), (0.4, 0.8), (0.6, 0.7), (1.0, 0.55)]
)
def test_the_threshold_is_the_highest_that_keeps_the_share(coverage, threshold):
    deferring = pair(coverage=coverage).fit(X, Y)
    assert deferring.threshold_ == threshold
    assert (~deferring.defer(X)).mean() >= coverage


def test_a_threshold_that_a_probability_equals_is_reached():
    assert pair(threshold=0.8).fit(X, Y).defer(X).tolist() == [False, True, False, True, True]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("threshold", [0.6, 0.7, 0.8, 0.9, np.float32(0.7), np.float16(0.9)])
def test_a_threshold_is_reached_whatever_the_type_of_the_probabilities(dtype, threshold):
    sure = np.array([1, 0.9, 0.8, 0.7, 0.6, 0.55]).astype(dtype)
    proba = np.stack([sure, 1 - sure], axis=1)
    rows = np.arange(6)[:, None]
    deferring = to_a_person(Typed(proba), threshold=threshold, deferred_label="ask")
    expected = np.array([1, 0.9, 0.8, 0.7, 0.6, 0.55]) < round(float(threshold), 2)
    assert deferring.defer(rows).tolist() == expected.tolist()
    assert (deferring.predict(rows) == "ask").tolist() == expected.tolist()
    assert to_a_person(Typed(proba), coverage=0.5).defer(rows).sum() == 3


def test_a_share_is_measured_on_images_that_the_student_was_not_trained_on(iris):
    student = LogisticRegression(C=100, max_iter=1000)
    deferring = DeferringClassifier(student, GaussianNB(), coverage=0.8, cv=3).fit(*iris)
    proba = cross_val_predict(student, *iris, cv=3, method="predict_proba")
    assert deferring.threshold_ == np.sort(proba.max(axis=1))[-120]
    np.testing.assert_allclose(
        deferring.student_.predict_proba(iris[0]), clone(student).fit(*iris).predict_proba(iris[0])
    )


@pytest.mark.parametrize("routing", [False, True])
def test_patients_are_kept_together_where_the_splitter_does(iris, routing):
    patients = np.arange(150) // 3 % 10
    student = LogisticRegression(C=100, max_iter=1000)
    deferring = DeferringClassifier(student, coverage=0.8, cv=GroupKFold(3))
    with config_context(enable_metadata_routing=routing):
        deferring.fit(*iris, groups=patients.tolist())
        folds = list(GroupKFold(3).split(*iris, patients))
        proba = cross_val_predict(student, *iris, cv=folds, method="predict_proba")
        assert deferring.threshold_ == np.sort(proba.max(axis=1))[-120]
        with pytest.raises(ValueError, match="groups must have a group for every image; 1 are"):
            deferring.fit(*iris, groups=[None, *patients[1:].astype(str)])
        # A search hands them on.
        if routing:
            deferring.set_params(deferred_label="ask")
            search = GridSearchCV(deferring, {"coverage": [0.8]}, scoring="accuracy")
            search.set_params(cv=GroupKFold(2)).fit(*iris, groups=patients)
            assert search.best_estimator_.threshold_ == np.sort(proba.max(axis=1))[-120]


def test_a_splitter_that_takes_no_groups_is_given_none(iris):
    deferring = DeferringClassifier(GaussianNB(), coverage=0.8, cv=2)
    with config_context(enable_metadata_routing=True), pytest.raises(TypeError, match="groups"):
        deferring.fit(*iris, groups=np.arange(150))


def test_labels_that_a_frozen_student_does_not_know_are_refused():
    with pytest.raises(ValueError, match=r"y must hold only the classes \['a', 'b'\]; got \['c'\]"):
        pair().fit(X, np.array(["a", "b", "a", "c", "b"]))


def test_a_search_finds_the_threshold(iris):
    deferring = DeferringClassifier(GaussianNB(), LogisticRegression(max_iter=500), threshold=0.5)
    search = GridSearchCV(deferring, {"threshold": [0.5, 0.99]}, cv=2)
    search.fit(*iris)
    assert search.best_params_["threshold"] in (0.5, 0.99)
    assert deferring.get_params()["threshold"] == 0.5
    assert not hasattr(deferring, "student_")


def test_weights_reach_whoever_asks_for_them(iris):
    X, y = iris
    weights = np.where(y == "setosa", 5.0, 1.0)
    with config_context(enable_metadata_routing=True):
        deferring = DeferringClassifier(
            GaussianNB().set_fit_request(sample_weight=True),
            LogisticRegression(max_iter=500).set_fit_request(sample_weight=False),
            threshold=0.9,
        ).fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(deferring.student_.class_prior_, [5 / 7, 1 / 7, 1 / 7])
    with pytest.raises(ValueError, match="enable_metadata_routing=True"):
        deferring.fit(X, y, sample_weight=weights)


def test_tables_keep_their_columns(iris):
    table = pd.DataFrame(iris[0], columns=list("abcd"), index=np.arange(150)[::-1])
    deferring = DeferringClassifier(GaussianNB(), LogisticRegression(max_iter=500), threshold=0.9)
    deferring.fit(table, pd.Series(iris[1], index=table.index))
    assert deferring.feature_names_in_.tolist() == list("abcd")
    assert 0 < deferring.defer(table).sum() < 150
    assert deferring.score(table, iris[1]) > 0.9


@pytest.fixture(scope="module")
def images(digits, tmp_path_factory):
    X, y = (digits[0][:60] * 15).astype(np.uint8), digits[1][:60] % 3
    folder = tmp_path_factory.mktemp("images")
    paths = [str(folder / f"{number}.png") for number in range(60)]
    for path, image in zip(paths, X, strict=True):
        Image.fromarray(image[..., 0]).save(path)
    return X, y, paths


@pytest.fixture(scope="module")
def student(images):
    network = NetworkClassifier("mlp", epochs=1, random_state=0)
    return KDClassifier(bright, network).fit(*images[:2])


@pytest.fixture(scope="module")
def deferring(images, student):
    return DeferringClassifier(FrozenEstimator(student), "teacher", coverage=0.5).fit(*images[:2])


def test_the_teacher_that_it_learned_from_answers(images, student, deferring):
    X = images[0]
    deferred = deferring.defer(X)
    assert deferred.sum() == 30
    expected = np.where(
        deferred[:, None], student.teacher_predict_proba(X), student.predict_proba(X)
    )
    np.testing.assert_allclose(deferring.predict_proba(X), expected, atol=1e-6)


def test_files_and_tensors_are_taken_for_images(images, deferring):
    X, _, paths = images
    expected = deferring.predict_proba(X)
    for given in (paths, np.array(paths), pd.Series(paths), keras.ops.array(X)):
        np.testing.assert_allclose(deferring.predict_proba(given), expected, atol=1e-6)


def test_one_image_is_answered(images, deferring):
    X = images[0]
    sure = np.flatnonzero(~deferring.defer(X))[0]
    unsure = np.flatnonzero(deferring.defer(X))[0]
    for row in (sure, unsure):
        assert deferring.predict_proba(X[row][None]).shape == (1, 3)


def test_a_pickle_answers_alike(images, deferring):
    again = pickle.loads(pickle.dumps(deferring))
    np.testing.assert_array_equal(
        again.predict_proba(images[0]), deferring.predict_proba(images[0])
    )


def test_a_student_without_a_teacher_has_none_to_ask(images, student):
    for given in (student.student_, clone(student).set_params(teacher=None).fit(*images[:2])):
        with pytest.raises(ValueError, match="fallback='teacher' needs a KDClassifier"):
            DeferringClassifier(FrozenEstimator(given), "teacher", threshold=0.5).fit(*images[:2])


def bright(X):
    return np.asarray(X, dtype=float)[:, 2:5, 4, 0] / 100


def to_a_person(student=None, **options):
    student = FrozenEstimator((student or Known(STUDENT, ("a", "b"))).fit(None, None))
    options = options if "coverage" in options else {"threshold": 0.65, **options}
    return DeferringClassifier(student, **options).fit(X, Y)


def test_nothing_is_predicted_for_a_person():
    deferring = to_a_person()
    assert deferring.defer(X).tolist() == [False, True, False, True, False]
    with pytest.raises(ValueError, match="set deferred_label"):
        deferring.predict(X)
    for name in ("predict_proba", "score"):
        assert not hasattr(deferring, name)
    with pytest.raises(AttributeError, match="has no attribute 'predict_proba'") as caught:
        deferring.predict_proba(X)
    assert "fallback=None" in str(caught.value.__cause__)


@pytest.mark.parametrize("label", ["ask somebody", np.nan, pd.NA, -1])
def test_a_label_says_what_is_handed_over_to_a_person(label):
    predicted = to_a_person(deferred_label=label).predict(X)
    assert predicted[[0, 2, 4]].tolist() == ["a", "b", "a"]
    for given in predicted[[1, 3]]:
        assert given is label or given == label or (pd.isna(given) and pd.isna(label))


def test_a_missing_value_among_numbers_is_refused_by_scores():
    student = FrozenEstimator(Known(STUDENT, (0, 1)).fit(None, None))
    deferring = DeferringClassifier(student, threshold=0.65, deferred_label=np.nan)
    predicted = deferring.fit(X, [0, 1, 0, 0, 1]).predict(X)
    np.testing.assert_array_equal(predicted, [0, np.nan, 1, np.nan, 0])
    with pytest.raises(ValueError, match="NaN"):
        accuracy_score([0, 1, 0, 0, 1], predicted)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": None}, "either threshold or coverage must be given"),
        ({"threshold": 0.5, "coverage": 0.5}, "either threshold or coverage must be given"),
        ({"threshold": 0}, "'threshold' parameter"),
        ({"threshold": 1.2}, "'threshold' parameter"),
        ({"coverage": 0.0}, "'coverage' parameter"),
        ({"threshold": 0.5, "deferred_label": "ask"}, "no effect beside a fallback"),
    ],
)
def test_parameters_that_contradict_themselves_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        pair(**options).fit(X, Y)


@pytest.mark.parametrize("label", ["a", ["ask"]])
def test_a_label_that_would_be_an_answer_is_refused(label):
    with pytest.raises(ValueError, match="deferred_label must be"):
        to_a_person(deferred_label=label)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([[np.nan, 1.0]] * 5, "NaN"),
        ([[0.5, 0.9]] * 5, "must sum to 1"),
        ([[3.0, -2.0]] * 5, r"in \[0, 1\]"),
        ([[0.2, 0.3, 0.5]] * 5, "one column for each of the 2 classes"),
    ],
)
def test_what_are_no_probabilities_of_the_classes_is_refused(wrong, message):
    with pytest.raises(ValueError, match=f"predict_proba of student: .*{message}"):
        pair(student=wrong).fit(X, Y).defer(X)
    deferring = pair(teacher=wrong).fit(X, Y)
    with pytest.raises(ValueError, match=f"predict_proba of fallback: .*{message}"):
        deferring.predict(X)
    # Nobody is asked about these.
    assert deferring.predict(X[[0, 2]]).tolist() == ["a", "b"]


@pytest.mark.parametrize("teacher_classes", [("a", "c"), (0, 1)])
def test_a_fallback_of_other_classes_is_refused(teacher_classes):
    with pytest.raises(ValueError, match="both must be fitted on the same labels"):
        pair(teacher_classes=teacher_classes).fit(X, Y)


def test_it_answers_only_once_it_is_fitted():
    for method in ("predict", "predict_proba", "defer"):
        with pytest.raises(NotFittedError):
            getattr(pair(), method)(X)


@pytest.mark.parametrize(
    ("student", "params"),
    [(GaussianNB(), {"threshold": 0.8}), (FrozenEstimator(GaussianNB()), {"coverage": 0.8})],
)
def test_patients_without_folds_are_refused(iris, student, params):
    if isinstance(student, FrozenEstimator):
        student = FrozenEstimator(GaussianNB().fit(*iris))
    with pytest.raises(ValueError, match="groups have no effect where threshold is given"):
        DeferringClassifier(student, **params).fit(*iris, groups=np.arange(len(iris[1])) // 3)
