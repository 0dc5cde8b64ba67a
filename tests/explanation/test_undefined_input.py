from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from keras import layers

from skkd import FeatureMapExplainer, GradCAMExplainer, NetworkClassifier, SHAPExplainer
from skkd.metrics import (
    average_drop,
    deletion_curve,
    fidelity_samples,
    fidelity_score,
    perturb_images,
    pointing_game,
    randomization_check,
)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((8, 12, 12, 1)).astype("float32")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            layers.Conv2D(6, 3, activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )


class LeftHalf:
    """Looks at the left half of an image of 8x8."""

    classes_ = np.array([0, 1])

    def predict_proba(self, X):
        q = 1 / (1 + np.exp(-8 * (np.asarray(X)[:, :, :4].mean(axis=(1, 2, 3)) - 0.25)))
        return np.stack([1 - q, q], axis=1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [GradCAMExplainer, FeatureMapExplainer, SHAPExplainer])
def test_an_image_with_nan_or_infinity_is_named(kind, value, images, model):
    broken = images.copy()
    broken[5, 3, 4] = value
    with pytest.raises(ValueError, match="X has NaN or infinity in image 5, and in 1 of"):
        kind(model).fit(images).explain(broken)


def test_a_background_with_nan_is_named(images, model):
    broken = images.copy()
    broken[2, 0, 0] = np.nan
    with pytest.raises(ValueError, match="background has NaN or infinity in image 2"):
        SHAPExplainer(model, background=broken).fit()


@pytest.mark.parametrize("measure", [fidelity_samples, average_drop, deletion_curve])
def test_measures_refuse_images_with_nan(measure, images, model):
    broken = images.copy()
    broken[1, 0, 0] = np.nan
    with pytest.raises(ValueError, match="X has NaN or infinity in image 1"):
        measure(model, broken, np.zeros(8, int), np.ones((8, 12, 12)))


def test_masks_with_nan_are_refused():
    masks = np.array([[[np.nan, 0.0], [1.0, 0.0]]])
    with pytest.raises(ValueError, match="masks must be finite"):
        pointing_game(np.ones((1, 2, 2)), masks)


def test_an_empty_map_keeps_nothing_so_that_it_beats_no_honest_one():
    X = np.zeros((20, 8, 8, 1))
    X[:, :, :4] = 1
    honest = np.zeros((20, 8, 8))
    honest[:, :, :1] = 1
    classifier, y = LeftHalf(), [1] * 20
    original = classifier.predict_proba(X)[:, 1]

    def by_formula(maps):
        lost = original - classifier.predict_proba(X * maps[..., None])[:, 1]
        return np.mean(np.maximum(lost, 0) / original)

    with pytest.warns(UserWarning, match="20 of 20 maps are empty: they point at nothing"):
        empty = average_drop(classifier, X, y, np.zeros((20, 8, 8)))
    assert empty == pytest.approx(by_formula(np.zeros((20, 8, 8))))
    assert empty > average_drop(classifier, X, y, honest) == pytest.approx(by_formula(honest))
    with pytest.warns(UserWarning, match="empty"):
        kept = fidelity_score(classifier, X, y, np.zeros((20, 8, 8)), baseline="zero")
    assert kept < fidelity_score(classifier, X, y, honest, baseline="zero")


def test_a_fraction_below_one_pixel_is_refused(images):
    with pytest.raises(ValueError, match="of the 144 pixels of an image is less than one pixel"):
        perturb_images(images, images[..., 0], mask="top", fraction=0.001)
    assert perturb_images(images, images[..., 0], mask="top", fraction=0.01).shape == images.shape


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (None, "got None"),
        ([0, "a", None, 1, 2, 0, 1, 2], "which is not a class of the model"),
        (1.5, "holds 1.5, which is not a class"),
        (np.nan, "holds nan, which is not a class"),
        ([0, 1], "one label or 8 of them"),
    ],
)
def test_targets_that_are_no_classes_are_refused(target, message, images, model):
    with pytest.raises(ValueError, match=message):
        GradCAMExplainer(model, target=target).fit().explain(images)


