"""Labels and the probabilities that a classifier gives to them."""

import numpy as np
import pandas as pd
from sklearn.utils import check_array, column_or_1d

from skkd.images._conversions import as_numbers

# Probabilities written with three decimals, or a softmax in single precision, miss a sum of 1 by
# less than this; counts, logits and unnormalized scores miss it by far more.
SUM_TOLERANCE = 1e-3


class Precision:
    """How far apart equal probabilities may lie, by the type they come in.

    ============================  =========================  =====================  ============
    type                          a threshold t is reached   outside [0, 1] by      sum misses 1
    ============================  =========================  =====================  ============
    float64, lists, integers      within 16 eps t (4e-15 t)  1e-5                   1e-3
    float32, and float64 values   within 16 eps t (2e-6 t)   1e-5                   1e-3
    that float32 holds exactly
    float16                       t rounded to float16       2 eps (2e-3)           4 eps (4e-3)
    bfloat16                      t rounded to bfloat16      2 eps (2e-2)           4 eps (3e-2)
    ============================  =========================  =====================  ============

    Parameters
    ----------
    y_proba : array-like
        The probabilities as their user has them. eps is the step from 1 to the next number of
        their type.
    """

    def __init__(self, y_proba):
        values = np.asarray(y_proba)
        # bfloat16 is of no kind that numpy knows; integers and booleans compare as float64.
        if values.dtype.kind not in "fV":
            values = as_numbers(values, "y_proba").astype(np.float64)
        self._type = values.dtype
        if self._type == np.float64 and (values.astype(np.float32) == values).all():
            self._type = np.dtype(np.float32)
        one = self._type.type(1)
        self._eps = float(np.nextafter(one, one + one)) - 1
        self.range = max(1e-5, 2 * self._eps)
        self.sum = max(SUM_TOLERANCE, 4 * self._eps)

    def least(self, thresholds):
        """Return the least probabilities, as float64, that reach thresholds."""
        # 16 bits tell hundredths apart only just; elsewhere sums of many votes round many times.
        if self._type.itemsize < 4:
            # A probability of 0 reaches none, though the type may have no number as small.
            rounded = thresholds.astype(self._type).astype(np.float64)
            return np.maximum(rounded, np.nextafter(0, 1))
        return thresholds * (1 - 16 * self._eps)


def check_labels(y_true, name="y_true"):
    """Return the true labels, called so in errors, as a 1-D array without missing values."""
    if isinstance(y_true, list | tuple) and pd.Series(y_true, dtype=object).isna().any():
        # NumPy would make the text "nan" of what is missing among text.
        y_true = pd.Series(y_true, dtype=object)
    try:
        y_true = np.asarray(y_true)
    except ValueError as error:
        raise ValueError(f"{name} must be 1-D labels, at least one: {error}") from error
    if y_true.ndim == 2 and y_true.shape[1] == 1:
        y_true = column_or_1d(y_true, warn=True)
    if y_true.ndim != 1 or not len(y_true):
        raise ValueError(
            f"{name} must be 1-D labels, at least one; got shape {y_true.shape}. Of one-hot "
            "rows, pass the labels: y.argmax(axis=1)"
        )
    missing = pd.isna(y_true)
    if missing.any():
        raise ValueError(
            f"{name} must have a label for every row; {missing.sum()} are missing, the first "
            f"in row {np.argmax(missing)}: drop those rows"
        )
    return y_true


def label_codes(y_true, labels, name="y_true"):
    """Return the position in `labels` of each true label, called so in errors."""
    if np.ndim(labels) != 1:
        raise ValueError(f"labels must be a list of the classes; got {labels!r}")
    index = pd.Index(labels)
    if not index.is_unique:
        raise ValueError(f"labels must be unique; got {index.tolist()}")
    codes = index.get_indexer(y_true)
    if (codes < 0).any():
        unknown = pd.unique(y_true[codes < 0]).tolist()
        raise ValueError(
            f"{name} must hold only the classes {index.tolist()}; got {unknown} as well"
        )
    return codes


def labels_and_codes(y_true, labels):
    """Return the labels, those of `y_true` in order for None, and the position of each true one."""
    if labels is None:
        codes, labels = pd.factorize(y_true, sort=True)
        return np.asarray(labels), codes
    labels = np.asarray(labels)
    return labels, label_codes(y_true, labels)


