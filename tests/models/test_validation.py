"""Images to validate with: by fraction, by group, by a splitter, or a user's own."""

import warnings

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn import config_context
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupShuffleSplit, PredefinedSplit
from sklearn.svm import SVC

from skkd import MLP, KDClassifier, NetworkClassifier
from skkd.models._labels import hold_out


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits
    return X[:90], y[:90] % 3


@pytest.fixture(scope="module")
def others(digits):
    X, y = digits
    return X[200:240], y[200:240] % 3


def classifier(**params):
    params = {"epochs": 2, "random_state": 0, "dtype_policy": "float32"} | params
    return NetworkClassifier(MLP(hidden=(8,), dropout=0.0), **params)


def cross_entropy(fitted, X, y, weights=None):
    proba = fitted.predict_proba(X)
    losses = -np.log(proba[np.arange(len(y)), np.searchsorted(fitted.classes_, y)])
    return np.average(losses, weights=weights)


def test_groups_stay_together_and_every_class_is_trained(rng):
    y = np.repeat([0, 1], 30)
    groups = np.array([f"patient {number // 4}" for number in range(60)])
    rows = np.arange(60)
    train, held_out = hold_out(rows, y, 0.2, 0, groups=groups)
    assert sorted([*train, *held_out]) == rows.tolist()
    assert not set(groups[train]) & set(groups[held_out])
    assert set(y[train]) == {0, 1}
    assert 6 <= len(held_out) <= 18
    again = hold_out(rows, y, 0.2, 0, groups=pd.Series(groups))
    np.testing.assert_array_equal(again[1], held_out)
    some = rows[::2]
    train, held_out = hold_out(some, y, 0.2, 0, groups=groups)
    assert sorted([*train, *held_out]) == some.tolist()


