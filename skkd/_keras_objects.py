"""What users put into objects of Keras, and pickles of these that can be read."""

import pickle
import types
import weakref

import keras

# What Keras looks after itself in every layer and model.
KEPT_BY_KERAS = {
    *("built", "name", "build", "quantize"),
    *("train_function", "test_function", "predict_function"),
}


class ByKeras:
    """Something of Keras that pickles as Keras does it, with what it needs to be read again.

    Keras pickles its objects by their names alone, and classes and functions of a user that are
    not registered could never be read. Here they are pickled beside, as pickle does it: by module
    and name, so that what has none, such as a lambda, is refused when it is written.

    Parameters
    ----------
    source : keras.Model, keras.layers.Layer or keras.optimizers.Optimizer
        What is pickled.
    """

    def __init__(self, source):
        self.source = source

    def __reduce__(self):
        """Return how to make the object itself again, not this one."""
        functions = functions_in(self.source)
        for path, function in functions.items():
            owner = _follow(self.source, path[:-1])
            # Keras writes a lambda anywhere, and reads it in this layer alone.
            is_lambda = getattr(function, "__name__", "") == "<lambda>"
            if is_lambda and not isinstance(owner, keras.layers.Lambda):
                raise pickle.PicklingError(
                    f"{type(owner).__name__} {getattr(owner, 'name', '')!r} holds a lambda as its "
                    f"{path[-1]}, which cannot be pickled; give it a function made by def"
                )
        # Keras's own way, or SciKeras's where that was imported first.
        read, written = self.source.__reduce__()[:2]
        return _read, (read, written, own_objects(self.source), functions)


# While one pickle is made, its wrappers live, and what is met again is pickled once.
_WRAPPERS = weakref.WeakValueDictionary()


def picklable(value):
    """Return a value in whose place objects of Keras, in lists and dicts too, pickle as `ByKeras`.

    Parameters
    ----------
    value : object
        An attribute of an estimator.
    """
    if isinstance(value, keras.layers.Layer | keras.optimizers.Optimizer):
        wrapper = _WRAPPERS.get(id(value))
        if wrapper is None or wrapper.source is not value:
            wrapper = _WRAPPERS[id(value)] = ByKeras(value)
        return wrapper
    if type(value) in (list, tuple):
        return type(value)(picklable(item) for item in value)
    if type(value) is dict:
        return {name: picklable(item) for name, item in value.items()}
    return value


def own_objects(thing):
    """Return the classes and functions inside something of Keras that are not Keras's own.

    Parameters
    ----------
    thing : object
        A layer, model, optimizer or the like.

    Returns
    -------
    objects : dict of str to object
        By the names under which Keras asks for them.
    """
    objects = {}
    for _, value in _walk(thing):
        found = value if isinstance(value, types.FunctionType) else type(value)
        if hasattr(value, "get_config") or found is value:
            if is_of(found, "keras", "skkd"):
                continue
            objects[found.__name__] = found
            objects[keras.saving.get_registered_name(found)] = found
    return objects


def functions_in(thing):
    """Return the functions of a user inside an object, by where they are."""
    return {path: value for path, value in _walk(thing) if is_function(value)}


def put_functions(thing, functions):
    """Put functions where `functions_in` found them in an object that this one is a copy of."""
    for path, function in functions.items():
        _put(thing, path, function)


def _follow(thing, path):
    for step in path:
        thing = (vars(thing) if hasattr(thing, "get_config") else thing)[step]
    return thing


def _put(thing, path, value):
    """Put a value where a path leads to; return what then stands at the path's beginning."""
    step, *rest = path
    parts = vars(thing) if hasattr(thing, "get_config") else thing
    if rest:
        value = _put(parts[step], rest, value)
    if value is parts[step]:
        return thing
    if isinstance(thing, tuple):
        return (*thing[:step], value, *thing[step + 1 :])
    if parts is thing:
        thing[step] = value
    else:
        setattr(thing, step, value)
    return thing


def _walk(thing, path=(), seen=None):
    """Yield what is of Keras inside an object, and functions of a user, with where they are."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if is_function(thing):
        yield path, thing
    elif isinstance(thing, list | tuple):
        for number, item in enumerate(thing):
            yield from _walk(item, (*path, number), seen)
    elif isinstance(thing, dict):
        for name, item in thing.items():
            yield from _walk(item, (*path, name), seen)
    elif hasattr(thing, "get_config") and not isinstance(thing, type):
        yield path, thing
        for name, value in vars(thing).items():
            if name not in KEPT_BY_KERAS:
                yield from _walk(value, (*path, name), seen)


def is_function(value):
    """Return whether a value is a function of a user, or anything that is called like one."""
    if isinstance(value, type | types.MethodType) or hasattr(value, "get_config"):
        return False
    # On PyTorch the parts of a layer are modules, which can be called.
    return callable(value) and not is_of(value, "keras", "skkd") and not _is_module(value)


def _is_module(value):
    return (type(value).__module__ or "").partition(".")[0] == "torch"


def is_of(thing, *packages):
    """Return whether a class or function comes from one of some packages, or from Python."""
    package = (getattr(thing, "__module__", None) or "").partition(".")[0]
    return package in (*packages, "builtins")


def _read(read, written, objects, functions):
    with keras.saving.custom_object_scope(objects):
        thing = read(*written)
    put_functions(thing, functions)
    return thing