def check_pos_label(pos_label, labels):
    """Return the positive label, 1 by default where scikit-learn takes it to be 1."""
    known = set(np.asarray(labels).tolist())
    conventional = known <= {0, 1} or known <= {-1, 1}
    if pos_label is None and not conventional:
        raise ValueError(
            "pos_label must name the class to treat unless the labels are in {0, 1} or {-1, 1}; "
            f"got None and the labels {sorted(known, key=str)}"
        )
    pos_label = 1 if pos_label is None else pos_label
    if pos_label not in known and not (conventional and pos_label == 1):
        raise ValueError(
            f"pos_label must be one of the labels {sorted(known, key=str)}; got {pos_label!r}"
        )
    return pos_label


def check_weights(sample_weight, y_true):
    """Return the weight of each row as floats, None for None."""
    if sample_weight is None:
        return None
    weights = np.asarray(sample_weight, dtype=float)
    if weights.shape != y_true.shape:
        raise ValueError(
            f"sample_weight must be 1-D with one weight for each of the {len(y_true)} labels; got "
            f"shape {weights.shape}"
        )
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any() or not weights.any():
        what = f"{weights[wrong][0]} in row {np.argmax(wrong)}" if wrong.any() else "zeros alone"
        raise ValueError(f"sample_weight must be finite, 0 or more, and not all 0; got {what}")
    return weights


def check_probabilities(y_proba, y_true, precision):
    """Return the probabilities as a float array of one or two dimensions, one row a label.

    What lies outside [0, 1] by no more than rounding in their precision is clipped.
    """
    given = np.asarray(y_proba)
    if given.dtype.kind == "V" and given.dtype.names is None:
        # scikit-learn does not know bfloat16.
        given = given.astype(np.float64)
    proba = check_array(given, ensure_2d=False, dtype=np.float64, input_name="y_proba")
    if proba.ndim == 2 and proba.shape[1] == 1:
        proba = proba[:, 0]
    if len(proba) != len(y_true):
        raise ValueError(
            "y_proba must have as many rows as y_true has labels; "
            f"got {len(proba)} rows and {len(y_true)} labels"
        )
    if proba.min() >= 0 and proba.max() <= 1:
        return proba
    outside = (proba < -precision.range) | (proba > 1 + precision.range)
    if outside.any():
        raise ValueError(
            f"y_proba must lie in [0, 1]; got {proba[outside][0]}: pass probabilities, not "
            "logits or percentages"
        )
    return np.clip(proba, 0, 1)


def check_columns(proba, labels, tolerance=SUM_TOLERANCE):
    """Check that probabilities have one column a class and that every row sums to 1."""
    if proba.shape[1] != len(labels):
        raise ValueError(
            f"y_proba must have one column for each of the {len(labels)} classes "
            f"{labels.tolist()}; got {proba.shape[1]} columns: pass labels to name them in order"
        )
    sums = proba.sum(axis=1)
    worst = np.argmax(np.abs(sums - 1))
    if abs(sums[worst] - 1) > tolerance:
        raise ValueError(
            f"y_proba must sum to 1 in every row; row {worst} sums to {sums[worst]:.6g}"
        )


def check_predictions(y_true, y_proba, labels):
    """Return what scores of all classes are computed from.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        True labels.
    y_proba : array-like of shape (n, n_classes) or, of two classes the second, (n,)
        Their probabilities.
    labels : array-like of shape (n_classes,) or None
        Labels of the columns; None takes the sorted ones of `y_true`.

    Returns
    -------
    labels : ndarray of shape (n_classes,)
        Labels of the columns.
    codes : ndarray of int of shape (n,)
        The column of each true label.
    proba : ndarray of float64 of shape (n, n_classes)
        The probabilities.
    precision : Precision
        Of the probabilities as they were given.
    """
    y_true = check_labels(y_true)
    labels, codes = labels_and_codes(y_true, labels)
    precision = Precision(y_proba)
    proba = check_probabilities(y_proba, y_true, precision)
    if proba.ndim == 1:
        if len(labels) != 2:
            raise ValueError(
                f"y_proba must have one column for each of the {len(labels)} classes "
                f"{labels.tolist()}; got shape {proba.shape}: pass labels to name two"
            )
        proba = np.stack([1 - proba, proba], axis=1)
    check_columns(proba, labels, precision.sum)
    return labels, codes, proba, precision
