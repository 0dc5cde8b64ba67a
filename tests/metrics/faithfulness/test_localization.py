import numpy as np
import pytest

from skkd import Explanation
from skkd.metrics import pointing_game, saliency_iou


@pytest.fixture
def lesions():
    """Masks of 6 of 48 pixels in two images, and none in a third."""
    masks = np.zeros((3, 6, 8), np.uint8)
    masks[0, 1:3, 2:5] = 255
    masks[1, 3:6, 6:8] = 1
    return masks


def test_a_map_that_is_the_mask_wins_both_games_and_its_inverse_loses_them(lesions):
    assert pointing_game(lesions.astype(float), lesions) == 1
    assert saliency_iou(lesions.astype(float), lesions) == 1
    assert pointing_game(-lesions.astype(float), lesions) == 0
    assert saliency_iou(-lesions.astype(float), lesions, fraction=0.1) == 0


def test_maxima_count_when_they_are_as_near_as_the_tolerance(lesions):
    maps = np.zeros((3, 6, 8))
    maps[0, 4, 6] = 1  # two down and two right of the nearest pixel of its lesion
    maps[1, 5, 7] = 1
    assert pointing_game(maps, lesions) == 0.5
    assert pointing_game(maps, lesions, tolerance=2.82) == 0.5
    assert pointing_game(maps, lesions, tolerance=2.83) == 1


def test_a_constant_map_scores_the_share_of_the_image_that_is_lesion(lesions):
    flat = np.ones((3, 6, 8))
    assert pointing_game(flat, lesions) == pytest.approx(6 / 48)
    assert saliency_iou(flat, lesions) == pytest.approx(6 / 48)


def test_iou_is_that_of_as_many_pixels_as_the_mask_has_or_of_a_fraction(lesions):
    maps = np.random.default_rng(0).random((3, 6, 8))
    for fraction, size in ((None, 6), (0.25, 12)):
        expected = []
        for values, mask in zip(maps[:2], lesions[:2] > 0, strict=True):
            salient = set(np.argsort(-values.ravel())[:size])
            lesion = set(np.flatnonzero(mask))
            expected.append(len(salient & lesion) / len(salient | lesion))
        assert saliency_iou(maps, lesions, fraction=fraction) == pytest.approx(np.mean(expected))


def test_layers_signed_channels_and_explanations_are_understood(lesions):
    layers = np.stack([lesions, 255 - lesions], axis=1).astype(np.float32)
    explanation = Explanation(layers, None, None, None, layer_names=["first", "last"])
    assert pointing_game(layers, lesions) == 0
    assert pointing_game(layers, lesions, layer=0) == 1
    assert pointing_game(explanation, lesions[..., None], layer="first") == 1
    assert saliency_iou(explanation, lesions, layer="last", fraction=0.1) == 0
    signed = np.stack([-lesions.astype(float), 3.0 * lesions], axis=-1)
    assert pointing_game(signed, lesions) == 1


@pytest.mark.parametrize("game", [pointing_game, saliency_iou])
def test_wrong_shapes_counts_and_empty_masks_are_refused(game, lesions):
    with pytest.raises(ValueError, match="got 3 masks and 2 maps"):
        game(np.ones((2, 6, 8)), lesions)
    with pytest.raises(ValueError, match="for images of 6x8; got shape"):
        game(np.ones((3, 8, 6)), lesions)
    with pytest.raises(ValueError, match=r"masks must have the shape .*; got \(6, 8\)"):
        game(np.ones((3, 6, 8)), lesions[0])
    with pytest.raises(ValueError, match="at least one image; all are empty"):
        game(np.ones((3, 6, 8)), 0 * lesions)


def test_tolerance_and_fraction_are_checked(lesions):
    with pytest.raises(ValueError, match="tolerance must be a number of at least 0; got -1"):
        pointing_game(lesions, lesions, tolerance=-1)
    with pytest.raises(ValueError, match=r"fraction must be None or in \(0, 1\]; got 0"):
        saliency_iou(lesions, lesions, fraction=0)


def test_masks_and_maps_that_are_no_numbers_are_refused():
    maps, masks = np.ones((1, 2, 2)), np.array([[[1, np.nan], [0, 0]]], dtype=object)
    with pytest.raises(ValueError, match="masks must be finite"):
        pointing_game(maps, masks)
    with pytest.raises(ValueError, match="explanation must hold numbers"):
        pointing_game(maps.astype(str), np.ones((1, 2, 2)))
    with pytest.raises(ValueError, match="explanation must be maps; got None"):
        pointing_game(None, np.ones((1, 2, 2)))
