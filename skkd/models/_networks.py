"""Network architectures as scikit-learn parameter objects."""

import difflib
import inspect
import sys
from os import PathLike, fspath

import keras
import numpy as np
from keras import layers, ops
from sklearn.base import BaseEstimator

from skkd.models._layers import (
    check_built,
    copy_architecture,
    flatten_graph,
    logits_model,
    own_layers,
)


class ScratchNetwork(BaseEstimator):
    """Base of the networks that are trained from random weights.

    A subclass turns images into features in ``_features``; this class puts the input, an optional
    normalization and the classifying layers around it.
    """

    def build(self, input_shape, n_classes, *, normalization=None):
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
        inputs = keras.Input(input_shape, name="images")
        x = inputs if normalization is None else _normalize(inputs, *normalization)
        x = layers.Dense(n_classes, name="logits", dtype=_full_precision())(self._features(x))
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
        for number, n_filters in enumerate(self.filters, start=1):
            name = f"block{number}"
            x = layers.Conv2D(n_filters, 3, padding="same", activation="relu", name=f"{name}_conv")(
                x
            )
            if min(x.shape[1:3]) >= 2:
                x = layers.MaxPooling2D(name=f"{name}_pool")(x)
        x = layers.Flatten(name="flatten")(x)
        for number, units in enumerate(self.dense, start=1):
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
            x = layers.Dropout(rate, name=f"dropout{number}")(x)
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

    def __init__(self, hidden=(64,), dropout=0.0):
        self.hidden = hidden
        self.dropout = dropout

    def _features(self, x):
        if len(x.shape) > 2:
            x = layers.Flatten(name="flatten")(x)
        for number, units in enumerate(self.hidden, start=1):
            x = layers.Dense(units, activation="relu", name=f"dense{number}")(x)
            if self.dropout:
                x = layers.Dropout(self.dropout, name=f"dropout{number}")(x)
        return x


class TransferNet(BaseEstimator):
    """A pretrained network with a new classifying head: the usual teacher.

    The backbone's own preprocessing is part of the network, so it is fed raw images with values
    from 0 to 255. The moving statistics of the backbone's batch normalization are held still
    unless it starts from random weights: a short fine-tuning that moves them ends near chance.

    Parameters
    ----------
    backbone : str or keras.Model, default="densenet121"
        Name of a network in ``keras.applications``, in any case ("mobilenetv2", "ResNet50"), or a
        network of your own without its head, with its preprocessing inside. A network given is
        copied, with its weights.
    weights : {"imagenet"}, path or None, default="imagenet"
        Weights of a named backbone: downloaded by Keras, read from a ``.weights.h5`` file, or
        random. Not used when ``backbone`` is a model.
    pooling : {"avg", "max"}, default="avg"
        Global pooling of the backbone's last feature map.
    dense : sequence of int, default=(128,)
        Units of each ReLU dense layer of the head.
    dropout : float or sequence of float, default=(0.7, 0.5)
        Shares of units, in [0, 1), left out in training before each dense layer and before the
        classifying layer; one number for all of them.
    batch_norm : bool, default=True
        Normalize before the first and after the last dropout of the head, as the paper does.
    preprocessing : {"auto", "torch", "tf", "caffe"} or None, default="auto"
        What happens to raw images before a named backbone: what ``keras.applications`` documents
        for it ("auto"), one of its three conventions by name, or nothing.
    image_size : tuple of 2 int, default=None
        Height and width images are resized to inside the network. None keeps their size.
    train_backbone : bool, default=True
        Fine-tune the backbone; False trains the head alone.

    References
    ----------
    .. [1] A. Chaddad et al., "Knowledge distillation and feature map visualization for medical
       image analysis", 2025. The defaults are its teacher.

    Examples
    --------
    >>> from skkd import TransferNet
    >>> net = TransferNet("mobilenetv2", weights=None, dense=(), dropout=0.2, batch_norm=False)
    >>> net.build((64, 64, 3), n_classes=4).output_shape
    (None, 4)
    """

    def __init__(
        self,
        backbone="densenet121",
        *,
        weights="imagenet",
        pooling="avg",
        dense=(128,),
        dropout=(0.7, 0.5),
        batch_norm=True,
        preprocessing="auto",
        image_size=None,
        train_backbone=True,
    ):
        self.backbone = backbone
        self.weights = weights
        self.pooling = pooling
        self.dense = dense
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.preprocessing = preprocessing
        self.image_size = image_size
        self.train_backbone = train_backbone

    def build(self, input_shape, n_classes):
        """Make a new network, with the backbone's weights and a random head.

        Parameters
        ----------
        input_shape : tuple of int
            Shape of one image (height, width, channels). One channel is repeated for a named
            backbone, which wants three.
        n_classes : int
            Number of classes.

        Returns
        -------
        model : keras.Model
            From raw images, 0 to 255, to class probabilities; the layer "logits" precedes the
            softmax.
        """
        pools = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}
        if self.pooling not in pools:
            raise ValueError(f"pooling must be 'avg' or 'max'; got {self.pooling!r}")
        rates = self._dropout_rates()
        inputs = x = keras.Input(input_shape, name="images")
        if self.image_size is not None:
            x = layers.Resizing(*self.image_size, name="resizing", dtype=_full_precision())(x)
        if isinstance(self.backbone, keras.Model):
            backbone = copy_architecture(self.backbone)
            backbone.set_weights(self.backbone.get_weights())
            pretrained = True
        else:
            if x.shape[-1] == 1:
                x = layers.Concatenate(name="gray_to_rgb")([x, x, x])
            application = _application(self.backbone)
            x = _preprocess(x, application, self.preprocessing)
            backbone = self._load_backbone(application, x.shape[1:])
            pretrained = self.weights is not None
        backbone.trainable = self.train_backbone
        if pretrained:
            _hold_batch_norm_still(backbone)
        x = backbone(x)
        if len(x.shape) == 4:
            x = pools[self.pooling](name="pool")(x)
        if self.batch_norm:
            x = layers.BatchNormalization(name="head_norm1")(x)
        for number, units in enumerate(self.dense):
            x = layers.Dropout(rates[number], name=f"head_dropout{number + 1}")(x)
            x = layers.Dense(units, activation="relu", name=f"head_dense{number + 1}")(x)
        x = layers.Dropout(rates[-1], name=f"head_dropout{len(rates)}")(x)
        if self.batch_norm:
            x = layers.BatchNormalization(name="head_norm2")(x)
        x = layers.Dense(n_classes, name="logits", dtype=_full_precision())(x)
        x = layers.Softmax(name="probabilities", dtype="float32")(x)
        return keras.Model(inputs, x, name="transfernet")

    def _dropout_rates(self):
        n_rates = len(self.dense) + 1
        rates = [self.dropout] * n_rates if np.isscalar(self.dropout) else self.dropout
        rates = np.asarray(rates, dtype=float)
        if rates.shape != (n_rates,) or not ((rates >= 0) & (rates < 1)).all():
            raise ValueError(
                f"dropout must be one number in [0, 1), or {n_rates} of them (one before each "
                f"dense layer and one before the last); got {self.dropout!r}"
            )
        return rates.tolist()

    def _load_backbone(self, application, input_shape):
        options = {"include_top": False, "input_shape": tuple(input_shape)}
        if _brings_preprocessing(application):
            options["include_preprocessing"] = self.preprocessing == "auto"
        if self.weights is None or self.weights == "imagenet":
            return application(weights=self.weights, **options)
        backbone = application(weights=None, **options)
        if not isinstance(self.weights, str | PathLike):
            raise ValueError(
                f"weights must be 'imagenet', a path or None; got {type(self.weights).__name__}"
            )
        backbone.load_weights(fspath(self.weights))
        return backbone


