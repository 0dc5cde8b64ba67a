import copy

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skkd import MLP, FiveBlockCNN, KDClassifier, NetworkClassifier
from skkd.distillation._estimator_teacher import EstimatorTeacher

STUDENT = NetworkClassifier(MLP(hidden=(4,)), epochs=1, random_state=0)
CNN = NetworkClassifier(FiveBlockCNN(filters=(2,), dense=()), epochs=1)


class Wrapper(ClassifierMixin, BaseEstimator):
    def __init__(self, inner):
        self.inner = inner

    def fit(self, X, y):
        self.inner_ = clone(self.inner).fit(X, y)
        self.classes_ = self.inner_.classes_
        return self

    def predict_proba(self, X):
        return self.inner_.predict_proba(X)


class OfImages(ClassifierMixin, BaseEstimator):
    """Says that it takes tables, as every class of one's own, and takes images."""

    def fit(self, X, y):
        self.inner_ = GaussianNB().fit(self._rows(X), y)
        self.classes_ = self.inner_.classes_
        return self

    def predict_proba(self, X):
        return self.inner_.predict_proba(self._rows(X))

    def _rows(self, X):
        n, _height, _width, _channels = X.shape
        return X.reshape(n, -1)


class Duck:
    """Has what a classifier needs, and nothing of scikit-learn's."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.means = np.stack([X[y == label].mean(axis=0) for label in self.classes_])
        return self

    def predict_proba(self, X):
        near = np.exp(-((X[:, None] - self.means) ** 2).mean(axis=2))
        return near / near.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits
    return X[:60], y[:60] % 3


@pytest.mark.parametrize(
    ("teacher", "form"),
    [
        (VotingClassifier([("cnn", CNN)], voting="soft"), "images"),
        (CalibratedClassifierCV(Wrapper(CNN), cv=2), "images"),
        (GridSearchCV(Pipeline([("no", "passthrough"), ("cnn", CNN)]), {}, cv=2), "images"),
        (OfImages(), "images"),
        (Wrapper(GaussianNB()), "rows"),
        (Pipeline([("no", None), ("nb", GaussianNB())]), "rows"),
        (Duck(), "rows"),
    ],
)
def test_a_classifier_is_given_images_or_rows_by_what_is_inside_and_says_so(
    data, teacher, form, capsys
):
    X, y = data
    student = KDClassifier(teacher, clone(STUDENT).set_params(verbose=2)).fit(X, y)
    given = "images of shape (8, 8, 1)" if form == "images" else "rows of 64 values, the images"
    assert f"teacher {type(teacher).__name__} is given {given}" in capsys.readouterr().out
    expected = student.teacher_.predict_proba(X if form == "images" else X.reshape(60, -1))
    for one in (student, KDClassifier(FrozenEstimator(student.teacher_), STUDENT).fit(X, y)):
        np.testing.assert_allclose(one.teacher_predict_proba(X), expected, atol=1e-5)


@pytest.mark.parametrize(
    "teacher",
    [
        VotingClassifier([("cnn", CNN), ("nb", GaussianNB())], voting="soft"),
        BaggingClassifier(CNN, n_estimators=1),
    ],
)
def test_what_takes_images_beside_or_inside_what_takes_rows_is_refused(data, teacher):
    with pytest.raises(ValueError, match=r"begin with the step FunctionTransformer\(flatten\)"):
        KDClassifier(teacher, STUDENT).fit(*data)


def test_a_class_without_clones_is_copied_and_stays_as_it_is(data):
    duck = Duck()
    KDClassifier(duck, STUDENT).fit(*data)
    assert vars(duck) == {}


def test_a_classifier_that_takes_neither_form_and_one_without_classes_are_refused(data):
    class Picky(Duck):
        def fit(self, X, y):
            raise RuntimeError("no")

    class Nameless(Duck):
        def fit(self, X, y):
            super().fit(X.reshape(len(X), -1), y)
            del self.classes_

    with pytest.raises(ValueError, match=r"neither images \(no\) nor rows.*\(no\)"):
        KDClassifier(Picky(), STUDENT).fit(*data)
    with pytest.raises(ValueError, match="has no classes_ that name its outputs"):
        KDClassifier(Nameless(), STUDENT).fit(*data)


def test_a_frozen_search_teaches_and_is_recognized(data):
    X, y = data
    search = GridSearchCV(GaussianNB(), {"var_smoothing": [1e-3, 1e-2]}, cv=2)
    search.fit(X.reshape(60, -1), y)
    student = KDClassifier(FrozenEstimator(search), STUDENT).fit(X, y)
    np.testing.assert_allclose(
        student.teacher_predict_proba(X), search.predict_proba(X.reshape(60, -1)), atol=1e-5
    )
    fingerprint = EstimatorTeacher(FrozenEstimator(search), True).fingerprint()
    assert fingerprint is not None
    other = copy.deepcopy(search)
    other.best_estimator_.theta_ += 1
    assert EstimatorTeacher(FrozenEstimator(other), True).fingerprint() != fingerprint


@pytest.mark.filterwarnings("error:X does not have valid feature names")
def test_a_teacher_of_a_frame_is_given_its_columns_by_name_and_type(rng):
    X = pd.DataFrame({"kind": np.arange(40) % 3, "size": rng.normal(size=40), "no": 0.5})
    y = (X["kind"] + X["size"] > 1).astype(int)
    columns = ColumnTransformer(
        [
            ("kinds", OneHotEncoder(), make_column_selector(dtype_include="int")),
            ("sizes", StandardScaler(), ["size"]),
        ]
    )
    teacher = make_pipeline(columns, LogisticRegression()).fit(X, y)
    for one in (teacher, FrozenEstimator(teacher)):
        student = KDClassifier(one, STUDENT).fit(X, y)
        np.testing.assert_allclose(
            student.teacher_predict_proba(X), teacher.predict_proba(X), atol=1e-5
        )
