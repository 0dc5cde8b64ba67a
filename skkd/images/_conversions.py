"""What other libraries call images and labels, as arrays; for what is none, the way to one."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Set

import numpy as np
from PIL import Image, ImageOps
from scipy.sparse import issparse

_TENSORS = {"torch", "tensorflow", "jax", "jaxlib", "keras"}
# Classes by library and name: none of these libraries need be there.
_LOADERS = {
    ("keras", "PyDataset"),
    ("tf_keras", "Sequence"),
    ("torch", "DataLoader"),
    ("torch", "Dataset"),
}
_UNEVEN = {("tensorflow", "RaggedTensor"), ("tensorflow", "SparseTensor")}


def to_array(X, name="X"):
    """Return what has a shape and rows; tensors, lists of images and datasets become arrays.

    Parameters
    ----------
    X : object
        What a user calls images, a table, paths or labels.
    name : str, default="X"
        What the user calls this parameter, for errors.

    Returns
    -------
    array : array-like with ``shape``
        X itself where it has one and is no tensor.

    Raises
    ------
    ValueError
        If X is a loader, an iterator or a mapping, or its items differ in shape.
    """
    _refuse_no_array(X, name)
    if is_dataset(X):
        return read_dataset(X)[0]
    if hasattr(X, "shape"):
        return as_numpy(X) if _library(type(X)) in _TENSORS else X
    if isinstance(X, Image.Image):
        raise ValueError(f"{name} must be many images; got a single one: pass [{name}]")
    if hasattr(X, "__array__") or not hasattr(X, "__len__"):
        return np.asarray(X)
    return stack(list(X), name)


def stack(items, name="X"):
    """Return a list of images, rows or single values as an array.

    Parameters
    ----------
    items : list
        Arrays, tensors, images of Pillow, nested lists, or single values.
    name : str, default="X"
        What the user calls them, for errors.

    Returns
    -------
    array : ndarray of shape (n, ...)
        The items along a new first axis.
    """
    if not any(map(has_axes, items)):
        return np.asarray(items)
    rows = [_as_row(item, number, name) for number, item in enumerate(items)]
    shapes = [row.shape for row in rows]
    shape = Counter(shapes).most_common(1)[0][0]
    others = [number for number, other in enumerate(shapes) if other != shape]
    if others:
        row, same = others[0], shapes.index(shape)
        raise ValueError(
            f"{name} must hold images of one and the same shape; row {row} is of shape "
            f"{shapes[row]} and row {same} of shape {shape}, and {len(others)} of {len(rows)} rows "
            "differ. Bring them to one size and number of channels, or pass the paths of their "
            "files with image_size=(height, width)"
        )
    return np.stack(rows)


def has_axes(item):
    """Tell whether one item of a column is an image or a row of values itself."""
    if isinstance(item, list | tuple | Image.Image):
        return True
    return len(getattr(item, "shape", ())) > 0


def as_numpy(tensor):
    """Return a tensor of any framework as an array NumPy calculates with."""
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu()
        if str(tensor.dtype) == "torch.bfloat16":
            tensor = tensor.float()
    array = np.asarray(tensor)
    if array.dtype.kind == "V" and array.dtype.names is None:
        # bfloat16, which float32 holds exactly.
        array = array.astype(np.float32)
    return array


def as_numbers(values, name):
    """Return an array of a type that NumPy calculates with.

    Parameters
    ----------
    values : array-like
        Numbers, also as Python's own objects.
    name : str
        What the user calls them, for errors.

    Returns
    -------
    values : ndarray
        Booleans, integers or floats.
    """
    if not isinstance(values, np.ndarray) or values.dtype.kind == "V":
        values = as_numpy(values)
    if values.dtype == object:
        # What is no number is refused below.
        with contextlib.suppress(TypeError, ValueError):
            values = values.astype(np.float64)
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold numbers; got values of type {values.dtype}")
    return values


def is_dataset(X):
    """Tell whether X is a tf.data.Dataset, whose framework need not be there."""
    return hasattr(X, "element_spec") and hasattr(X, "as_numpy_iterator")


def split_dataset(X, y):
    """Return images and labels, both taken from X in one pass if it is a dataset of pairs.

    Parameters
    ----------
    X : object
        What a user calls images.
    y : object or None
        What a user calls their labels.

    Returns
    -------
    X, y : object
        As they were, unless X is a dataset that brings labels.
    """
    if not is_dataset(X) or hasattr(X.element_spec, "shape"):
        return X, y
    if y is not None:
        raise ValueError(
            "y must be None where X is a dataset of (image, label) batches, which brings the "
            "labels; or pass images alone, as X.map(lambda image, label: image)"
        )
    X, y = read_dataset(X, in_order=False)
    # Keras's label_mode="binary" gives a column.
    return X, y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def read_dataset(X, in_order=True):
    """Read a finite tf.data.Dataset of batches into arrays.

    Parameters
    ----------
    X : tf.data.Dataset
        Batches of images, or (image, label) batches.
    in_order : bool, default=True
        Whether to refuse one that shuffles, whose rows nobody could tell apart afterwards.

    Returns
    -------
    images, labels : ndarray, and ndarray or None
        All batches.
    """
    spec = X.element_spec
    parts = spec if isinstance(spec, tuple) else (spec,)
    if len(parts) > 2 or not all(hasattr(part, "shape") for part in parts):
        raise ValueError(
            "X must be a dataset of image batches or of (image, label) batches; got elements "
            f"{spec}: bring them to that form with X.map(...)"
        )
    n_axes = [part.shape.rank for part in parts]
    if (n_axes[0] == 3 and len(parts) == 1 and parts[0].shape[0] is not None) or 0 in n_axes:
        raise ValueError("X must be a dataset of batches; got one of single images: X.batch(32)")
    if int(X.cardinality()) == -1:
        raise ValueError("X must be a finite dataset; got an endless one: drop its repeat()")
    if in_order and _shuffles(X):
        raise ValueError(
            "X must be a dataset that keeps its order, or no result could be told to its image; "
            "got one that shuffles anew in every pass: make it with shuffle=False"
        )
    columns = [[] for _ in parts]
    for batch in X.as_numpy_iterator():
        for column, values in zip(columns, batch if len(parts) > 1 else (batch,), strict=True):
            column.append(as_numpy(values))
    if not columns[0]:
        raise ValueError("X must hold at least one image; got an empty dataset")
    shapes = {batch.shape[1:] for batch in columns[0]}
    if len(shapes) > 1:
        raise ValueError(
            f"X must hold images of one and the same shape; got batches of {sorted(shapes)}: "
            "resize them in X.map(...)"
        )
    images, *labels = (np.concatenate(column) for column in columns)
    return images, labels[0] if labels else None


def _shuffles(dataset):
    if "Shuffle" in type(dataset).__name__ and getattr(dataset, "_reshuffle_each_iteration", True):
        return True
    return any(map(_shuffles, getattr(dataset, "_inputs", list)()))


def _refuse_no_array(X, name):
    if X is None:
        raise ValueError(f"{name} must be an array or a list; got None")
    if issparse(X):
        raise TypeError(
            f"Sparse data was passed for {name}, but dense data is required: pass {name}.toarray()"
        )
    if _is_pair(X):
        raise ValueError(
            f"{name} must be an array or a list; got a pair such as (images, labels): pass them as "
            f"two arguments, {name}[0] and {name}[1]"
        )
    if isinstance(X, Mapping):
        keys = list(X)
        key = next((key for key in ("data", "image", "images", "pixel_values") if key in X), None)
        raise ValueError(
            f"{name} must be an array or a list; got a {type(X).__name__} of {keys[:8]}: pass one "
            f"of its values, such as {name}[{keys[0] if key is None and keys else key!r}]"
        )
    if isinstance(X, Set):
        raise ValueError(f"{name} must be an array or a list; got a set, which has no order")
    kinds = {(_library(kind), kind.__name__) for kind in type(X).__mro__}
    if kinds & _LOADERS:
        first = "torch" in {library for library, _ in kinds}
        raise ValueError(
            f"{name} must be an array, a list or a tf.data.Dataset; got the loader "
            f"{type(X).__name__}: gather its batches in one pass, images and labels together, with "
            f"batches = list(loader) and np.concatenate([batch[0] for batch in batches])"
            + (", channels last: np.moveaxis(images, 1, -1)" if first else "")
        )
    if kinds & _UNEVEN:
        raise ValueError(
            f"{name} must be dense, with images of one and the same shape; got a "
            f"{type(X).__name__}: make a dense tensor of it"
        )
    if hasattr(X, "column_names") and hasattr(X, "features"):
        raise ValueError(
            f"{name} must be an array or a list; got a {type(X).__name__} with the columns "
            f"{X.column_names}: pass one of them, such as {name}['image']"
        )
    if isinstance(X, Iterator):
        raise ValueError(
            f"{name} must be an array or a list; got a {type(X).__name__}, which can be read only "
            f"once: pass list({name}) if it ends and yields single images or labels; gather "
            "batches with np.concatenate"
        )


def _is_pair(X):
    if not isinstance(X, tuple) or len(X) != 2:
        return False
    n_axes = [len(getattr(part, "shape", ())) for part in X]
    return n_axes[0] > 1 and n_axes[1] == 1 and len(X[0]) == len(X[1])


def _library(kind):
    return kind.__module__.partition(".")[0]


def _as_row(item, number, name):
    if isinstance(item, Image.Image):
        item = ImageOps.exif_transpose(item)
        if item.mode == "1":
            item = item.convert("L")
        if item.mode not in ("L", "RGB"):
            raise ValueError(
                f"{name} must hold gray or RGB images; the one in row {number} has Pillow's mode "
                f"{item.mode!r}: use image.convert('RGB') or image.convert('L')"
            )
        return np.asarray(item)[..., None] if item.mode == "L" else np.asarray(item)
    try:
        row = as_numpy(item)
    except ValueError as error:
        raise ValueError(f"{name} must hold images; row {number} is none: {error}") from error
    if row.ndim == 0:
        raise ValueError(
            f"{name} must hold only images; got {item!r} in row {number}. Drop such rows, and "
            "their labels"
        )
    return row
