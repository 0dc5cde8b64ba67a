"""The probabilities that a classifier gives to images, and to the true class of each."""

import numpy as np

from skkd.images._finite import check_finite_images
from skkd.metrics._images import read_images
from skkd.metrics._predictions import (
    Precision,
    check_columns,
    check_labels,
    check_probabilities,
    label_codes,
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
    codes : ndarray of int of shape (n,)
        Their columns among the probabilities.
    """

    def __init__(self, estimator, X, y):
        if y is None:
            raise ValueError("y must hold the true labels, whose probability is measured; got None")
        self._predict, classes, self._exclusive = _find_predict(estimator)
        self._name = type(estimator).__name__
        self.images = read_images(estimator, X)
        # Images without a channel axis, or with it first, go to an estimator as they came.
        self._channels = "last"
        if hasattr(estimator, "predict_proba"):
            shape = np.shape(X)
            if len(shape) == 3:
                self._channels = "none"
            elif len(shape) == 4 and tuple(shape[1:]) != tuple(self.images.shape[1:]):
                self._channels = "first"
        self.y = check_labels(y, "y")
        if len(self.y) != len(self.images):
            raise ValueError(
                f"y must hold one label an image; got {len(self.y)} labels and "
                f"{len(self.images)} images"
            )
        self.codes = label_codes(self.y, classes, "y")
        self._classes = classes

    def read(self, rows):
        """Return some of the images as floats."""
        images = check_finite_images(np.asarray(self.images[rows]), rows)
        return images.astype(np.result_type(images.dtype, np.float32), copy=False)

    def __call__(self, images, rows):
        """Return the probability of the true class of ``rows`` in images made of them."""
        return self.predict(images, rows)[np.arange(len(rows)), self.codes[rows]]

    def predict(self, images, rows):
        """Return the probability of every class of ``rows`` in images made of them."""
        if self._channels == "none":
            images = images[..., 0]
        elif self._channels == "first":
            images = np.moveaxis(images, -1, 1)
        given = self._predict(images)
        try:
            precision = Precision(given)
            proba = check_probabilities(given, self.y[rows], precision).reshape(len(rows), -1)
            if self._exclusive:
                check_columns(proba, self._classes, precision.sum)
        except ValueError as error:
            raise ValueError(f"predictions of {self._name}: {error}") from error
        return proba


def _find_predict(estimator):
    """Return the function from images to probabilities, the labels, and whether they exclude."""
    if hasattr(estimator, "predict_proba"):
        return estimator.predict_proba, np.asarray(estimator.classes_), True
    if not hasattr(estimator, "predict_on_batch") and not hasattr(estimator, "model_"):
        raise TypeError(
            "estimator must be a keras.Model or have predict_proba and classes_; got "
            f"{type(estimator).__name__}"
        )
    from skkd.models._batches import predict
    from skkd.models._estimators import find_classifier

    _, head, classes, _ = find_classifier(estimator)
    model = head.probability_model()

    def predict_batch(images):
        return predict(model, images, len(images))

    return predict_batch, classes, head.activation == "softmax" or head.single
