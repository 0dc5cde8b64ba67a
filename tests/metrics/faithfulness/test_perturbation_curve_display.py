import numpy as np
import pytest
from sklearn.utils import Bunch

from skkd.metrics import PerturbationCurveDisplay, deletion_curve


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
