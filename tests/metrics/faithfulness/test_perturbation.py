import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skkd import GradCAMExplainer
from skkd.metrics import perturb_images
from skkd.metrics.faithfulness._perturbation import impute


class Silence:
    """A source of noise that is silent."""

    def standard_normal(self, shape):
        return np.zeros(shape)


@pytest.fixture
def images(rng):
    return rng.uniform(10, 200, (3, 16, 12, 3))


@pytest.fixture
def maps(rng):
    return rng.normal(size=(3, 16, 12))


def changed(before, after):
    return (before != after).any(axis=-1)


def test_a_soft_mask_is_the_map_scaled_to_the_unit_interval(images, maps):
    m = np.stack([(a - a.min()) / (a.max() - a.min()) for a in maps])[..., None]

    keep = perturb_images(images, maps, baseline="zero")
    remove = perturb_images(images, maps, baseline="zero", mode="remove")

    np.testing.assert_allclose(keep, m * images, rtol=1e-12)
    np.testing.assert_allclose(remove, (1 - m) * images, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("mode", "share"), [("keep", 0.75), ("remove", 0.25)])
def test_a_top_mask_points_at_exactly_the_fraction_of_highest_pixels(images, maps, mode, share):
    after = perturb_images(images, maps, mask="top", fraction=0.25, baseline="zero", mode=mode)

    gone = changed(images, after)
    assert gone.mean(axis=(1, 2)).tolist() == [share] * 3
    for now, values in zip(gone, maps, strict=True):
        pointed_at = ~now if mode == "keep" else now
        assert values[pointed_at].min() > values[~pointed_at].max()


def test_a_constant_map_keeps_half_of_every_pixel_or_a_random_fraction_of_them(images):
    flat = np.full((3, 16, 12), 7.0)

    np.testing.assert_array_equal(perturb_images(images, flat, baseline="zero"), images / 2)
    first, again, other = (
        changed(
            images,
            perturb_images(
                images, flat, mask="top", fraction=0.5, baseline="zero", random_state=seed
            ),
        )
        for seed in (0, 0, 1)
    )
    assert first.mean(axis=(1, 2)).tolist() == [0.5] * 3
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    # No part of the image is favored: of 96 pixels in a half about 48 go.
    assert abs(int(first[0, :8].sum()) - 48) < 20


def test_baselines_are_what_they_are_called(images, maps):
    inside = {"mode": "keep", "mask": "top", "fraction": 1 / 192, "random_state": 0}
    gone = changed(images, perturb_images(images, maps, baseline="zero", **inside))

    mean = perturb_images(images, maps, baseline="mean", **inside)
    for image, original, where in zip(mean, images, gone, strict=True):
        expected = np.broadcast_to(original.mean(axis=(0, 1)), (where.sum(), 3))
        np.testing.assert_allclose(image[where], expected)
    noise = perturb_images(images, maps, baseline="noise", **inside)
    for image, original, where in zip(noise, images, gone, strict=True):
        assert original.min() <= image[where].min() < image[where].max() <= original.max()
        # Uniform values of a range r have the standard deviation r / sqrt(12).
        spread = (original.max() - original.min()) / np.sqrt(12)
        assert image[where].std() == pytest.approx(spread, rel=0.1)
    own = perturb_images(images, maps, baseline=lambda x: 255 - x, **inside)
    np.testing.assert_allclose(own[gone], 255 - images[gone])


def test_the_blur_has_a_width_of_a_tenth_of_the_shorter_side_in_each_channel():
    image = np.zeros((1, 61, 81, 2))
    image[0, 30, 40, 0] = 1.0

    blurred = perturb_images(image, np.ones((1, 61, 81)), baseline=lambda x: x, mode="keep")
    np.testing.assert_array_equal(blurred, image)
    # A flat map keeps a half, so the other half is the blur's.
    blurred = 2 * perturb_images(image, np.ones((1, 61, 81)), baseline="blur") - image

    across = np.arange(81) - 40
    profile = blurred[0, :, :, 0].sum(axis=0)
    assert np.sqrt((profile * across**2).sum() / profile.sum()) == pytest.approx(6.1, rel=0.01)
    assert not blurred[..., 1].any()


def test_road_imputes_a_linear_ramp_to_within_its_noise():
    y, x = np.mgrid[:20, :24]
    ramp = np.stack([2.0 * x + 3.0 * y, 50.0 - x], axis=-1)[None]
    hole = np.ones((1, 20, 24))
    hole[:, 4:15, 6:18] = 0

    filled = perturb_images(
        ramp, hole, mask="top", fraction=hole.mean(), baseline="road", random_state=0
    )

    error = (filled - ramp)[hole == 0]
    assert np.abs(error).max() < 5 * 0.01 * ramp.std()
    assert error.std() == pytest.approx(0.01 * ramp.std(), rel=0.2)
    np.testing.assert_array_equal(filled[hole == 1], ramp[hole == 1])


