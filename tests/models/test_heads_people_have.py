import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy.special import expit, softmax

from skkd import FeatureMapExplainer, GradCAMExplainer, SHAPExplainer
from skkd.metrics import fidelity_samples
from skkd.models._head import find_head

ONES = np.ones((5, 12, 12))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((5, 12, 12, 1)).astype("float32")


def wide(units, **options):
    initializer = keras.initializers.RandomNormal(stddev=9, seed=units)
    return layers.Dense(units, kernel_initializer=initializer, **options)


def model_with(head):
    """A model whose head is a function of pooled features, or of the last convolution's."""
    inputs = keras.Input((12, 12, 1))
    initializer = keras.initializers.RandomNormal(seed=1)
    x = layers.Conv2D(6, 3, activation="relu", kernel_initializer=initializer, name="conv")(inputs)
    return keras.Model(inputs, head(layers.GlobalAveragePooling2D()(x)))


def complement(x):
    p = layers.Dense(1, activation="sigmoid")(x)
    return ops.concatenate([1.0 - p, p], axis=-1)


EXCLUSIVE = {
    "softmax layer": lambda x: layers.Softmax()(wide(3)(x)),
    "dense softmax": wide(3, activation="softmax"),
    "operation": lambda x: ops.softmax(wide(3)(x)),
    "function": wide(3, activation=lambda z: ops.exp(z) / ops.sum(ops.exp(z), -1, keepdims=True)),
    "lambda": lambda x: layers.Lambda(ops.softmax)(wide(3)(x)),
    "mean of two": lambda x: layers.Average()([layers.Softmax()(wide(3)(x)) for _ in range(2)]),
    "linear activation in float32": lambda x: layers.Activation("linear", dtype="float32")(
        layers.Softmax()(wide(3)(x))
    ),
    "dropout": lambda x: layers.Dropout(0.5)(layers.Softmax()(wide(3)(x))),
    "times one": lambda x: ops.softmax(wide(3)(x)) * 1.0,
    "calibrated": lambda x: layers.Dense(3, use_bias=False, kernel_initializer="identity")(
        layers.Softmax()(wide(3)(x))
    ),
    "complement": complement,
    "nested": lambda x: keras.Sequential([keras.Input((6,)), wide(3, activation="softmax")])(x),
    "reshaped": lambda x: layers.Reshape((3,))(layers.Reshape((1, 3))(ops.softmax(wide(3)(x)))),
}
INDEPENDENT = {
    "dense sigmoid": wide(3, activation="sigmoid"),
    "operation": lambda x: ops.sigmoid(wide(3)(x)),
    "three units": lambda x: layers.Concatenate()([wide(1, activation="sigmoid")(x)] * 3),
}
SINGLE = {
    "dense sigmoid": wide(1, activation="sigmoid"),
    "activation layer": lambda x: layers.Activation("sigmoid")(wide(1)(x)),
    "operation": lambda x: ops.sigmoid(wide(1)(x)),
    "hidden in a lambda": lambda x: layers.Lambda(lambda z: 0.999 * ops.sigmoid(z))(wide(1)(x)),
}


def every_explainer(model, images, target):
    yield GradCAMExplainer(model, target=target).fit().explain(images)
    shap = SHAPExplainer(model, target=target, background=2, n_samples=2, random_state=0)
    yield shap.fit(images).explain(images)


@pytest.mark.parametrize("name", EXCLUSIVE)
def test_probabilities_are_the_models_own_however_its_softmax_is_written(name, images):
    model = model_with(EXCLUSIVE[name])
    own = model.predict(images, verbose=0)
    explanation = GradCAMExplainer(model).fit().explain(images)
    np.testing.assert_array_equal(explanation.targets, own.argmax(axis=1))
    np.testing.assert_allclose(explanation.probabilities, own.max(axis=1), atol=1e-5)
    maps = FeatureMapExplainer(model).fit().explain(images)
    np.testing.assert_allclose(maps.probabilities, own.max(axis=1), atol=1e-5)
    measured = fidelity_samples(model, images, own.argmax(axis=1), ONES)
    np.testing.assert_allclose(measured["c_orig"], own.max(axis=1), atol=1e-5)


