"""Compiled networks that serve one model of an architecture after another."""

import contextlib
import json
import math
import threading
import weakref

import keras
import numpy as np

from skkd._backend import may_share_traces, on_one_device, put_back_weights
from skkd._keras_objects import functions_in, is_function, is_of, own_objects
from skkd._scikeras import seeded
from skkd.models._copies import copy_optimizer
from skkd.models._graph import ends
from skkd.models._progress import EpochLines

_MAX_TWINS = 8
# Weights and what an optimizer knows of them, 256 MiB in float32.
_MAX_VALUES = 64 * 2**20
# Training a larger one takes far longer than tracing it, and a twin of it much memory.
_MAX_WEIGHTS = 16 * 2**20

# After so many predictions a model has its own traced: each in a twin costs a copy of the weights.
_FEW_PREDICTIONS = 8
_LENT = weakref.WeakKeyDictionary()

# Callbacks that keep nothing of the model they see but what is told to them.
_SEES_NO_WEIGHTS = (
    keras.callbacks.CSVLogger,
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.ReduceLROnPlateau,
    keras.callbacks.TerminateOnNaN,
    EpochLines,
)


@contextlib.contextmanager
def lent_for_training(model, callbacks=()):
    """Lend a compiled model whose training step may be traced already, in the place of another.

    Every fit of a search trains another model of one architecture. Tracing its training step
    takes longer than a small network's training. What differs from fit to fit, the weights, the
    state of optimizer and random layers, the learning rate, the mean and variance by which images
    are normalized and the numbers of a loss, is data here: it is put into a twin that was traced
    before, and what the twin has become is put back at the end.

    Parameters
    ----------
    model : keras.Model
        Compiled. It is lent itself where nobody may see another one in its place, or where the
        like of it cannot be told: with layers of a user's own, with large weights, with callbacks
        that may look at weights, or on several devices.
    callbacks : list of keras.callbacks.Callback
        A user's callbacks, which have the model itself again at the end.
    """
    key = _training_key(model, callbacks)
    if key is None:
        yield model
        return
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    with _POOL.lent(key, lambda: _Twin(model)) as twin:
        if not twin.is_like(model):
            yield model
            return
        twin.take(model, training=True)
        try:
            yield twin.model
        except Exception:
            # A step that fails may take the weights with it, and it is its error that counts.
            with contextlib.suppress(Exception):
                _give_back(twin, model, callbacks)
            raise
        except BaseException:
            _give_back(twin, model, callbacks)
            raise
        _give_back(twin, model, callbacks)


def _give_back(twin, model, callbacks):
    put_back_weights(twin.model)
    twin.give(model)
    model.history, twin.model.history = getattr(twin.model, "history", None), None
    for callback in [*callbacks, model.history]:
        if callback is not None:
            callback.set_model(model)


@contextlib.contextmanager
def lent_for_prediction(model):
    """Lend a model that is compiled already and now has a model's weights, or the model itself.

    Parameters
    ----------
    model : keras.Model
        From images to logits.
    """
    lent_before = _LENT.get(model, 0)
    few = _POOL.twins and lent_before < _FEW_PREDICTIONS
    architecture = _architecture(model) if few else None
    twin = _POOL.take(lambda key: key[0] == architecture) if architecture else None
    if twin is None:
        yield model
        return
    if twin.is_like(model):
        _LENT[model] = lent_before + 1
        twin.take(model)
        yield twin.model
    else:
        yield model
    _POOL.put(twin)


