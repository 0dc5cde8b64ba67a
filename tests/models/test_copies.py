"""Networks, layers and optimizers of this process are copied without loss, and pickles are read."""

import functools
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
from joblib.externals.loky import get_reusable_executor
from keras import layers, ops
from sklearn.base import clone

from skkd import (
    MLP,
    FeatureMapExplainer,
    GradCAMExplainer,
    KDClassifier,
    NetworkClassifier,
    Teacher,
    TransferNet,
)
from skkd.models._copies import copy_layer, copy_model, copy_optimizer
from skkd.models._head import logits_model, probability_model


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits
    return X[:40].astype("float32"), y[:40] % 3


def trained(network, data, **params):
    params = {"epochs": 1, "random_state": 0} | params
    return NetworkClassifier(network, **params).fit(*data)


def ending(*parts, shape=(8, 8, 1), dtype=None):
    return keras.Sequential(
        [keras.Input(shape, dtype=dtype), *parts, layers.Flatten(), layers.Dense(3)]
    )


class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 1e-3


class Described(WarmUp):
    def get_config(self):
        return {}


class OwnSGD(keras.optimizers.SGD):
    pass


class Shift(layers.Layer):
    def __init__(self, by=1.0, **kwargs):
        super().__init__(**kwargs)
        self.by = by

    def call(self, x, training=None):
        return x + self.by


class Around(layers.Layer):
    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x):
        return self.inner(x)

    def get_config(self):
        return {**super().get_config(), "inner": keras.saving.serialize_keras_object(self.inner)}

    @classmethod
    def from_config(cls, config):
        inner = keras.saving.deserialize_keras_object(config.pop("inner"))
        return cls(inner, **config)


class Opaque(layers.Layer):
    def __init__(self, thing):
        super().__init__()
        self.thing = thing

    def call(self, x):
        return x


def swish(x):
    return x * ops.sigmoid(x)


def constant(shape, dtype=None):
    return ops.full(shape, 0.01, dtype)


def subclassed(X):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.flatten = layers.Flatten()
            self.dense = layers.Dense(3)

        def call(self, x):
            return self.dense(self.flatten(x))

    model = Own()
    model(X[:1])
    return model


LIVING = {
    "a lambda": lambda: ending(layers.Lambda(lambda x: x / np.float32(16))),
    "a lambda as activation": lambda: ending(layers.Dense(4, activation=lambda x: swish(x))),
    "a partial": lambda: ending(
        layers.Dense(4, activation=functools.partial(ops.leaky_relu, negative_slope=0.3))
    ),
    "an initializer": lambda: ending(layers.Dense(4, kernel_initializer=constant)),
    "a layer of one's own": lambda: ending(Shift(2.0)),
    "a layer in a layer": lambda: ending(
        Around(layers.Conv2D(2, 3, activation=lambda x: swish(x)))
    ),
    "a network in a network": lambda: ending(
        keras.Sequential([layers.Lambda(lambda x: x * 2.0), Shift()], name="inner")
    ),
}


@pytest.mark.parametrize("name", LIVING)
def test_a_network_of_this_process_is_copied_with_all_its_functions(name, data):
    model = LIVING[name]()
    expected = model.predict(data[0], verbose=0)
    copy = copy_model(model)
    np.testing.assert_array_equal(copy.predict(data[0], verbose=0), expected)
    assert not {id(layer) for layer in copy.layers} & {id(layer) for layer in model.layers}
    # It is trained, and the network given is left as it was.
    trained(model, data)
    np.testing.assert_array_equal(model.predict(data[0], verbose=0), expected)


def test_a_subclassed_network_is_trained_from_random_weights(data):
    classifier = trained(subclassed(data[0]), data)
    assert classifier.predict_proba(data[0]).shape == (40, 3)


def test_a_subclassed_network_is_copied_by_its_calls_and_left_as_it_was(data):
    class Crossed(keras.Model):
        """Its layers stand in another order than they are called in."""

        def __init__(self):
            super().__init__()
            self.second = layers.Dense(3)
            self.first = layers.Dense(3)
            self.flatten = layers.Flatten()

        def call(self, x):
            return self.second(ops.relu(self.first(self.flatten(x[:, 0, :3]))))

    model = Crossed()
    expected = ops.convert_to_numpy(model(data[0]))
    copied = copy_model(model).predict(data[0], verbose=0)
    np.testing.assert_allclose(copied, expected, rtol=1e-6, atol=1e-6)
    assert not any(layer._inbound_nodes for layer in model.layers)


def test_a_layer_that_does_not_say_how_it_is_made_is_named(data):
    model = ending(Opaque(object()))
    with pytest.raises(ValueError, match=r"Opaque 'opaque\w*' cannot be copied, .* give the class"):
        trained(model, data)


def test_what_a_user_has_set_on_a_layer_is_copied():
    layer = Shift()
    layer.by = 5.0
    np.testing.assert_array_equal(ops.convert_to_numpy(copy_layer(layer)(np.zeros((1, 2)))), 5.0)