def as_network(network, input_shape, parameter="network"):
    """Return the network object a short name stands for, and anything else as it is.

    Parameters
    ----------
    network : str, network object, keras.Model or callable
        "auto" is ``FiveBlockCNN()`` for images and ``MLP()`` for a table's rows.
    input_shape : tuple of int
        Shape of one image or row.
    parameter : str, default="network"
        What the user calls this parameter, for error messages.

    Returns
    -------
    network : object with build, keras.Model or callable
        What ``build_network`` takes.
    """
    if isinstance(network, str):
        names = {"five_block": FiveBlockCNN, "kdfmv": KDFMVNet, "mlp": MLP}
        names["auto"] = MLP if len(input_shape) == 1 else FiveBlockCNN
        if network in names:
            return names[network]()
    elif isinstance(network, keras.Model) or hasattr(network, "build") or callable(network):
        return network
    raise ValueError(
        f"{parameter} must be 'auto', 'five_block', 'kdfmv', 'mlp', an object with "
        "build(input_shape, n_classes) such as FiveBlockCNN(), a keras.Model or a callable "
        f"(input_shape, n_classes) -> keras.Model; got {network!r}"
    )


def build_network(network, input_shape, n_classes, normalization=None):
    """Make a new keras.Model of an architecture and check what it takes and gives.

    Parameters
    ----------
    network : object with build, keras.Model or callable
        The architecture, as ``as_network`` returns it. Of a keras.Model the architecture is
        copied, not the weights.
    input_shape : tuple of int
        Shape of one image or row.
    n_classes : int
        Number of classes.
    normalization : tuple of 2 array-like of shape (channels,), default=None
        Mean and variance for a ScratchNetwork.

    Returns
    -------
    model : keras.Model
        Of shape (n, n_classes), ending in softmax or in logits.
    """
    if isinstance(network, keras.Model):
        model = copy_architecture(network)
    elif isinstance(network, ScratchNetwork):
        model = network.build(input_shape, n_classes, normalization=normalization)
    elif hasattr(network, "build"):
        model = network.build(input_shape, n_classes)
    else:
        model = network(input_shape, n_classes)
        if not isinstance(model, keras.Model):
            raise ValueError(
                f"the network function must return a keras.Model; got {type(model).__name__}"
            )
    check_built(model)
    if tuple(model.input_shape[1:]) != tuple(input_shape):
        raise ValueError(
            f"model {model.name!r} takes inputs of shape {model.input_shape[1:]}, but the images "
            f"have shape {tuple(input_shape)}; set image_size, or give a function "
            "(input_shape, n_classes) -> keras.Model that adapts"
        )
    if tuple(model.output_shape[1:]) != (n_classes,):
        raise ValueError(
            f"model {model.name!r} gives outputs of shape {model.output_shape[1:]}, but y has "
            f"{n_classes} classes, so ({n_classes},) is needed"
        )
    return model


