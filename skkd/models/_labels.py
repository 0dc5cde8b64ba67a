"""Class labels and the weights of their images."""

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split
from sklearn.utils import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, column_or_1d


def check_targets(y, images, *, sample_weight, class_weight, classes, known, owner):
    """Return what is known of each image.

    Parameters
    ----------
    y : array-like of shape (n,)
        What a user calls the labels.
    images : array-like of shape (n, ...)
        The images.
    sample_weight : array-like of shape (n,) or None
        Weights of images.
    class_weight : dict, "balanced" or None
        Weights of classes.
    classes : array-like or None
        All labels that may come, if they are known beforehand.
    known : ndarray or None
        The classes of a network that exists already.
    owner : str
        Name of the estimator's class, for errors.

    Returns
    -------
    labels : ndarray of shape (n,)
        Class labels.
    weights : ndarray of shape (n,), float32
        The weight of each image times that of its class, none negative and not all zero.
    classes : ndarray of shape (n_classes,)
        The classes to tell apart, sorted and at least two.
    """
    labels = _check_labels(y, images, owner)
    weights = _check_weights(sample_weight, class_weight, images, labels)
    return labels, weights, _check_classes(labels, classes, known, owner)


def _check_labels(y, images, owner):
    """Return class labels, one an image, none of them missing."""
    if y is None:
        raise ValueError(f"{owner} requires y to be passed, but the target y is None")
    y = column_or_1d(_without_nullable(y), warn=True)
    check_consistent_length(images, y)
    if y.dtype == object and (lost := int(pd.isna(y).sum())):
        raise ValueError(f"y must have no missing labels; got None or NaN for {lost} images")
    check_classification_targets(y)
    return y


def _without_nullable(y):
    """Return pandas' nullable booleans and numbers as NumPy's, of which scikit-learn makes floats.

    What is no such thing is returned as it is.
    """
    if isinstance(y, pd.DataFrame):
        return y.apply(_without_nullable)
    plain = getattr(getattr(y, "dtype", None), "numpy_dtype", None)
    if plain is None or np.dtype(plain).kind not in "biuf":
        return y
    if lost := int(y.isna().sum()):
        raise ValueError(f"y must have no missing labels; got NA for {lost} images")
    return y.to_numpy(dtype=plain)


def _check_classes(y, given, known, owner):
    """Return the classes to tell apart, sorted and at least two."""
    labels = np.unique(y if given is None else _without_nullable(given))
    if known is None:
        if len(labels) < 2:
            raise ValueError(
                f"{owner} needs at least 2 classes; got {len(labels)} class: {labels[0]!r}"
            )
        known = labels
    elif unknown := np.setdiff1d(labels, known).tolist():
        raise ValueError(
            f"y must hold only the classes of the first fit, {known.tolist()}; got {unknown}"
        )
    if unknown := np.setdiff1d(y, known).tolist():
        raise ValueError(
            f"y must hold only labels that are in classes, {known.tolist()}; got {unknown}"
        )
    return known


def _check_weights(sample_weight, class_weight, images, y):
    """Return the weight of each image: its own times that of its class."""
    weights = _check_sample_weight(
        sample_weight, images, dtype=np.float32, ensure_non_negative=True
    )
    if class_weight == "balanced":
        # The frequency of a class counts its images' weights, so that an image of weight 2 is two
        # and one of weight 0 none.
        _, classes = np.unique(y, return_inverse=True)
        totals = np.bincount(classes, weights=weights)
        fair_share = totals.sum() / max(np.count_nonzero(totals), 1)
        weights = weights * (fair_share / np.where(totals > 0, totals, 1.0)[classes])
    elif class_weight is not None:
        weights = weights * compute_sample_weight(class_weight, y)
    if not weights.any():
        raise ValueError("sample_weight must not be zero for every image")
    return weights.astype(np.float32)


def hold_out(rows, y, fraction, seed):
    """Split rows into those to train on and those to validate with, stratified by label."""
    try:
        return train_test_split(rows, test_size=fraction, stratify=y[rows], random_state=seed)
    except ValueError as error:
        classes, counts = np.unique(y[rows], return_counts=True)
        raise ValueError(
            f"early_stopping with validation_fraction={fraction} cannot keep images of every "
            f"class for validation: y has {counts.tolist()} of the classes {classes.tolist()} "
            f"({error}). Set a larger validation_fraction or early_stopping=False, or bring more "
            "images"
        ) from error
