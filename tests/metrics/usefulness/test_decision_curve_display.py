import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skkd.metrics import DecisionCurveDisplay, decision_curve, net_benefit


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    return GaussianNB().fit(X[::2, :1], names[::2]), X[1::2, :1], names[1::2]


@pytest.fixture(scope="module")
def tumors():
    X, y = load_breast_cancer(return_X_y=True)
    names = np.array(["malignant", "benign"])[y]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X[::2], names[::2])
    return model, X[1::2], names[1::2]


def legend_texts(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_several_classes_draw_a_line_each_and_a_dashed_treat_all_line_of_its_color(iris, ax):
    classifier, X, y = iris

    display = DecisionCurveDisplay.from_estimator(classifier, X, y, ax=ax)

    curve = decision_curve(y, classifier.predict_proba(X)).set_index(["class", "strategy"])
    assert display.classes == ["setosa", "versicolor", "virginica"]
    for label, line, treat_all in zip(
        display.classes, display.lines_, display.treat_all_lines_, strict=True
    ):
        for drawn, strategy in [(line, "model"), (treat_all, "treat all")]:
            expected = curve.loc[(label, strategy)]
            np.testing.assert_array_equal(drawn.get_xdata(), expected["threshold"])
            np.testing.assert_array_equal(drawn.get_ydata(), expected["net_benefit"])
        assert treat_all.get_linestyle() == "--"
        assert line.get_linestyle() == "-"
        assert treat_all.get_color() == line.get_color()
    assert len({line.get_color() for line in display.lines_}) == 3
    assert set(display.treat_none_line_.get_ydata()) == {0}
    assert legend_texts(display) == [
        "GaussianNB: setosa",
        "GaussianNB: versicolor",
        "GaussianNB: virginica",
        "Treat all",
        "Treat none",
    ]


def test_two_classes_draw_the_curve_of_the_second_class_of_the_estimator(tumors, ax):
    model, X, y = tumors

    display = DecisionCurveDisplay.from_estimator(model, X, y, ax=ax)

    expected = decision_curve(y, model.predict_proba(X)[:, 1], pos_label="malignant")
    assert display.classes == ["malignant"]
    np.testing.assert_array_equal(
        display.net_benefit[0], expected.loc[expected["strategy"] == "model", "net_benefit"]
    )
    assert legend_texts(display) == ["Pipeline", "Treat all", "Treat none"]
    assert ax.get_xlabel() == "Threshold probability of class malignant"


def test_pos_label_chooses_the_class_of_the_curve(tumors, ax):
    model, X, y = tumors

    display = DecisionCurveDisplay.from_estimator(model, X, y, pos_label="benign", ax=ax)

    expected = decision_curve(y, model.predict_proba(X)[:, 0], pos_label="benign")
    np.testing.assert_array_equal(
        display.net_benefit[0], expected.loc[expected["strategy"] == "model", "net_benefit"]
    )


def test_axes_say_what_is_measured_and_in_which_unit(iris, ax):
    classifier, X, y = iris
    proba = classifier.predict_proba(X)

    plain = DecisionCurveDisplay.from_predictions(y, proba, ax=ax)
    assert plain.ax_.get_xlabel() == "Threshold probability"
    assert plain.ax_.get_ylabel() == "Net benefit (net true positives per patient)"

    standardized = DecisionCurveDisplay.from_predictions(
        y, proba, standardized=True, ax=Figure().subplots()
    )
    assert standardized.ax_.get_ylabel().startswith("Standardized net benefit (share")


@pytest.mark.parametrize("negative", [0.1, 0.3, 0.9])
def test_limits_hold_the_useful_range_and_are_not_set_by_deep_negative_values(ax, negative):
    y_true = np.repeat([1, 0], [20, 80])
    proba = np.where(y_true, 0.8, negative)

    display = DecisionCurveDisplay.from_predictions(y_true, proba, ax=ax)

    low, high = ax.get_ylim()
    assert display.net_benefit_treat_all.min() < -70
    assert high > max(display.net_benefit.max(), display.net_benefit_treat_all.max())
    assert -0.4 * display.net_benefit.max() < low < 0


def test_limits_show_a_model_that_is_harmful_at_every_threshold(ax):
    display = DecisionCurveDisplay.from_predictions(
        [0, 0, 0, 1], [0.9, 0.9, 0.9, 0.1], thresholds=[0.5, 0.6], ax=ax
    )

    low, high = ax.get_ylim()
    assert display.net_benefit.max() < 0
    assert low < display.net_benefit.min()
    assert high > 0


def test_a_second_model_joins_the_axes_without_hiding_the_first(ax):
    y_true = np.repeat([1, 0], [20, 80])
    useful = DecisionCurveDisplay.from_predictions(
        y_true, np.where(y_true, 0.8, 0.3), name="useful", ax=ax
    )
    before = ax.get_ylim()

    useless = DecisionCurveDisplay.from_predictions(
        y_true, np.full(100, 0.01), name="useless", ax=ax, ref_lines=False
    )

    assert useless.ax_ is useful.ax_
    assert useless.treat_all_lines_ == []
    assert useless.treat_none_line_ is None
    assert legend_texts(useless) == ["useful", "Treat all", "Treat none", "useless"]
    assert ax.get_ylim()[0] <= before[0]
    assert ax.get_ylim()[1] >= before[1]


def test_plot_draws_the_stored_arrays_again_under_another_name(iris, ax):
    classifier, X, y = iris
    display = DecisionCurveDisplay.from_estimator(classifier, X, y, ax=Figure().subplots())

    again = display.plot(ax, name="student", ref_lines=False)

    assert again is display
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert legend_texts(display) == [
        "student: setosa",
        "student: versicolor",
        "student: virginica",
    ]


def test_curve_kwargs_style_all_lines_or_each(iris, ax):
    classifier, X, y = iris

    display = DecisionCurveDisplay.from_estimator(classifier, X, y, ax=ax, curve_kwargs={"lw": 3})
    assert {line.get_linewidth() for line in display.lines_} == {3}

    display.plot(Figure().subplots(), curve_kwargs=[{"c": "r"}, {"color": "g"}, {"c": "b"}])
    assert [line.get_color() for line in display.lines_] == ["r", "g", "b"]
    assert [line.get_color() for line in display.treat_all_lines_] == ["r", "g", "b"]

    with pytest.raises(ValueError, match="one for each of the 3 curves; got 2"):
        display.plot(Figure().subplots(), curve_kwargs=[{}, {}])


def test_without_axes_a_new_figure_is_made():
    plt = pytest.importorskip("matplotlib.pyplot")
    settings = dict(mpl.rcParams)

    display = DecisionCurveDisplay.from_predictions([0, 1], [0.2, 0.7])

    try:
        assert display.figure_.number in plt.get_fignums()
        assert dict(mpl.rcParams) == settings
    finally:
        plt.close(display.figure_)


def test_prevalence_reaches_the_curve(ax):
    display = DecisionCurveDisplay.from_predictions(
        [0, 1], [0.2, 0.7], thresholds=[0.5], prevalence=0.1, ax=ax
    )

    assert display.net_benefit.tolist() == [[0.1]]
    assert display.net_benefit_treat_all[0, 0] == pytest.approx(0.1 - 0.9)


def test_an_estimator_without_probabilities_is_refused_by_name(tumors):
    _, X, y = tumors

    with pytest.raises(TypeError, match="estimator must have predict_proba; got LinearSVC"):
        DecisionCurveDisplay.from_estimator(LinearSVC().fit(X, y), X, y)


def test_an_unfitted_estimator_says_so(tumors):
    _, X, y = tumors

    with pytest.raises(NotFittedError):
        DecisionCurveDisplay.from_estimator(GaussianNB(), X, y)


def test_labels_the_estimator_does_not_know_are_refused(iris):
    classifier, X, y = iris

    with pytest.raises(ValueError, match=r"y must hold only the classes .*got \['rose'\]"):
        DecisionCurveDisplay.from_estimator(classifier, X, np.where(y == "setosa", "rose", y))


def test_weights_and_harm_reach_the_curves(ax):
    y, proba = [0, 1, 1, 0], [0.2, 0.7, 0.4, 0.6]
    weights = [1, 2, 1, 3]
    options = {"thresholds": [0.3, 0.5], "sample_weight": weights, "test_harm": 0.05}
    display = DecisionCurveDisplay.from_predictions(y, proba, ax=ax, **options)
    np.testing.assert_allclose(
        display.net_benefit[0], [3 / 7 - 3 / 7 * 3 / 7 - 0.05, 2 / 7 - 3 / 7 - 0.05]
    )

    model = LogisticRegression().fit(np.array(proba)[:, None], y)
    fitted = DecisionCurveDisplay.from_estimator(model, np.array(proba)[:, None], y, **options)
    expected = net_benefit(y, model.predict_proba(np.array(proba)[:, None])[:, 1], **options)
    np.testing.assert_allclose(fitted.net_benefit[0], expected)


def test_intervals_are_bands_around_the_lines(ax):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60)
    proba = rng.dirichlet(np.ones(3), 60)
    given = {"thresholds": [0.1, 0.2, 0.3], "confidence": 0.9, "random_state": 0}
    display = DecisionCurveDisplay.from_predictions(y, proba, ax=ax, n_resamples=50, **given)
    curve = decision_curve(y, proba, n_resamples=50, **given)
    of_model = curve[curve["strategy"] == "model"]
    assert len(display.bands_) == 3
    for k, band in enumerate(display.bands_):
        heights = band.get_paths()[0].vertices[:, 1]
        mine = of_model[of_model["class"] == k]
        assert heights.min() == mine["net_benefit_low"].min()
        assert heights.max() == mine["net_benefit_high"].max()
    assert ax.get_ylim()[1] > of_model["net_benefit_high"].max()
    assert DecisionCurveDisplay.from_predictions(y, proba, ax=ax).bands_ == []