def build_logits(
    network, input_shape, n_classes, *, normalization=None, image_size=None, dtype_policy=None
):
    """Make the network that is trained: from raw images to logits.

    Parameters
    ----------
    network, input_shape, n_classes : see `build_network`
    normalization : tuple of 2 array-like of shape (channels,), default=None
        Mean and variance for a ScratchNetwork.
    image_size : tuple of 2 int, default=None
        Height and width to which a layer before the network resizes images of another size.
    dtype_policy : str or keras.DTypePolicy, default=None
        Precision of its layers.

    Returns
    -------
    model : keras.Model
        Of shape (n, n_classes).
    """
    size = input_shape if image_size is None else (*image_size, *input_shape[2:])
    before = keras.config.dtype_policy()
    try:
        if dtype_policy is not None:
            keras.config.set_dtype_policy(dtype_policy)
        model = logits_model(build_network(network, size, n_classes, normalization))
    finally:
        keras.config.set_dtype_policy(before)
    if size == tuple(input_shape):
        return model
    images = keras.Input(input_shape, name="raw_images")
    resized = layers.Resizing(*image_size, name="resizing", dtype=_full_precision())(images)
    nested = flatten_graph(keras.Model(images, model(resized), name=model.name))
    return own_layers(nested.model(nested.outputs[0], name=model.name))


def _normalize(x, mean, variance):
    # keras.layers.Normalization with constants exports to ONNX as a network of three inputs. One
    # Rescaling for both steps would lose the digits of values far from zero.
    mean, deviation = np.atleast_1d(mean), np.sqrt(np.atleast_1d(variance))
    dtype = _full_precision()
    x = layers.Rescaling(1.0, offset=(-mean).tolist(), name="centering", dtype=dtype)(x)
    return layers.Rescaling((1 / deviation).tolist(), name="scaling", dtype=dtype)(x)


def _full_precision():
    """Return the type for raw images, which 16 bits may not hold, and for logits."""
    return keras.config.dtype_policy().variable_dtype


def _application(name):
    applications = {
        attribute.lower(): getattr(keras.applications, attribute)
        for attribute in dir(keras.applications)
        if attribute[0].isupper()
    }
    if not isinstance(name, str) or name.lower() not in applications:
        near = difflib.get_close_matches(str(name).lower(), applications, n=3, cutoff=0.4)
        raise ValueError(
            f"backbone must be the name of a network in keras.applications or a keras.Model; got "
            f"{name!r}" + (f". Did you mean {', '.join(near)}?" if near else "")
        )
    return applications[name.lower()]


def _brings_preprocessing(application):
    return "include_preprocessing" in inspect.signature(application).parameters


def _preprocess(x, application, convention):
    """Apply a network's documented preprocessing as layers."""
    if convention == "auto":
        if _brings_preprocessing(application):
            return x
        documented = sys.modules[application.__module__].preprocess_input
    elif convention in ("torch", "tf", "caffe"):

        def documented(images):
            return keras.applications.imagenet_utils.preprocess_input(images, mode=convention)

    elif convention is None:
        return x
    else:
        raise ValueError(
            f"preprocessing must be 'auto', 'torch', 'tf', 'caffe' or None; got {convention!r}"
        )
    # All three conventions are affine per channel, after a change of channel order for "caffe".
    # Three probes recover them exactly from the function that documents them.
    black, white = (
        documented(np.full((1, 1, 1, 3), value, dtype="float64")).ravel() for value in (0.0, 255.0)
    )
    red = documented(np.array([255.0, 0.0, 0.0]).reshape(1, 1, 1, 3)).ravel()
    if red[0] == black[0]:
        x = ops.flip(x, axis=-1)
    scale = (white - black) / 255.0
    return layers.Rescaling(
        scale.tolist(), offset=black.tolist(), name="preprocessing", dtype=_full_precision()
    )(x)


def _hold_batch_norm_still(model):
    # Calling the backbone with training=False does not hold: an outer call with training=True
    # overrides it. trainable=False on the layers themselves does.
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _hold_batch_norm_still(layer)
        elif isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