def test_road_solves_the_equations_of_the_paper_up_to_the_border(rng):
    image, known = rng.random((5, 6, 2)), rng.random((5, 6)) < 0.4
    system, constants = np.eye(30), np.zeros((30, 2))
    for y in range(5):
        for x in range(6):
            if known[y, x]:
                constants[6 * y + x] = image[y, x]
                continue
            around = [
                (v, u, 1 / 6 if v == y or u == x else 1 / 12)
                for v in range(max(y - 1, 0), min(y + 2, 5))
                for u in range(max(x - 1, 0), min(x + 2, 6))
                if (v, u) != (y, x)
            ]
            total = sum(weight for _, _, weight in around)
            for v, u, weight in around:
                system[6 * y + x, 6 * v + u] = -weight / total

    filled = impute(image, known, Silence())

    np.testing.assert_allclose(filled.reshape(30, 2), np.linalg.solve(system, constants))


def test_road_is_defined_when_nothing_or_everything_is_known(rng):
    image = rng.random((4, 4, 1))
    np.testing.assert_array_equal(impute(image, np.ones((4, 4), bool), Silence()), image)
    empty = impute(image, np.zeros((4, 4), bool), Silence())
    np.testing.assert_allclose(empty, np.full((4, 4, 1), image.mean()))


@pytest.mark.parametrize("baseline", ["zero", "mean", "blur", "noise", "road", lambda x: x + 1])
@pytest.mark.parametrize("mask", [{"mask": "soft"}, {"mask": "top", "fraction": 0.3}])
def test_seeded_perturbations_repeat_and_leave_the_input_alone(images, maps, baseline, mask):
    before = images.copy(), maps.copy(), np.random.get_state()[1].copy()
    options = {"baseline": baseline, "random_state": 3, **mask}

    first, again = (perturb_images(images, maps, **options) for _ in range(2))

    np.testing.assert_array_equal(first, again)
    # An image is changed in the same way whatever stands beside it.
    np.testing.assert_array_equal(first[:1], perturb_images(images[:1], maps[:1], **options))
    np.testing.assert_array_equal(images, before[0])
    np.testing.assert_array_equal(maps, before[1])
    np.testing.assert_array_equal(np.random.get_state()[1], before[2])


def test_eight_bit_images_become_floats():
    images = np.full((1, 4, 4, 1), 255, np.uint8)
    after = perturb_images(images, np.ones((1, 4, 4)), baseline="zero")
    assert after.dtype == np.float32
    assert np.unique(after).tolist() == [127.5]


def test_signed_maps_are_summed_over_channels_and_of_layers_the_last_is_taken(images, rng):
    signed, layered = rng.normal(size=(3, 16, 12, 3)), rng.normal(size=(3, 5, 16, 12))

    def same(a, b, **options):
        after = (perturb_images(images, m, **o) for m, o in ((a, options), (b, {})))
        np.testing.assert_allclose(*after)

    same(signed, signed.sum(axis=-1))
    same(layered, layered[:, 4])
    same(layered, layered[:, 1], layer=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "drop"}, "mode must be 'keep' or 'remove'; got 'drop'"),
        ({"mask": "hard"}, "mask must be 'soft' or 'top'; got 'hard'"),
        ({"mask": "top"}, r"fraction must be in \(0, 1\] with mask='top'; got None"),
        ({"mask": "top", "fraction": 0.0}, r"fraction must be in \(0, 1\] .*; got 0.0"),
        ({"mask": "top", "fraction": 1.3}, r"fraction must be in \(0, 1\] .*; got 1.3"),
        ({"fraction": 0.3}, "fraction=0.3 has no effect with mask='soft'; set mask='top'"),
        ({"baseline": "gray"}, r"baseline must be one of .*'road'\] or a function; got 'gray'"),
        ({"baseline": lambda x: x[:1]}, r"shape it is given; got \(1, 16, 12, 3\) for \(3,"),
        ({"layer": 5}, None),
    ],
)
def test_bad_options_are_refused_by_name(images, maps, options, message):
    if message is None:
        maps, message = maps[:, None], "layer must be a position from -1 to 0 .*; got 5"
    with pytest.raises(ValueError, match=message):
        perturb_images(images, maps, **options)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 16, 12), "must hold the maps of 3 images; got those of 2"),
        ((3, 12, 16), r"shape \(n, 16, 12\), .* for images of 16x12; got shape \(1, 12, 16\)"),
        ((3, 16), "for images of 16x12"),
        ((3, 2, 2, 16, 12), "for images of 16x12"),
    ],
)
def test_maps_of_a_wrong_shape_are_refused(images, shape, message):
    with pytest.raises(ValueError, match=message):
        perturb_images(images, np.zeros(shape))


def test_maps_with_nan_are_refused(images, maps):
    maps[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match="explanation must be finite"):
        perturb_images(images, maps)


def test_an_explainer_of_the_true_class_is_given_the_labels(trained, digits):
    X, y = digits[0][:4], digits[1][:4]
    explainer = GradCAMExplainer(trained, target="true")
    np.testing.assert_array_equal(
        perturb_images(X, explainer, y), perturb_images(X, explainer.fit().explain(X, y))
    )


def test_files_are_read_in_the_size_that_the_explainer_takes(trained, tmp_path):
    path = tmp_path / "large.png"
    Image.new("L", (20, 16)).save(path)
    assert perturb_images([path], GradCAMExplainer(trained)).shape == (1, 8, 8, 1)


def test_a_column_of_maps_is_no_explainer():
    X = np.ones((2, 4, 4, 1))
    with pytest.raises(ValueError, match="explanation must hold numbers"):
        perturb_images(X, pd.Series([np.ones((4, 4)), np.ones((4, 4))]))
