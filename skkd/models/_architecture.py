"""Whatever a user calls a network, as a new keras.Model."""

from functools import partial

import keras
from keras import layers

from skkd._warnings import warn
from skkd.models._copies import copy_architecture, copy_model
from skkd.models._graph import check_built, flatten_graph
from skkd.models._head import logits_model
from skkd.models._normalization import mean_and_variance
from skkd.models._precision import full_precision
from skkd.models._scratch import MLP, FiveBlockCNN, KDFMVNet, ScratchNetwork


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
    elif isinstance(network, keras.Model):
        return network
    elif foreign := _foreign(network):
        raise ValueError(f"{parameter} must be a network of Keras 3; got {foreign}")
    elif isinstance(network, type) and hasattr(network, "build"):
        if issubclass(network, keras.Model):
            return network
        raise ValueError(f"{parameter} must be an object; got the class: {network.__name__}()")
    elif hasattr(network, "build") or callable(network):
        return network
    raise ValueError(
        f"{parameter} must be 'auto', 'five_block', 'kdfmv', 'mlp', an object with "
        "build(input_shape, n_classes) such as FiveBlockCNN(), a keras.Model or a callable "
        f"(input_shape, n_classes) -> keras.Model; got {network!r}. A file's network is loaded "
        "first, with keras.models.load_model(path)"
    )


def _foreign(network):
    """Return where a network of another library is from, None for others."""
    for kind in type(network).__mro__:
        if kind.__module__.partition(".")[0] in ("torch", "tf_keras"):
            return f"a {type(network).__name__} of {kind.__module__.partition('.')[0]}"
    return None


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
    if image_size is not None and len(input_shape) != 3:
        raise ValueError(
            f"image_size={image_size} resizes images, but X has rows of shape {input_shape}; leave "
            "it None for tables"
        )
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
    resized = layers.Resizing(*image_size, name="resizing", dtype=full_precision())(images)
    nested = flatten_graph(keras.Model(images, model(resized), name=model.name))
    return copy_model(nested.model(nested.outputs[0], name=model.name))


def network_for(
    network,
    images,
    n_classes,
    *,
    rows,
    sample_weight,
    batch_size,
    image_size=None,
    dtype_policy=None,
):
    """Return a function that makes the network to train, from raw images to logits.

    Where the network is one of ours, the images are read once for their mean and variance; the
    other arguments are those of `mean_and_variance` and `build_logits`.
    """
    input_shape = tuple(images.shape[1:])
    network = as_network(network, input_shape)
    normalization = None
    if isinstance(network, ScratchNetwork):
        if len(input_shape) == 3 and input_shape[0] in (1, 3) and min(input_shape[1:]) > 4:
            warn(
                f"X has images of shape {input_shape}, which are {input_shape[0]} pixels high and "
                f"have {input_shape[2]} channels. If their channels come first, pass "
                "np.moveaxis(X, 1, -1)",
            )
        normalization = mean_and_variance(images, rows, sample_weight, batch_size)
    return partial(
        build_logits,
        network,
        input_shape,
        n_classes,
        normalization=normalization,
        image_size=image_size,
        dtype_policy=dtype_policy,
    )
