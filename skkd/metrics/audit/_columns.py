"""Columns of what is known of images, as groups of them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from pandas.api.types import infer_dtype

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
        Number of bands, of about equally many images; a value that fills one is a band alone.
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
    """Return what is known of images as a DataFrame with an index of 0, 1, ...

    Objects that are all numbers or all times, beside what is missing, become such.
    """
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
        columns[key] = _typed(pd.Series(values, index=range(n_images)))
    return pd.DataFrame(columns, index=range(n_images))


def _typed(column):
    """Return a column of objects as the numbers or times that they are, if they are."""
    if column.dtype != object:
        return column
    kind = infer_dtype(column, skipna=True)
    try:
        if kind == "integer":
            return column.astype("Int64")
        if kind in ("floating", "mixed-integer-float", "decimal"):
            return column.astype("Float64")
        if kind in ("date", "datetime", "datetime64"):
            return pd.to_datetime(column)
    except (OverflowError, ValueError):
        # Integers of more than 64 bits and times of several zones are told apart by their text.
        return column
    return column.infer_objects()


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
    if pd.api.types.is_unsigned_integer_dtype(values.dtype):
        values = values.astype(np.uint64)
    elif pd.api.types.is_integer_dtype(values.dtype):
        values = values.astype(np.int64)
    elif pd.api.types.is_numeric_dtype(values.dtype):
        values = values.astype(np.float64)
        if np.isinf(values).any():
            raise ValueError(f"{name} must hold finite numbers, or none where unknown; got inf")
    codes, distinct = pd.factorize(values, sort=True)
    if len(distinct) <= max_values:
        return codes, _as_names(distinct)
    bands = _bands(codes, n_bands)
    # Bands are named by what is in them, so that no value could belong to two.
    parts = [codes[bands == band] for band in range(bands.max() + 1)]
    ends = np.array([[part.min(), part.max()] for part in parts])
    names = dict(zip(np.unique(ends), _as_names(distinct[np.unique(ends)]), strict=True))
    return bands, [
        names[low] if low == high else f"{names[low]} to {names[high]}" for low, high in ends
    ]


def _bands(codes, n_bands):
    """Return the band of each code, of which none is left out, of about equally many."""
    size = len(codes) / n_bands
    counts = np.bincount(codes)
    fills = counts >= size
    if n_bands == 1 or not fills.any():
        bands = pd.qcut(codes, n_bands, labels=False, duplicates="drop")
        return pd.factorize(bands, sort=True)[0]
    # A value that fills a band is one, and what lies on each side of it is cut for itself.
    part_of_code = np.cumsum(fills | np.r_[False, fills[:-1]])
    bands, n_before = np.empty(len(codes), dtype=int), 0
    for part in np.unique(part_of_code):
        here = part_of_code[codes] == part
        inner = 1 if fills[part_of_code == part].any() else max(1, round(here.sum() / size))
        bands[here] = n_before + _bands(pd.factorize(codes[here], sort=True)[0], inner)
        n_before = bands[here].max() + 1
    return bands


def _as_names(values):
    """Return names of different numbers or times, which differ as well."""
    if not pd.api.types.is_float_dtype(values.dtype):
        # NumPy and pandas write a date without a time where there is none.
        return [str(pd.Series([value]).astype(str)[0]) for value in values]
    # Whole numbers become floats where one is missing.
    if all(value.is_integer() and abs(value) < 2**53 for value in map(float, values)):
        return [str(int(value)) for value in values]
    for n_digits in (6, 9, 12):
        names = [f"{value:.{n_digits}g}" for value in values]
        if len(set(names)) == len(names):
            return names
    return [repr(float(value)) for value in values]


def _check_few(names, max_values, name):
    if len(names) > max_values:
        raise ValueError(
            f"{name} has {len(names)} values, such as {str(names[0])!r}, too many to compare: join "
            f"them to fewer, leave the column out, or raise max_values, which is {max_values}"
        )