@pytest.mark.parametrize("shape", [(12, 12, 1), (12, 12, 3), (40, 24, 3)])
def test_a_single_image_is_not_taken_for_many(shape, model):
    image = np.zeros(shape, np.uint8)
    for use in (
        lambda: GradCAMExplainer(model).fit().explain(image),
        lambda: NetworkClassifier().fit(image, np.arange(len(image)) % 2),
    ):
        with pytest.raises(ValueError, match=r"may be a single image .* pass X\[None\]"):
            use()


def test_a_check_of_an_unseeded_explainer_is_1_where_no_weight_changed(images):
    model = keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            layers.Conv2D(2, 3, kernel_initializer="ones", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, kernel_initializer="ones"),
        ]
    )
    explainer = SHAPExplainer(model, background=2, n_samples=4, target=1)
    check = randomization_check(explainer, images, random_state=0)
    np.testing.assert_allclose(check[["spearman", "ssim"]], 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda model: SHAPExplainer(model, method="partition", max_evals=50, random_state=0),
        lambda model: SHAPExplainer(model, n_samples=4, random_state=0),
        GradCAMExplainer,
        FeatureMapExplainer,
    ],
    ids=["partition", "gradient", "Grad-CAM", "feature maps"],
)
def test_explainers_give_in_8_threads_what_they_give_in_one(make, images, model):
    explainer = make(model).fit(images)
    expected = [explainer.transform(images[[row]]) for row in range(8)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda row: explainer.transform(images[[row % 8]]), range(24)))
    for row, maps in enumerate(together):
        np.testing.assert_allclose(maps, expected[row % 8], rtol=1e-5, atol=1e-6)


def test_predictions_and_measures_are_the_same_in_8_threads(trained, digits):
    X, y = digits[0][:40], digits[1][:40]
    expected = trained.predict_proba(X)
    measured = fidelity_score(trained, X, y, np.ones((40, 8, 8)), eps=0)
    with ThreadPoolExecutor(8) as pool:
        for proba in pool.map(lambda _: trained.predict_proba(X), range(16)):
            np.testing.assert_array_equal(proba, expected)
        scores = pool.map(
            lambda _: fidelity_score(trained, X, y, np.ones((40, 8, 8)), eps=0), range(8)
        )
        assert list(scores) == [measured] * 8


def test_deep_shap_names_a_layer_whose_gradient_shap_gets_wrong(images):
    model = keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.GlobalMaxPooling2D(name="highest"),
            layers.Dense(3),
        ]
    )
    if keras.backend.backend() != "tensorflow":
        pytest.skip("deep SHAP needs TensorFlow")
    with pytest.raises(ValueError, match="method='deep': layer 'highest' computes 'Max'"):
        SHAPExplainer(model, method="deep", random_state=0).fit(images)


def nodes(model):
    layers = model._flatten_layers()
    return [len(layer._inbound_nodes) + len(layer._outbound_nodes) for layer in layers]


def test_explaining_leaves_nothing_on_the_users_layers(images, tmp_path):
    inner = keras.Sequential([keras.Input((12, 12, 1)), layers.Conv2D(4, 3, activation="relu")])
    inputs = keras.Input((12, 12, 1))
    outputs = layers.Dense(3, activation="softmax")(layers.Flatten()(inner(inputs)))
    model = keras.Model(inputs, outputs)
    before, expected = nodes(model), model.predict(images, verbose=0)
    for make in (GradCAMExplainer, FeatureMapExplainer, SHAPExplainer):
        for _ in range(3):
            make(model).fit(images).explain(images[:2])
    SHAPExplainer(model, method="partition", max_evals=9).fit(images).explain(images[:2])
    fidelity_score(model, images, [0] * 8, np.ones((8, 12, 12)), eps=0)
    randomization_check(GradCAMExplainer(model), images[:2], random_state=0)
    assert nodes(model) == before
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(images, verbose=0), expected)
