import keras
import numpy as np
import pytest
from keras import layers
from sklearn.base import clone

from skkd import FeatureMapExplainer, GradCAMExplainer, NetworkClassifier

METHODS = ["gradcam", "gradcam++", "layercam"]


def flat_cnn(input_shape=(12, 16, 3), activation="softmax"):
    # Of some weights every map is zero, and says nothing.
    first, last, head = (keras.initializers.GlorotUniform(seed=seed) for seed in range(3))
    inputs = keras.Input(input_shape)
    x = layers.Conv2D(6, 3, activation="relu", kernel_initializer=first, name="first")(inputs)
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(5, 2, activation="relu", kernel_initializer=last, name="last")(x)
    x = layers.Flatten()(x)
    x = layers.Dense(4, activation=activation, kernel_initializer=head, name="head")(x)
    return keras.Model(inputs, x)


@pytest.fixture
def images(rng):
    return rng.normal(size=(7, 12, 16, 3)).astype("float32")


def with_tape(model, layer_name, images, classes, method, probability=False):
    """Write the three methods down for a flat model, with TensorFlow alone."""
    import tensorflow as tf

    kernel, bias = model.get_layer("head").weights
    first = model.layers.index(model.get_layer(layer_name))
    with tf.GradientTape() as tape:
        features = keras.Model(model.input, model.layers[first].output)(images)
        tape.watch(features)
        after = features
        for layer in model.layers[first + 1 : -1]:
            after = layer(after)
        outputs = tf.linalg.matmul(after, kernel.value) + bias.value
        if probability:
            outputs = tf.nn.softmax(outputs)
        score = tf.reduce_sum(tf.gather(outputs, classes, axis=1, batch_dims=1))
    slopes, features = tape.gradient(score, features).numpy(), features.numpy()
    maps = []
    for a, g in zip(features.astype(float), slopes.astype(float), strict=True):
        if method == "gradcam":
            weights = g.mean(axis=(0, 1))
        elif method == "gradcam++":
            denominator = 2 * g**2 + a.sum(axis=(0, 1)) * g**3
            alphas = np.divide(g**2, denominator, out=np.zeros_like(g), where=denominator != 0)
            weights = (alphas * np.maximum(g, 0)).sum(axis=(0, 1))
        else:
            weights = np.maximum(g, 0)
        cam = np.maximum((weights * a).sum(axis=-1), 0)
        cam = tf.image.resize(cam[..., None], images.shape[1:3]).numpy()[..., 0]
        maps.append(cam / cam.max() if cam.max() > 0 else cam)
    return np.stack(maps)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="written with TensorFlow")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("layer", ["last", "first"])
@pytest.mark.parametrize("output", ["logits", "probability"])
def test_maps_equal_those_of_a_hand_written_gradient_tape(images, method, layer, output):
    model = flat_cnn()
    explainer = GradCAMExplainer(model, method=method, layer=layer, output=output).fit()
    explanation = explainer.explain(images)
    classes = model.predict(images, verbose=0).argmax(axis=1)
    expected = with_tape(model, layer, images, classes, method, output == "probability")
    assert (expected.max(axis=(1, 2)) > 0).any()
    np.testing.assert_allclose(explanation.values, expected, atol=1e-5)
    np.testing.assert_array_equal(explanation.targets, classes)
    proba = model.predict(images, verbose=0).max(axis=1)
    np.testing.assert_allclose(explanation.probabilities, proba, atol=1e-6)


def averaging_cnn(rng, scale=1.0):
    """Return convolution, average pooling and dense layer, with weights of both signs."""
    inputs = keras.Input((6, 6, 1))
    features = layers.Conv2D(3, 3, padding="same", activation="relu", name="convolution")(inputs)
    pooled = layers.GlobalAveragePooling2D()(features)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="head")(pooled))
    kernel = rng.normal(size=(3, 2)) * scale
    model.get_layer("head").set_weights([kernel, np.zeros(2)])
    return model, keras.Model(inputs, features), kernel


