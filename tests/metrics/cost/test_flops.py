import warnings

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.utils.fixes import parse_version

from skkd import FiveBlockCNN, KDFMVNet, NetworkClassifier, TransferNet
from skkd.metrics import count_flops

FORGETFUL = parse_version(keras.__version__) < parse_version("3.15")
knows_images = pytest.mark.skipif(FORGETFUL, reason="EinsumDense forgets how many images there are")


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
            return keras.ops.convert_to_tensor(np.fft.fft(x).real)

        def compute_output_shape(self, input_shape):
            return input_shape

    model = sequential(keras.Input((8,)), Wavelet(name="haar"), layers.Dense(1, use_bias=False))
    with pytest.warns(UserWarning, match="'haar' are not counted: its type Wavelet is unknown"):
        assert count_flops(model) == 16


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
    with pytest.raises(ValueError, match=r"model must be a keras\.Model"):
        count_flops("densenet121")


def counted(layer, shape, dtype="float32"):
    """Multiply-adds and other operations of a function or layer on one image of a shape."""
    inputs = keras.Input(shape, dtype=dtype)
    model = keras.Model(inputs, layer(inputs))
    macs = count_flops(model, convention="mac")
    return macs, count_flops(model) - 2 * macs


class Attending(layers.Layer):
    def __init__(self):
        super().__init__()
        self.attention = layers.MultiHeadAttention(1, 2)

    def call(self, x, training=None):
        return self.attention(x, x, x, training=training)


