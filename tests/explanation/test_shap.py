import pickle

import keras
import numpy as np
import pytest
from keras import layers

from skkd import GradCAMExplainer, SHAPExplainer
from skkd.explanation import _shap
from skkd.explanation._expected_gradients import expected_gradients
from skkd.explanation._shap_package import nothing_left_behind

needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="of shap's that needs TensorFlow"
)
METHODS = ["gradient", "partition", pytest.param("deep", marks=needs_tensorflow)]


def small_cnn(n_channels=2):
    return keras.Sequential(
        [
            keras.Input((8, 8, n_channels)),
            layers.Conv2D(4, 3, activation="relu", name="first"),
            layers.MaxPooling2D(),
            layers.Conv2D(4, 2, activation="relu", name="second"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return small_cnn()


@pytest.fixture
def images(rng):
    return rng.normal(size=(3, 8, 8, 2)).astype("float32")


@pytest.fixture
def background(rng):
    return rng.normal(size=(4, 8, 8, 2)).astype("float32") + 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sampling", ["stratified", "independent"])
def test_values_of_a_linear_classifier_are_weight_times_difference(method, sampling, rng):
    # The SHAP values of a linear model, and only the planted patch has weight.
    patch = np.zeros((8, 8, 1))
    patch[2:4, 5:7] = rng.normal(size=(2, 2, 1))
    linear = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(2, use_bias=False)]
    )
    linear.set_weights([np.stack([-patch.ravel(), patch.ravel()], axis=1)])
    images = rng.normal(size=(2, 8, 8, 1)).astype("float32")
    background = np.full((3, 8, 8, 1), 0.5) if sampling == "independent" else images[:1] * 2 + 1
    explainer = SHAPExplainer(
        linear, method=method, background=background, target=1, sampling=sampling, max_evals=2000
    )
    explanation = explainer.fit().explain(images)
    expected = patch * (images - background.mean(axis=0))
    np.testing.assert_allclose(explanation.values, expected, atol=1e-5)
    np.testing.assert_allclose(explanation.values[:, patch == 0], 0, atol=1e-8)
    np.testing.assert_allclose(explanation.additivity_gap, 0, atol=1e-5)
    np.testing.assert_allclose(
        explanation.base_values, (patch * background).sum() / len(background)
    )


def values(model, background, images, **params):
    return (
        SHAPExplainer(model, background=background, batch_size=500, **params).fit().explain(images)
    )


def test_both_samplings_converge_to_the_same_values_the_stratified_one_faster(
    model, images, background
):
    params = {"model": model, "background": background, "images": images, "target": 0}
    truth = values(n_samples=20_000, random_state=0, **params).values
    independent = values(n_samples=20_000, sampling="independent", random_state=0, **params).values
    # The standard error of 20,000 draws is some hundredths of the values' spread.
    np.testing.assert_allclose(independent, truth, atol=0.1 * truth.std())
    assert abs(truth).max() > truth.std()

    def error(sampling):
        squares = [
            np.square(
                values(n_samples=32, sampling=sampling, random_state=seed, **params).values - truth
            ).mean()
            for seed in range(3)
        ]
        return np.sqrt(np.mean(squares))

    # Four times the samples halve the error of independent draws.
    assert error("stratified") < error("independent") / 2


@needs_tensorflow
def test_independent_sampling_is_the_estimator_of_shap(model, images, background):
    import shap

    from skkd.models._head import logits_model

    ours = values(
        model, background, images, classes="all", sampling="independent", random_state=0
    ).values
    seed = np.random.RandomState(0).randint(2**31 - 1)
    theirs = shap.GradientExplainer(logits_model(model), background)
    for number in range(len(images)):
        expected = theirs.shap_values(images[[number]], nsamples=64, rseed=seed)[0]
        np.testing.assert_allclose(ours[number], expected, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("output", ["logits", "probability"])
def test_values_and_gap_add_up_to_the_difference_of_the_scores(
    model, images, background, method, output
):
    explanation = values(
        model, background, images, method=method, output=output, classes="all", max_evals=100
    )
    probabilities = model.predict(images, verbose=0)
    nothing = background.mean(axis=0, keepdims=True) if method == "partition" else background
    base = model.predict(nothing, verbose=0)
    if output == "probability":
        difference = probabilities - base.mean(axis=0)
    else:
        # Logits are log-probabilities up to a constant that differences of classes do not see.
        difference = np.log(probabilities) - np.log(base).mean(axis=0)
    sums = explanation.values.sum(axis=(1, 2, 3)) + explanation.additivity_gap
    contrast = np.array([[1, -1, 0], [0, 1, -1]]).T
    np.testing.assert_allclose(sums @ contrast, difference @ contrast, atol=1e-5)
    tolerance = 0.05 if method == "gradient" else 1e-4
    assert abs(explanation.additivity_gap).max() < tolerance
    assert abs(explanation.values).max() > tolerance / 10


@pytest.mark.parametrize("method", METHODS)
def test_batch_size_and_order_change_no_value(model, images, background, method):
    def explain(batch_size, images):
        explainer = SHAPExplainer(
            model, method=method, background=background, batch_size=batch_size, n_samples=10,
            max_evals=60, random_state=0,
        )  # fmt: skip
        return explainer.fit().transform(images)

    one = explain(1, images)
    np.testing.assert_allclose(explain(7, images), one, atol=1e-5)
    np.testing.assert_allclose(explain(64, images), one, atol=1e-5)
    np.testing.assert_allclose(explain(7, images[::-1])[::-1], one, atol=1e-5)


@pytest.mark.parametrize(("classes", "n_calls"), [("target", 2), ("all", 5)])
def test_images_and_classes_share_calls_where_a_batch_has_room(
    model, rng, background, monkeypatch, classes, n_calls
):
    images = rng.normal(size=(5, 8, 8, 2)).astype("float32")
    sizes = []

    def counting(integral, images, background, *args):
        def counted(images, background, *rest):
            sizes.append((len(images), len(background)))
            return integral(images, background, *rest)

        return expected_gradients(counted, images, background, *args)

    monkeypatch.setattr(_shap, "expected_gradients", counting)
    params = {"background": background, "n_samples": 6, "classes": classes, "random_state": 0}
    together = SHAPExplainer(model, batch_size=20, **params).fit().explain(images)
    assert sizes == [(3, 6)] * n_calls
    sizes.clear()
    alone = SHAPExplainer(model, batch_size=4, **params).fit().explain(images)
    assert set(sizes) == {(1, 3)}
    np.testing.assert_allclose(together.values, alone.values, atol=1e-5)
    np.testing.assert_allclose(together.additivity_gap, alone.additivity_gap, atol=1e-5)


def test_parameters_may_change_between_explanations(model, images, background):
    explainer = SHAPExplainer(model, background=background, n_samples=12, random_state=0).fit()
    alone = explainer.explain(images).values
    for batch_size in (5, 64, 1):
        again = explainer.set_params(batch_size=batch_size).explain(images).values
        np.testing.assert_allclose(again, alone, atol=1e-5)
    of_all = explainer.set_params(classes="all", batch_size=30).explain(images)
    assert of_all.values.shape == (3, 8, 8, 2, 3)


@pytest.mark.parametrize("method", METHODS)
def test_numpys_global_random_state_is_left_alone(model, images, background, method):
    # With no seed of its own an explainer draws from this state, as scikit-learn's estimators do.
    _, keys, *position = np.random.get_state()
    values(model, background, images[:1], method=method, max_evals=20, random_state=0)
    _, keys_after, *position_after = np.random.get_state()
    np.testing.assert_array_equal(keys_after, keys)
    assert position_after == position


def test_the_target_class_is_one_of_all(model, images, background):
    all_classes = values(model, background, images, classes="all", random_state=0)
    assert all_classes.values.shape == (3, 8, 8, 2, 3)
    assert all_classes.classes.tolist() == [0, 1, 2]
    target = values(model, background, images, target=[2, 0, 1], random_state=0)
    assert target.values.shape == (3, 8, 8, 2)
    for number, label in enumerate([2, 0, 1]):
        np.testing.assert_allclose(
            target.values[number], all_classes.values[number, ..., label], atol=1e-6
        )
        assert target.additivity_gap[number] == pytest.approx(
            all_classes.additivity_gap[number, label], abs=1e-5
        )


@pytest.mark.parametrize("classes", ["target", "all"])
def test_shap_draws_the_values_with_the_names_of_the_classes(rng, classes):
    import matplotlib.pyplot as plt
    import shap

    model = small_cnn(n_channels=3)

    class Named:
        model_ = model
        classes_ = np.array(["glioma", "meningioma", "none"])

    targets = ["none", "glioma", "none"]
    # As many images as channels, which shap by itself takes for each other.
    images = rng.random((3, 8, 8, 3)).astype("float32")
    with pytest.raises(ValueError, match="LayerCAM gives no SHAP values"):
        GradCAMExplainer(model, method="layercam").fit().explain(images).to_shap()
    explanation = values(Named(), images, images, target=targets, classes=classes)
    shap.image_plot(explanation.to_shap(), show=False)
    titles = [ax.get_title() for ax in plt.gcf().axes if ax.get_title()]
    plt.close("all")
    assert titles == (targets if classes == "target" else Named.classes_.tolist())


def test_the_background_is_drawn_from_fit_by_the_seed(model, rng):
    X = rng.normal(size=(30, 8, 8, 2)).astype("float32")
    first = SHAPExplainer(model, background=5, random_state=0).fit(X)
    assert first.background_.shape == (5, 8, 8, 2)
    assert all((image == X).all(axis=(1, 2, 3)).any() for image in first.background_)
    again = SHAPExplainer(model, background=5, random_state=0).fit(X)
    np.testing.assert_array_equal(again.transform(X[:2]), first.transform(X[:2]))
    other = SHAPExplainer(model, background=5, random_state=1).fit(X)
    assert not np.array_equal(other.background_, first.background_)
    copy = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(copy.transform(X[:2]), first.transform(X[:2]))


@needs_tensorflow
@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(2, 3, activation="gelu", name="conv_1"),
        layers.DepthwiseConv2D(3, name="conv_1"),
    ],
)
def test_deep_refuses_a_layer_without_a_rule_by_name_and_gradients_still_work(layer, background):
    import tensorflow as tf

    inner = keras.Sequential([keras.Input((8, 8, 2)), layers.Conv2D(2, 1, name="conv"), layer])
    model = keras.Sequential(
        [keras.Input((8, 8, 2)), keras.Sequential(inner.layers, name="inner"), layers.Flatten()]
        + [layers.Dense(3)]
    )
    with pytest.raises(ValueError, match="layer 'inner/conv_1' computes"):
        SHAPExplainer(model, method="deep", background=background).fit()
    x = tf.constant([0.3])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.nn.gelu(x)
    assert np.isfinite(tape.gradient(y, x).numpy()).all()


