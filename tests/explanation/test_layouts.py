"""Features that are no maps with their channels last: tokens, and channels on the first axis."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from skkd import FeatureMapExplainer, GradCAMExplainer, SHAPExplainer
from skkd.metrics import (
    average_drop,
    deletion_curve,
    explain_timing,
    fidelity_report,
    fidelity_score,
    randomization_check,
)
from skkd.models._graph import flatten_graph
from skkd.models._layout import Layout


def transformer(size=(16, 24), patch=4, embed="convolution", extra=None, n_blocks=2):
    """A small vision transformer, in the forms that people write it in."""
    rows, columns = size[0] // patch, size[1] // patch
    images = keras.Input((*size, 3))
    if embed == "convolution":
        x = layers.Conv2D(8, patch, strides=patch, name="embed")(images)
        x = layers.Reshape((rows * columns, 8))(x)
    else:
        x = ops.image.extract_patches(images, patch)
        x = layers.Reshape((rows * columns, patch * patch * 3))(x)
        x = layers.Dense(8, name="embed")(x)
    if extra:
        token = ops.zeros_like(x[:, :2]) + 0.3
        x = layers.Concatenate(axis=1)([token, x] if extra == "first" else [x, token])
    x = x + keras.random.normal((1, x.shape[1], 8), seed=0)
    for number in range(n_blocks):
        seen = layers.LayerNormalization()(x)
        x = layers.Add(name=f"attended{number}")(
            [x, layers.MultiHeadAttention(2, 4, name=f"attention{number}")(seen, seen)]
        )
        seen = layers.Dense(8, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add(name=f"block{number}")([x, seen])
    x = layers.LayerNormalization(name="normalized")(x)
    if extra:
        x = x[:, 0] if extra == "first" else x[:, -1]
    else:
        x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(images, layers.Dense(3, activation="softmax")(x))


@pytest.mark.parametrize(
    ("parameters", "auto", "start"),
    [
        ({}, "normalized", 0),
        ({"embed": "patches"}, "normalized", 0),
        ({"extra": "first"}, "block0", 2),
        ({"extra": "last"}, "block0", 0),
        ({"size": (24, 16), "extra": "first"}, "block0", 2),
    ],
)
def test_tokens_lie_over_the_image_as_they_were_cut(parameters, auto, start, rng):
    model = transformer(**parameters)
    rows, columns = (side // 4 for side in model.input_shape[1:3])
    graph = flatten_graph(model)
    (block,) = (call.output for call in graph.calls if call.name == "block1")
    grid = Layout(graph).grid(block)
    assert (grid.start, grid.height, grid.width) == (start, rows, columns)

    images = rng.random((3, *model.input_shape[1:]))
    explainer = GradCAMExplainer(model).fit()
    # Behind the last attention only the token of the class, where there is one, decides.
    assert explainer.layer_names_ == [auto]
    maps = explainer.transform(images)
    assert maps.shape == images.shape[:3]
    assert (maps.max(axis=(1, 2)) > 0).all()
    names = FeatureMapExplainer(model).fit().layer_names_
    assert names[0] == "embed"
    assert names[-4:] == ["attended0", "block0", "attended1", "block1"]


def test_maps_of_tokens_are_those_of_the_convolution_that_computes_the_same(rng):
    images = keras.Input((12, 20, 2))
    x = layers.Conv2D(6, 4, strides=4, activation="relu", name="embed")(images)
    mixed = layers.Conv2D(5, 1, activation="relu", name="mix")(x)
    head = layers.Dense(3, name="head")
    network = keras.Model(images, head(layers.GlobalAveragePooling2D()(mixed)))
    tokens = layers.Dense(5, activation="relu", name="mix_tokens")(layers.Reshape((15, 6))(x))
    of_tokens = keras.Model(images, head(layers.GlobalAveragePooling1D()(tokens)))
    kernel, bias = network.get_layer("mix").get_weights()
    of_tokens.get_layer("mix_tokens").set_weights([kernel[0, 0], bias])
    X = rng.normal(size=(4, 12, 20, 2))
    for method in ("gradcam", "gradcam++", "layercam"):
        expected = GradCAMExplainer(network, method=method).fit().transform(X)
        explainer = GradCAMExplainer(of_tokens, method=method).fit()
        assert explainer.layer_names_ == ["mix_tokens"]
        np.testing.assert_allclose(explainer.transform(X), expected, atol=1e-5)
    expected = FeatureMapExplainer(network).fit().transform(X)
    np.testing.assert_allclose(
        FeatureMapExplainer(of_tokens).fit().transform(X), expected, atol=1e-5
    )


def test_a_sequence_of_pooled_features_is_no_grid(rng):
    images = keras.Input((8, 8, 3))
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="seen")(images)
    x = layers.Reshape((16, 1))(layers.GlobalAveragePooling2D()(x))
    weights = layers.Conv1D(4, 3, padding="same", name="over_channels")(x)
    model = keras.Model(images, layers.Dense(3)(layers.Flatten()(weights)))
    assert FeatureMapExplainer(model).fit().layer_names_ == ["seen"]
    assert GradCAMExplainer(model).fit().layer_names_ == ["seen"]
    with pytest.raises(ValueError, match="'over_channels' is not a layer with a feature map"):
        GradCAMExplainer(model, layer="over_channels").fit()


@pytest.mark.parametrize(
    ("shape", "layer", "what"),
    [
        ((40, 3), layers.Conv1D(2, 3), "signals or sequences"),
        ((8, 8, 8, 1), layers.Conv3D(2, 3), "volumes or videos"),
        ((5,), layers.Dense(4), "rows of a table"),
    ],
)
def test_what_is_no_image_is_called_by_its_name(shape, layer, what):
    model = keras.Sequential([keras.Input(shape), layer, layers.Flatten(), layers.Dense(2)])
    for explainer in (GradCAMExplainer(model), FeatureMapExplainer(model), SHAPExplainer(model)):
        with pytest.raises(ValueError, match=rf"takes inputs of shape .*, which are {what}"):
            explainer.fit()


def test_a_network_of_gray_images_without_a_channel_axis(rng):
    model = keras.Sequential(
        [
            keras.Input((9, 7)),
            layers.Rescaling(0.5),
            layers.Reshape((9, 7, 1)),
            layers.Conv2D(3, 3, activation="relu", name="seen"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    X, y = rng.random((4, 9, 7)), np.array([0, 1, 2, 0])
    explainer = GradCAMExplainer(model).fit()
    explanation = explainer.explain(X, y)
    assert explainer.layer_names_ == ["seen"]
    assert explanation.values.shape == (4, 9, 7)
    np.testing.assert_allclose(
        explanation.probabilities, model.predict(X, verbose=0).max(axis=1), atol=1e-6
    )
    assert np.isfinite(fidelity_score(model, X, y, explainer))


def channels_last_and_first():
    """The same network twice, taking its images in either way."""
    models = []
    for data_format, shape, axis in (
        ("channels_last", (12, 10, 3), -1),
        ("channels_first", (3, 12, 10), 1),
    ):
        images = keras.Input(shape)
        x = layers.Rescaling(2.0)(images)
        for name in ("one", "two"):
            x = layers.Conv2D(5, 3, padding="same", data_format=data_format, name=name)(x)
            x = layers.BatchNormalization(axis=axis)(x)
            x = layers.ReLU()(x)
        x = layers.GlobalAveragePooling2D(data_format=data_format)(x)
        models.append(keras.Model(images, layers.Dense(3, activation="softmax")(x)))
    models[1].set_weights(models[0].get_weights())
    return models


needs_channels_first = pytest.mark.skipif(
    keras.backend.backend() == "tensorflow",
    reason="TensorFlow computes convolutions with the channels first on GPUs only",
)


@needs_channels_first
@pytest.mark.parametrize("form", ["array", "store"])
def test_channels_first_gives_the_maps_of_channels_last(form, as_store, rng):
    last, first = channels_last_and_first()
    X = rng.random((5, 12, 10, 3), dtype=np.float32)
    moved = np.moveaxis(X, -1, 1)
    if form == "store":
        moved = as_store(moved)
    makers = [
        GradCAMExplainer,
        lambda model: GradCAMExplainer(model, method="layercam", layer=["one", "two"]),
        FeatureMapExplainer,
        lambda model: FeatureMapExplainer(model, layers="all"),
        lambda model: SHAPExplainer(model, background=X[:2], n_samples=4, random_state=0),
    ]
    for make in makers:
        expected = make(last).fit().explain(X)
        explainer = make(first).fit()
        for images in (moved, X):
            given = explainer.explain(images)
            np.testing.assert_allclose(given.values, expected.values, atol=1e-5)
            np.testing.assert_allclose(given.probabilities, expected.probabilities, atol=1e-6)
            np.testing.assert_array_equal(given.images, expected.images)


@needs_channels_first
def test_a_classifying_1x1_convolution_with_its_channels_first_is_no_map():
    images = keras.Input((3, 8, 8))
    x = layers.Conv2D(4, 3, data_format="channels_first", name="seen")(images)
    x = layers.GlobalAveragePooling2D(data_format="channels_first", keepdims=True)(x)
    x = layers.Conv2D(5, 1, data_format="channels_first", name="classes")(x)
    model = keras.Model(images, layers.Flatten()(x))
    assert GradCAMExplainer(model).fit().layer_names_ == ["seen"]
    assert FeatureMapExplainer(model).fit().layer_names_ == ["seen"]


@needs_channels_first
def test_channels_first_gives_the_measures_of_channels_last(rng):
    last, first = channels_last_and_first()
    X, y = rng.random((6, 12, 10, 3), dtype=np.float32), np.arange(6) % 3
    moved = np.moveaxis(X, -1, 1)
    for measure in (fidelity_score, average_drop):
        expected = measure(last, X, y, GradCAMExplainer(last))
        assert measure(first, moved, y, GradCAMExplainer(first)) == pytest.approx(expected, 1e-4)
        # Through an estimator, which gets the images as they came.
        wrapped = Wrapped(first)
        assert measure(wrapped, moved, y, GradCAMExplainer(wrapped)) == pytest.approx(
            expected, 1e-4
        )
    # Maps that are equal to the last bit, which decides among pixels that are nearly alike, and a
    # seed, which decides among those where a map is zero.
    maps = GradCAMExplainer(last).fit().transform(X)
    expected = deletion_curve(last, X, y, maps, n_steps=3, random_state=0)
    given = deletion_curve(first, moved, y, maps, n_steps=3, random_state=0)
    np.testing.assert_allclose(given.confidence, expected.confidence, atol=1e-5)
    expected = fidelity_report(last, X, y, {"a": FeatureMapExplainer(last)}, random_state=0)
    given = fidelity_report(first, moved, y, {"a": FeatureMapExplainer(first)}, random_state=0)
    np.testing.assert_allclose(given.to_numpy(float), expected.to_numpy(float), atol=1e-4)
    expected = randomization_check(FeatureMapExplainer(last), X, random_state=0)
    given = randomization_check(FeatureMapExplainer(first), moved, random_state=0)
    np.testing.assert_allclose(given.to_numpy(float), expected.to_numpy(float), atol=1e-4)
    assert explain_timing([GradCAMExplainer(first)], moved, n_repeats=1)["n_images"].item() == 6


class Wrapped:
    classes_ = np.arange(3)

    def __init__(self, model):
        self.model_ = model

    def predict_proba(self, X):
        return self.model_.predict(X, verbose=0)


def test_a_network_of_images_without_any_map_says_so():
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(2)])
    for explainer in (GradCAMExplainer(model), FeatureMapExplainer(model)):
        with pytest.raises(ValueError, match=r"has no convolution to explain, .* and no tokens"):
            explainer.fit()
