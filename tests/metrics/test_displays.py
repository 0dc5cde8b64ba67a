import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.utils import Bunch

from skkd import FeatureMapExplainer, FiveBlockCNN
from skkd.metrics import (
    FidelityDisplay,
    PerturbationCurveDisplay,
    TimingDisplay,
    deletion_curve,
    fidelity_report,
)


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


def spreads(bars):
    """Return the ends of the error bars."""
    return np.array([line[:, 0] for line in bars.errorbar.lines[2][0].get_segments()])


def test_timing_bars_have_the_mean_as_length_the_spread_as_error_and_units():
    timing = pd.DataFrame(
        {
            "explainer": ["Fast", "Slow"],
            "model": ["student", "teacher"],
            "met": [0.01, 2.0],
            "met_std": [0.002, 0.5],
        }
    )

    display = TimingDisplay.from_timing(timing)

    assert [bar.get_width() for bar in display.bars_] == [0.01, 2.0]
    np.testing.assert_allclose(spreads(display.bars_), [[0.008, 0.012], [1.5, 2.5]])
    assert display.ax_.get_xlabel() == "Mean execution time (seconds per image)"
    assert display.ax_.get_xscale() == "log"
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == ["Fast (student)", "Slow (teacher)"]


def test_explainers_are_timed_and_drawn_on_the_axes_given():
    _, ax = plt.subplots()
    explainer = FeatureMapExplainer(FiveBlockCNN(filters=(2,)).build((8, 8, 1), 2))
    display = TimingDisplay.from_explainers(
        [explainer], np.zeros((2, 8, 8, 1)), n_repeats=1, ax=ax, bar_kwargs={"color": "red"}
    )
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert display.bars_[0].get_facecolor() == (1, 0, 0, 1)
    assert display.bars_[0].get_width() == display.met[0] > 0


def test_fidelity_bars_show_averages_spread_classes_and_gray_controls(patch):
    classifier, images, _, maps = patch
    y = np.where(np.arange(20) < 7, "clear", "ill")
    report = fidelity_report(classifier, images, y, {"a": maps, "b": -maps}, random_state=0)

    display = FidelityDisplay.from_report(report)

    np.testing.assert_array_equal([bar.get_width() for bar in display.bars_], report["average"])
    ends = spreads(display.bars_)
    np.testing.assert_allclose(ends[:, 1] - ends[:, 0], 2 * report["std"])
    points = display.dots_.get_offsets()
    np.testing.assert_allclose(points[:, 0], report[["clear", "ill"]].to_numpy().ravel())
    np.testing.assert_array_equal(points[:, 1], np.repeat(np.arange(5), 2))
    grays = [len(set(bar.get_facecolor()[:3])) == 1 for bar in display.bars_]
    assert grays == [False, False, True, True, True]
    assert display.random_line_.get_xdata()[0] == report.loc["random", "average"]
    assert "confidence after perturbation / before" in display.ax_.get_xlabel()
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == report.index.tolist()


def test_fidelity_is_measured_with_the_parameters_given(patch):
    classifier, images, y, maps = patch
    options = {"mask": "top", "fraction": 0.3, "baseline": "zero", "random_state": 1}
    display = FidelityDisplay.from_estimator(classifier, images, y, {"a": maps}, **options)
    assert display.report.equals(fidelity_report(classifier, images, y, {"a": maps}, **options))


def test_curves_are_means_with_bands_of_a_standard_deviation(patch):
    classifier, images, y, maps = patch
    curve = deletion_curve(classifier, images, y, maps, n_steps=5, random_state=0)

    display = PerturbationCurveDisplay.from_estimator(
        *(classifier, images, y, {"true": maps}), kind="deletion", n_steps=5, random_state=0
    )

    (line,), (band,) = display.lines_, display.bands_
    np.testing.assert_allclose(line.get_ydata(), curve.confidence.mean(axis=0))
    np.testing.assert_allclose(line.get_xdata(), [0, 0.2, 0.4, 0.6, 0.8, 1])
    assert line.get_label() == f"true (AUC {curve.auc.mean():.3f})"
    heights = band.get_paths()[0].vertices
    middle = heights[np.isclose(heights[:, 0], 0.4), 1]
    mean, spread = curve.confidence[:, 2].mean(), curve.confidence[:, 2].std()
    np.testing.assert_allclose([middle.min(), middle.max()], [mean - spread, mean + spread])
    assert display.ax_.get_ylabel() == "Probability of the true class"
    assert display.ax_.get_xlabel() == "Share of pixels replaced, most important first"


def test_insertion_is_named_on_its_axis_and_other_kinds_are_refused():
    curve = Bunch(fractions=np.array([0, 1]), confidence=np.ones((2, 2)), auc=np.ones(2))
    display = PerturbationCurveDisplay.from_curves({"a": curve}, kind="insertion")
    assert display.ax_.get_xlabel() == "Share of pixels put in, most important first"
    with pytest.raises(ValueError, match="kind must be 'deletion' or 'insertion'; got 'both'"):
        PerturbationCurveDisplay.from_curves({"a": curve}, kind="both")


def test_drawing_leaves_the_settings_of_matplotlib_alone(patch):
    import matplotlib

    classifier, images, y, maps = patch
    before = matplotlib.rcParams.copy()
    FidelityDisplay.from_estimator(classifier, images, y, {"a": maps})
    assert matplotlib.rcParams == before