class _Twin:
    """A compiled model that takes in the state of others of its architecture.

    Parameters
    ----------
    model : keras.Model
        Compiled; it is only read.
    """

    def __init__(self, model):
        # Its random weights are put aside; nobody else's random numbers must move for them.
        with seeded(0):
            self.model = keras.models.clone_model(_bare(model), clone_function=_clone_part)
        self.model.compile(
            optimizer=copy_optimizer(model.optimizer),
            loss=model.loss,
            metrics=[type(metric).from_config(metric.get_config()) for metric in _metrics(model)],
            auto_scale_loss=False,
        )
        optimizer = self.model.optimizer
        on_one_device(getattr(optimizer, "inner_optimizer", optimizer))
        optimizer.build(self.model.trainable_variables)
        self._rescalings = _rescalings(self.model)
        constants = {id(v) for layer in self._rescalings for v in layer.variables}
        self._variables = [v for v in self.model.variables if id(v) not in constants]
        self.n_values = _n_values([*self.model.variables, *optimizer.variables])

    def is_like(self, model):
        """Return whether a model has the same weights at the same places.

        One layer within two nested models is two in their copies.
        """
        return _weights_of(self._variables) == _weights_of(model.variables)

    def take(self, model, *, training=False):
        """Become like a model."""
        self._copy(model, training, _put)
        for ours, theirs in zip(self._rescalings, _rescalings(_bare(model)), strict=True):
            for name in ("scale", "offset"):
                # As the layer itself would have it.
                value = theirs.backend.cast(getattr(theirs, name), theirs.compute_dtype)
                getattr(ours, name).assign(keras.ops.copy(value))

    def give(self, model):
        """Make a model like what this one has been trained to."""
        self._copy(model, True, lambda ours, theirs: _put(theirs, ours))

    def _copy(self, model, training, copy):
        for ours, theirs in zip(self._variables, model.variables, strict=True):
            copy(ours, theirs)
        if training:
            states = self.model.optimizer.variables, model.optimizer.variables
            for ours, theirs in zip(*states, strict=True):
                copy(ours, theirs)


def _put(variable, other):
    # A training step of JAX takes over the memory of the weights that it begins with.
    variable.assign(keras.ops.copy(other.value))


class _Rescaling(keras.layers.Rescaling):
    """The layer with its constants as weights."""

    def build(self, input_shape):
        """Make the weights."""
        for name in ("scale", "offset"):
            constant = self.backend.cast(getattr(self, name), self.compute_dtype)
            weight = self.add_weight(
                shape=tuple(constant.shape),
                dtype=self.compute_dtype,
                trainable=False,
                autocast=False,
                name=name,
            )
            setattr(self, name, weight)


class _Pool:
    """Twins that nobody is using, the last used at the end."""

    def __init__(self):
        self.twins = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def lent(self, key, make):
        """Lend a twin with a key; one with which something fails is not used again."""
        twin = self.take(lambda its: its == key)
        if twin is None:
            twin = make()
            twin.key = key
        yield twin
        self.put(twin)

    def take(self, fits):
        """Take out the last used twin whose key fits, None where there is none."""
        with self._lock:
            for place in reversed(range(len(self.twins))):
                if fits(self.twins[place].key):
                    return self.twins.pop(place)
        return None

    def put(self, twin):
        """Put a twin back, and forget those not used for the longest."""
        with self._lock:
            self.twins.append(twin)
            while len(self.twins) > _MAX_TWINS or sum(t.n_values for t in self.twins) > _MAX_VALUES:
                self.twins.pop(0)


_POOL = _Pool()


def _training_key(model, callbacks):
    """Return what models have in common that can be trained by one twin, None where none can."""
    if not all(type(callback) in _SEES_NO_WEIGHTS for callback in callbacks):
        return None
    architecture = _architecture(model)
    optimizer = model.optimizer
    if architecture is None or own_objects(optimizer) or functions_in(optimizer):
        return None
    loss = model.loss
    structure = loss.structure if hasattr(loss, "structure") else str(loss.get_config())
    if structure is None:
        return None
    metrics = str([(type(metric), metric.get_config()) for metric in _metrics(model)])
    return architecture, _settings(optimizer), type(loss), structure, metrics


def _settings(optimizer):
    """Return what is fixed in an optimizer's step, as a text."""
    config = {**optimizer.get_config(), "name": None}
    if hasattr(optimizer, "inner_optimizer"):
        config["inner_optimizer"] = _settings(optimizer.inner_optimizer)
    elif not isinstance(config["learning_rate"], dict):
        # A number is a variable of the optimizer.
        del config["learning_rate"]
    return f"{type(optimizer).__qualname__}{config}"


