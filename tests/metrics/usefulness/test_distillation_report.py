import copy
import warnings

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skkd import (
    MLP,
    DistillationGridDisplay,
    KDClassifier,
    NetworkClassifier,
    distillation_report,
)

SCORING = ["accuracy", "neg_log_loss", "f1_macro"]


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits
    return X[:160].reshape(160, -1), np.array(["a", "b", "c"])[y[:160] % 3]


@pytest.fixture(scope="module")
def search(data):
    X, y = data
    return GridSearchCV(
        KDClassifier(
            LogisticRegression(max_iter=20), NetworkClassifier(MLP(hidden=(4,)), epochs=1)
        ),
        {"alpha": [0.2, 0.8], "temperature": [2, 8]},
        scoring=SCORING,
        refit="accuracy",
        cv=2,
    ).fit(X[:100], y[:100])


def test_students_have_the_searchs_scores_and_the_loss_its_sign(search):
    report = distillation_report(search)
    assert report["model"].tolist() == ["student"] * 4
    assert list(zip(report["alpha"], report["temperature"], strict=True)) == [
        (0.2, 2), (0.2, 8), (0.8, 2), (0.8, 8),
    ]  # fmt: skip
    np.testing.assert_array_equal(report["accuracy"], search.cv_results_["mean_test_accuracy"])
    np.testing.assert_array_equal(report["log_loss"], -search.cv_results_["mean_test_neg_log_loss"])
    assert (report["log_loss"] > 0).all()


def test_teacher_and_best_student_are_measured_on_the_images_given(search, data):
    X, y = data[0][100:], data[1][100:]
    teacher, student = distillation_report(search, X, y).iloc[4:].to_dict("records")
    best = search.best_estimator_
    assert (teacher["model"], student["model"]) == ("teacher", "best student")
    for row, proba in [(teacher, best.teacher_.predict_proba(X)), (student, best.predict_proba(X))]:
        predicted = best.classes_[proba.argmax(axis=1)]
        assert row["accuracy"] == pytest.approx(accuracy_score(y, predicted))
        assert row["log_loss"] == pytest.approx(log_loss(y, proba), rel=1e-4)
        assert row["macro_f1"] == pytest.approx(f1_score(y, predicted, average="macro"))
        assert row["measured_on"] == "test"
    assert np.isnan(teacher["alpha"])
    assert student["alpha"] == search.best_params_["alpha"]


def test_a_pipeline_may_be_searched_and_a_parameter_left_alone(data):
    X, y = data
    pipeline = make_pipeline(
        StandardScaler(), KDClassifier(LogisticRegression(), NetworkClassifier(epochs=1))
    )
    search = GridSearchCV(pipeline, {"kdclassifier__alpha": [0.3]}, cv=2).fit(X[:60], y[:60])
    report = distillation_report(search, X[60:], y[60:])
    assert report["alpha"][0] == 0.3
    assert report["temperature"][0] == 4.0
    scaled = search.best_estimator_[0].transform(X[60:])
    teacher = search.best_estimator_[-1].teacher_
    assert report.loc[1, "accuracy"] == pytest.approx(teacher.score(scaled, y[60:]))


def test_the_heat_map_puts_every_score_in_its_place(search):
    import matplotlib.pyplot as plt

    display = DistillationGridDisplay.from_search(search)
    expected = search.cv_results_["mean_test_accuracy"].reshape(2, 2)
    np.testing.assert_array_equal(display.scores, expected)
    assert [text.get_text() for text in display.text_.ravel()] == [
        f"{value:.3f}" for value in expected.ravel()
    ]
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["0.2", "0.8"]
    plt.close(display.figure_)


def test_what_is_no_search_over_a_student_is_refused(search, data):
    X, y = data
    other = GridSearchCV(DummyClassifier(), {"strategy": ["prior"]}, cv=2).fit(X, y)
    with pytest.raises(ValueError, match="over a KDClassifier, which has the parameter 'alpha'"):
        distillation_report(other)
    with pytest.raises(ValueError, match="given together"):
        distillation_report(search, X)
    with pytest.raises(ValueError, match=r"score must be one of \['accuracy'.*got 'auc'"):
        DistillationGridDisplay.from_search(search, score="auc")


def test_each_candidate_has_its_own_alpha_and_never_its_teachers(data):
    X, y = data
    teacher = MLPClassifier(alpha=0.3, max_iter=2)
    search = GridSearchCV(
        KDClassifier(teacher, NetworkClassifier(MLP(hidden=(2,)), epochs=1), alpha=0.25),
        [{"teacher__alpha": [0.9], "temperature": [3]}, {"alpha": [0.75]}],
        cv=2,
    )
    with warnings.catch_warnings(action="ignore"):
        search.fit(X[:30], y[:30])
    report = distillation_report(search)
    assert report["alpha"].tolist() == [0.25, 0.75]
    assert report["temperature"].tolist() == [3, 4]
    assert DistillationGridDisplay.from_search(search).scores.shape == (2, 2)


def test_a_score_with_the_name_of_another_column_loses_nothing(search):
    results = {
        name.replace("neg_log_loss", "alpha").replace("f1_macro", "model"): value
        for name, value in search.cv_results_.items()
    }
    other = copy.copy(search)
    other.cv_results_ = results
    report = distillation_report(other)
    assert report["alpha"].tolist() == [0.2, 0.2, 0.8, 0.8]
    np.testing.assert_array_equal(report["score alpha"], results["mean_test_alpha"])
    np.testing.assert_array_equal(report["score model"], results["mean_test_model"])
