import keras
import numpy as np
import pytest
from keras import layers

from skkd import FiveBlockCNN, NetworkClassifier
from skkd.models._architecture import as_network, build_network


def test_an_unknown_network_is_named_with_the_way_out():
    with pytest.raises(ValueError, match=r"student must be 'auto', 'five_block'.*got 'six_block'"):
        as_network("six_block", (8, 8, 1), "student")


def test_a_model_given_as_network_lends_its_architecture_but_not_its_weights():
    given = FiveBlockCNN(filters=(4,)).build((8, 8, 1), 2)
    given.compile("sgd", lambda y_true, y_pred: 0 * y_pred)
    made = build_network(given, (8, 8, 1), 2)
    assert made.count_params() == given.count_params()
    assert (made.get_weights()[0] != given.get_weights()[0]).any()


def test_a_model_for_other_images_or_classes_raises():
    given = FiveBlockCNN(filters=(4,)).build((8, 8, 1), 2)
    with pytest.raises(ValueError, match=r"takes inputs of shape \(8, 8, 1\)"):
        build_network(given, (9, 9, 1), 2)
    with pytest.raises(ValueError, match="but y has 3 classes"):
        build_network(given, (8, 8, 1), 3)


def test_a_network_function_that_returns_no_model_raises():
    with pytest.raises(ValueError, match=r"must return a keras.Model; got NoneType"):
        build_network(lambda input_shape, n_classes: None, (8, 8, 1), 2)


def one_dense(input_shape, n_classes):
    images = keras.Input(input_shape)
    hidden = layers.Flatten()(images)
    return keras.Model(images, layers.Dense(n_classes, activation="softmax")(hidden))


def two_parts_of_like_names(input_shape, n_classes):
    def part(shape, name):
        return keras.Sequential([keras.Input(shape), layers.Conv2D(2, 3, name="conv")], name=name)

    first = part(input_shape, "first")
    images = keras.Input(input_shape)
    features = part(first.output_shape[1:], "second")(first(images))
    return keras.Model(images, layers.Dense(n_classes)(layers.Flatten()(features)))


@pytest.mark.parametrize("image_size", [None, (6, 6)])
@pytest.mark.parametrize("network", [one_dense, two_parts_of_like_names])
def test_what_a_classifier_saves_is_read_without_skkd(network, image_size, digits):
    X, y = digits[0][:20], digits[1][:20] % 3
    classifier = NetworkClassifier(network, image_size=image_size, epochs=1).fit(X, y)
    used = {type(layer).__module__.split(".")[0] for layer in classifier.model_._flatten_layers()}
    assert used == {"keras"}
    np.testing.assert_allclose(
        classifier.model_.predict(X, verbose=0), classifier.predict_proba(X), atol=1e-6
    )
