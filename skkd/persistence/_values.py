"""Values of parameters and attributes as JSON, and what JSON cannot hold beside it."""

import importlib
import io
import json
import math
import tempfile
import zipfile
from os import PathLike, fspath
from pathlib import Path

import joblib
import keras
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from skkd._keras_objects import functions_in, is_of, own_objects

# Larger arrays are members of their own.
_IN_JSON = 64


class NotSaved:
    """Stands, in what was loaded, for a parameter that a file without code could not hold.

    Whoever uses it is told so. Set the parameter anew before you fit again.

    Parameters
    ----------
    description : str
        What the parameter was.
    """

    def __init__(self, description):
        self.description = description

    def __repr__(self):
        return f"NotSaved({self.description!r})"

    def __eq__(self, other):
        return isinstance(other, NotSaved) and other.description == self.description

    def __hash__(self):
        return hash(self.description)


class CannotSaveError(ValueError):
    """A value that needs code to be read again."""


class IfPossible:
    """A value that is left out, a `NotSaved` in its place, where it needs code to be read again.

    Parameters
    ----------
    value : object
        The value.
    """

    def __init__(self, value):
        self.value = value


class Writer:
    """Turns values into what JSON holds, and collects the members that lie beside it.

    Attributes
    ----------
    members : dict of str to bytes
        Models, arrays and estimators of scikit-learn by the names of their members.
    left_out : list of str
        Parameters that could not be written, for a warning.
    custom_objects : set of str
        Classes that reading needs to be given.
    """

    def __init__(self):
        self.members = {}
        self.left_out = []
        self.custom_objects = set()
        self._models = {}

    def encode(self, value):
        """Return a value as JSON.

        Raises
        ------
        CannotSaveError
            If it needs code to be read again.
        """
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"$float": str(float(value))}
        if isinstance(value, NotSaved):
            return {"$not_saved": value.description}
        if isinstance(value, IfPossible):
            return self._encode_if_possible(value.value)
        if isinstance(value, list):
            return [self.encode(item) for item in value]
        if isinstance(value, tuple):
            return {"$tuple": [self.encode(item) for item in value]}
        if isinstance(value, dict):
            return self._encode_dict(value)
        if isinstance(value, np.generic):
            return {"$scalar": self.encode(np.asarray(value))}
        if isinstance(value, np.ndarray):
            return self._encode_array(value)
        if isinstance(value, pd.DataFrame) and value.empty:
            return {"$columns": [[self.encode(c), str(t)] for c, t in value.dtypes.items()]}
        if isinstance(value, np.random.RandomState):
            return {"$random_state": self.encode(value.get_state(legacy=False))}
        if isinstance(value, np.dtype):
            return {"$dtype": value.str}
        if isinstance(value, joblib.Memory):
            return value.location
        if isinstance(value, PathLike):
            return {"$path": fspath(value)}
        # Augmentation may be a Sequential without weights, which is no network to keep.
        if isinstance(value, keras.Model) and value.built:
            return {"$model": self._add_model(value)}
        if isinstance(value, BaseEstimator):
            return self._encode_contents(value)
        return self._encode_keras(value)

    def encode_estimator(self, value, params, fitted=None):
        """Return an estimator as JSON.

        Parameters
        ----------
        value : estimator
            Of which type and requests of metadata are taken.
        params : dict of str to object
            Its parameters. Those that need code are left out.
        fitted : dict of str to object, default=None
            What makes it fitted.
        """
        name = type(value).__name__
        if not _is_public(type(value)):
            self.custom_objects.add(name)
        encoded = {"$object": name, "parameters": {}}
        for parameter, given in params.items():
            try:
                encoded["parameters"][parameter] = self.encode(given)
            except CannotSaveError:
                # Without what it explains an explainer is nothing.
                if fitted is not None and parameter == "estimator":
                    raise
                encoded["parameters"][parameter] = {"$not_saved": _describe(given)}
                self.left_out.append(f"{parameter} of {name}, {_describe(given)}")
        if requests := _asked_for(value):
            encoded["requests"] = requests
        if fitted is not None:
            encoded["fitted"] = self.encode(fitted)
        return encoded

    def _encode_dict(self, value):
        plain = all(isinstance(name, str) and not name.startswith("$") for name in value)
        if plain and value and all(isinstance(item, np.ndarray) for item in value.values()):
            for array in value.values():
                _check_type(array)
            content = io.BytesIO()
            np.savez(content, **value)
            return {"$npz": self._add("arrays", ".npz", content.getvalue())}
        if plain:
            return {name: self.encode(item) for name, item in value.items()}
        return {"$dict": [[self.encode(k), self.encode(v)] for k, v in value.items()]}

    def _encode_array(self, array):
        if array.dtype.kind == "O":
            items = [self.encode(item) for item in array.ravel().tolist()]
            return {"$array": items, "shape": list(array.shape), "dtype": "object"}
        _check_type(array)
        if array.size <= _IN_JSON and array.dtype.kind in "biufU" and array.dtype.char not in "gG":
            items = [self.encode(item) for item in array.ravel().tolist()]
            return {"$array": items, "shape": list(array.shape), "dtype": array.dtype.str}
        content = io.BytesIO()
        np.save(content, array, allow_pickle=False)
        return {"$npy": self._add("array", ".npy", content.getvalue())}

    def _encode_contents(self, value):
        """Return an estimator as JSON, whoever's it is."""
        # A frozen estimator has every attribute of the one inside.
        if hasattr(type(value), "_to_save"):
            return self.encode_estimator(value, *value._to_save())
        if _is_public(type(value)):
            return self.encode_estimator(value, value.get_params(deep=False))
        # What derives from these may do anything.
        if type(value) is Pipeline:
            options = value.get_params(deep=False)
            steps = [[name, self.encode(step)] for name, step in options.pop("steps")]
            return {"$pipeline": steps, "options": self.encode(options)}
        if type(value) is FrozenEstimator:
            return {"$frozen": self.encode(value.estimator)}
        return {"$skops": self._add("estimator", ".skops", _dump_with_skops(value))}

    def _encode_if_possible(self, value):
        try:
            return self.encode(value)
        except CannotSaveError as error:
            return {"$not_saved": str(error)}

    def _encode_keras(self, value):
        if not (hasattr(value, "get_config") and _is_keras(value)) or functions_in(value):
            raise CannotSaveError(_describe(value))
        if getattr(value, "weights", None):
            raise CannotSaveError(f"{_describe(value)}, which has weights of its own")
        try:
            config = json.loads(json.dumps(keras.saving.serialize_keras_object(value)))
        # A user's class that does not say how it is made, or not with plain values.
        except (NotImplementedError, TypeError) as error:
            raise CannotSaveError(_describe(value)) from error
        self._custom(foreign_objects(config))
        return {"$keras": config}

    def _add_model(self, model):
        if id(model) not in self._models:
            if any(isinstance(part, keras.layers.Lambda) for part in model._flatten_layers()):
                raise CannotSaveError(
                    f"model {model.name!r} has a Lambda layer, which is code; use operations of "
                    "keras.ops or a layer of your own in its place, or pickle the estimator"
                )
            self._custom(own_objects(model))
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "model.keras")
                model.save(path, include_optimizer=False)
                content = path.read_bytes()
            # The model is kept too, so that no other is made at its place in memory.
            self._models[id(model)] = self._add("model", ".keras", content), model
        return self._models[id(model)][0]

    def _custom(self, names):
        self.custom_objects |= {name.rpartition(">")[2] for name in names}

    def _add(self, stem, suffix, content):
        number = sum(name.startswith(stem) for name in self.members)
        name = f"{stem}{'' if number == 0 else f'_{number + 1}'}{suffix}"
        self.members[name] = content
        return name


