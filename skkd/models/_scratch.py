"""Networks that are trained from random weights, as scikit-learn parameter objects."""

import keras
import numpy as np
from keras import layers
from sklearn.base import BaseEstimator

from skkd.models._precision import full_precision
from skkd.models._sizes import check_rate, check_shapes, check_widths


class ScratchNetwork(BaseEstimator):
    """Base of the networks that are trained from random weights.

    A subclass turns images into features in ``_features``; this class puts the input, an optional
    normalization and the classifying layers around it.
    """

    _of_images = True

    def build(self, input_shape, n_classes, *, normalization=None) -> keras.Model:
        """Make a new network with random weights.

        Parameters
        ----------
        input_shape : tuple of int
            Shape of one image (height, width, channels), or (n_features,) for a table's row.
        n_classes : int
            Number of classes.
        normalization : tuple of 2 array-like of shape (channels,), default=None
            Mean and variance of the training images' channels, or a table's columns, by which
            the network's first layers bring them to mean 0 and variance 1. None feeds the raw
            values to the first convolution.

        Returns
        -------
        model : keras.Model
            From raw images to class probabilities; the layer "logits" precedes the softmax.
        """
        check_shapes(input_shape, n_classes, of_images=self._of_images)
        inputs = keras.Input(input_shape, name="images")
        x = inputs if normalization is None else _normalize(inputs, *normalization)
        x = layers.Dense(n_classes, name="logits", dtype=full_precision())(self._features(x))
        x = layers.Softmax(name="probabilities", dtype="float32")(x)
        return keras.Model(inputs, x, name=type(self).__name__.lower())


class FiveBlockCNN(ScratchNetwork):
    """The default student: convolution blocks with max pooling, then dense layers.

    Each block is a 3x3 same-padded ReLU convolution and a 2x2 max pooling. Pooling stops once a
    side of the feature map is one pixel, so inputs as small as 8x8 work.

    Parameters
    ----------
    filters : sequence of int, default=(32, 64, 128, 256, 512)
        Filters of each block's convolution.
    dense : sequence of int, default=(128,)
        Units of each ReLU dense layer after the last block.
    dropout : float, default=0.3
        Share of units, in [0, 1), left out in training after each dense layer.

    References
    ----------
    .. [1] A. Chaddad et al., "Knowledge distillation and feature map visualization for medical
       image analysis", 2025. Its text describes this network.

    Examples
    --------
    >>> from skkd import FiveBlockCNN
    >>> model = FiveBlockCNN(filters=(4, 8)).build((16, 16, 1), n_classes=3)
    >>> model.output_shape
    (None, 3)
    """

    def __init__(self, filters=(32, 64, 128, 256, 512), dense=(128,), dropout=0.3):
        self.filters = filters
        self.dense = dense
        self.dropout = dropout

    def _features(self, x):
        check_rate(self.dropout, "dropout")
        for number, n_filters in enumerate(check_widths(self.filters, "filters"), start=1):
            name = f"block{number}"
            x = layers.Conv2D(n_filters, 3, padding="same", activation="relu", name=f"{name}_conv")(
                x
            )
            if min(x.shape[1:3]) >= 2:
                x = layers.MaxPooling2D(name=f"{name}_pool")(x)
        x = layers.Flatten(name="flatten")(x)
        for number, units in enumerate(check_widths(self.dense, "dense"), start=1):
            x = layers.Dense(units, activation="relu", name=f"dense{number}")(x)
            if self.dropout:
                x = layers.Dropout(self.dropout, name=f"dropout{number}")(x)
        return x


class KDFMVNet(ScratchNetwork):
    """The eight-convolution student whose size and cost the paper's Table 4 reports.

    Six 3x3 same-padded ReLU convolutions (32, 64, 128, 256, 512 and 512 filters), each followed by
    2x2 max pooling (the sixth padded), then two more of 512 with a residual connection, max
    pooling, and dense layers of 512, 256 and 128 units: 9,861,828 parameters at 224x224x3 and 4
    classes.

    Parameters
    ----------
    dropout : sequence of 3 floats, default=(0.5, 0.4, 0.3)
        Shares of units, in [0, 1), left out in training after each dense layer.

    References
    ----------
    .. [1] A. Chaddad et al., "Knowledge distillation and feature map visualization for medical
       image analysis", 2025, Table 4.

    Examples
    --------
    >>> from skkd import KDFMVNet
    >>> KDFMVNet().build((224, 224, 3), n_classes=4).count_params()
    9861828
    """

    def __init__(self, dropout=(0.5, 0.4, 0.3)):
        self.dropout = dropout

    def _features(self, x):
        if not isinstance(self.dropout, list | tuple | np.ndarray) or len(self.dropout) != 3:
            raise ValueError(f"dropout must be three numbers in [0, 1); got {self.dropout!r}")

        def convolution(x, number, n_filters):
            return layers.Conv2D(
                n_filters, 3, padding="same", activation="relu", name=f"conv{number}"
            )(x)

        for number, n_filters in enumerate((32, 64, 128, 256, 512, 512), start=1):
            x = convolution(x, number, n_filters)
            padding = "same" if number == 6 or min(x.shape[1:3]) < 2 else "valid"
            x = layers.MaxPooling2D(padding=padding, name=f"pool{number}")(x)
        shortcut = x
        x = convolution(convolution(x, 7, 512), 8, 512)
        x = layers.Add(name="residual")([x, shortcut])
        x = layers.MaxPooling2D(padding="same", name="pool8")(x)
        x = layers.Flatten(name="flatten")(x)
        for number, (units, rate) in enumerate(
            zip((512, 256, 128), self.dropout, strict=True), start=1
        ):
            x = layers.Dense(units, activation="relu", name=f"dense{number}")(x)
            x = layers.Dropout(check_rate(rate, "dropout"), name=f"dropout{number}")(x)
        return x


class MLP(ScratchNetwork):
    """A multi-layer perceptron, for tables.

    Parameters
    ----------
    hidden : sequence of int, default=(64,)
        Units of each hidden ReLU layer.
    dropout : float, default=0.0
        Share of units, in [0, 1), left out in training after each hidden layer.

    Examples
    --------
    >>> from skkd import MLP
    >>> MLP(hidden=(8,)).build((4,), n_classes=3).count_params()
    67
    """

    _of_images = False

    def __init__(self, hidden=(64,), dropout=0.0):
        self.hidden = hidden
        self.dropout = dropout

    def _features(self, x):
        if len(x.shape) > 2:
            x = layers.Flatten(name="flatten")(x)
        check_rate(self.dropout, "dropout")
        for number, units in enumerate(check_widths(self.hidden, "hidden"), start=1):
            x = layers.Dense(units, activation="relu", name=f"dense{number}")(x)
            if self.dropout:
                x = layers.Dropout(self.dropout, name=f"dropout{number}")(x)
        return x


def _normalize(x, mean, variance):
    # keras.layers.Normalization with constants exports to ONNX as a network of three inputs. One
    # Rescaling for both steps would lose the digits of values far from zero.
    mean, deviation = np.atleast_1d(mean), np.sqrt(np.atleast_1d(variance))
    dtype = full_precision()
    x = layers.Rescaling(1.0, offset=(-mean).tolist(), name="centering", dtype=dtype)(x)
    return layers.Rescaling((1 / deviation).tolist(), name="scaling", dtype=dtype)(x)
