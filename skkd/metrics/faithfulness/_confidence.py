"""The probability that a classifier gives to the true class."""

import numpy as np

from skkd.images._input import as_images, holds_paths
from skkd.metrics.usefulness._decision_curve import (
    _check_columns,
    _check_labels,
    _check_probabilities,
    _label_codes,
)


class TrueClassConfidence:
    """A classifier's probability of the true class, for images and for changed copies of them.

    Parameters
    ----------
    estimator : fitted classifier or keras.Model
        Anything with ``predict_proba`` and ``classes_``, or a model whose outputs stand for the
        classes 0, 1, ...
    X : array-like of shape (n, height, width[, channels]), or paths
        The images.
    y : array-like of shape (n,)
        True labels.

    Attributes
    ----------
    images : array-like of shape (n, height, width, channels)
        The images, not read yet where they are files.
    y : ndarray of shape (n,)
        True labels.
    """

    def __init__(self, estimator, X, y):
        if y is None:
            raise ValueError("y must hold the true labels, whose probability is measured; got None")
        self._predict, classes = _find_predict(estimator)
        self._name = type(estimator).__name__
        self.images = read_images(estimator, X)
        # Images without a channel axis go to the estimator as they came.
        self._without_channels = len(np.shape(X)) == 3
        self.y = _check_labels(y)
        if len(self.y) != len(self.images):
            raise ValueError(
                f"y must hold one label an image; got {len(self.y)} labels and "
                f"{len(self.images)} images"
            )
        self._codes = _label_codes(self.y, classes)
        self._classes = classes

    def read(self, rows):
        """Return some of the images as floats."""
        images = np.asarray(self.images[rows])
        return images.astype(np.result_type(images.dtype, np.float32), copy=False)

    def __call__(self, images, rows):
        """Return the probability of the true class of ``rows`` in images made of them."""
        proba = self._predict(images[..., 0] if self._without_channels else images)
        try:
            proba = _check_probabilities(proba, self.y[rows]).reshape(len(rows), -1)
            _check_columns(proba, self._classes)
        except ValueError as error:
            raise ValueError(f"predictions of {self._name}: {error}") from error
        return proba[np.arange(len(rows)), self._codes[rows]]


def read_images(estimator, X):
    """Return what a user calls images as an array-like with four axes.

    Parameters
    ----------
    estimator : fitted classifier, keras.Model, explainer or None
        Files are read in the size and color its network takes; with None in their own.
    X : array-like of shape (n, height, width[, channels]), or paths
        The images.

    Returns
    -------
    images : array-like of shape (n, height, width, channels)
        With shape, length and indexing by rows.
    """
    size = color_mode = None
    if estimator is not None and holds_paths(X):
        from skkd.models._estimators import find_model

        height, width, channels = find_model(estimator)[0].input_shape[1:]
        size = None if None in (height, width) else (height, width)
        color_mode = {1: "grayscale", 3: "rgb"}.get(channels)
    images = as_images(X, image_size=size, color_mode=color_mode)
    if len(images.shape) != 4:
        raise ValueError(
            "X must be images of shape (n, height, width[, channels]) or paths of image files; "
            f"got shape {tuple(images.shape)}"
        )
    if len(images) == 0:
        raise ValueError("X must hold at least one image; got none")
    return images


def _find_predict(estimator):
    """Return the function from images to probabilities, and the labels of its columns."""
    if hasattr(estimator, "predict_proba"):
        return estimator.predict_proba, np.asarray(estimator.classes_)
    if hasattr(estimator, "predict_on_batch"):
        from skkd.models._head import probability_model

        model = probability_model(estimator)
        return model.predict_on_batch, np.arange(model.output_shape[-1])
    raise TypeError(
        "estimator must be a keras.Model or have predict_proba and classes_; got "
        f"{type(estimator).__name__}"
    )