class Reader:
    """Turns what `Writer` made back into values.

    Parameters
    ----------
    members : dict of str to bytes
        Models, arrays and estimators of scikit-learn by the names of their members.
    custom_objects : dict of str to object
        Classes that are neither of Keras nor of skkd.
    """

    def __init__(self, members, custom_objects):
        self.members = members
        self.custom_objects = custom_objects
        self._models = {}

    def decode(self, encoded):
        """Return the value that was encoded."""
        if isinstance(encoded, list):
            return [self.decode(item) for item in encoded]
        if not isinstance(encoded, dict):
            return encoded
        kinds = [name for name in encoded if name.startswith("$")]
        if not kinds:
            return {name: self.decode(item) for name, item in encoded.items()}
        if kinds[0] not in _KINDS:
            raise ValueError(f"it holds a value of a kind that is not known here, {kinds[0]!r}")
        return _KINDS[kinds[0]](self, encoded)

    def _decode_float(self, encoded):
        return float(encoded["$float"])

    def _decode_not_saved(self, encoded):
        return NotSaved(encoded["$not_saved"])

    def _decode_tuple(self, encoded):
        return tuple(self.decode(encoded["$tuple"]))

    def _decode_dict(self, encoded):
        return {self.decode(key): self.decode(value) for key, value in encoded["$dict"]}

    def _decode_scalar(self, encoded):
        return self.decode(encoded["$scalar"])[()]

    def _decode_array(self, encoded):
        array = np.empty(len(encoded["$array"]), np.dtype(encoded["dtype"]))
        array[:] = self.decode(encoded["$array"])
        return array.reshape(encoded["shape"])

    def _decode_random_state(self, encoded):
        random_state = np.random.RandomState()
        random_state.set_state(self.decode(encoded["$random_state"]))
        return random_state

    def _decode_dtype(self, encoded):
        return np.dtype(encoded["$dtype"])

    def _decode_columns(self, encoded):
        types = {self.decode(column): name for column, name in encoded["$columns"]}
        return pd.DataFrame(columns=list(types)).astype(types)

    def _decode_npy(self, encoded):
        return np.load(io.BytesIO(self.members[encoded["$npy"]]), allow_pickle=False)

    def _decode_npz(self, encoded):
        with np.load(io.BytesIO(self.members[encoded["$npz"]]), allow_pickle=False) as arrays:
            return dict(arrays)

    def _decode_path(self, encoded):
        return Path(encoded["$path"])

    def _decode_model(self, encoded):
        name = encoded["$model"]
        if name not in self._models:
            self._models[name] = self._read_model(name)
        return self._models[name]

    def _decode_object(self, encoded):
        name = encoded["$object"]
        kind = self.custom_objects.get(name, _public(name))
        if not (isinstance(kind, type) and issubclass(kind, BaseEstimator)):
            raise ValueError(
                f"{name!r} is no estimator of skkd; if it is one of yours, pass its class: "
                f"load(path, custom_objects={{{name!r}: {name}}})"
            )
        made = kind(**{key: self.decode(v) for key, v in encoded["parameters"].items()})
        for method, requests in self.decode(encoded.get("requests", {})).items():
            getattr(made, f"set_{method}_request")(**requests)
        if "fitted" in encoded:
            made._set_fitted(self.decode(encoded["fitted"]))
        return made

    def _decode_pipeline(self, encoded):
        steps = [(name, self.decode(step)) for name, step in encoded["$pipeline"]]
        return Pipeline(steps, **self.decode(encoded["options"]))

    def _decode_frozen(self, encoded):
        return FrozenEstimator(self.decode(encoded["$frozen"]))

    def _decode_skops(self, encoded):
        return _import_skops("read").loads(self.members[encoded["$skops"]])

    def _decode_keras(self, encoded):
        config = encoded["$keras"]
        return keras.saving.deserialize_keras_object(
            config, custom_objects=self._allowed(config), safe_mode=True
        )

    def _read_model(self, name):
        content = self.members[name]
        with zipfile.ZipFile(io.BytesIO(content)) as model:
            allowed = self._allowed(json.loads(model.read("config.json")))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.keras")
            path.write_bytes(content)
            return keras.saving.load_model(
                path,
                compile=False,
                custom_objects=allowed,
                safe_mode=True,
            )

    def _allowed(self, config):
        """Return the classes that a configuration may use, by the names under which it does.

        Whatever is neither of Keras nor allowed is refused here: some versions of Keras look for it
        in any module.
        """
        allowed = dict(self.custom_objects)
        for registered in foreign_objects(config):
            name = registered.rpartition(">")[2]
            if name in allowed:
                allowed[registered] = allowed[name]
            elif registered not in allowed and not keras.saving.get_registered_object(registered):
                raise ValueError(
                    f"it holds {name!r}, which is not of Keras; if you trust the file, pass the "
                    f"class: load(path, custom_objects={{{name!r}: {name}}})"
                )
        return allowed


