import keras
import numpy as np
import pytest
from sklearn.base import clone

from skkd import MLP, FiveBlockCNN, KDFMVNet


def test_kdfmv_net_has_the_parameters_of_table_4():
    model = KDFMVNet().build((224, 224, 3), 4)
    assert model.count_params() == 9_861_828
    assert model.output_shape == (None, 4)


@pytest.mark.parametrize("network", [FiveBlockCNN(), KDFMVNet()])
@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 17, 3), (64, 48, 1)])
def test_convolutional_students_adapt_their_pooling_to_small_and_oblong_images(network, shape):
    model = network.build(shape, 3)
    probabilities = model(np.ones((2, *shape)))
    np.testing.assert_allclose(np.sum(probabilities, axis=1), 1, rtol=1e-6)


def test_five_block_cnn_has_the_parameters_its_text_says():
    filters, side, channels = (32, 64, 128, 256, 512), 128, 3
    expected = 0
    for n_filters in filters:
        expected += (9 * channels + 1) * n_filters
        channels, side = n_filters, side // 2
    expected += (side * side * channels + 1) * 128 + (128 + 1) * 4
    assert FiveBlockCNN().build((128, 128, 3), 4).count_params() == expected


def test_parameters_of_networks_can_be_searched_and_cloned():
    network = clone(FiveBlockCNN(filters=(4,)).set_params(dropout=0.1))
    assert network.get_params() == {"filters": (4,), "dense": (128,), "dropout": 0.1}


def test_a_normalization_comes_first_and_keeps_the_digits_of_values_far_from_zero():
    mean, variance = np.array([1e6, 5.0]), np.array([4.0, 9.0])
    model = MLP(hidden=()).build((2,), 2, normalization=(mean, variance))
    assert [layer.name for layer in model.layers[1:3]] == ["centering", "scaling"]
    rows = np.array([[1e6 + 1, 2.0], [1e6 - 3, 8.0]])
    normalized = keras.Model(model.input, model.layers[2].output)(rows)
    np.testing.assert_allclose(normalized, (rows - mean) / np.sqrt(variance), rtol=1e-6)


@pytest.mark.parametrize(
    ("network", "shape", "n_classes", "message"),
    [
        (FiveBlockCNN(), (8,), 2, "input_shape must be .*tables are for MLP"),
        (FiveBlockCNN(), (8, 8, None), 2, "input_shape must be"),
        (MLP(), 8, 2, "input_shape must be"),
        (MLP(), (8,), 0, "n_classes must be a whole number above 0; got 0"),
        (MLP(hidden=3), (8,), 2, "hidden must be a sequence of whole numbers above 0; got 3"),
        (MLP(dropout=1), (8,), 2, r"dropout must be a number in \[0, 1\); got 1"),
        (FiveBlockCNN(filters=(4, 0)), (8, 8, 1), 2, "filters must be a sequence"),
        (FiveBlockCNN(dense="a"), (8, 8, 1), 2, "dense must be a sequence"),
        (KDFMVNet(dropout=(0.1,)), (8, 8, 1), 2, "dropout must be three numbers"),
    ],
)
def test_sizes_that_make_no_network_are_named(network, shape, n_classes, message):
    with pytest.raises(ValueError, match=message):
        network.build(shape, n_classes)
