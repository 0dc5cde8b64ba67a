import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from skkd import DeferringClassifier, deferral_curve


@pytest.fixture
def predicted(rng):
    """Return labels, and what a student and a better teacher say; some confidences are alike."""
    y = rng.integers(0, 3, 60)
    student = rng.dirichlet(np.ones(3), 60).round(1)
    student[:, 2] = 1 - student[:, 0] - student[:, 1]
    student = np.clip(student, 0, 1)
    teacher = 0.7 * np.eye(3)[np.where(rng.random(60) < 0.8, y, (y + 1) % 3)] + 0.1
    return y, student, teacher


def by_hand(y, student, answers, threshold):
    kept = student.max(axis=1) >= threshold - 1e-12
    right = np.where(kept, student.argmax(axis=1), answers) == y
    return kept.mean(), right.mean(), right[kept].mean() if kept.any() else np.nan


def test_every_row_is_what_its_threshold_gives(predicted):
    y, student, teacher = predicted
    curve = deferral_curve(y, student, teacher)
    # Confidences are tenths; 0.7 and 1 - 0.1 - 0.2 are one.
    tenths = np.unique(student.max(axis=1).round(1))[::-1]
    np.testing.assert_allclose(curve["threshold"], [np.inf, *tenths], rtol=1e-14)
    expected = [by_hand(y, student, teacher.argmax(axis=1), t) for t in curve["threshold"]]
    columns = curve[["coverage", "accuracy", "accuracy_kept"]]
    np.testing.assert_allclose(columns, expected)
    np.testing.assert_allclose(curve["share_asked"], 1 - curve["coverage"])
    assert curve["coverage"].iloc[[0, -1]].tolist() == [0, 1]


def test_confidences_that_rounding_sets_apart_are_one_threshold():
    sure = np.float32(0.7)
    proba = np.array([[sure, 1 - sure], [np.nextafter(sure, np.float32(0)), 1 - sure], [0.2, 0.8]])
    curve = deferral_curve([0, 1, 1], proba.astype(np.float32))
    assert curve["coverage"].tolist() == pytest.approx([0, 1 / 3, 1])
    assert curve["threshold"].iloc[2] == float(sure)


def test_of_two_classes_the_probability_of_the_second_will_do(rng):
    y, second = rng.integers(0, 2, 30), rng.random(30)
    both = np.stack([1 - second, second], axis=1)
    pd.testing.assert_frame_equal(deferral_curve(y, second, y), deferral_curve(y, both, y))


def test_a_threshold_of_the_table_gives_its_row(rng):
    X = rng.normal(size=(200, 2))
    y = (X[:, 0] + X[:, 1] ** 2 + rng.normal(size=200) > 1).astype(int)
    student, teacher = GaussianNB().fit(X, y), LogisticRegression().fit(X**2, y)
    fallback = Squared(teacher)
    curve = deferral_curve(y, student.predict_proba(X), fallback.predict_proba(X))
    row = curve.iloc[70]
    deferring = DeferringClassifier(
        FrozenEstimator(student), FrozenEstimator(fallback), threshold=row["threshold"]
    ).fit(X, y)
    assert deferring.score(X, y) == pytest.approx(row["accuracy"])
    assert deferring.defer(X).mean() == pytest.approx(row["share_asked"])


class Squared(GaussianNB):
    """Gives what another classifier says of squares."""

    def __init__(self, model):
        self.model = model
        self.classes_ = model.classes_

    def predict_proba(self, X):
        return self.model.predict_proba(X**2)


def test_costs_are_those_of_asking_and_of_errors(predicted):
    y, student, teacher = predicted
    curve = deferral_curve(y, student, teacher, student_cost=1, fallback_cost=20, error_cost=500)
    expected = 1 + 20 * curve["share_asked"] + 500 * (1 - curve["accuracy"])
    np.testing.assert_allclose(curve["cost"], expected)


def test_labels_of_a_reader_serve_as_well_as_probabilities(predicted):
    y, student, teacher = predicted
    names = np.array(["c", "a", "b"])
    expected = deferral_curve(y, student, teacher)
    given = deferral_curve(names[y], student, names[teacher.argmax(axis=1)], labels=names)
    pd.testing.assert_frame_equal(given, expected)
    never_wrong = deferral_curve(names[y], student, names[y], labels=names)
    assert never_wrong["accuracy"].iloc[0] == 1


def test_nothing_is_said_of_a_fallback_that_nobody_knows(predicted):
    y, student, _ = predicted
    curve = deferral_curve(y, student)
    assert curve["accuracy"].isna().all()
    assert curve["accuracy_kept"].notna().sum() == len(curve) - 1
    np.testing.assert_allclose(curve["cost"], curve["share_asked"])
    assert deferral_curve(y, student, error_cost=1)["cost"].isna().all()


def test_shares_asked_for_are_kept_at_least(predicted):
    y, student, teacher = predicted
    whole = deferral_curve(y, student, teacher)
    curve = deferral_curve(y, student, teacher, coverages=[1, 0, 0.2, 0.5])
    assert curve["threshold"].iloc[0] == np.inf
    for share, (_, row) in zip([0, 0.2, 0.5, 1], curve.iterrows(), strict=True):
        assert row["coverage"] == whole["coverage"][whole["coverage"] >= share].min()
        pd.testing.assert_series_equal(
            row, whole[whole["threshold"] == row["threshold"]].iloc[0], check_names=False
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_true": [0, 1, 4]}, r"got \[4\] as well"),
        ({"y_true": [0, 1]}, "as many rows"),
        ({"y_proba": [[0.2, np.nan], [0.5, 0.5], [1, 0]]}, "NaN"),
        ({"y_proba": [[0.2, 0.2], [0.5, 0.5], [1, 0]]}, "must sum to 1"),
        (
            {"y_proba": [0.2, 0.5, 1], "labels": [0, 1, 2]},
            r"one column for each of the 3 classes \[0, 1, 2\]; got shape \(3,\)",
        ),
        ({"fallback": [0, 1]}, "fallback must have an answer for each of the 3"),
        ({"fallback": [0, 1, 2]}, r"fallback must hold only the classes \[0, 1\]"),
        ({"fallback": [0, 1, np.nan]}, "fallback must have a label for every row"),
        ({"fallback": [[0.5, 0.6]] * 3}, "fallback, given as probabilities: .* must sum to 1"),
        ({"coverages": [0.5, 1.5]}, r"coverages must be 1-D and lie in \[0, 1\]"),
        ({"coverages": "half"}, "coverages"),
        ({"error_cost": -1}, "error_cost must be a finite number, 0 or more; got -1"),
        ({"fallback_cost": np.inf}, "fallback_cost must be"),
    ],
)
def test_what_cannot_be_tabulated_is_refused(change, message):
    given = {
        "y_true": [0, 1, 1],
        "y_proba": [[0.2, 0.8], [0.5, 0.5], [1, 0]],
        "fallback": [0, 1, 0],
        "labels": [0, 1],
        **change,
    }
    with pytest.raises(ValueError, match=message):
        deferral_curve(given.pop("y_true"), given.pop("y_proba"), **given)