_KINDS = {
    name.replace("_decode_", "$"): method
    for name, method in vars(Reader).items()
    if name.startswith("_decode_")
}


def foreign_objects(config):
    """Return the registered names of classes and functions in a configuration not Keras's own."""
    if isinstance(config, list):
        return set().union(*map(foreign_objects, config))
    if not isinstance(config, dict):
        return set()
    found = foreign_objects(list(config.values()))
    module = config.get("module")
    if config.get("class_name") == "function" and module == "builtins":
        if not _is_function_of_keras(config):
            found.add(config["config"])
    elif isinstance(module, str) and module.partition(".")[0] != "keras":
        found.add(config.get("registered_name") or config["class_name"])
    return found


def _is_function_of_keras(config):
    """Return whether Keras knows a function by its bare name, in whichever of its modules."""
    try:
        function = keras.saving.deserialize_keras_object(config)
    except TypeError:
        return False
    return is_of(function, "keras")


def _public(name):
    """Return what skkd has under a public name, None if it has none."""
    skkd = importlib.import_module("skkd")
    return getattr(skkd, name) if name in skkd.__all__ else None


def _is_public(kind):
    return _public(kind.__name__) is kind


def _asked_for(estimator):
    """Return the metadata that an estimator has been set to request, by method."""
    requests = estimator.get_metadata_routing()._serialize().items()
    chosen = {m: {k: v for k, v in asked.items() if v is not None} for m, asked in requests}
    return {method: asked for method, asked in chosen.items() if asked}


