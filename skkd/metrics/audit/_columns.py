"""Columns of what is known of images, as groups of them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

MISSING = "missing"


def read_columns(metadata, n_images, *, max_values, n_bands, name="metadata"):
    """Return the groups of each column.

    Parameters
    ----------
    metadata : DataFrame, or mapping of str to array-like of shape (n_images,)
        What is known of each image, in the order of the images.
    n_images : int
        How many images there are.
    max_values : int
        Numbers and dates of more values are put into bands, anything else is refused.
    n_bands : int
        Number of bands, of about equally many images.
    name : str, default="metadata"
        What the user calls it.

    Returns
    -------
    columns : dict of str to (ndarray of int of shape (n_images,), list of str)
        For each column the number of the group of each image, and the names of the groups. Those
        of which nothing is known come last.
    """
    return {
        str(key): _groups(column, max_values, n_bands, f"{name}[{key!r}]")
        for key, column in as_table(metadata, n_images, name).items()
    }


def as_table(metadata, n_images, name="metadata"):
    """Return what is known of images as a DataFrame with an index of 0, 1, ..."""
    if not isinstance(metadata, pd.DataFrame | Mapping):
        raise TypeError(
            f"{name} must be a DataFrame, or a mapping of column names to one value an image; got "
            f"{type(metadata).__name__}"
        )
    keys = list(metadata.keys())
    if twice := {key for key in map(str, keys) if list(map(str, keys)).count(key) > 1}:
        raise ValueError(f"{name} must have columns of different names; got two {min(twice)!r}")
    columns = {}
    for key in keys:
        # By position: what a user calls the rows need not be 0, 1, ...
        values = getattr(metadata[key], "array", metadata[key])
        if np.ndim(values) != 1 or isinstance(values, Mapping | set):
            raise ValueError(
                f"{name}[{key!r}] must have one value an image; got {type(values).__name__} of "
                f"shape {np.shape(values)}"
            )
        if len(values) != n_images:
            raise ValueError(
                f"{name}[{key!r}] must have one value for each of the {n_images} images, in their "
                f"order; got {len(values)}"
            )
        columns[key] = pd.Series(values, index=range(n_images))
    return pd.DataFrame(columns, index=range(n_images))


def _groups(column, max_values, n_bands, name):
    known = column.notna().to_numpy()
    values = column[known]
    if isinstance(column.dtype, pd.CategoricalDtype):
        values = values.cat.remove_unused_categories()
        _check_few(values.cat.categories, max_values, name)
        codes, names = values.cat.codes.to_numpy(), [str(item) for item in values.cat.categories]
    elif is_ordered(column.dtype):
        codes, names = _numbers(values, max_values, n_bands, name)
    else:
        names = sorted({str(value) for value in values}, key=str)
        _check_few(names, max_values, name)
        codes = pd.Index(names).get_indexer([str(value) for value in values])
    groups = np.full(len(column), len(names))
    groups[known] = codes
    if known.all():
        return groups, names
    if MISSING in names:
        groups[~known] = names.index(MISSING)
        return groups, names
    return groups, [*names, MISSING]


def is_ordered(dtype):
    """Return whether values are numbers or times, of which bands can be made."""
    is_number = pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)
    is_time = pd.api.types.is_datetime64_any_dtype(dtype)
    return is_number or is_time or pd.api.types.is_timedelta64_dtype(dtype)


def _numbers(values, max_values, n_bands, name):
    """Return the groups of numbers or times, in bands where they are many."""
    if pd.api.types.is_complex_dtype(values.dtype):
        raise ValueError(f"{name} must hold real numbers; got {values.dtype}")
    if pd.api.types.is_numeric_dtype(values.dtype):
        values = values.astype(np.float64)
        if np.isinf(values).any():
            raise ValueError(f"{name} must hold finite numbers, or none where unknown; got inf")
    distinct = np.sort(values.unique())
    if len(distinct) <= max_values:
        return np.searchsorted(distinct, values.array), [_as_name(value) for value in distinct]
    bands = pd.qcut(values, n_bands, labels=False, duplicates="drop")
    codes, _ = pd.factorize(bands, sort=True)
    # Bands are named by what is in them, so that no value could belong to two.
    parts = [values[codes == code] for code in range(codes.max() + 1)]
    return codes, [f"{_as_name(part.min())} to {_as_name(part.max())}" for part in parts]


def _as_name(value):
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    # NumPy and pandas write a date without a time where there is none.
    return str(pd.Series([value]).astype(str)[0])


def _check_few(names, max_values, name):
    if len(names) > max_values:
        raise ValueError(
            f"{name} has {len(names)} values, such as {str(names[0])!r}, too many to compare: join "
            f"them to fewer, leave the column out, or raise max_values, which is {max_values}"
        )
