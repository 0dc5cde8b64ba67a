"""Predictions of whatever gives logits of images."""

import numpy as np
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from skkd.images._conversions import split_dataset
from skkd.models._labels import check_to_score


class ImageClassifierMixin(ClassifierMixin):
    """Mixin of classifiers of images or tables with ``classes_`` and ``_logits(X)``."""

    def decision_function(self, X) -> np.ndarray:
        """Return the logits.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]) or (n, n_features), or paths
            Images, a table, or n paths of image files.

        Returns
        -------
        logits : ndarray of shape (n, n_classes), or (n,) for two classes
            Outputs before the softmax; for two classes, the second's minus the first's.
        """
        logits = self._checked_logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]) or (n, n_features), or paths
            Images, a table, or n paths of image files.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            Probabilities in the order of ``classes_``.
        """
        return softmax(self._checked_logits(X), axis=1)

    def predict(self, X) -> np.ndarray:
        """Return the most probable class label.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]) or (n, n_features), or paths
            Images, a table, or n paths of image files.

        Returns
        -------
        y : ndarray of shape (n,)
            Class labels.
        """
        logits = self._checked_logits(X)
        return self.classes_[logits.argmax(axis=1)]

    def score(self, X, y=None, sample_weight=None) -> float:
        """Return the accuracy.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]) or (n, n_features), or paths
            Images, a table, or n paths of image files.
        y : array-like of shape (n,)
            True class labels. None if X is a ``tf.data.Dataset`` of (image, label) batches.
        sample_weight : array-like of shape (n,), default=None
            Weight of each image.

        Returns
        -------
        accuracy : float
            Share of the images whose predicted label is the true one.
        """
        X, y = split_dataset(X, y)
        check_is_fitted(self)
        return super().score(X, *check_to_score(y, self.classes_, sample_weight))

    def _checked_logits(self, X):
        check_is_fitted(self)
        logits = self._logits(X)
        finite = np.isfinite(logits).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"the network gives NaN or infinity for {np.count_nonzero(~finite)} of "
                f"{len(logits)} images of X, the first in row {finite.argmin()}, so that they have "
                "no class. Its weights may not be finite, as training that diverged leaves them, "
                "or the images are far larger than those it was trained on"
            )
        return logits

    def __sklearn_tags__(self):
        """Say that images are welcome, besides tables."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags
