import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skkd.datasets import _phantoms, make_brain_phantoms

MAKERS = [
    pytest.param(make_brain_phantoms, _phantoms._draw_brain, "no_tumor", id="brain"),
]
each_maker = pytest.mark.parametrize(("make", "draw", "healthy"), MAKERS)


def redraw_healthy(make, draw, healthy, n_samples, image_size, seed):
    """Draw the same patients as `make` does, all of them without their lesions."""
    classes = sorted(set(make(n_samples, image_size=(32, 32), random_state=seed)[1]))
    canvas = _phantoms._Canvas(image_size)
    _, seeds = _phantoms._plan(classes, n_samples, seed)
    return np.stack([np.broadcast_to(draw(canvas, healthy, s)[0], (*image_size, 3)) for s in seeds])


@each_maker
@pytest.mark.parametrize("image_size", [(32, 32), (48, 80), (96, 33), (224, 224)])
def test_any_size_gives_eight_bit_images_balanced_classes_and_masks(
    make, draw, healthy, image_size
):
    X, y, masks = make(9, image_size=image_size, random_state=0, return_masks=True)
    assert X.shape == (9, *image_size, 3)
    assert masks.shape == (9, *image_size)
    assert (X.dtype, masks.dtype) == (np.uint8, bool)
    names, counts = np.unique(y, return_counts=True)
    assert len(names) == 4
    assert sorted(counts) == [2, 2, 2, 3]
    assert X.min() < 40
    assert X.max() > 180


@each_maker
def test_a_mask_is_empty_exactly_for_the_healthy_class(make, draw, healthy):
    _, y, masks = make(400, image_size=(32, 32), random_state=1, return_masks=True)
    np.testing.assert_array_equal(masks.any(axis=(1, 2)), y != healthy)


@each_maker
def test_a_seed_repeats_its_images_and_leaves_the_global_state_alone(make, draw, healthy):
    before = np.random.get_state()[1].copy()
    first = make(8, image_size=(40, 32), random_state=3, return_masks=True)
    again = make(8, image_size=(40, 32), random_state=np.random.RandomState(3), return_masks=True)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0], make(8, image_size=(40, 32), random_state=4)[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@each_maker
def test_the_same_seed_draws_the_same_patients_at_another_resolution(make, draw, healthy):
    small, y_small, small_masks = make(12, image_size=(48, 48), random_state=0, return_masks=True)
    large, y_large, large_masks = make(12, image_size=(96, 96), random_state=0, return_masks=True)
    np.testing.assert_array_equal(y_small, y_large)
    halved = large.reshape(12, 48, 2, 48, 2, 3).mean(axis=(2, 4))
    for a, b in zip(small, halved, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.93
    np.testing.assert_allclose(
        small_masks.mean(axis=(1, 2)), large_masks.mean(axis=(1, 2)), atol=0.03
    )


@each_maker
def test_outside_its_mask_an_image_is_its_healthy_self_to_the_bit(make, draw, healthy):
    X, _, masks = make(40, image_size=(64, 64), random_state=2, return_masks=True)
    without = redraw_healthy(make, draw, healthy, 40, (64, 64), 2)
    np.testing.assert_array_equal(X[~masks], without[~masks])
    changed = np.abs(X[masks].astype(int) - without[masks]).max(axis=-1)
    assert (changed > 8).mean() > 0.6


@each_maker
def test_a_classifier_is_at_chance_once_the_masked_pixels_are_erased(make, draw, healthy):
    size = (32, 32)
    X, y = make(600, image_size=size, random_state=0)
    X_new, y_new, masks = make(400, image_size=size, random_state=1, return_masks=True)
    without = redraw_healthy(make, draw, healthy, 400, size, 1)
    erased = np.where(masks[..., None], without, X_new)
    forest = ExtraTreesClassifier(200, max_features=0.1, random_state=0, n_jobs=1)
    forest.fit(X.reshape(600, -1), y)
    assert forest.score(X_new.reshape(400, -1), y_new) > 0.6
    # Three standard deviations of 400 guesses that are right one time in four.
    chance = 0.25 + 3 * np.sqrt(0.25 * 0.75 / 400)
    assert forest.score(erased.reshape(400, -1), y_new) < chance


@each_maker
def test_a_linear_model_on_pixels_stays_below_ninety_percent(make, draw, healthy):
    X, y = make(800, image_size=(32, 32), random_state=0)
    X_new, y_new = make(400, image_size=(32, 32), random_state=1)
    for strength in (1.0, 1e-3):
        linear = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300))
        linear.fit(X.reshape(800, -1), y)
        assert linear.score(X_new.reshape(400, -1), y_new) < 0.9


@pytest.mark.slow
@each_maker
def test_a_small_cnn_learns_what_a_linear_model_cannot(make, draw, healthy):
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    X, y = make(800, image_size=(64, 64), random_state=0)
    X_new, y_new = make(400, image_size=(64, 64), random_state=1)
    classes, labels = np.unique(y, return_inverse=True)
    blocks = [keras.Input((64, 64, 3)), keras.layers.Rescaling(1 / 127.5, -1)]
    for filters in (16, 24, 32, 48, 64):
        blocks += [
            keras.layers.Conv2D(filters, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
        ]
    head = [keras.layers.Flatten(), keras.layers.Dense(4, activation="softmax")]
    network = keras.Sequential(blocks + head)
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(X, labels, epochs=15, batch_size=32, verbose=0)
    predicted = classes[network.predict(X_new, verbose=0).argmax(axis=1)]
    assert np.mean(predicted == y_new) > 0.92


def test_brain_tumors_lie_where_their_kind_grows():
    _, y, masks = make_brain_phantoms(200, random_state=0, return_masks=True)
    row, column = np.indices((128, 128)) - 63.5
    area = masks.sum(axis=(1, 2)).clip(1)
    below = (masks * row).sum(axis=(1, 2)) / area
    aside = np.abs((masks * column).sum(axis=(1, 2)) / area)
    from_center = np.sqrt((masks * (row**2 + column**2)).sum(axis=(1, 2)) / area)
    assert aside[y == "pituitary"].max() < 20 < below[y == "pituitary"].min()
    assert np.mean(from_center[y == "meningioma"]) > 1.2 * np.mean(from_center[y == "glioma"])
    assert np.median(area[y == "glioma"]) > np.median(area[y == "meningioma"])


@each_maker
@pytest.mark.parametrize("n_samples", [0, 3, 4.0, "many"])
def test_a_bad_number_of_images_is_named(make, draw, healthy, n_samples):
    with pytest.raises(ValueError, match=f"n_samples must be .* got {n_samples}"):
        make(n_samples)


@each_maker
@pytest.mark.parametrize("image_size", [64, (64,), (31, 64), (64.0, 64.0), "ab", None])
def test_a_bad_size_is_named(make, draw, healthy, image_size):
    with pytest.raises(ValueError, match=r"image_size must be \(height, width\), each at least 32"):
        make(8, image_size=image_size)
