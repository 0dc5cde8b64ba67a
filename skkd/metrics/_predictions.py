"""Labels and the probabilities that a classifier gives to them."""

import numpy as np
import pandas as pd
from sklearn.utils import check_array

# A softmax in single or half precision, or probabilities written with three decimals, miss 1
# by less than this; counts, logits and unnormalized scores miss it by far more.
SUM_TOLERANCE = 1e-3


def check_labels(y_true):
    """Return the true labels as a 1-D array without missing values."""
    y_true = np.asarray(y_true)
    if y_true.ndim != 1 or not len(y_true):
        raise ValueError(
            f"y_true must be 1-D labels, at least one; got shape {y_true.shape}: decode one-hot "
            "rows first"
        )
    missing = pd.isna(y_true)
    if missing.any():
        raise ValueError(
            f"y_true must have a label for every row; {missing.sum()} are missing, the first "
            f"in row {np.argmax(missing)}: drop those rows"
        )
    return y_true


def label_codes(y_true, labels):
    """Return the position in `labels` of each true label."""
    index = pd.Index(labels)
    if not index.is_unique:
        raise ValueError(f"labels must be unique; got {index.tolist()}")
    codes = index.get_indexer(y_true)
    if (codes < 0).any():
        unknown = pd.unique(y_true[codes < 0]).tolist()
        raise ValueError(
            f"y_true must hold only the classes {index.tolist()}; got {unknown} as well"
        )
    return codes


def check_probabilities(y_proba, y_true):
    """Return the probabilities as a float array of one or two dimensions, one row a label."""
    proba = check_array(y_proba, ensure_2d=False, dtype=np.float64, input_name="y_proba")
    if proba.ndim == 2 and proba.shape[1] == 1:
        proba = proba[:, 0]
    if len(proba) != len(y_true):
        raise ValueError(
            "y_proba must have as many rows as y_true has labels; "
            f"got {len(proba)} rows and {len(y_true)} labels"
        )
    outside = (proba < 0) | (proba > 1)
    if outside.any():
        raise ValueError(
            f"y_proba must lie in [0, 1]; got {proba[outside][0]}: pass probabilities, not "
            "logits or percentages"
        )
    return proba


def check_columns(proba, labels):
    """Check that probabilities have one column a class and that every row sums to 1."""
    if proba.shape[1] != len(labels):
        raise ValueError(
            f"y_proba must have one column for each of the {len(labels)} classes "
            f"{labels.tolist()}; got {proba.shape[1]} columns: pass labels to name them in order"
        )
    sums = proba.sum(axis=1)
    worst = np.argmax(np.abs(sums - 1))
    if abs(sums[worst] - 1) > SUM_TOLERANCE:
        raise ValueError(
            f"y_proba must sum to 1 in every row; row {worst} sums to {sums[worst]:.6g}"
        )
