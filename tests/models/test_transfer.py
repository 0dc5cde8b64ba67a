import keras
import numpy as np
import pytest
from keras import layers

from skkd import TransferNet
from skkd.models._transfer import _application, _preprocess


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


def test_statistics_of_the_head_have_caught_up_after_few_steps(rng):
    images = rng.random((8, 4, 4, 3)).astype("float32")
    inputs = keras.Input((4, 4, 3))
    backbone = keras.Model(inputs, layers.Rescaling(2.0)(inputs))
    model = TransferNet(backbone, dense=(), dropout=0.0).build((4, 4, 3), 2)
    model.compile(keras.optimizers.SGD(0.0), "categorical_crossentropy")
    model.fit(images, np.eye(2)[[0, 1] * 4], batch_size=8, epochs=20, verbose=0)
    caught_up = 2 * images.mean((0, 1, 2)) * (1 - 0.9**20)
    moving_mean = keras.ops.convert_to_numpy(model.get_layer("head_norm1").moving_mean)
    np.testing.assert_allclose(moving_mean, caught_up, rtol=1e-5)


def test_statistics_of_a_random_backbone_catch_up_as_fast():
    network = TransferNet("mobilenetv2", weights=None).build((32, 32, 3), 2)
    (backbone,) = (layer for layer in network.layers if isinstance(layer, keras.Model))
    norms = [one for one in backbone.layers if isinstance(one, layers.BatchNormalization)]
    assert len(norms) > 50
    assert {norm.momentum for norm in norms} == {0.9}
    assert all(norm.trainable for norm in norms)


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
        (TransferNet("mobilenetv2", weights=None, image_size=(32,)), r"\(height, width\).*\(32,\)"),
        (TransferNet("net.h5"), r"'net\.h5' is a file: .*load_model\(path\)"),
    ],
)
def test_a_bad_parameter_of_transfer_net_is_named(network, message):
    with pytest.raises(ValueError, match=message):
        network.build((32, 32, 3), 2)


def test_weights_that_cannot_be_downloaded_are_told_to_come_from_a_file(monkeypatch):
    def offline(weights, **options):
        raise Exception("URL fetch failure on https://example.org/x.h5: None -- no network")

    monkeypatch.setattr(keras.applications, "VGG16", offline)
    monkeypatch.setattr(offline, "__module__", keras.applications.vgg16.__name__)
    with pytest.raises(OSError, match=r"could not be downloaded: pass weights=path .*x\.h5"):
        TransferNet("vgg16").build((32, 32, 3), 2)


def test_files_that_hold_no_weights_of_the_backbone_are_named(tmp_path):
    other = keras.Sequential([keras.Input((32, 32, 3)), layers.Conv2D(2, 3)])
    other.save(tmp_path / "other.h5")
    (tmp_path / "broken.weights.h5").write_text("nothing")
    (tmp_path / "model.ckpt").write_text("nothing")
    for name in ("other.h5", "broken.weights.h5", "model.ckpt"):
        network = TransferNet("vgg16", weights=tmp_path / name)
        with pytest.raises(ValueError, match=rf"{name}' does not load into the backbone 'vgg16'"):
            network.build((32, 32, 3), 2)
    with pytest.raises(FileNotFoundError, match=r"None or a file; got .*gone\.h5"):
        TransferNet("vgg16", weights=tmp_path / "gone.h5").build((32, 32, 3), 2)
