import keras
import numpy as np
import pytest
from keras import layers
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skkd import FeatureMapExplainer, NetworkClassifier


def by_hand(model, layer_name, images, reduce=np.mean):
    """Average one layer's output over filters and resize it, away from our code."""
    layer = model.get_layer(layer_name)
    features = keras.Model(model.inputs[0], layer.output).predict(images, verbose=0)
    maps = keras.ops.image.resize(reduce(features, axis=-1)[..., None], images.shape[1:3])
    return keras.ops.convert_to_numpy(maps)[..., 0]


@pytest.mark.parametrize(
    ("reduction", "by_numpy"),
    [
        ("mean", np.mean),
        ("max", np.max),
        ("abs_mean", lambda features, axis: np.abs(features).mean(axis=axis)),
        (lambda features, axis: keras.ops.min(features, axis=axis), np.min),
    ],
)
def test_maps_equal_each_layers_output_reduced_and_resized_by_hand(
    trained, digits, reduction, by_numpy
):
    images = digits[0][:5]
    explainer = FeatureMapExplainer(trained, reduction=reduction).fit()
    maps = explainer.transform(images)
    assert maps.shape == (5, 2, 8, 8)
    assert maps.dtype == np.float32
    for number, name in enumerate(["block1_conv", "block2_conv"]):
        np.testing.assert_allclose(
            maps[:, number], by_hand(trained.model_, name, images, by_numpy), atol=1e-5
        )


def test_batch_size_and_order_change_no_map(trained, digits):
    images = digits[0][:64]
    one, seven, all_at_once = (
        FeatureMapExplainer(trained, batch_size=size).fit().transform(images) for size in (1, 7, 64)
    )
    np.testing.assert_allclose(one, seven, atol=1e-5)
    np.testing.assert_allclose(one, all_at_once, atol=1e-5)
    backwards = FeatureMapExplainer(trained, batch_size=7).fit().transform(images[::-1])
    np.testing.assert_allclose(backwards[::-1], one, atol=1e-5)


def test_normalized_maps_reach_from_0_to_1_and_a_constant_map_is_0(trained, digits):
    images = np.concatenate([digits[0][:3], np.zeros((1, 8, 8, 1), "float32")])
    flat = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(2, 1), layers.Flatten()])
    flat.layers[0].set_weights([np.ones((1, 1, 1, 2)), np.zeros(2)])
    maps = FeatureMapExplainer(flat, normalize=True).fit().transform(images)
    np.testing.assert_allclose(maps[:3].min(axis=(2, 3)), 0)
    np.testing.assert_allclose(maps[:3].max(axis=(2, 3)), 1)
    np.testing.assert_array_equal(maps[3], 0)


def test_layers_can_be_named_counted_or_all_taken(trained):
    def names(layers):
        return FeatureMapExplainer(trained, layers=layers).fit().layer_names_

    assert names("conv") == ["block1_conv", "block2_conv"]
    assert names(["block2_pool", "block1_conv"]) == ["block2_pool", "block1_conv"]
    assert names([-1]) == ["block2_conv"]
    assert {"scaling", "block1_pool"} < set(names("all"))


def test_the_activation_after_a_normalization_belongs_to_its_convolution(rng):
    inner = keras.Sequential(
        [
            keras.Input((9, 12, 3)),
            layers.Conv2D(4, 3, name="convolution"),
            layers.BatchNormalization(),
            layers.ReLU(name="relu"),
        ],
        name="backbone",
    )
    inputs = keras.Input((9, 12, 3))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(inner(inputs))))
    images = rng.normal(size=(2, 9, 12, 3)).astype("float32")
    explainer = FeatureMapExplainer(model).fit()
    assert explainer.layer_names_ == ["backbone/convolution"]
    expected = by_hand(inner, "relu", images)
    np.testing.assert_allclose(explainer.transform(images)[:, 0], expected, atol=1e-5)


def test_a_model_of_any_input_size_explains_images_at_their_size(rng):
    model = keras.Sequential(
        [
            keras.Input((None, None, 1)),
            layers.Conv2D(3, 3),
            layers.GlobalMaxPooling2D(),
            layers.Dense(2),
        ]
    )
    explainer = FeatureMapExplainer(model).fit()
    assert explainer.transform(rng.random((2, 10, 14, 1))).shape == (2, 1, 10, 14)
    assert explainer.transform(rng.random((2, 20, 8, 1))).shape == (2, 1, 20, 8)


def test_an_explanation_says_what_was_predicted_and_how_surely(trained, digits):
    X, y = digits
    explanation = FeatureMapExplainer(trained).fit().explain(X[:6], y[:6])
    proba = trained.predict_proba(X[:6])
    np.testing.assert_array_equal(explanation.targets, trained.predict(X[:6]))
    np.testing.assert_allclose(explanation.probabilities, proba.max(axis=1), atol=1e-6)
    np.testing.assert_array_equal(explanation.images, X[:6])
    assert explanation.layer_names == ["block1_conv", "block2_conv"]


def test_explaining_changes_no_weight_and_leaves_the_users_model_whole(trained, digits):
    before = [w.copy() for w in trained.model_.get_weights()]
    output = trained.model_.output
    FeatureMapExplainer(trained).fit().transform(digits[0][:4])
    assert trained.model_.output is output
    for old, new in zip(before, trained.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_clone_explains_the_same_trained_model(trained):
    explainer = clone(FeatureMapExplainer(trained, normalize=True))
    assert explainer.estimator is trained
    assert explainer.normalize
    assert not hasattr(explainer, "model_")


def test_a_pipelines_earlier_steps_are_applied_first(digits):
    X, y = digits[0][:40], digits[1][:40]
    halve = FunctionTransformer(lambda images: images / 2)
    pipeline = make_pipeline(halve, NetworkClassifier(epochs=1, random_state=0)).fit(X, y)
    maps = FeatureMapExplainer(pipeline).fit().transform(X[:3])
    expected = FeatureMapExplainer(pipeline[-1]).fit().transform(X[:3] / 2)
    np.testing.assert_array_equal(maps, expected)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"layers": ["block1_con"]}, "'block1_con' is not a layer.*'block1_conv'"),
        ({"layers": [2]}, "positions run from 0 to 1"),
        ({"reduction": "median"}, "'reduction' parameter"),
        ({"estimator": NetworkClassifier()}, "not fitted"),
        ({"estimator": object()}, "estimator must be a keras.Model, a fitted estimator"),
        (
            {"estimator": keras.Sequential([keras.Input((4,)), layers.Dense(2)])},
            "rows of a table",
        ),
    ],
)
def test_bad_parameters_are_named(params, message, trained):
    with pytest.raises((ValueError, AttributeError), match=message):
        FeatureMapExplainer(**({"estimator": trained} | params)).fit()


def test_images_of_the_wrong_shape_are_refused(trained):
    with pytest.raises(ValueError, match=r"images of shape \(9, 8, 1\), but model"):
        FeatureMapExplainer(trained).fit().transform(np.zeros((1, 9, 8, 1)))
