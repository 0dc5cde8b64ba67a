"""Pretrained networks with a new head, as scikit-learn parameter objects."""

import difflib
import inspect
import os
import sys
from os import PathLike, fspath

import keras
import numpy as np
from keras import layers, ops
from sklearn.base import BaseEstimator

from skkd.images._files import check_image_size
from skkd.models._copies import copy_model
from skkd.models._precision import full_precision
from skkd.models._sharing import SharesModels
from skkd.models._sizes import check_shapes, check_widths

# Keras's own, .99 and up to .999 in its applications, averages over more steps than training on
# few images has: what is predicted then lags far behind what was learned.
_MOMENTUM = 0.9
_MODEL_FILES = (".keras", ".h5", ".hdf5", ".pb", ".tflite", ".onnx", ".pt", ".pth")


class TransferNet(SharesModels, BaseEstimator):
    """A pretrained network with a new classifying head: the usual teacher.

    The backbone's own preprocessing is part of the network, so it is fed raw images with values
    from 0 to 255. The moving statistics of the backbone's batch normalization are held still
    unless it starts from random weights: a short fine-tuning that moves them as slowly as Keras
    does ends near chance. Those that do move, of a random backbone and of the head, follow with a
    momentum of 0.9, so that they have caught up after some tens of steps.

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

    def build(self, input_shape, n_classes) -> keras.Model:
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
        check_image_size(self.image_size)
        check_shapes(input_shape, n_classes, any_side=True)
        check_widths(self.dense, "dense")
        rates = self._dropout_rates()
        inputs = x = keras.Input(input_shape, name="images")
        if self.image_size is not None:
            x = layers.Resizing(*self.image_size, name="resizing", dtype=full_precision())(x)
        if isinstance(self.backbone, keras.Model):
            backbone = copy_model(self.backbone)
            pretrained = True
        else:
            if x.shape[-1] == 1:
                x = layers.Concatenate(name="gray_to_rgb")([x, x, x])
            application = _application(self.backbone)
            x = _preprocess(x, application, self.preprocessing)
            backbone = self._load_backbone(application, x.shape[1:])
            pretrained = self.weights is not None
        backbone.trainable = self.train_backbone
        for norm in _batch_norms(backbone):
            if pretrained:
                # Calling the backbone with training=False does not hold its statistics: an outer
                # call with training=True overrides it. trainable=False on the layers does.
                norm.trainable = False
            else:
                norm.momentum = min(norm.momentum, _MOMENTUM)
        x = backbone(x)
        if len(x.shape) == 4:
            x = pools[self.pooling](name="pool")(x)
        if self.batch_norm:
            x = layers.BatchNormalization(momentum=_MOMENTUM, name="head_norm1")(x)
        for number, units in enumerate(self.dense):
            x = layers.Dropout(rates[number], name=f"head_dropout{number + 1}")(x)
            x = layers.Dense(units, activation="relu", name=f"head_dense{number + 1}")(x)
        x = layers.Dropout(rates[-1], name=f"head_dropout{len(rates)}")(x)
        if self.batch_norm:
            x = layers.BatchNormalization(momentum=_MOMENTUM, name="head_norm2")(x)
        x = layers.Dense(n_classes, name="logits", dtype=full_precision())(x)
        x = layers.Softmax(name="probabilities", dtype="float32")(x)
        return keras.Model(inputs, x, name="transfernet")

    def _dropout_rates(self):
        n_rates = len(self.dense) + 1
        rates = [self.dropout] * n_rates if np.isscalar(self.dropout) else self.dropout
        try:
            rates = np.asarray(rates, dtype=float)
        except (TypeError, ValueError):
            rates = np.array(np.nan)
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

        def make(weights):
            try:
                return application(weights=weights, **options)
            except ValueError as error:
                raise ValueError(
                    f"backbone={self.backbone!r} cannot be made for images of shape "
                    f"{tuple(input_shape)}: {_first_line(error)}. Set image_size, to which images "
                    "are resized, or bring them to one channel or three"
                ) from error

        if self.weights is None:
            return make(None)
        if not isinstance(self.weights, str | PathLike):
            raise ValueError(
                f"weights must be 'imagenet', a path or None; got {type(self.weights).__name__}"
            )
        if self.weights == "imagenet":
            return _download(make)
        path = fspath(self.weights)
        if not os.path.exists(path):
            raise FileNotFoundError(f"weights must be 'imagenet', None or a file; got {path!r}")
        backbone = make(None)
        try:
            backbone.load_weights(path)
        # What a file of another network or version trips over is Keras's or HDF5's.
        except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
            raise ValueError(
                f"weights={path!r} does not load into the backbone {self.backbone!r} without its "
                f"head: {_first_line(error)}. Pass a file that backbone.save_weights("
                "'name.weights.h5') wrote of such a network, or load the network yourself and pass "
                "it as backbone"
            ) from error
        return backbone


def _download(make):
    try:
        return make("imagenet")
    except Exception as error:
        # Keras has no type of its own for this.
        if "URL fetch failure" not in str(error):
            raise
        raise OSError(
            "weights='imagenet' could not be downloaded: pass weights=path to a .weights.h5 file "
            "or to Keras's own ..._notop.h5, which can be downloaded elsewhere, or weights=None "
            f"for random ones; {_first_line(error)}"
        ) from error


def _first_line(error):
    return str(error).strip().partition("\n")[0].rstrip(".")


def _application(name):
    applications = {
        attribute.lower(): getattr(keras.applications, attribute)
        for attribute in dir(keras.applications)
        if attribute[0].isupper()
    }
    if not isinstance(name, str) or name.lower() not in applications:
        near = difflib.get_close_matches(str(name).lower(), applications, n=3, cutoff=0.4)
        if isinstance(name, str | PathLike) and os.path.splitext(name)[1] in _MODEL_FILES:
            raise ValueError(
                f"backbone={fspath(name)!r} is a file: pass the network in it, "
                "keras.models.load_model(path), or name the network and pass its weights=path"
            )
        if isinstance(name, type) or type(name).__module__.startswith(("tf_keras", "torch")):
            name = f"{type(name).__module__}.{type(name).__name__}"
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
        scale.tolist(), offset=black.tolist(), name="preprocessing", dtype=full_precision()
    )(x)


def _batch_norms(model):
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _batch_norms(layer)
        elif isinstance(layer, layers.BatchNormalization):
            yield layer
