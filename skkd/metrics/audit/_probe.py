"""What a simple classifier reads from what should not tell the label."""

import warnings

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict

from skkd.metrics.audit._columns import is_ordered

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def gray_values(images, masks):
    """Return mean, standard deviation and quantiles of the gray values of each image.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, channels)
        The images.
    masks : ndarray of bool of shape (n, height, width) or None
        What is left out, unless it is all.

    Returns
    -------
    values : ndarray of shape (n, 7)
        A row an image.
    """
    rows = []
    for number, image in enumerate(images.mean(axis=-1)):
        gray = image.ravel() if masks is None else image[~masks[number]]
        gray = gray if gray.size else image.ravel()
        rows.append([gray.mean(), gray.std(), *np.quantile(gray, _QUANTILES)])
    return np.array(rows)


def as_features(table, name):
    """Return a table as numbers: dates by their time, other values with a column each."""
    parts = []
    for key, column in table.items():
        if not is_ordered(column.dtype):
            texts = column.astype(object).map(str, na_action="ignore")
            parts.append(pd.get_dummies(texts, dummy_na=True).to_numpy(dtype=float))
            continue
        if not pd.api.types.is_numeric_dtype(column):
            column = (column - column.min()) / pd.Timedelta(1, "D")
        if pd.api.types.is_complex_dtype(column):
            raise ValueError(f"{name}[{key!r}] must hold real numbers; got {column.dtype}")
        values = column.astype(float).to_numpy(na_value=np.nan)
        if np.isinf(values).any():
            raise ValueError(f"{name}[{key!r}] must be finite, or missing; got inf")
        unknown = np.isnan(values)
        middle = 0.0 if unknown.all() else np.nanmedian(values)
        parts.append(np.column_stack([np.where(unknown, middle, values), unknown]))
    return np.hstack(parts)


def held_out_predictions(features, codes, units, *, probe, cv, seed):
    """Return what a classifier predicts of images of patients that it did not learn from.

    Parameters
    ----------
    features : ndarray of shape (n, n_features)
        What it learns from.
    codes : ndarray of int of shape (n,)
        The labels.
    units : ndarray of int of shape (n,)
        The patients.
    probe : classifier or None
        What learns. None is a random forest.
    cv : int
        Most folds.
    seed : int
        Seed of folds and forest.

    Returns
    -------
    predicted : ndarray of int of shape (n,) or None
        The labels; None where a class has one patient alone, and cannot be held out.
    """
    per_class = [len(np.unique(units[codes == code])) for code in np.unique(codes)]
    n_splits = min(cv, *per_class, len(np.unique(units)))
    if n_splits < 2 or len(per_class) < 2:
        return None
    if probe is None:
        probe = RandomForestClassifier(100, min_samples_leaf=2, random_state=seed)
    is_alone = len(np.unique(units)) == len(units)
    splitter = StratifiedKFold if is_alone else StratifiedGroupKFold
    folds = splitter(n_splits, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # Patients with images of one class alone can leave a fold without some class.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        # Split here, as scikit-learn takes groups in another way where it routes metadata.
        folds = list(folds.split(features, codes, None if is_alone else units))
    return cross_val_predict(clone(probe), features, codes, cv=folds)