def _check_type(array):
    """Refuse types that NumPy does not write so that it reads them again, such as bfloat16."""
    try:
        same = np.dtype(array.dtype.str) == array.dtype
    # Some types of other packages have a name that NumPy does not know.
    except TypeError:
        same = False
    if array.dtype.kind not in "biufcmMSU" or not same:
        raise CannotSaveError(f"an array of type {array.dtype}")


def _is_keras(value):
    kinds = (
        keras.layers.Layer,
        keras.optimizers.Optimizer,
        keras.optimizers.schedules.LearningRateSchedule,
        keras.DTypePolicy,
    )
    return isinstance(value, kinds)


def _describe(value):
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} of {', '.join(map(_describe, value))}"
    name = getattr(value, "__qualname__", None) or getattr(value, "name", None)
    kind = type(value).__name__
    return f"{kind} {name}" if isinstance(name, str) else kind


def _import_skops(doing):
    try:
        return importlib.import_module("skops.io")
    except ImportError as error:
        raise CannotSaveError(
            f"to {doing} an estimator of scikit-learn without pickle, install skops"
        ) from error


def _dump_with_skops(estimator):
    """Return an estimator as skops writes it, if skops reads it without being told to trust it."""
    skops = _import_skops("write")
    try:
        content = skops.dumps(estimator)
    # Of what skops does not know it may trip over anything.
    except Exception as error:
        raise CannotSaveError(f"skops cannot write {type(estimator).__name__}: {error}") from error
    if untrusted := skops.get_untrusted_types(data=content):
        raise CannotSaveError(
            f"{type(estimator).__name__} holds {untrusted}, which skops does not trust by itself"
        )
    return content
