import matplotlib
import numpy as np

from skkd.metrics import FidelityDisplay, fidelity_report


def test_fidelity_bars_show_averages_spread_classes_and_gray_controls(patch, spreads):
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


def test_drawing_leaves_the_settings_of_matplotlib_alone(patch):
    classifier, images, y, maps = patch
    before = matplotlib.rcParams.copy()
    FidelityDisplay.from_estimator(classifier, images, y, {"a": maps})
    assert matplotlib.rcParams == before