def _architecture(model):
    """Return a text that is the same for models that compute alike but for their state.

    None where that cannot be told from configurations, and where nothing is gained by it.
    """
    if not may_share_traces() or _n_values(model.weights) > _MAX_WEIGHTS:
        return None
    bare = _bare(model)
    if own_objects(bare) or functions_in(bare) or _is_called_with_functions(bare):
        return None
    if not all(_is_of_keras(rule) for variable in model.variables for rule in _rules(variable)):
        return None
    if any(hasattr(layer, "finalize_state") for layer in bare._flatten_layers()):
        # What these have adapted to is frozen into what is traced.
        return None
    settings = (
        keras.config.floatx(),
        keras.config.epsilon(),
        keras.config.image_data_format(),
        keras.config.dtype_policy().name,
    )
    try:
        config = bare.get_config()
        for layer in config["layers"]:
            if layer["class_name"] == "Rescaling":
                of_layer = layer["config"]
                constants = {name: _shape(of_layer[name]) for name in ("scale", "offset")}
                layer["config"] = {**of_layer, **constants}
        weights = _weights_of(model.variables)
        return json.dumps([settings, weights, _without_names(config)], sort_keys=True)
    # Some operations hold what no configuration or text can say.
    except (NotImplementedError, TypeError, ValueError):
        return None


def _is_called_with_functions(model):
    """Return whether an operation of a model, or of one within, was called with a function."""
    graphs = [getattr(layer, "_functional", layer) for layer in model._flatten_layers()]
    depths = [nodes for graph in graphs for nodes in getattr(graph, "_nodes_by_depth", {}).values()]
    calls = [node.arguments for nodes in depths for node in nodes]
    return any(
        is_function(value)
        for call in calls
        for value in keras.tree.flatten([call.args, call.kwargs])
    )


def _bare(model):
    """Return a model of the same layers that is not compiled."""
    return keras.Model(*ends(model))


def _clone_part(layer):
    kind = _Rescaling if type(layer) is keras.layers.Rescaling else type(layer)
    return kind.from_config(layer.get_config())


def _rescalings(model):
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Rescaling)]


def _metrics(model):
    """Return the metrics that a model was compiled with."""
    return model._compile_metrics._user_metrics if model._compile_metrics else []


def _n_values(variables):
    return sum(math.prod(variable.shape) for variable in variables)


def _weights_of(variables):
    return [
        (
            *(list(variable.shape), str(variable.dtype), bool(variable.trainable)),
            # Set by a layer as its configuration says, or by whoever has the variable.
            *(f"{type(rule)}{rule and rule.get_config()}" for rule in _rules(variable)),
        )
        for variable in variables
    ]


def _rules(variable):
    return variable.regularizer, variable.constraint


def _is_of_keras(rule):
    return rule is None or (hasattr(rule, "get_config") and is_of(type(rule), "keras"))


def _shape(constant):
    """Return the shape of a number or list; an array is written down as it is."""
    return constant if isinstance(constant, dict) else list(np.shape(constant))


def _without_names(config, numbers=None):
    """Return a configuration with layers by their number: names are counted up in a process.

    Seeds are left out too, as the random state that they begin is part of a model's.
    """
    if isinstance(config, list | tuple):
        if len(config) == 3 and isinstance(config[0], str) and config[0] in (numbers or {}):
            return [numbers[config[0]], *config[1:]]
        return [_without_names(item, numbers) for item in config]
    # The name of a policy says what it is.
    if not isinstance(config, dict) or "DTypePolicy" in str(config.get("class_name")):
        return config
    if isinstance(config.get("layers"), list):
        names = [layer.get("name") for layer in config["layers"]]
        numbers = {name: number for number, name in enumerate(names) if name is not None}
    return {
        name: _without_names(value, numbers)
        for name, value in config.items()
        if name not in ("name", "seed")
    }