@needs_tensorflow
def test_what_shap_breaks_half_way_is_mended():
    from tensorflow.python.eager import execute

    before = execute.record_gradient

    def fail():
        execute.record_gradient = None
        raise LookupError("no rule")

    with pytest.raises(LookupError, match="no rule"), nothing_left_behind():
        fail()
    assert execute.record_gradient is before


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="TensorFlow has it")
def test_deep_needs_tensorflow(model, background):
    with pytest.raises(ValueError, match="method='deep' needs the TensorFlow backend"):
        SHAPExplainer(model, method="deep", background=background).fit()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, r"background=16 takes that many images .* call fit\(X\)"),
        ({"background": 0}, "'background' parameter"),
        ({"background": np.zeros((2, 8, 8, 3))}, r"images of shape \(8, 8, 3\), but model"),
        ({"n_samples": 0}, "'n_samples' parameter"),
        ({"method": "kernel"}, "'method' parameter"),
        ({"classes": [0]}, "'classes' parameter"),
    ],
)
def test_bad_parameters_are_named(model, params, message):
    with pytest.raises(ValueError, match=message):
        SHAPExplainer(model, **params).fit()


def test_inputs_without_a_gradient_are_refused():
    inputs = keras.Input((4, 4, 1), dtype="uint8")
    scaled = layers.Flatten()(layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, layers.Dense(2)(scaled))
    background = np.zeros((2, 4, 4, 1), np.uint8)
    with pytest.raises(ValueError, match="inputs of type uint8, which have no gradient"):
        SHAPExplainer(model, background=background).fit()
    partition = SHAPExplainer(model, background=background, method="partition", target=0).fit()
    assert partition.explain(background + 200).values.any()


def test_a_background_of_another_size_is_refused():
    anywhere = keras.Sequential(
        [keras.Input((None, None, 1)), layers.Conv2D(2, 3), layers.GlobalMaxPooling2D()]
        + [layers.Dense(2)]
    )
    explainer = SHAPExplainer(anywhere, background=np.zeros((2, 8, 8, 1))).fit()
    with pytest.raises(ValueError, match=r"the background's are of shape \(8, 8, 1\)"):
        explainer.transform(np.zeros((1, 9, 9, 1)))
    assert explainer.transform(np.zeros((1, 8, 8, 1))).shape == (1, 8, 8, 1)
