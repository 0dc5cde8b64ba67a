import keras
import numpy as np
import pytest
from keras import layers

from skkd.models._head import logits_model, probability_model


@pytest.fixture
def images(rng):
    return rng.random((3, 16, 16, 3)).astype("float32")


@pytest.mark.parametrize(
    "head",
    [
        lambda: [layers.Dense(3, activation="softmax")],
        lambda: [layers.Dense(3, use_bias=False, activation="softmax")],
        lambda: [layers.Dense(3), layers.Softmax()],
        lambda: [layers.Dense(3), layers.Activation("softmax")],
        lambda: [
            keras.Sequential([keras.Input((5,)), layers.Dense(3, activation="softmax")], name="top")
        ],
    ],
    ids=["dense softmax", "without bias", "softmax layer", "activation layer", "nested head"],
)
def test_logits_are_the_inputs_of_the_final_softmax(head, images, nested_model):
    model = nested_model(head())
    assert probability_model(model) is model
    logits = logits_model(model)
    values = np.asarray(logits(images), dtype=float)
    expected = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model(images), expected, atol=1e-6)
    assert abs(values.sum(axis=1)).max() > 1e-4, "log-probabilities would not be the logits"
    np.testing.assert_array_equal(logits_model(logits)(images), logits(images))


def test_a_model_that_gives_logits_keeps_them_and_gains_a_softmax(images, nested_model):
    model = nested_model([layers.Dense(3)])
    np.testing.assert_array_equal(logits_model(model)(images), model(images))
    probabilities = np.asarray(probability_model(model)(images))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


def test_logits_survive_a_softmax_that_saturates(images, nested_model):
    model = nested_model([layers.Dense(2, activation="softmax")])
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel * 0, bias + [500, -500]])
    assert model(images)[0, 1] == 0
    np.testing.assert_allclose(logits_model(model)(images)[0], [500, -500])


def test_another_activation_at_the_end_raises(nested_model):
    with pytest.raises(ValueError, match="'tanh'; a classifier must end"):
        logits_model(nested_model([layers.Dense(3, activation="tanh")]))