@pytest.mark.parametrize("make", [keras.optimizers.Adam, OwnSGD])
def test_a_schedule_of_ones_own_is_used_as_it_is(make, data):
    optimizer = make(WarmUp())
    copy = copy_optimizer(optimizer)
    assert isinstance(copy, make)
    assert copy is not optimizer
    assert copy._learning_rate is optimizer._learning_rate
    classifier = clone(NetworkClassifier(MLP(), optimizer=optimizer, epochs=1)).fit(*data)
    assert float(classifier._trainer.model_.optimizer.learning_rate) == pytest.approx(1e-3)
    assert not optimizer.built


@pytest.mark.parametrize(
    "augmentation",
    [
        lambda: keras.Sequential([Shift(3.0), layers.RandomFlip()]),
        lambda: layers.Pipeline([Shift(3.0), layers.Lambda(lambda x: x * 1.0)]),
        lambda: Shift(3.0),
    ],
)
def test_augmentation_of_ones_own_is_trained_with(augmentation, data):
    layer = augmentation()
    classifier = NetworkClassifier(MLP(hidden=(4,)), augmentation=layer, epochs=1).fit(*data)
    assert classifier.n_iter_ == 1


def adapted(name, images):
    """A network that begins with a layer adapted to images, and the images that it takes."""
    if name == "Normalization":
        layer = layers.Normalization()
        layer.adapt(images)
        return ending(layer, shape=images.shape[1:]), images
    if name == "Discretization":
        layer = layers.Discretization(num_bins=4)
        layer.adapt(images)
        return ending(layer, layers.Rescaling(1.0), shape=images.shape[1:]), images
    if name == "IntegerLookup":
        whole = images.astype("int64")
        layer = layers.IntegerLookup()
        layer.adapt(whole.ravel())
        parts = layer, layers.Embedding(layer.vocabulary_size(), 2)
        return ending(*parts, shape=images.shape[1:], dtype="int64"), whole
    raise NotImplementedError(name)


def test_every_layer_of_keras_that_adapts_is_known_here():
    # What takes text, or a dict of columns, is no layer for images.
    of_text = {"StringLookup", "TextVectorization"}
    adapting = {
        name
        for name in dir(layers)
        if hasattr(getattr(layers, name), "adapt")
        or hasattr(getattr(layers, name), "finalize_state")
    }
    assert adapting - of_text == {"Normalization", "Discretization", "IntegerLookup"}


@pytest.mark.parametrize("name", ["Normalization", "Discretization", "IntegerLookup"])
@pytest.mark.parametrize("role", ["network", "backbone"])
def test_what_a_layer_has_adapted_to_is_kept_and_saved(name, role, tmp_path):
    if name == "IntegerLookup" and keras.backend.backend() != "tensorflow":
        pytest.skip("lookups need TensorFlow")
    images = np.random.default_rng(0).normal(1000, 50, (60, 4, 4, 1)).astype("float32").round()
    labels = (images.mean(axis=(1, 2, 3)) > 1000).astype(int) + (images[:, 0, 0, 0] > 1000)
    model, images = adapted(name, images)
    layer = model.layers[0]
    expected = ops.convert_to_numpy(layer(images))
    network = model
    if role == "backbone":
        body = keras.Sequential(model.layers[:-1])
        body.build(images.shape)
        if name == "IntegerLookup":
            pytest.skip("TransferNet feeds its backbone floats")
        network = TransferNet(body, dense=(), dropout=0.0, batch_norm=False)
    classifier = trained(network, (images, labels))
    (ours,) = (part for part in classifier.model_._flatten_layers() if type(part).__name__ == name)
    assert ours is not layer
    np.testing.assert_array_equal(ops.convert_to_numpy(ours(images)), expected)

    predicted = classifier.model_.predict(images, verbose=0)
    classifier.model_.save(tmp_path / "model.keras")
    read = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(read.predict(images, verbose=0), predicted)
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.model_.predict(images, verbose=0), predicted)