def test_images_kept_apart_are_those_validated_with(data, others):
    y_val = others[1]
    fitted = classifier().fit(*data, X_val=others[0], y_val=y_val)
    # As with no validation at all, since nothing is taken from X.
    plain = classifier().fit(*data)
    for ours, theirs in zip(fitted.model_.get_weights(), plain.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert fitted.history_["val_loss"][-1] == pytest.approx(
        cross_entropy(fitted, *others), rel=1e-4
    )
    assert fitted.history_["val_accuracy"][-1] == pytest.approx(fitted.score(*others), abs=1e-6)

    weights = np.linspace(0, 1, 40)
    weighted = classifier(batch_size=90).fit(
        *data, X_val=others[0], y_val=y_val, sample_weight_val=weights
    )
    assert weighted.history_["val_loss"][-1] == pytest.approx(
        cross_entropy(weighted, *others, weights), rel=1e-4
    )


def test_images_of_many_known_classes_are_not_taken_for_regression(digits):
    X, _ = digits
    y = np.tile(np.arange(24), 2)
    # Of more than 20 images, more than half with a label of their own.
    few = slice(24)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fitted = classifier(epochs=1).fit(X[:48], y, X_val=X[few], y_val=y[few])
        fitted.partial_fit(X[few], y[few])
    with pytest.raises(ValueError, match=r"only the classes of the first fit.*0\.5"):
        classifier(epochs=1).fit(X[:48], y, X_val=X[few], y_val=y[few] + 0.5)


def test_early_stopping_goes_by_them(data, others):
    params = {"early_stopping": True, "n_iter_no_change": 1, "epochs": 30, "learning_rate": 0.05}
    fitted = classifier(**params).fit(*data, X_val=others[0], y_val=others[1])
    assert fitted.n_iter_ < 30
    assert min(fitted.history_["val_loss"]) == pytest.approx(
        cross_entropy(fitted, *others), rel=1e-4
    )


def test_a_splitter_says_what_is_kept(data):
    folds = np.full(90, -1)
    folds[10:30] = 0
    fitted = classifier(early_stopping=True, validation_split=PredefinedSplit(folds)).fit(*data)
    best = min(fitted.history_["val_loss"])
    assert best == pytest.approx(cross_entropy(fitted, data[0][10:30], data[1][10:30]), rel=1e-4)
    groups = np.arange(90) // 3
    splitter = GroupShuffleSplit(1, test_size=0.3, random_state=0)
    classifier(early_stopping=True, validation_split=splitter).fit(*data, groups=groups)


def test_a_student_is_validated_on_what_its_teacher_says_too(data, others):
    X, y = data
    svc = SVC(probability=True, random_state=0).fit(X.reshape(90, -1), y)
    student = KDClassifier(FrozenEstimator(svc), classifier(), alpha=0.0, temperature=1.0)
    student.fit(X, y, X_val=others[0], y_val=others[1])
    theirs = svc.predict_proba(others[0].reshape(40, -1))
    ours = np.log(student.predict_proba(others[0]))
    divergence = (theirs * (np.log(theirs) - ours)).sum(axis=1).mean()
    assert student.student_.history_["val_loss"][-1] == pytest.approx(divergence, rel=1e-3)


def test_a_teacher_that_is_fitted_does_not_see_them(data, others):
    X, y = data
    teacher = LogisticRegression(max_iter=50)
    student = KDClassifier(teacher, classifier(epochs=1)).fit(
        X, y, X_val=others[0], y_val=others[1]
    )
    expected = LogisticRegression(max_iter=50).fit(X.reshape(90, -1), y)
    np.testing.assert_allclose(student.teacher_.coef_, expected.coef_)


def test_searches_route_them(data, others):
    X_val, y_val = others
    search = GridSearchCV(classifier(), {"batch_size": [30, 60]}, cv=2)
    search.fit(*data, X_val=X_val, y_val=y_val)
    assert len(search.best_estimator_.history_["val_loss"]) == 2
    with config_context(enable_metadata_routing=True):
        requesting = classifier(early_stopping=True).set_fit_request(groups=True)
        search = GridSearchCV(requesting, {"batch_size": [30]}, cv=2)
        search.fit(*data, groups=np.arange(90) // 3)
    assert "val_loss" in search.best_estimator_.history_


def test_files_validate_what_arrays_train(data, others, tmp_path):
    paths = []
    for number, image in enumerate(others[0]):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray((image[..., 0] * 15).astype("uint8")).save(paths[-1])
    X = (data[0] * 15).astype("uint8")
    fitted = classifier().fit(X, data[1], X_val=paths, y_val=others[1])
    assert fitted.history_["val_accuracy"][-1] == pytest.approx(
        fitted.score(paths, others[1]), abs=1e-6
    )


@pytest.mark.parametrize(
    ("params", "given", "message"),
    [
        ({}, {"groups": [0] * 90}, "no effect without early_stopping=True"),
        ({"validation_split": GroupShuffleSplit(1)}, {}, "no effect without early_stopping=True"),
        ({}, {"X_val": np.zeros((4, 8, 8, 1))}, "X_val and y_val must be passed together"),
        ({}, {"y_val": [0, 1]}, "X_val and y_val must be passed together"),
        (
            {},
            {"X_val": np.zeros((2, 8, 8, 1)), "y_val": [0, 7]},
            r"y_val or sample_weight_val: .* only the classes of the first fit",
        ),
        (
            {},
            {"X_val": np.zeros((2, 8, 8, 1)), "y_val": [0]},
            "y_val or sample_weight_val: .* inconsistent numbers of samples",
        ),
        ({"early_stopping": True}, {"groups": [0] * 90}, "at least 2 groups"),
        ({"early_stopping": True}, {"groups": [0] * 9}, "for each of the 90 images; got 9 groups"),
        (
            {"early_stopping": True},
            {"groups": np.arange(90) % 3},
            r"all images of the classes \[\d\] would be kept",
        ),
        (
            {"early_stopping": True},
            {"groups": [0] * 90, "X_val": np.zeros((2, 8, 8, 1)), "y_val": [0, 1]},
            "no effect beside X_val",
        ),
    ],
)
def test_what_does_not_fit_together_is_named(data, params, given, message):
    X = data[0]
    # One group a class, for the case that asks for it.
    y = np.arange(90) % 3
    with pytest.raises(ValueError, match=message):
        classifier(**params).fit(X, y, **given)


def test_given_logits_do_not_reach_images_kept_apart(data, others):
    student = KDClassifier(None, classifier(), alpha=0.5)
    given = {"teacher_logits": np.eye(3)[data[1]], "X_val": others[0], "y_val": others[1]}
    with pytest.raises(ValueError, match="say nothing about X_val"):
        student.fit(*data, **given)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([1, 2], "groups must have one group, such as a patient, for each of the 6 images; got 2"),
        ([1, 1, 2, np.nan, 3, 3], "groups .* 1 are missing, the first in row 3"),
        (["a", "a", None, "b", "b", "c"], "groups .* 1 are missing, the first in row 2"),
    ],
)
def test_groups_that_are_too_few_or_missing_are_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        hold_out(np.arange(6), np.array([0, 1, 0, 1, 0, 1]), 0.3, 0, groups=groups)
