import keras
import numpy as np
import pytest
from keras import layers

from skkd.models._layers import flatten_graph, head_activation, logits_model, probability_model


@pytest.fixture
def images(rng):
    return rng.random((3, 16, 16, 3)).astype("float32")


def nested_model(head):
    inner = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(4, 3, name="convolution"),
            layers.BatchNormalization(),
            layers.ReLU(),
        ],
        name="inner",
    )
    x_in = keras.Input((12, 12, 4))
    x = layers.Conv2D(5, 3, name="convolution2")(x_in)
    branch = keras.Model(x_in, layers.Add()([x, x]), name="branch")
    inputs = keras.Input((16, 16, 3))
    x = layers.Rescaling(2.0)(inputs)
    x = branch(layers.Cropping2D(1)(inner(x)))
    x = layers.GlobalAveragePooling2D()(x)
    for layer in head:
        x = layer(x)
    return keras.Model(inputs, x)


def test_flattening_names_every_layer_by_its_path_and_keeps_the_output(images):
    model = nested_model([layers.Dense(2)])
    graph = flatten_graph(model)
    names = [call.name for call in graph.calls]
    assert "inner/convolution" in names
    assert "branch/convolution2" in names
    assert len(set(names)) == len(names)
    flat = graph.model(graph.outputs[0])
    np.testing.assert_array_equal(flat(images), model(images))
    assert all(f is m for f, m in zip(flat.weights, model.weights, strict=True))


def test_flattening_leaves_a_model_compiled_with_an_unknown_loss_alone(images):
    model = nested_model([layers.Dense(2)])
    model.compile("sgd", loss=lambda y_true, y_pred: 0 * y_pred)
    output = model.output
    flatten_graph(model)
    assert model.compiled
    assert model.output is output
    assert model.layers[-1].output is output


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
def test_logits_are_the_inputs_of_the_final_softmax(head, images):
    model = nested_model(head())
    assert head_activation(model) == "softmax"
    logits = logits_model(model)
    values = np.asarray(logits(images), dtype=float)
    expected = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model(images), expected, atol=1e-6)
    assert abs(values.sum(axis=1)).max() > 1e-4, "log-probabilities would not be the logits"
    assert head_activation(logits) == "linear"


def test_a_model_that_gives_logits_keeps_them_and_gains_a_softmax(images):
    model = nested_model([layers.Dense(3)])
    np.testing.assert_array_equal(logits_model(model)(images), model(images))
    probabilities = np.asarray(probability_model(model)(images))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


def test_logits_survive_a_softmax_that_saturates(images):
    model = nested_model([layers.Dense(2, activation="softmax")])
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel * 0, bias + [500, -500]])
    assert model(images)[0, 1] == 0
    np.testing.assert_allclose(logits_model(model)(images)[0], [500, -500])


def test_another_activation_at_the_end_raises():
    with pytest.raises(ValueError, match="'tanh'; a classifier must end"):
        logits_model(nested_model([layers.Dense(3, activation="tanh")]))


def test_a_model_without_an_input_shape_raises():
    with pytest.raises(ValueError, match="has no input shape yet"):
        flatten_graph(keras.Sequential([layers.Dense(2)]))


def test_the_activated_output_is_that_of_the_activation_layer_after_normalization(images):
    graph = flatten_graph(nested_model([layers.Dense(2)]))
    calls = {call.name: call for call in graph.calls}
    relu = next(call for call in graph.calls if isinstance(call.layer, layers.ReLU))
    assert graph.activated(calls["inner/convolution"]) is relu.output
    assert graph.activated(calls["branch/convolution2"]) is calls["branch/convolution2"].output
