import os
import random
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from sklearn.datasets import load_digits

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
matplotlib.use("agg")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Let fits without a seed draw the same numbers in every run of a test.

    Of each test its own: what a fixture drew for another one is not drawn again.
    """
    random.seed(item.nodeid)
    np.random.seed(random.getrandbits(32))


@pytest.fixture(scope="session")
def digits():
    """1,797 images of shape (8, 8, 1), values 0 to 16, and their labels."""
    bunch = load_digits()
    return bunch.images[..., None].astype("float32"), bunch.target


@pytest.fixture(scope="session")
def tiny_network():
    from skkd import FiveBlockCNN

    return FiveBlockCNN(filters=(8, 16), dense=(16,))


@pytest.fixture(scope="session")
def trained(digits, tiny_network):
    """A classifier trained on the first 1,000 digits. Tests must not change it."""
    from skkd import NetworkClassifier

    X, y = digits
    classifier = NetworkClassifier(tiny_network, epochs=8, learning_rate=5e-3, random_state=0)
    return classifier.fit(X[:1000], y[:1000])


@pytest.fixture
def nested_model():
    """Return a function that makes a model of two nested ones and of the layers of a head."""
    import keras
    from keras import layers

    def make(head):
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

    return make


@pytest.fixture(scope="session")
def real_images():
    """Return the folder of real images, or skip."""
    folder = os.environ.get("SKKD_DATA")
    if not folder:
        pytest.skip("the environment variable SKKD_DATA does not name a folder of real images")
    return Path(folder)


@pytest.fixture
def partly_broken_files(tmp_path):
    """Twenty gray image files of 8x8 pixels, of which 19.png has been overwritten since."""
    from PIL import Image

    from skkd.images import ImagePaths

    paths = [tmp_path / f"{number}.png" for number in range(20)]
    for path in paths:
        Image.new("L", (8, 8)).save(path)
    images = ImagePaths(paths)
    paths[19].write_text("no image")
    return images


@pytest.fixture
def rng():
    return np.random.default_rng(0)


class Store:
    """What only has a shape and row slicing, as HDF5 and Zarr arrays have."""

    def __init__(self, array):
        self.array = array
        self.shape = array.shape

    def __getitem__(self, rows):
        return self.array[rows]


@pytest.fixture
def as_store():
    """Return a function that hides an array behind a shape and row slicing."""
    return Store
