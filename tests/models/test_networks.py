import keras
import numpy as np
import pytest
from keras import layers
from sklearn.base import clone

from skkd import MLP, FiveBlockCNN, KDFMVNet, NetworkClassifier, TransferNet
from skkd.models._networks import as_network, build_network


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


@pytest.fixture(scope="module")
def transfer_net():
    """A small backbone whose batch normalization must not move."""
    backbone = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(name="backbone_norm"),
            layers.ReLU(),
        ],
        name="backbone",
    )
    return TransferNet(backbone, dense=(), dropout=0.0)


def test_training_a_transfer_net_moves_no_batch_norm_statistics_of_the_backbone(transfer_net, rng):
    model = transfer_net.build((16, 16, 3), 2)
    norm = model.get_layer("backbone").get_layer("backbone_norm")
    before = norm.get_weights()
    kernel_before = model.get_layer("backbone").layers[1].get_weights()[0]
    model.compile("adam", "categorical_crossentropy")
    model.fit(rng.random((8, 16, 16, 3)) * 9, np.eye(2)[[0, 1] * 4], verbose=0)
    for old, new in zip(before, norm.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert (kernel_before != model.get_layer("backbone").layers[1].get_weights()[0]).any()


def test_a_backbone_given_as_model_is_copied_with_its_weights(transfer_net, rng):
    given = transfer_net.backbone
    model = transfer_net.build((16, 16, 3), 2)
    copy = model.get_layer("backbone")
    assert copy is not given
    assert given.trainable
    assert given.get_layer("backbone_norm").trainable
    for ours, theirs in zip(copy.get_weights(), given.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("MobileNetV2", "mobilenet_v2"),
        ("densenet121", "densenet"),
        ("resnet50", "resnet"),
        ("vgg16", "vgg16"),
    ],
)
def test_preprocessing_is_what_keras_applications_documents(name, module, rng):
    from skkd.models._networks import _application, _preprocess

    images = rng.integers(0, 256, (2, 32, 32, 3)).astype("float32")
    documented = getattr(keras.applications, module).preprocess_input(images.copy())
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, _preprocess(inputs, _application(name), "auto"))
    np.testing.assert_allclose(model(images), documented, atol=1e-4)


def test_a_gray_image_of_another_size_reaches_a_named_backbone_as_it_wants_it():
    network = TransferNet("mobilenetv2", weights=None, image_size=(32, 32))
    assert network.build((20, 24, 1), 3)(np.zeros((1, 20, 24, 1))).shape == (1, 3)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (TransferNet("mobilnetv2", weights=None), "Did you mean mobilenetv2"),
        (TransferNet("mobilenetv2", weights=None, pooling="sum"), "'avg' or 'max'; got 'sum'"),
        (TransferNet("mobilenetv2", weights=None, dropout=(0.1,)), "or 2 of them"),
        (TransferNet("mobilenetv2", weights=None, preprocessing="gan"), "got 'gan'"),
        (TransferNet("mobilenetv2", weights=3), "'imagenet', a path or None; got int"),
    ],
)
def test_a_bad_parameter_of_transfer_net_is_named(network, message):
    with pytest.raises(ValueError, match=message):
        network.build((32, 32, 3), 2)


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