def test_after_average_pooling_maps_are_class_activation_maps(rng):
    # Zhou et al. 2016: the weights of the dense layer are the weights of the filters.
    model, features, kernel = averaging_cnn(rng)
    images = rng.normal(size=(5, 6, 6, 1)).astype("float32")
    for label in (0, 1):
        maps = GradCAMExplainer(model, target=label).fit().transform(images)
        expected = np.maximum(features.predict(images, verbose=0) @ kernel[:, label], 0)
        highest = expected.max(axis=(1, 2), keepdims=True)
        np.testing.assert_allclose(maps, expected / np.where(highest > 0, highest, 1), atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_batch_size_and_order_change_no_map(images, method):
    model = flat_cnn()
    images = np.concatenate([images] * 10)[:64] * np.linspace(0.1, 1, 64)[:, None, None, None]

    def maps(batch_size, images):
        return GradCAMExplainer(model, method=method, batch_size=batch_size).fit().transform(images)

    one = maps(1, images)
    np.testing.assert_allclose(maps(7, images), one, atol=1e-5)
    np.testing.assert_allclose(maps(64, images), one, atol=1e-5)
    np.testing.assert_allclose(maps(7, images[::-1])[::-1], one, atol=1e-5)


def test_maps_of_logits_survive_a_confident_network_and_those_of_probabilities_do_not(rng):
    seed = rng.integers(1000)
    images = rng.normal(size=(20, 6, 6, 1)).astype("float32")
    plain, _, _ = averaging_cnn(np.random.default_rng(seed))
    sure, _, _ = averaging_cnn(np.random.default_rng(seed), scale=1e4)
    sure.get_layer("convolution").set_weights(plain.get_layer("convolution").get_weights())
    maps = GradCAMExplainer(plain).fit().explain(images)
    same = GradCAMExplainer(sure).fit().explain(images)
    np.testing.assert_allclose(same.values, maps.values, atol=1e-4)
    assert same.n_empty < 10
    empty = GradCAMExplainer(sure, output="probability").fit().explain(images)
    assert empty.n_empty > 10
    assert np.isfinite(empty.values).all()


def test_an_empty_map_stays_zero_and_is_counted(rng):
    model, _, kernel = averaging_cnn(rng)
    model.get_layer("head").set_weights([-np.abs(kernel), np.zeros(2)])
    images = rng.normal(size=(4, 6, 6, 1)).astype("float32")
    explanation = GradCAMExplainer(model, target=0).fit().explain(images)
    np.testing.assert_array_equal(explanation.values, 0)
    assert explanation.n_empty == 4
    both = GradCAMExplainer(model, target=0, layer=["convolution", 0]).fit().explain(images)
    assert both.n_empty == 8


@pytest.mark.parametrize("method", METHODS)
def test_a_planted_patch_is_found(rng, method):
    # The first filter passes pixels on, and only those of the patch speak for class 1.
    patch = np.zeros((8, 8, 1))
    patch[2:4, 5:7] = 1
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(1, 1, use_bias=False),
            layers.Flatten(),
            layers.Dense(2, use_bias=False),
        ]
    )
    weights = np.stack([np.zeros(64), patch.ravel()], axis=1)
    model.set_weights([np.ones((1, 1, 1, 1)), weights])
    images = (rng.random((3, 8, 8, 1)) * (0.2 + patch)).astype("float32")
    maps = GradCAMExplainer(model, method=method, target=1).fit().transform(images)
    inside = patch[..., 0] == 1
    assert maps[:, inside].mean() > 2 * maps[:, ~inside].mean()
    if method == "layercam":
        np.testing.assert_array_equal(maps[:, ~inside], 0)


def nested_and_flat(inner, rng):
    """Return one classifier twice: around a nested backbone, and without nesting."""
    head = layers.Dense(3, activation="softmax", name="head")
    inputs = keras.Input(inner.input_shape[1:])
    pool = layers.GlobalAveragePooling2D()
    nested = keras.Model(inputs, head(pool(inner(inputs))))
    flat = keras.Model(inner.inputs[0], head(pool(inner.outputs[0])))
    images = rng.uniform(-1, 1, size=(3, *inner.input_shape[1:])).astype("float32")
    return nested, flat, images


