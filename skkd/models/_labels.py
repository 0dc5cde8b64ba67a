"""Class labels and the weights of their images."""

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, train_test_split
from sklearn.utils import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, column_or_1d

from skkd._groups import check_groups
from skkd.images._conversions import to_array


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
    if classes is None and known is None:
        check_classification_targets(labels)
    weights = _check_weights(sample_weight, class_weight, images, labels)
    return labels, weights, _check_classes(labels, classes, known, owner)


def as_labels(y):
    """Return what a user calls labels as an array of one axis.

    Parameters
    ----------
    y : array-like of shape (n,) or (n, 1)
        Labels, in NumPy, pandas or any framework.

    Returns
    -------
    labels : ndarray of shape (n,)
        The same; a column is flattened with scikit-learn's DataConversionWarning.

    Raises
    ------
    ValueError
        If there is not one label for each image.
    """
    y = _without_nullable(y)
    if isinstance(y, list | tuple) and any(isinstance(one, set | frozenset | dict) for one in y):
        raise ValueError(_MULTILABEL.format("a list of sets"))
    try:
        labels = to_array(y, "y")
    except ValueError as error:
        if isinstance(y, list | tuple) and all(isinstance(one, list | tuple) for one in y):
            raise ValueError(_MULTILABEL.format("lists of several lengths")) from error
        raise
    if len(labels.shape) == 2 and labels.shape[1] > 1:
        raise ValueError(_many_columns(labels))
    return column_or_1d(np.asarray(labels), warn=True)


_MULTILABEL = (
    "y must be one label an image; got several, as {}: multilabel targets are not supported. Train "
    "one classifier a label, as sklearn.multioutput.MultiOutputClassifier does"
)


def _many_columns(y):
    """Return what is wrong with labels in several columns."""
    values = np.asarray(y)
    shape = values.shape
    try:
        values = values.astype(float)
    except (TypeError, ValueError):
        values = np.full(shape, np.nan)
    if np.isin(values, (0, 1)).all():
        if (values.sum(axis=1) == 1).all():
            way = "y.idxmax(axis=1)" if hasattr(y, "idxmax") else "np.argmax(y, axis=1)"
            if isinstance(y, np.ndarray):
                way = "y.argmax(axis=1)"
            return f"y must be one label an image; got one-hot rows, of shape {shape}: pass {way}"
        return _MULTILABEL.format(f"a 0/1 matrix of shape {shape}")
    if (values >= 0).all() and np.allclose(values.sum(axis=1), 1, atol=1e-3):
        return (
            f"y must be one label an image; got probabilities of shape {shape}: pass "
            "y.argmax(axis=1), and the probabilities themselves to KDClassifier as "
            "fit(X, labels, teacher_proba=y)"
        )
    if shape[0] == 1:
        return f"y must be one label an image, of shape (n,); got shape {shape}: pass y[0]"
    return (
        f"y must be one label an image, of shape (n,); got shape {shape}: pass the column that "
        "holds the labels"
    )


def check_true_labels(y, owner):
    """Return labels as `as_labels` does, none of them missing.

    Parameters
    ----------
    y : array-like of shape (n,)
        Labels.
    owner : str
        Who needs them, for errors.

    Returns
    -------
    labels : ndarray of shape (n,)
        The same.
    """
    if y is None:
        raise ValueError(f"{owner} requires y to be passed, but the target y is None")
    y = as_labels(y)
    if y.dtype == object and (lost := int(pd.isna(y).sum())):
        raise ValueError(f"y must have no missing labels; got None or NaN for {lost} images")
    return y


def check_to_score(y, classes, sample_weight=None):
    """Return true labels and weights that accuracy is measured by.

    Parameters
    ----------
    y : array-like of shape (n,)
        Labels.
    classes : ndarray of shape (n_classes,)
        Those of the classifier.
    sample_weight : array-like of shape (n,), default=None
        Weight of each image.

    Returns
    -------
    labels, sample_weight : ndarray of shape (n,)
        The same; None for no weights.
    """
    y = check_true_labels(y, "score")
    if (y.dtype.kind in "OUS") != (classes.dtype.kind in "OUS"):
        raise ValueError(
            f"y must hold labels like the classes {classes.tolist()}; got values of type "
            f"{y.dtype}, such as {y[:1].tolist()}"
        )
    return y, None if sample_weight is None else check_sample_weight(sample_weight, y)