class Windows(layers.Layer):
    """A dense layer of three over windows of 2 by 2, which are folded into the batch."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3, use_bias=False)

    def call(self, x):
        windows = keras.ops.reshape(x, (-1, 2, 2, 2, 2, 5))
        windows = keras.ops.reshape(keras.ops.transpose(windows, (0, 1, 3, 2, 4, 5)), (-1, 4, 5))
        return keras.ops.reshape(self.dense(windows), (-1, 4, 4, 3))


# Biases of 3 x 10 x 2 and 10 x 16 values, the scale of 10 x 2, the softmax of 10 x 10.
ATTENTION = 3 * 10 * 16 * 2 + 2 * 10 * 10 * 2 + 10 * 2 * 16, 60 + 160 + 20 + 500


@pytest.mark.parametrize(
    "layer",
    [
        lambda x: layers.MultiHeadAttention(1, 2)(x, x, x),
        lambda x: layers.MultiHeadAttention(1, 2)(query=x, value=x),
        lambda x: layers.MultiHeadAttention(1, 2, dropout=0.1)(x, x, use_causal_mask=True),
        lambda x: layers.MultiHeadAttention(1, 2)(x, x, return_attention_scores=True)[0],
        lambda x: Attending()(x),
    ],
)
@pytest.mark.filterwarnings("error:the operations")
def test_attention_over_ten_tokens_counts_by_hand(layer):
    assert ATTENTION == (1680, 740)
    assert counted(layer, (10, 16)) == ATTENTION


@pytest.mark.parametrize(
    ("layer", "shape", "macs", "others"),
    [
        # Two shared keys and values for four queries, each of 2 values.
        (
            lambda x: layers.GroupQueryAttention(2, 4, 2, use_bias=False)(x, x),
            (10, 16),
            10 * 16 * 8 + 2 * 10 * 16 * 4 + 4 * 2 * 10 * 10 * 2 + 10 * 8 * 16,
            10 * 8 + 5 * 4 * 100,
        ),
        # Each row of 5 attends to itself.
        (
            lambda x: layers.MultiHeadAttention(2, 3, attention_axes=2, use_bias=False)(x, x),
            (4, 5, 6),
            4 * 20 * 6 * 6 + 2 * 4 * 25 * 6,
            20 * 6 + 5 * 2 * 4 * 25,
        ),
        (lambda x: layers.Attention()([x, x]), (10, 16), 2 * 10 * 10 * 16, 500),
        # Bias, sum with the recurrent product.
        (layers.SimpleRNN(8), (5, 3), 5 * (3 + 8) * 8, 5 * 2 * 8),
        # Four gates, each with both; three products and a sum make the state.
        (layers.LSTM(8), (5, 3), 5 * 4 * (3 * 8 + 8 * 8), 5 * (4 * 2 * 8 + 4 * 8)),
        (layers.LSTM(8, return_sequences=True, use_bias=False), (5, 3), 1760, 5 * 8 * 8),
        # Three gates of two biases and a sum; reset, 1 - z, two products and a sum.
        (layers.GRU(8), (5, 3), 5 * 3 * (3 + 8) * 8, 5 * (3 * 3 * 8 + 5 * 8)),
        (layers.Bidirectional(layers.LSTM(8)), (5, 3), 2 * 1760, 2 * 480),
        (layers.Bidirectional(layers.LSTM(8), merge_mode="sum"), (5, 3), 3520, 960 + 8),
        (
            layers.RNN([layers.SimpleRNNCell(8), layers.SimpleRNNCell(4)]),
            (5, 3),
            5 * (11 * 8 + 12 * 4),
            5 * 2 * 12,
        ),
        # Convolutions of 3 and of 2 channels into four gates of 2 channels.
        (
            layers.ConvLSTM2D(2, 3, padding="same"),
            (5, 6, 6, 3),
            5 * 4 * 36 * 9 * (3 + 2) * 2,
            5 * 36 * 2 * (4 * 2 + 4),
        ),
        (layers.TimeDistributed(layers.Conv2D(2, 3)), (5, 6, 6, 3), 5 * 16 * 27 * 2, 5 * 32),
        (
            layers.TimeDistributed(
                sequential(keras.Input((6, 6, 3)), layers.Conv2D(2, 3), layers.BatchNormalization())
            ),
            (5, 6, 6, 3),
            5 * 16 * 27 * 2,
            5 * 32,
        ),
        (layers.TimeDistributed(layers.BatchNormalization()), (5, 3), 0, 8 * 15),
        pytest.param(
            layers.EinsumDense("abc,cde->abde", (10, 4, 4), bias_axes="de"),
            (10, 16),
            10 * 16 * 16,
            160,
            marks=knows_images,
        ),
        pytest.param(
            layers.EinsumDense("...x,xy->...y", 4, activation="softmax"),
            (10, 16),
            640,
            5 * 40,
            marks=knows_images,
        ),
        (layers.LayerNormalization(), (10, 16), 0, 7 * 160),
        (layers.LayerNormalization(center=False, scale=False), (10, 16), 0, 5 * 160),
        (layers.GroupNormalization(4), (5, 5, 8), 0, 7 * 200),
        (layers.RMSNormalization(), (10, 16), 0, 4 * 160),
        (layers.SpectralNormalization(layers.Dense(4)), (16,), 64, 4),
        (Windows(), (4, 4, 5), 16 * 5 * 3, 0),
        (layers.Lambda(lambda x: x * 2.0), (10, 16), 0, 160),
        (lambda x: x @ keras.ops.transpose(x, (0, 2, 1)) / 4.0, (10, 16), 1600, 100),
        (lambda x: keras.ops.einsum("btd,bsd->bts", x, x), (10, 16), 1600, 0),
        (lambda x: keras.ops.einsum("btd,bsd,bse->bte", x, x, x), (10, 16), 2 * 1600, 0),
        (lambda x: keras.ops.einsum("btd,btd->btd", x, x), (10, 16), 0, 160),
        (lambda x: keras.ops.tensordot(x, np.ones((16, 3), "float32"), 1), (10, 16), 480, 0),
        (lambda x: keras.ops.conv(x, np.ones((3, 3, 3, 4), "float32")), (6, 6, 3), 1728, 0),
        (
            lambda x: keras.ops.separable_conv(
                x, np.ones((3, 3, 3, 2), "float32"), np.ones((1, 1, 6, 4), "float32")
            ),
            (6, 6, 3),
            16 * 6 * 9 + 16 * 6 * 4,
            0,
        ),
        (lambda x: keras.ops.mean(keras.ops.square(x), axis=-1), (10, 16), 0, 320),
        (lambda x: keras.ops.max_pool(x, 2), (6, 6, 3), 0, 27 * 4),
        (lambda x: keras.ops.softmax(keras.ops.exp(x) - 1.0), (10,), 0, 60),
    ],
)
@pytest.mark.filterwarnings("error:the operations")
def test_a_layer_counts_what_it_calls(layer, shape, macs, others):
    assert counted(layer, shape) == (macs, others)


@pytest.mark.filterwarnings("error:the operations")
def test_a_vision_transformer_has_its_published_multiply_adds():
    # DeiT-Ti, H. Touvron et al. 2021: 1.3 G, 1.26 in timm: 12 blocks of 3 heads of 64.
    inputs = keras.Input((224, 224, 3))
    x = layers.Reshape((196, 192))(layers.Conv2D(192, 16, strides=16)(inputs))
    x = layers.ZeroPadding1D((1, 0))(x)
    for _ in range(12):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(3, 64)(y, y)
        y = layers.Dense(768, activation="gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(192)(y)
    model = keras.Model(inputs, layers.Dense(1000)(x[:, 0]))
    macs = count_flops(model, convention="mac")
    block = 197 * 12 * 192**2 + 2 * 197**2 * 192
    assert macs == 196 * 768 * 192 + 12 * block + 192 * 1000
    assert macs == pytest.approx(1.26e9, rel=0.01)


def test_models_of_several_outputs_and_of_maps_are_counted():
    inputs = keras.Input((12, 12, 1))
    features = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs))
    heads = layers.Dense(3)(features), layers.Dense(2)(features)
    # 9 multiply-adds and a bias a value of 10 x 10 x 4, their mean, and 5 x 4 of the heads.
    expected = 2 * 9 * 400 + 400 + 400 + 2 * 20 + 5
    assert count_flops(keras.Model(inputs, heads)) == expected
    assert count_flops(keras.Model(inputs, dict(zip("ab", heads, strict=True)))) == expected
    maps = layers.Conv2D(3, 1, activation="softmax")(layers.Conv2D(4, 3)(inputs))
    segmentation = 2 * 9 * 400 + 400 + 2 * 4 * 300 + 6 * 300
    assert count_flops(keras.Model(inputs, maps)) == segmentation


def test_what_a_layer_calls_but_cannot_be_counted_is_named_within_it():
    class Sorting(layers.Layer):
        def call(self, x):
            return keras.ops.sort(x * 2.0)

    model = sequential(keras.Input((8,)), Sorting(name="by_size"))
    with pytest.warns(UserWarning, match=r"'by_size/sort.*' are not counted: its type Sort"):
        assert count_flops(model) == 8


def test_a_cell_that_cannot_be_counted_is_named():
    class Cell(layers.SimpleRNNCell):
        def call(self, x, states, training=None):
            return keras.ops.convert_to_tensor(np.fft.fft(x).real), states

    layer = layers.RNN(Cell(3), name="steps")
    layer.compute_output_shape = lambda shape: (shape[0], 3)
    layer.compute_output_spec = lambda x, **_: keras.KerasTensor((x.shape[0], 3))
    inputs = keras.Input((5, 3))
    with pytest.warns(UserWarning, match="the operations of layer 'steps"):
        count_flops(keras.Model(inputs, layer(inputs)))


def test_a_subclass_with_a_call_of_its_own_counts_by_that():
    class Twice(layers.Dense):
        def call(self, x):
            return super().call(super().call(x))

    assert counted(Twice(4), (4,)) == (2 * 16, 2 * 4)


def test_counting_leaves_nothing_on_the_layers(nested_model):
    model = nested_model([layers.Dense(2)])

    def nodes():
        return [len(layer._inbound_nodes) for layer in model._flatten_layers()]

    before, output = nodes(), model.output
    for _ in range(3):
        count_flops(model)
    assert nodes() == before
    assert model.output is output


def test_a_fixed_batch_counts_one_image():
    inputs = keras.Input(batch_shape=(8, 4))
    assert count_flops(keras.Model(inputs, layers.Dense(3)(inputs))) == 2 * 12 + 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "billions", "side"),
    [
        ("MobileNet", 0.569, 224),
        ("MobileNetV2", 0.300, 224),
        ("EfficientNetB0", 0.39, 224),
        ("DenseNet121", 2.83, 224),
        ("ResNet50", 3.86, 224),
        ("ConvNeXtTiny", 4.46, 224),
        ("NASNetMobile", 0.564, 224),
        ("InceptionV3", 5.71, 299),
        ("Xception", 8.4, 299),
    ],
)
@pytest.mark.filterwarnings("error:the operations")
def test_known_networks_have_their_published_multiply_adds(name, billions, side):
    model = getattr(keras.applications, name)(weights=None, input_shape=(side, side, 3))
    assert count_flops(model, convention="mac") / 1e9 == pytest.approx(billions, rel=0.012)


def test_a_layer_that_does_not_say_its_shape_is_named():
    inputs = keras.Input((8, 6))
    x = keras.layers.EinsumDense("abc,ce->abe", output_shape=(None, 5), name="open")(inputs)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(x))
    with pytest.raises(ValueError, match=r"layer .open. of model .* give it in the layer"):
        count_flops(model)


@pytest.mark.skipif(not FORGETFUL, reason="this Keras knows how many images there are")
def test_a_layer_that_forgets_how_many_images_there_are_is_named():
    dense = layers.EinsumDense("abc,ce->abe", (8, 4), name="forgets")
    with pytest.raises(ValueError, match=r"layer 'forgets' .* install a newer Keras"):
        count_flops(sequential(keras.Input((8, 6)), dense))
