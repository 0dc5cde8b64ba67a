"""Copies of networks, layers and optimizers of this process."""

import tempfile
from functools import partial
from pathlib import Path

import keras
import numpy as np

from skkd._keras_objects import (
    KEPT_BY_KERAS,
    functions_in,
    is_function,
    is_of,
    own_objects,
    put_functions,
)
from skkd.models._graph import Alias, ends, open_model, without_traces


def copy_architecture(model):
    """Return a new model of the same architecture with random weights, not compiled.

    What is no weight is copied, such as what a layer has adapted to.

    Parameters
    ----------
    model : keras.Model
        Of known inputs. A subclassed one consists of layers and of operations of ``keras.ops``.
    """
    return _opened_and_copied(model)[1]


def copy_model(model):
    """Return a new model that computes what a model does, in layers of its own.

    A layer that was called before it became part of a model gives the first call's tensor as its
    ``output``. Here every layer's ``output`` leads from the model's ``input``.
    """
    source, copy = _opened_and_copied(model)
    # A subclassed model has its weights in the order of its attributes, not of its calls.
    load_weights(copy, source.get_weights())
    return copy


def load_weights(model, weights):
    """Set all weights of a model, and what its layers derive from them, as Keras does on loading.

    Parameters
    ----------
    model : keras.Model
        It is changed.
    weights : list of ndarray
        From ``get_weights``.
    """
    model.set_weights(weights)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def copy_layer(layer):
    """Return a copy of a layer, built and with its state where it has any.

    Parameters
    ----------
    layer : keras.layers.Layer
        With its own ``get_config`` where it takes what is no plain value.
    """
    if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):
        return copy_model(layer)
    if isinstance(layer, keras.Sequential):
        return keras.Sequential([copy_layer(part) for part in layer.layers], name=layer.name)
    copy = _copy_by_config(layer)
    _copy_state(layer, copy)
    return copy


def copy_optimizer(optimizer):
    """Return a new optimizer that is set as one is; a schedule is shared with it.

    Parameters
    ----------
    optimizer : keras.optimizers.Optimizer
        It is only read.
    """
    schedule = _schedule(optimizer)
    if schedule is None:
        return _copy_by_config(optimizer)
    copy = _copy_by_config(_without_schedule(optimizer))
    copy.learning_rate = schedule
    return copy


def description(thing):
    """Return a text that tells two objects of Keras apart, the same one in another process.

    Parameters
    ----------
    thing : object with get_config
        A layer, model, optimizer or the like.
    """
    functions = [getattr(f, "__qualname__", type(f).__name__) for f in functions_in(thing).values()]
    if isinstance(thing, keras.Model) and functions:
        return str([description(layer) for layer in thing._flatten_layers(include_self=False)])
    schedule = _schedule(thing)
    if schedule is not None:
        thing = _without_schedule(thing)
        functions += [type(schedule).__qualname__, vars(schedule)]
    try:
        config = _without_functions(thing).get_config()
    # So does a layer whose class has no get_config, and takes what is no plain value; Keras 3.11
    # fails over its own message there.
    except (NotImplementedError, ValueError):
        config = type(thing).__qualname__
    return f"{config}{functions or ''}"


def _schedule(thing):
    """Return the living learning rate of an optimizer, None where it is a number."""
    rate = vars(thing).get("_learning_rate")
    return rate if callable(rate) else None


def _without_schedule(optimizer):
    """Return the like of an optimizer: a schedule need not be able to describe itself."""
    bare = object.__new__(type(optimizer))
    vars(bare).update(vars(optimizer), _learning_rate=None)
    return bare


def _opened_and_copied(model):
    """Return a model whose layers can be walked, and its copy with random weights."""
    copies = {}
    with without_traces(model):
        opened = open_model(model)
        # A model made anew from the same tensors is not compiled, so copying it needs none of the
        # user's own losses.
        source = keras.Model(*ends(opened), name=opened.name)
        copy = _copy_model(source, copies)
    for layer in source._flatten_layers():
        if hasattr(layer, "finalize_state") and id(layer) in copies:
            _copy_state(layer, copies[id(layer)])
    return source, copy


def _copy_model(model, copies):
    return keras.models.clone_model(model, clone_function=partial(_copy_part, copies=copies))


def _copy_part(layer, copies):
    """Copy a layer of a model once, wherever it is called."""
    if id(layer) not in copies:
        if isinstance(layer, keras.Sequential) or hasattr(layer, "operations"):
            copies[id(layer)] = _copy_model(layer, copies)
        else:
            copies[id(layer)] = _copy_by_config(layer)
    return copies[id(layer)]


def _copy_by_config(thing):
    """Make an object anew from its configuration, and give it the living functions of the old."""
    name = getattr(thing, "name", None)
    if isinstance(thing, Alias):
        # A layer that is shared with nobody can have the other name itself.
        thing = thing.layer
    try:
        config = keras.saving.serialize_keras_object(_without_functions(thing))
        # Building it is left to its first call, as that of any new layer.
        config = {k: v for k, v in config.items() if k not in ("build_config", "compile_config")}
        if "name" in config.get("config", {}) and name is not None:
            config["config"] = {**config["config"], "name": name}
        copy = keras.saving.deserialize_keras_object(
            config, custom_objects=own_objects(thing), safe_mode=False
        )
    # A class of a user may fail in any way here.
    except Exception as error:
        raise ValueError(
            f"{type(thing).__name__} {name!r} cannot be copied, as it does not say how it is made; "
            f"give the class a get_config that returns the arguments of its __init__: {error}"
        ) from error
    put_functions(copy, functions_in(thing))
    _put_plain_values(thing, copy)
    return copy


def _copy_state(source, target):
    """Copy weights and whatever else a layer saves, as Keras saves and loads it."""
    if source.built and not target.built:
        shapes = source.get_build_config()
        if shapes:
            target.build_from_config(shapes)
    store = {}
    source.save_own_variables(store)
    if store:
        target.load_own_variables({k: keras.ops.convert_to_numpy(v) for k, v in store.items()})
    if hasattr(source, "save_assets"):
        with tempfile.TemporaryDirectory() as folder:
            source.save_assets(folder)
            if any(Path(folder).iterdir()):
                target.load_assets(folder)
    for ours, theirs in zip(target._layers, source._layers, strict=True):
        _copy_state(theirs, ours)


def _without_functions(value, name=""):
    """Return the like of a value without functions, which a configuration need not be able to hold.

    What may stand under the name of an attribute stands for them.
    """
    if is_function(value):
        if name.endswith(("regularizer", "constraint")):
            return None
        initializes = name.endswith("initializer")
        return keras.initializers.Zeros() if initializes else keras.activations.linear
    if type(value) in (list, tuple):
        return type(value)(_without_functions(item) for item in value)
    if type(value) is dict:
        return {name: _without_functions(item) for name, item in value.items()}
    if isinstance(value, keras.Model | type) or not hasattr(value, "get_config"):
        return value
    if not functions_in(value):
        return value
    bare = object.__new__(type(value))
    for name, part in vars(value).items():
        vars(bare)[name] = part if name in KEPT_BY_KERAS else _without_functions(part, name)
    return bare


def _put_plain_values(source, target):
    """Give a copy the numbers and texts that a user has set on an object of a class of theirs."""
    if is_of(type(source), "keras", "skkd"):
        return
    for name, value in vars(source).items():
        plain = isinstance(value, bool | int | float | str | np.ndarray | np.generic)
        if plain and not name.startswith("_") and name not in KEPT_BY_KERAS:
            setattr(target, name, value)