def _check_labels(y, images, owner):
    """Return class labels, one an image, none of them missing."""
    y = check_true_labels(y, owner)
    check_consistent_length(images, y)
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
    try:
        labels = np.unique(y if given is None else _without_nullable(given))
    except TypeError as error:
        name = "y" if given is None else "classes"
        raise ValueError(f"{name} must hold labels of one kind, none missing: {error}") from error
    if known is None:
        if len(labels) < 2:
            raise ValueError(
                f"{owner} needs at least 2 classes in y; got {len(labels)} class: {labels[0]!r}"
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


def check_sample_weight(sample_weight, images):
    """Return the weight of each image as float32, 1 where none are given; none is negative."""
    try:
        return _check_sample_weight(
            sample_weight, images, dtype=np.float32, ensure_non_negative=True
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"sample_weight must be a number for each image: {error}") from error


def _check_weights(sample_weight, class_weight, images, y):
    """Return the weight of each image: its own times that of its class."""
    weights = check_sample_weight(sample_weight, images)
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


def check_validation_targets(y, images, sample_weight, classes, owner):
    """Return labels and weights of images to validate with.

    Parameters
    ----------
    y : array-like of shape (n,)
        What a user calls ``y_val``.
    images : array-like of shape (n, ...)
        The images.
    sample_weight : array-like of shape (n,) or None
        Weights of images.
    classes : ndarray of shape (n_classes,)
        Those that are trained.
    owner : str
        Name of the estimator's class, for errors.

    Returns
    -------
    labels : ndarray of shape (n,)
        Class labels.
    weights : ndarray of shape (n,), float32
        The weight of each image.
    """
    try:
        labels = _check_labels(y, images, owner)
        _check_classes(labels, None, classes, owner)
        return labels, _check_weights(sample_weight, None, images, labels)
    except ValueError as error:
        raise ValueError(f"y_val or sample_weight_val: {error}") from error


def hold_out(rows, y, fraction, seed, *, splitter=None, groups=None):
    """Split rows into those to train on and those to validate with.

    Parameters
    ----------
    rows : ndarray of int
        Where images are.
    y : ndarray of shape (n,)
        Labels of all images.
    fraction : float
        Share of the rows to validate with, stratified by label.
    seed : int
        Seed of the split.
    splitter : object with split(X, y, groups), default=None
        Whose first split is taken.
    groups : array-like of shape (n,), default=None
        Rows of one group stay together.

    Returns
    -------
    train, held_out : ndarray of int
        Some of the rows, and the others.
    """
    if splitter is not None or groups is not None:
        return _hold_out_by_splitter(rows, y, fraction, seed, splitter, groups)
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


def _hold_out_by_splitter(rows, y, fraction, seed, splitter, groups):
    if groups is not None:
        groups = check_groups(groups, len(y))[rows]
    if splitter is None:
        n_groups = len(np.unique(groups))
        if n_groups < 2:
            raise ValueError(
                f"groups must hold at least 2 groups, one of which is kept for validation; got "
                f"{n_groups}"
            )
        n_splits = min(max(round(1 / fraction), 2), n_groups)
        splitter = StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed)
    train, held_out = next(iter(splitter.split(rows, y[rows], groups)))
    if not len(held_out) or np.intersect1d(train, held_out).size:
        raise ValueError(
            f"validation_split={splitter!r} must keep some images for validation that it does not "
            f"train on; its first split has {len(train)} to train on and {len(held_out)} to "
            f"validate with, {np.intersect1d(train, held_out).size} of them in both"
        )
    if lost := np.setdiff1d(y[rows], y[rows[train]]).tolist():
        raise ValueError(
            f"all images of the classes {lost} would be kept for validation, as they are in groups "
            "or by the validation_split given; bring more groups of these classes, set another "
            "random_state, or pass X_val and y_val"
        )
    return rows[train], rows[held_out]