class Stop(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1 and Stop.active:
            raise RuntimeError("stopped")


def test_an_adapted_network_resumes_from_a_checkpoint_to_the_same_weights(tmp_path, data):
    layer = layers.Normalization()
    layer.adapt(data[0] + 100)
    model = ending(layer)
    whole = trained(model, data, epochs=2)
    params = {"epochs": 2, "checkpoint": str(tmp_path), "callbacks": [Stop()]}
    Stop.active = True
    with pytest.raises(RuntimeError, match="stopped"):
        trained(model, data, **params)
    assert len(list(tmp_path.iterdir())) == 1
    Stop.active = False
    resumed = trained(model, data, **params)
    np.testing.assert_array_equal(resumed.predict_proba(data[0]), whole.predict_proba(data[0]))


# One of each family: the others are longer or wider.
SMALLEST = [
    *("ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "InceptionResNetV2"),
    *("InceptionV3", "MobileNet", "MobileNetV2", "MobileNetV3Small", "NASNetMobile", "ResNet50"),
    *("ResNet50V2", "VGG16", "Xception"),
]


@pytest.mark.slow
@pytest.mark.parametrize("family", SMALLEST)
def test_pretrained_networks_predict_the_same_when_copied_and_when_saved(family, rng, tmp_path):
    side = 75 if family.startswith(("Inception", "Xception")) else 32
    images = rng.integers(0, 256, (2, side, side, 3)).astype("float32")
    body = getattr(keras.applications, family)(
        weights=None, include_top=False, input_shape=(side, side, 3)
    )
    expected = body.predict(images, verbose=0)
    np.testing.assert_array_equal(copy_model(body).predict(images, verbose=0), expected)
    model = probability_model(logits_model(TransferNet(body).build((side, side, 3), 3)))
    expected = model.predict(images, verbose=0)
    model.save(tmp_path / "model.keras")
    read = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(read.predict(images, verbose=0), expected)


def unregistered():
    return ending(layers.Dense(4, activation=swish), Shift(2.0))


def test_what_is_pickled_can_be_read(data):
    X, y = data
    student = trained(unregistered(), data)
    teacher = student.model_
    optimizer = OwnSGD(Described())
    tuned = NetworkClassifier(MLP(), optimizer=optimizer, epochs=1, augmentation=Shift())
    for estimator in (
        student,
        KDClassifier(teacher, MLP(), alpha=0.5).set_params(student=tuned).fit(X, y),
        KDClassifier([Teacher(teacher, weight=2.0), teacher], unregistered()),
        TransferNet(unregistered()),
        GradCAMExplainer(unregistered(), layer=0),
        FeatureMapExplainer(student),
    ):
        again = pickle.loads(pickle.dumps(estimator))
        assert type(again) is type(estimator)
        if hasattr(estimator, "student_") or estimator is student:
            np.testing.assert_array_equal(again.predict_proba(X), estimator.predict_proba(X))


def test_a_pickle_is_read_in_another_process(data, tmp_path):
    (tmp_path / "theirs.py").write_text(
        "from keras import layers, ops\n"
        "def swish(x):\n    return x * ops.sigmoid(x)\n"
        "class Twice(layers.Layer):\n    def call(self, x):\n        return 2 * x\n"
    )
    code = (
        "import sys, pickle, numpy as np, keras\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "from pathlib import Path\n"
        f"folder = Path({str(tmp_path)!r})\n"
    )
    write = (
        "from keras import layers\nfrom theirs import swish, Twice\n"
        "from skkd import NetworkClassifier\n"
        "net = keras.Sequential([keras.Input((5,)), Twice(), layers.Dense(4, swish),"
        " layers.Dense(2)])\n"
        "X = np.arange(50.0).reshape(10, 5) / 50\n"
        "c = NetworkClassifier(net, epochs=1).fit(X, np.arange(10) % 2)\n"
        "np.save(folder / 'p.npy', c.predict_proba(X))\n"
        "(folder / 'c.pickle').write_bytes(pickle.dumps(c))\n"
    )
    read = (
        "X = np.arange(50.0).reshape(10, 5) / 50\n"
        "c = pickle.loads((folder / 'c.pickle').read_bytes())\n"
        "np.testing.assert_array_equal(c.predict_proba(X), np.load(folder / 'p.npy'))\n"
    )
    for part in (write, read):
        subprocess.run([sys.executable, "-c", code + part], check=True)


def test_what_no_other_process_could_find_is_refused_when_it_is_pickled(data):
    classifier = trained(ending(layers.Dense(4, activation=lambda x: x * 2, name="late")), data)
    with pytest.raises(pickle.PicklingError, match=r"Dense 'late' holds a lambda .* made by def"):
        pickle.dumps(classifier)

    def double(x):
        return 2 * x

    classifier = trained(ending(layers.Dense(4, activation=double)), data)
    with pytest.raises((pickle.PicklingError, AttributeError), match="double"):
        pickle.dumps(classifier)
    # Processes of joblib get it by value.
    predict = get_reusable_executor(max_workers=1).submit(classifier.predict_proba, data[0])
    np.testing.assert_allclose(predict.result(), classifier.predict_proba(data[0]), atol=1e-6)


def test_a_pickle_is_read_where_scikeras_was_imported_first():
    code = (
        "import scikeras.wrappers\nimport pickle, keras, numpy as np\n"
        "from skkd import MLP, NetworkClassifier\n"
        "X = np.arange(50.0).reshape(10, 5) / 50\n"
        "c = NetworkClassifier(MLP(), epochs=1).fit(X, np.arange(10) % 2)\n"
        "again = pickle.loads(pickle.dumps(c))\n"
        "np.testing.assert_array_equal(again.predict_proba(X), c.predict_proba(X))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
