"""What a user calls X, as images."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from skkd.images._conversions import as_numbers, has_axes, stack, to_array
from skkd.images._files import check_image_size
from skkd.images._paths import ImagePaths
from skkd.images._stores import StoredImages


def as_images(X, *, image_size=None, color_mode=None, window="header"):
    """Turn what a user calls X into something with shape, dtype, length and rows.

    Parameters
    ----------
    X : array-like
        One of: file paths of shape (n_images,) or (n_images, 1), as an array, list, pandas Series
        or DataFrame of str or Path objects; images of shape (n_images, height, width) or
        (n_images, height, width, channels), as an array, tensor, memory map, list or column of
        arrays or of Pillow's images of one shape, a finite tf.data.Dataset of batches, or anything
        with a shape and row slicing (HDF5, Zarr); a table of shape (n_samples, n_features).
    image_size : tuple of (height, width) or None, default=None
        Size in pixels that files are resized to when they are read. Arrays keep their size.
    color_mode : {"grayscale", "rgb"} or None, default=None
        Channels of images read from files. Arrays keep theirs.
    window : "header", str, tuple of (center, width) or None, default="header"
        Which values of files become black and white, as for `read_image`. Arrays keep theirs.

    Returns
    -------
    images : ImagePaths, StoredImages, ndarray or table
        Paths become `ImagePaths`; arrays and memory maps of images stay what they are, with a
        channel axis added where there was none; lists, columns, tensors and datasets become
        arrays; stores become ``StoredImages``; tables are returned unchanged.

    Raises
    ------
    ValueError
        If X is none of these.

    Examples
    --------
    >>> import numpy as np
    >>> from skkd.images import as_images
    >>> as_images(np.zeros((10, 28, 28))).shape
    (10, 28, 28, 1)
    """
    check_image_size(image_size)
    if _is_path(X):
        raise ValueError(
            f"X must be many paths or images; got the single path {str(X)!r}. Pass a list of "
            "files, or read a folder with skkd.datasets.load_image_folder"
        )
    if isinstance(X, ImagePaths | StoredImages):
        return X
    X = as_column(to_array(X))
    if len(X.shape) == 1:
        X = np.asarray(X)
        if any(map(has_axes, X)):
            X = stack(list(X))
    n_axes = len(X.shape)
    if n_axes == 2:
        _check_table(X)
        return X
    if n_axes == 1:
        _check_list(X)
    if holds_paths(X):
        return ImagePaths(
            np.asarray(X, dtype=object),
            image_size=image_size,
            color_mode=color_mode,
            window=window,
        )
    if n_axes not in (3, 4):
        raise ValueError(
            "X must be file paths (n,), a table (n, features) or images (n, height, width[, "
            f"channels]); got {n_axes}-D data of type {X.dtype}. Reshape your data, with "
            "X[None] or X.reshape(1, -1) for a single sample"
        )
    if n_axes == 3 and X.shape[-1] in (1, 3) and min(X.shape[:2]) > 3:
        raise ValueError(
            f"X of shape {tuple(X.shape)} may be a single image with {X.shape[-1]} channels, or "
            f"{X.shape[0]} gray images {X.shape[-1]} pixels wide: pass X[None] for the one, "
            "X[..., None] for the other"
        )
    if not isinstance(X, np.ndarray):
        return StoredImages(X)
    X = as_numbers(X, "X")
    if 0 in X.shape[1:]:
        raise ValueError(f"X must hold images of at least one pixel; got shape {X.shape}")
    return X if n_axes == 4 else X[..., None]


def holds_paths(X):
    """Tell whether an array-like is a list of file paths.

    Parameters
    ----------
    X : array-like
        Anything with a length.

    Returns
    -------
    answer : bool
        True if X has one axis, is not empty, and holds only str and path-like objects.
    """
    # A single path is no list, although a str has a length and holds str.
    if _is_path(X) or len(getattr(X, "shape", (0,))) != 1 or len(X) == 0:
        return False
    return all(map(_is_path, X))


def as_column(X):
    """Return a table of one column that holds paths or images as that column.

    Parameters
    ----------
    X : array-like
        Anything with a shape.

    Returns
    -------
    X : array-like
        Of shape (n,) where X is a column of paths or images, X itself elsewhere.
    """
    if len(getattr(X, "shape", ())) != 2 or X.shape[1] != 1 or not X.shape[0]:
        return X
    if not hasattr(X, "columns") and not isinstance(X, np.ndarray):
        return X
    column = np.asarray(X)[:, 0]
    return column if _has_images(column) else X


def _is_path(item):
    return isinstance(item, str | os.PathLike)


def _has_images(column):
    """Tell whether a column holds paths or images, and not only values."""
    return column.dtype.kind in "OUT" and any(_is_path(item) or has_axes(item) for item in column)


def _check_table(X):
    """Refuse a table with a column of paths or images beside others."""
    if not hasattr(X, "columns") or not len(X) or X.shape[1] < 2:
        return
    for name in X.columns:
        column = np.asarray(X[name])
        suffix = Path(column[0]).suffix.lower() if _is_path(column[0]) else ""
        if has_axes(column[0]) or suffix in (".dcm", *Image.registered_extensions()):
            raise ValueError(
                f"X must be images, their paths, or a table of numbers; got a table of "
                f"{X.shape[1]} columns, of which {name!r} holds images or their paths: pass "
                f"X[{name!r}]"
            )


def _check_list(X):
    """Refuse lists that were meant to be of paths, where "Reshape your data" would mislead."""
    if len(X) == 0:
        raise ValueError("X has no file paths or images; at least one is needed")
    if isinstance(X[0], bytes):
        raise ValueError(
            f"X must hold file paths or images; got bytes, {X[0][:20]!r} in row 0. Paths are made "
            "str with X.astype(str); encoded images are opened with PIL.Image.open(io.BytesIO(...))"
        )
    others = [(row, item) for row, item in enumerate(X) if not _is_path(item)]
    if 0 < len(others) < len(X):
        row, item = others[0]
        raise ValueError(
            f"X must hold only file paths; got {item!r} in row {row}, and {len(others)} such rows "
            "in all. Drop them, and their labels"
        )
