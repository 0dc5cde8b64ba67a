import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.utils import Bunch

from skkd import MLP, GradCAMExplainer, KDClassifier, NetworkClassifier, Teacher
from skkd.metrics import (
    DecisionCurveDisplay,
    DistillationGridDisplay,
    PerturbationCurveDisplay,
    TimingDisplay,
    classification_summary,
)

HTML = "<script>alert(1)</script>"
NAMES = [
    "_x",
    "$5-$10",
    "$\\bad$",
    "50% \\%",
    "a\nb",
    "\u80f6\u8d28\u7624",
    "\u0648\u0631\u0645",
    "__",
    "",
]
pytestmark = pytest.mark.filterwarnings("ignore:Glyph", "ignore:.*font:UserWarning")


def legend_texts(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def curves_of(names):
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(len(names)), 60)
    y = np.array(names)[np.r_[: len(names), rng.integers(0, len(names), 60 - len(names))]]
    return y, proba


def test_a_legend_has_every_class_as_it_is_called():
    y, proba = curves_of(NAMES)
    display = DecisionCurveDisplay.from_predictions(y, proba, labels=NAMES)
    display.figure_.canvas.draw()
    assert legend_texts(display) == [*NAMES, "Treat all", "Treat none"]
    with plt.rc_context({"text.usetex": True}):
        again = DecisionCurveDisplay.from_predictions(y, proba, labels=NAMES)
        texts = again.ax_.get_legend().get_texts()
    assert not any(text.get_usetex() or text.get_parse_math() for text in texts)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_and_the_class_treated_are_called_as_they_are(name):
    y, proba = np.array([name, "well"] * 5), np.linspace(0.1, 0.9, 10)
    display = DecisionCurveDisplay.from_predictions(y, proba, pos_label=name, name=name)
    display.figure_.canvas.draw()
    assert legend_texts(display) == [name, "Treat all", "Treat none"]
    assert display.ax_.get_xlabel() == f"Threshold probability of class {name}"


def test_curves_and_bars_and_scores_are_called_as_they_are():
    curve = Bunch(fractions=np.array([0, 1]), confidence=np.ones((2, 2)), auc=np.ones(2))
    display = PerturbationCurveDisplay.from_curves(dict.fromkeys(NAMES, curve), kind="deletion")
    display.figure_.canvas.draw()
    assert legend_texts(display) == [f"{name} (AUC 1.000)" for name in NAMES]

    ones = np.ones(len(NAMES))
    bars = TimingDisplay(ones, ones / 2, NAMES).plot()
    bars.figure_.canvas.draw()
    assert [label.get_text() for label in bars.ax_.get_yticklabels()] == NAMES

    grid = DistillationGridDisplay(
        scores=[[1.0]], alphas=[1], temperatures=[2], score_name="$\\bad$"
    ).plot()
    grid.figure_.canvas.draw()
    assert grid.figure_.axes[-1].get_ylabel() == "$\\bad$"


@pytest.mark.parametrize(
    "names", [["carcinoma of a kind with a long name " * 3, "x", "y"], range(40)]
)
def test_a_large_legend_stands_beside_the_axes_and_is_not_cut(names):
    names = [str(name) for name in names]
    y, proba = curves_of(names)
    display = DecisionCurveDisplay.from_predictions(y, proba, labels=names)
    display.figure_.canvas.draw()
    box, whole = display.ax_.get_legend().get_window_extent(), display.figure_.bbox
    assert box.y0 >= whole.y0 - 1
    assert box.y1 <= whole.y1 + 1
    assert box.x1 <= whole.x1 + 1
    assert display.ax_.get_window_extent().width > whole.width / 4
    assert len(legend_texts(display)) == len(names) + 2


def test_long_names_leave_room_for_the_bars():
    display = TimingDisplay(np.ones(2), np.ones(2) / 2, ["a model with a long name " * 6, "b"])
    display.plot().figure_.canvas.draw()
    whole = display.figure_.bbox
    assert display.ax_.get_window_extent().width > whole.width / 3
    assert min(t.get_window_extent().x0 for t in display.ax_.get_yticklabels()) >= whole.x0 - 1


def test_lines_are_light_on_dark_styles():
    with plt.style.context("dark_background"):
        display = DecisionCurveDisplay.from_predictions([0, 1], [0.2, 0.7])
        bars = TimingDisplay(np.ones(2), np.ones(2) / 2, ["a", "b"]).plot()
        assert display.treat_none_line_.get_color() == "white"
        assert display.treat_all_lines_[0].get_color() == "white"
        (color,) = bars.bars_.errorbar.lines[2][0].get_colors()
    np.testing.assert_array_equal(color, [1, 1, 1, 1])


def test_names_are_no_html_where_estimators_and_tables_are_shown(digits):
    X, y = digits[0][:20], np.where(digits[1][:20] > 4, HTML, "well")
    network = MLP(hidden=(2,))
    classifier = NetworkClassifier(network, epochs=1, class_weight={HTML: 2.0}).fit(X, y)
    student = KDClassifier(Teacher(classifier.model_, classes=[HTML, "well"]), classifier)
    shown = [
        classifier,
        student,
        GradCAMExplainer(classifier, target=HTML),
        classification_summary({HTML: classifier}, X, y),
    ]
    for thing in shown:
        html = thing._repr_html_()
        assert "<script>alert" not in html
        assert "&lt;script&gt;" in html
