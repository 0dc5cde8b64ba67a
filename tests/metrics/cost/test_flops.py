import warnings

import keras
import numpy as np
import pytest
from keras import layers

from skkd import FiveBlockCNN, KDFMVNet, NetworkClassifier, TransferNet
from skkd.metrics import count_flops


def sequential(*stack):
    return keras.Sequential(stack)


@pytest.fixture(scope="module")
def densenet():
    return TransferNet("densenet121", weights=None).build((224, 224, 3), 4)


@pytest.fixture(scope="module")
def kdfmv():
    return KDFMVNet().build((224, 224, 3), 4)


@pytest.mark.filterwarnings("error")
def test_the_teacher_has_the_flops_of_table_4(densenet):
    assert count_flops(densenet) == 5_669_106_840
    assert count_flops(densenet, convention="2mac") == 5_666_538_496
    assert count_flops(densenet, convention="mac") == 5_666_538_496 // 2


@pytest.mark.filterwarnings("error")
def test_the_eight_convolution_student_has_the_flops_of_table_4(kdfmv):
    assert count_flops(kdfmv) == 2_327_337_368
    assert count_flops(kdfmv, convention="2mac") == 2_321_024_000


def test_a_table_of_layers_sums_to_the_total_and_names_nested_layers(densenet):
    table = count_flops(densenet, per_layer=True)

    assert table["flops"].sum() == 5_669_106_840
    first = table.set_index("layer").loc["densenet121/conv1_conv"]
    assert first["type"] == "Conv2D"
    # 7x7 over three channels into 64 maps of 112x112, without a bias.
    assert first["flops"] == 2 * 7 * 7 * 3 * 64 * 112 * 112
    assert first["output_shape"] == (112, 112, 64)


@pytest.mark.parametrize(
    ("layer", "macs", "others"),
    [
        (layers.Conv2D(5, (3, 2), use_bias=False), 6 * 7 * 4 * 6 * 5, 0),
        (layers.Conv2D(8, 3, strides=2, padding="same", groups=2), 4 * 4 * 9 * 2 * 8, 4 * 4 * 8),
        (layers.Conv2DTranspose(3, 2, strides=2), 8 * 8 * 4 * 4 * 3, 16 * 16 * 3),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), 6 * 6 * 8 * 9, 6 * 6 * 8),
        (layers.SeparableConv2D(5, 3), 6 * 6 * 4 * 9 + 6 * 6 * 4 * 5, 6 * 6 * 5),
        (layers.Dense(5, activation="softmax"), 8 * 8 * 4 * 5, 8 * 8 * 5 * 6),
        (layers.TimeDistributed(layers.Dense(5, use_bias=False)), 8 * 8 * 4 * 5, 0),
        (layers.MaxPooling2D(3, strides=1, padding="same"), 0, 8 * 8 * 4 * 9),
        (layers.AveragePooling2D((2, 4)), 0, 4 * 2 * 4 * 8),
        (layers.GlobalAveragePooling2D(), 0, 8 * 8 * 4),
        (layers.Activation("softmax"), 0, 8 * 8 * 4 * 5),
        (layers.Activation("relu"), 0, 0),
        (layers.BatchNormalization(), 0, 0),
        (layers.Normalization(mean=0.0, variance=1.0), 0, 0),
        (layers.Rescaling(1 / 255), 0, 0),
        (layers.Resizing(16, 16), 0, 0),
        (layers.UpSampling2D(), 0, 0),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_layer_counts_what_its_arithmetic_says(layer, macs, others):
    model = sequential(keras.Input((8, 8, 4)), layer)
    assert count_flops(model) == 2 * macs + others
    assert count_flops(model, convention="2mac") == 2 * macs
    assert count_flops(model, convention="mac") == macs


def test_batch_normalization_of_vectors_counts_eight_a_value():
    assert count_flops(sequential(keras.Input((7,)), layers.BatchNormalization())) == 56


@pytest.mark.parametrize("how", [layers.Add(), layers.Multiply(), layers.Maximum()])
def test_merging_m_inputs_counts_m_less_one_an_output(how):
    inputs = [keras.Input((4, 4, 2)) for _ in range(3)]
    assert count_flops(keras.Model(inputs, how(inputs))) == 2 * 32


def test_operators_between_tensors_count_like_the_layers_they_stand_for():
    inputs = keras.Input((4, 4, 2))
    outputs = keras.ops.flip(inputs * 2.0 + inputs, axis=-1)
    assert count_flops(keras.Model(inputs, outputs)) == 2 * 32


def test_a_layer_called_twice_counts_twice():
    inputs = keras.Input((8,))
    dense = layers.Dense(8, use_bias=False)
    assert count_flops(keras.Model(inputs, dense(dense(inputs)))) == 2 * 2 * 64


def test_a_fitted_classifier_counts_its_network(digits):
    X, y = digits
    classifier = NetworkClassifier(FiveBlockCNN(filters=(2,), dense=()), epochs=1)
    classifier.fit(X[:50], y[:50])
    # 9 multiply-adds a pixel and map, biases, 2x2 pooling, and 32 values into 10 classes.
    expected = 2 * 9 * 2 * 64 + 2 * 64 + 4 * 2 * 16 + 2 * 32 * 10 + 10 + 50
    assert count_flops(classifier) == expected


def test_the_softmax_of_a_head_cut_to_its_logits_is_not_counted():
    from skkd.models._head import logits_model

    model = sequential(keras.Input((6,)), layers.Dense(3, activation="softmax"))
    assert count_flops(model) == 2 * 18 + 3 + 15
    assert count_flops(logits_model(model)) == 2 * 18 + 3


def test_a_model_of_any_size_needs_an_input_shape():
    model = sequential(keras.Input((None, None, 3)), layers.Conv2D(2, 1, use_bias=False))

    with pytest.raises(ValueError, match="input_shape must be given for model"):
        count_flops(model)
    assert count_flops(model, (5, 4, 3)) == 2 * 20 * 3 * 2
    with pytest.raises(ValueError, match=r"takes inputs of shape \(None, None, 3\); got \(5, 4\)"):
        count_flops(model, (5, 4))


def test_an_unknown_layer_is_named_in_a_warning_and_the_rest_is_counted():
    class Wavelet(layers.Layer):
        def call(self, x):
            return x * np.pi

    model = sequential(keras.Input((8,)), Wavelet(name="haar"), layers.Dense(1, use_bias=False))
    with pytest.warns(UserWarning, match="'haar' are not counted: its type Wavelet is unknown"):
        assert count_flops(model) == 16
    attention = layers.MultiHeadAttention(2, 4, name="heads")
    inputs = keras.Input((6, 8))
    with pytest.warns(UserWarning, match="'heads'"):
        count_flops(keras.Model(inputs, attention(inputs, inputs)), convention="mac")


@pytest.mark.parametrize("backbone", ["mobilenetv2", "efficientnetb0", "mobilenetv3small"])
def test_common_backbones_hold_no_unknown_layer(backbone):
    network = TransferNet(backbone, weights=None).build((32, 32, 3), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert count_flops(network) > count_flops(network, convention="2mac") > 0


def test_an_unknown_convention_and_a_model_that_is_none_are_refused():
    model = sequential(keras.Input((6,)), layers.Dense(3))
    with pytest.raises(ValueError, match=r"convention must be one of .*; got 'flops'"):
        count_flops(model, convention="flops")
    with pytest.raises(ValueError, match=r"estimator must be a keras\.Model"):
        count_flops("densenet121")
