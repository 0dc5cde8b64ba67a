from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from keras import layers

from skkd.models._graph import flatten_graph, open_model, without_traces
from skkd.models._head import logits_model


@pytest.fixture
def images(rng):
    return rng.random((3, 16, 16, 3)).astype("float32")


def test_flattening_names_every_layer_by_its_path_and_keeps_the_output(images, nested_model):
    model = nested_model([layers.Dense(2)])
    graph = flatten_graph(model)
    names = [call.name for call in graph.calls]
    assert "inner/convolution" in names
    assert "branch/convolution2" in names
    assert len(set(names)) == len(names)
    flat = graph.model(graph.outputs[0])
    np.testing.assert_array_equal(flat(images), model(images))
    assert all(f is m for f, m in zip(flat.weights, model.weights, strict=True))


def test_flattening_leaves_a_model_compiled_with_an_unknown_loss_alone(images, nested_model):
    model = nested_model([layers.Dense(2)])
    model.compile("sgd", loss=lambda y_true, y_pred: 0 * y_pred)
    output = model.output
    flatten_graph(model)
    assert model.compiled
    assert model.output is output
    assert model.layers[-1].output is output


def test_a_model_without_an_input_shape_raises():
    with pytest.raises(ValueError, match="has no input shape yet"):
        flatten_graph(keras.Sequential([layers.Dense(2)]))


def test_the_activated_output_is_that_of_the_activation_layer_after_normalization(
    images, nested_model
):
    graph = flatten_graph(nested_model([layers.Dense(2)]))
    calls = {call.name: call for call in graph.calls}
    relu = next(call for call in graph.calls if isinstance(call.layer, layers.ReLU))
    assert graph.activated(calls["inner/convolution"]) is relu.output
    assert graph.activated(calls["branch/convolution2"]) is calls["branch/convolution2"].output


def test_an_activation_written_as_an_operation_counts_as_the_layers_activation(images):
    inputs = keras.Input((16, 16, 3))
    for activation in (keras.ops.relu, keras.ops.gelu, keras.activations.relu):
        features = layers.Conv2D(4, 3, name="convolution")(inputs)
        activated = activation(layers.BatchNormalization()(features))
        graph = flatten_graph(keras.Model(inputs, layers.Flatten()(activated)))
        (call,) = [c for c in graph.calls if c.name == "convolution"]
        inside = graph.model(graph.activated(call))(images)
        np.testing.assert_array_equal(inside, keras.Model(inputs, activated)(images))


def backbone(name):
    inputs = keras.Input((16, 16, 3))
    return keras.Model(inputs, layers.Conv2D(2, 3, name="convolution")(inputs), name=name)


def test_two_nested_models_may_have_layers_of_the_same_name(images):
    inputs = keras.Input((16, 16, 3))
    joined = layers.Concatenate()([backbone("left")(inputs), backbone("right")(inputs)])
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(joined)))
    graph = flatten_graph(model)
    assert {"left/convolution", "right/convolution"} < {call.name for call in graph.calls}
    np.testing.assert_array_equal(graph.model(graph.outputs[0])(images), model(images))


