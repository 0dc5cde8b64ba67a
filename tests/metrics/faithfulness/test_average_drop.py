import numpy as np
import pytest

from skkd.metrics import average_drop, increase_in_confidence


class Brightness:
    """Calls an image bright with the probability that is its mean."""

    classes_ = np.array(["dark", "bright"])

    def predict_proba(self, X):
        mean = X.mean(axis=(1, 2, 3))
        return np.stack([1 - mean, mean], axis=1)


# Each map keeps a part of its image: a quarter, a half, three quarters, nothing but one corner.
IMAGES = np.array([0.8, 0.8, 0.4, 0.0])[:, None, None, None] * np.ones((4, 2, 2, 1))
MAPS = np.array([[[1, 0], [0, 0]], [[1, 1], [0, 0]], [[1, 1], [1, 0]], [[1, 0], [0, 0]]], float)


def test_drop_and_increase_are_those_worked_out_by_hand():
    y = ["bright", "bright", "dark", "bright"]
    # .8 to .2 and .8 to .4; dark .6 to .7, a gain; the last has nothing to lose.
    assert average_drop(Brightness(), IMAGES, y, MAPS) == pytest.approx((0.75 + 0.5 + 0) / 3)
    assert increase_in_confidence(Brightness(), IMAGES, y, MAPS) == 1 / 4


def test_a_fraction_and_a_baseline_can_be_chosen():
    y = ["bright"] * 4
    options = {"mask": "top", "fraction": 0.5, "baseline": lambda x: x / 2, "random_state": 0}
    assert average_drop(Brightness(), IMAGES, y, MAPS, **options) == pytest.approx(0.25)
    assert increase_in_confidence(Brightness(), IMAGES, y, MAPS, **options) == 0


def test_nothing_to_lose_in_any_image_is_nan():
    assert np.isnan(average_drop(Brightness(), IMAGES[3:], ["bright"], MAPS[3:]))


def test_labels_are_needed():
    with pytest.raises(ValueError, match="y must hold the true labels"):
        increase_in_confidence(Brightness(), IMAGES, None, MAPS)