@pytest.mark.parametrize("name", INDEPENDENT)
def test_independent_labels_keep_their_own_probabilities(name, images):
    model = model_with(INDEPENDENT[name])
    own = model.predict(images, verbose=0)
    for label in range(3):
        for explanation in every_explainer(model, images, label):
            np.testing.assert_allclose(explanation.probabilities, own[:, label], atol=1e-5)
        measured = fidelity_samples(model, images, [label] * 5, ONES, eps=0)
        np.testing.assert_allclose(measured["c_orig"], own[:, label], atol=1e-5)


@pytest.mark.parametrize("name", SINGLE)
def test_a_single_unit_is_the_probability_of_the_second_of_two_classes(name, images):
    model = model_with(SINGLE[name])
    own = model.predict(images, verbose=0)[:, 0]

    class Fitted:
        model_, classes_ = model, np.array(["benign", "malignant"])

    for label, expected in (("benign", 1 - own), ("malignant", own)):
        for explanation in every_explainer(Fitted(), images, label):
            assert set(explanation.targets) == {label}
            np.testing.assert_allclose(explanation.probabilities, expected, atol=1e-5)
        measured = fidelity_samples(Fitted(), images, [label] * 5, ONES, eps=0)
        np.testing.assert_allclose(measured["c_orig"], expected, atol=1e-5)
    predicted = GradCAMExplainer(Fitted()).fit().explain(images)
    assert predicted.targets.tolist() == np.where(own > 0.5, "malignant", "benign").tolist()
    maps = FeatureMapExplainer(model).fit().explain(images)
    np.testing.assert_allclose(maps.probabilities, np.maximum(own, 1 - own), atol=1e-5)
    with pytest.raises(ValueError, match=r"not a class of the model; its classes are \[0, 1\]"):
        GradCAMExplainer(model, target=2).fit().explain(images)


def test_shap_values_of_a_single_unit_add_up_for_both_classes(images):
    model = model_with(layers.Dense(1, activation="sigmoid"))
    explainer = SHAPExplainer(model, output="probability", classes="all", random_state=0)
    explanation = explainer.fit(images).explain(images[:2])
    scores = explanation.base_values + explanation.values.sum(axis=(1, 2, 3))
    own = model.predict(images[:2], verbose=0)
    np.testing.assert_allclose(scores, np.concatenate([1 - own, own], axis=1), atol=0.01)


def test_logits_stay_logits_and_their_probabilities_are_softmax_or_sigmoid(images):
    many, single = model_with(wide(3)), model_with(wide(1))
    head = find_head(many)
    np.testing.assert_array_equal(head.network(images), many(images))
    np.testing.assert_allclose(
        head.probabilities(head.network(images)), softmax(many(images), axis=1), atol=1e-6
    )
    head = find_head(single, n_classes=2)
    positive = head.probabilities(head.network(images))[:, 1]
    np.testing.assert_allclose(positive, expit(single(images))[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (wide(1), "may be a logit or a regression. If it is the logit"),
        (lambda x: [wide(2)(x), wide(3)(x)], "has several outputs.*Choose it"),
        (lambda x: {"a": wide(2)(x), "b": wide(3)(x)}, "has several outputs"),
        (wide(1, activation="softmax"), "softmax of a single output, which is always 1"),
        (wide(3, activation="tanh"), "ends in the activation 'tanh'"),
        (lambda x: layers.ReLU()(wide(3)(x)), "ends in the activation 'ReLU'"),
        (lambda x: layers.RepeatVector(4)(x), "as for segmentation or detection"),
    ],
)
@pytest.mark.parametrize("explainer", [GradCAMExplainer, FeatureMapExplainer])
def test_what_is_no_classifier_of_whole_images_is_refused_in_one_sentence(head, message, explainer):
    with pytest.raises(ValueError, match=message):
        explainer(model_with(head)).fit()


def test_labels_that_do_not_fit_the_outputs_are_refused():
    class Fitted:
        model_, classes_ = model_with(wide(3, activation="softmax")), np.array(["a", "b"])

    with pytest.raises(ValueError, match=r"classes_ \['a', 'b'\], but its model .* tells 3"):
        GradCAMExplainer(Fitted()).fit()