class Subclassed(keras.Model):
    """A model whose graph is known from calling it only."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.convolution = layers.Conv2D(4, 3, name="convolution")
        self.inner = backbone("inner")
        self.dropout = layers.Dropout(0.5)
        self.dense = layers.Dense(2, activation="softmax")

    def call(self, inputs):
        features = keras.ops.relu(self.convolution(inputs)) + 1.0
        inner = self.inner(inputs)
        features = (
            keras.ops.mean(features, axis=(1, 2)) * keras.ops.max(inner, axis=(1, 2, 3))[:, None]
        )
        return self.dense(self.dropout(features))


def test_a_subclassed_model_is_opened(images):
    model = Subclassed()
    expected = np.asarray(model(images))
    opened = open_model(model)
    np.testing.assert_array_equal(opened(images), expected)
    assert all(any(o is m for m in model.weights) for o in opened.weights)
    names = [call.name for call in flatten_graph(model).calls]
    assert {"convolution", "inner/convolution"} < set(names)
    logits = np.exp(np.asarray(logits_model(model)(images)))
    np.testing.assert_allclose(logits / logits.sum(axis=1, keepdims=True), expected, atol=1e-6)


def test_a_subclassed_model_is_opened_where_it_is_nested(images):
    inner = Subclassed(name="subclass")
    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, layers.Dense(3)(inner(inputs)))
    graph = flatten_graph(model)
    assert "subclass/inner/convolution" in [call.name for call in graph.calls]
    np.testing.assert_allclose(graph.model(graph.outputs[0])(images), model(images), atol=1e-6)


def test_a_subclassed_model_that_was_never_called_raises():
    with pytest.raises(ValueError, match="call it once on images before"):
        flatten_graph(Subclassed())


def test_a_subclassed_model_beyond_keras_raises_and_is_one_layer_where_nested(images):
    class Foreign(keras.Model):
        def call(self, inputs):
            return keras.ops.convert_to_tensor(np.asarray(inputs).mean(axis=(1, 2)))

        def compute_output_shape(self, input_shape):
            return (input_shape[0], input_shape[-1])

    model = Foreign(name="foreign")
    model.build((None, 16, 16, 3))
    with pytest.raises(ValueError, match="'foreign' is a subclass of keras"):
        flatten_graph(model)
    inputs = keras.Input((16, 16, 3))
    nested = keras.Model(inputs, layers.Dense(2)(model(inputs)))
    assert "foreign" in [call.name for call in flatten_graph(nested).calls]


def test_a_tap_changes_nothing_at_zero_and_adds_to_its_layers_output(images, nested_model):
    model = nested_model([layers.Dense(2)])
    plain = flatten_graph(model)
    tapped = flatten_graph(model, taps=["branch/convolution2", "inner/convolution"])
    assert [tap.shape for tap in tapped.taps] == [(None, 10, 10, 5), (None, 14, 14, 4)]
    call = next(c for c in tapped.calls if c.name == "branch/convolution2")
    outputs = keras.Model([tapped.input, *tapped.taps], [tapped.outputs[0], call.output])
    taps = [np.zeros((3, *tap.shape[1:]), "float32") for tap in tapped.taps]
    scores, features = outputs([images, *taps])
    np.testing.assert_array_equal(scores, plain.model(plain.outputs[0])(images))
    np.testing.assert_allclose(outputs([images, taps[0] + 2, taps[1]])[1], features + 2, atol=1e-6)


def count_nodes(model):
    """Count what Keras has written down on every layer and operation, by a walk of its own."""
    seen, waiting, nodes = set(), [model], 0
    while waiting:
        operation = waiting.pop()
        if id(operation) not in seen:
            seen.add(id(operation))
            nodes += len(operation._inbound_nodes) + len(operation._outbound_nodes)
            waiting += [*getattr(operation, "_layers", ()), *getattr(operation, "operations", ())]
    return nodes


def test_what_is_drawn_without_traces_is_off_the_layers_afterwards(images, nested_model, tmp_path):
    model = nested_model([layers.Dense(2)])
    before, expected = count_nodes(model), model.predict(images, verbose=0)
    output, inner_output = model.output, model.get_layer("inner").output

    with without_traces(model):
        graph = flatten_graph(model)
        made = graph.model(graph.outputs[0])
        assert count_nodes(model) > before
    assert count_nodes(model) == before

    np.testing.assert_array_equal(made.predict(images, verbose=0), expected)
    np.testing.assert_array_equal(model.predict(images, verbose=0), expected)
    assert model.output is output
    assert model.get_layer("inner").output is inner_output
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), expected)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone.predict(images, verbose=0), expected)
    features = keras.Model(model.inputs, model.layers[-2].output)
    assert features.predict(images, verbose=0).ndim == 2


def test_traces_are_cut_where_drawing_fails_and_between_operations():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.ops.exp(layers.Dense(2)(inputs) * 2.0))
    before = count_nodes(model)

    def draw_and_fail():
        with without_traces(model):
            flatten_graph(model)
            with without_traces(model):
                flatten_graph(model)
            raise KeyError

    with pytest.raises(KeyError):
        draw_and_fail()
    assert count_nodes(model) == before


def test_eight_threads_draw_one_model_at_once(images, nested_model):
    model = nested_model([layers.Dense(2)])
    before, expected = count_nodes(model), model.predict(images, verbose=0)

    def draw(_):
        with without_traces(model):
            graph = flatten_graph(model)
            return graph.model(graph.outputs[0])

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(draw, range(24)))
    assert count_nodes(model) == before
    np.testing.assert_array_equal(made[-1].predict(images, verbose=0), expected)