def small_sequential():
    return keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            layers.Conv2D(4, 3, name="convolution"),
            layers.BatchNormalization(),
            layers.ReLU(),
        ],
        name="inner",
    )


def small_mobilenet():
    return keras.applications.MobileNetV2(
        (48, 64, 3), alpha=0.35, include_top=False, weights=None, name="inner"
    )


@pytest.mark.parametrize(
    ("make", "last"),
    [(small_sequential, "inner/convolution"), (small_mobilenet, "inner/Conv_1")],
)
def test_a_nested_backbone_is_explained_as_a_flat_one(make, last, rng):
    nested, flat, images = nested_and_flat(make(), rng)
    before = [weight.copy() for weight in nested.get_weights()]
    explainer = GradCAMExplainer(nested).fit()
    assert explainer.layer_names_ == [last]
    maps = explainer.transform(images)
    assert maps.shape == images.shape[:3]
    assert maps.max() == pytest.approx(1)
    np.testing.assert_allclose(maps, GradCAMExplainer(flat).fit().transform(images), atol=1e-5)
    for old, new in zip(before, nested.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.slow
def test_a_nested_densenet121_is_explained_as_a_flat_one_in_all_its_120_layers(rng):
    inner = keras.applications.DenseNet121(
        input_shape=(32, 32, 3), include_top=False, weights=None, name="densenet121"
    )
    nested, flat, images = nested_and_flat(inner, rng)
    explainer = GradCAMExplainer(nested, layer=["densenet121/relu", -1], target=1).fit()
    assert explainer.layer_names_ == ["densenet121/relu", "densenet121/conv5_block16_2_conv"]
    expected = GradCAMExplainer(flat, layer=["relu", -1], target=1).fit().transform(images)
    np.testing.assert_allclose(explainer.transform(images), expected, atol=1e-5)
    every_layer = FeatureMapExplainer(nested).fit()
    assert len(every_layer.layer_names_) == 120
    maps = every_layer.transform(images)
    assert maps.shape == (3, 120, 32, 32)
    features = keras.Model(inner.inputs[0], inner.get_layer("conv1_relu").output)
    expected = keras.ops.image.resize(
        features.predict(images, verbose=0).mean(axis=-1)[..., None], (32, 32)
    )
    np.testing.assert_allclose(maps[:, 0], expected[..., 0], atol=1e-5)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.convolution = layers.Conv2D(4, 3, name="convolution")
        self.dense = layers.Dense(3)

    def call(self, images):
        features = keras.ops.relu(self.convolution(images))
        return self.dense(keras.ops.mean(features, axis=(1, 2)))


def test_a_subclassed_model_is_explained(rng):
    model = Subclassed()
    images = rng.normal(size=(3, 9, 9, 1)).astype("float32")
    model(images)
    explainer = GradCAMExplainer(model, target=2).fit()
    assert explainer.layer_names_ == ["convolution"]
    kernel = model.dense.get_weights()[0][:, 2]
    features = np.maximum(keras.ops.convert_to_numpy(model.convolution(images)), 0)
    expected = keras.ops.image.resize(np.maximum(features @ kernel, 0)[..., None], (9, 9))
    expected = keras.ops.convert_to_numpy(expected)[..., 0]
    highest = expected.max(axis=(1, 2), keepdims=True)
    expected = expected / np.where(highest > 0, highest, 1)
    np.testing.assert_allclose(explainer.transform(images), expected, atol=1e-5)


def test_several_layers_give_a_map_each(images):
    model = flat_cnn()
    together = GradCAMExplainer(model, layer=["last", 0]).fit().explain(images)
    assert together.values.shape == (7, 2, 12, 16)
    assert together.layer_names == ["last", "first"]
    for number, name in enumerate(together.layer_names):
        alone = GradCAMExplainer(model, layer=name).fit().transform(images)
        np.testing.assert_allclose(together.values[:, number], alone, atol=1e-5)


def test_the_target_may_be_predicted_true_a_label_or_a_label_an_image(trained, digits):
    X, y = digits[0][1000:1008], digits[1][1000:1008]

    def explain(target, y=None):
        return GradCAMExplainer(trained, target=target).fit().explain(X, y)

    predicted = trained.predict(X)
    np.testing.assert_array_equal(explain("predicted").targets, predicted)
    other = (predicted + 3) % 10
    for target, labels in [(other, None), ("true", other), (other.tolist(), None)]:
        explanation = explain(target, labels)
        np.testing.assert_array_equal(explanation.targets, other)
        picked = trained.predict_proba(X)[np.arange(8), other]
        np.testing.assert_allclose(explanation.probabilities, picked, atol=1e-6)
    np.testing.assert_allclose(explain(predicted).values, explain("predicted").values, atol=1e-6)
    np.testing.assert_array_equal(explain(3).targets, 3)
    maps = GradCAMExplainer(trained, target="true").fit_transform(X, y)
    np.testing.assert_allclose(maps, explain("true", y).values, atol=1e-6)


def test_targets_are_labels_whatever_their_order_among_the_outputs(trained, digits, rng):
    class Named:
        def __init__(self, model, classes):
            self.model_, self.classes_ = model, classes

    names = np.array(list("jihgfedcba"))
    by_name = GradCAMExplainer(Named(trained.model_, names), target="h").fit()
    by_index = GradCAMExplainer(trained, target=2).fit()
    X = digits[0][:4]
    np.testing.assert_array_equal(by_name.transform(X), by_index.transform(X))
    assert by_name.explain(X).targets.tolist() == ["h"] * 4


def test_a_clone_keeps_the_model_and_the_parameters(trained):
    explainer = clone(GradCAMExplainer(trained, method="layercam", target=[1, 2]))
    assert explainer.estimator is trained
    assert explainer.get_params(deep=False)["target"] == [1, 2]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"layer": "blok2_conv"}, "'blok2_conv' is not a layer.*'block2_conv'"),
        ({"layer": 5}, "positions run from 0 to 1"),
        ({"method": "smoothgrad"}, "'method' parameter"),
        ({"output": "proba"}, "'output' parameter"),
        ({"estimator": NetworkClassifier()}, "not fitted"),
        (
            {"estimator": keras.Sequential([keras.Input((4,)), layers.Dense(2)])},
            "rows of a table",
        ),
    ],
)
def test_bad_parameters_are_named(params, message, trained):
    with pytest.raises((ValueError, AttributeError), match=message):
        GradCAMExplainer(**({"estimator": trained} | params)).fit()


@pytest.mark.parametrize(
    ("target", "y", "message"),
    [
        (11, None, r"target holds 11, which is not a class of the model; its classes are \[0"),
        ("glioma", None, "target holds 'glioma'"),
        ("true", None, "target='true' needs the labels"),
        ("true", [0, 12], "y holds 12, which"),
        ("true", [0], "y must hold 2 labels"),
        ([1, 2, 3], None, r"one label or 2 of them, one an image; got shape \(3,\)"),
    ],
)
def test_a_target_that_cannot_be_had_is_named(target, y, message, trained, digits):
    with pytest.raises(ValueError, match=message):
        GradCAMExplainer(trained, target=target).fit().explain(digits[0][:2], y)


def test_images_of_the_wrong_shape_are_refused(trained):
    explainer = GradCAMExplainer(trained).fit()
    with pytest.raises(ValueError, match=r"images of shape \(8, 8, 3\), but model"):
        explainer.transform(np.zeros((1, 8, 8, 3)))
    with pytest.raises(ValueError, match="X has no images"):
        explainer.transform(np.zeros((0, 8, 8, 1)))
