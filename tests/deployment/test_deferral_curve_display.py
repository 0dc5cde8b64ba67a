import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from skkd import DeferralCurveDisplay, DeferringClassifier, deferral_curve


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    y = np.array(["setosa", "versicolor", "virginica"])[y]
    return X[::2, :2], y[::2], X[1::2, :2], y[1::2]


@pytest.fixture(scope="module")
def deferring(iris):
    student = LogisticRegression(max_iter=500)
    return DeferringClassifier(student, GaussianNB(), threshold=0.7).fit(*iris[:2])


@pytest.mark.parametrize("metric", ["accuracy", "accuracy_kept", "cost"])
def test_a_line_shows_the_table_and_a_dot_the_threshold_in_use(deferring, iris, ax, metric):
    X, y = iris[2:]
    display = DeferralCurveDisplay.from_estimator(
        deferring, X, y, ax=ax, metric=metric, error_cost=10, name="small"
    )
    student = deferring.student_.predict_proba(X)
    curve = deferral_curve(y, student, deferring.fallback_.predict_proba(X), error_cost=10)
    np.testing.assert_array_equal(display.line_.get_xdata(), curve["share_asked"])
    np.testing.assert_array_equal(display.line_.get_ydata(), curve[metric])
    asked = deferring.defer(X).mean()
    assert display.point_.get_xdata() == pytest.approx(asked)
    row = curve[np.isclose(curve["share_asked"], asked)].iloc[0]
    assert display.point_.get_ydata() == row[metric]
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["small", "Drawn at random", "Threshold in use"]


def test_images_drawn_at_random_lie_between_student_and_fallback(deferring, iris, ax):
    X, y = iris[2:]
    display = DeferralCurveDisplay.from_estimator(deferring, X, y, ax=ax)
    ends = [deferring.student_.score(X, y), deferring.fallback_.score(X, y)]
    np.testing.assert_allclose(display.chance_line_.get_ydata(), ends)
    np.testing.assert_array_equal(display.chance_line_.get_xdata(), [0, 1])
    display.plot(ax, metric="accuracy_kept")
    np.testing.assert_allclose(display.chance_line_.get_ydata(), [ends[0], ends[0]])
    assert display.plot(ax, ref_line=False).chance_line_ is None
    some = deferral_curve(y, deferring.student_.predict_proba(X), y, coverages=[0.5, 0.9])
    assert DeferralCurveDisplay(some).plot(ax).chance_line_ is None


def test_lines_are_styled_as_matplotlib_does(deferring, iris, ax):
    X, y = iris[2:]
    display = DeferralCurveDisplay.from_estimator(
        deferring, X, y, ax=ax, curve_kwargs={"c": "red", "lw": 3}
    )
    assert display.line_.get_color() == "red"
    assert display.line_.get_linewidth() == 3
    assert display.point_.get_color() == "red"
    assert (display.ax_, display.figure_) == (ax, ax.figure)


def test_a_person_is_drawn_by_what_the_student_keeps(deferring, iris, ax):
    X, y = iris[2:]
    alone = DeferringClassifier(LogisticRegression(max_iter=500), threshold=0.7).fit(*iris[:2])
    with pytest.raises(ValueError, match="draw metric='accuracy_kept'"):
        DeferralCurveDisplay.from_estimator(alone, X, y, ax=ax)
    display = DeferralCurveDisplay.from_estimator(alone, X, y, ax=ax, metric="accuracy_kept")
    assert np.isfinite(display.line_.get_ydata()[1:]).all()


def test_what_cannot_be_drawn_is_refused(deferring, iris, ax):
    X, y = iris[2:]
    with pytest.raises(TypeError, match=r"got GaussianNB: for others, .*from_predictions"):
        DeferralCurveDisplay.from_estimator(GaussianNB().fit(X, y), X, y)
    with pytest.raises(ValueError, match=r"metric must be one of .*; got 'f1'"):
        DeferralCurveDisplay.from_estimator(deferring, X, y, metric="f1", ax=ax)
    with pytest.raises(ValueError, match="y must have a label for each of the 75 rows"):
        DeferralCurveDisplay.from_estimator(deferring, X, y[:3])
    with pytest.raises(ValueError, match="y must hold only the classes"):
        DeferralCurveDisplay.from_estimator(deferring, X, np.full(75, "rose"))
