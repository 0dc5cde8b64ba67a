"""What all explainers share."""

import keras
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skkd._images import as_images
from skkd.models._layers import check_built


class BaseExplainer(TransformerMixin, BaseEstimator):
    """Base of the explainers: transformers around a trained model.

    A subclass says in ``_explain_images`` what it makes of images.
    """

    def fit(self, X=None, y=None):
        """Find the model and the layers to explain. Nothing is trained.

        Parameters
        ----------
        X : ignored
            Accepted for use in a Pipeline.
        y : ignored
            Accepted for use in a Pipeline.

        Returns
        -------
        self : BaseExplainer
            The fitted explainer.
        """
        self._validate_params()
        self.model_, self.classes_, self._steps_before = find_model(self.estimator)
        self._resolve()
        return self

    def transform(self, X):
        """Explain images.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]), or paths
            Images, or n paths of image files.

        Returns
        -------
        maps : ndarray, float32
            The maps, of the images' size.
        """
        return self._explain_images(self._check_images(X))[0]

    def explain(self, X, y=None):
        """Explain images and keep with the maps what they are about.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]), or paths
            Images, or n paths of image files.
        y : array-like of shape (n,), default=None
            Class labels.

        Returns
        -------
        explanation : Explanation
            Maps, images, target classes and their probabilities.
        """
        raise NotImplementedError

    def _check_images(self, X):
        check_is_fitted(self)
        if self._steps_before is not None:
            X = self._steps_before.transform(X)
        wanted = self.model_.input_shape[1:]
        if len(wanted) != 3:
            raise ValueError(
                f"model {self.model_.name!r} takes inputs of shape {wanted}, which are no images"
            )
        size = None if None in wanted[:2] else wanted[:2]
        images = as_images(X, image_size=size, color_mode={1: "grayscale", 3: "rgb"}.get(wanted[2]))
        have = tuple(images.shape[1:])
        if len(have) != 3 or any(w not in (None, h) for w, h in zip(wanted, have, strict=True)):
            raise ValueError(
                f"X has images of shape {have}, but model {self.model_.name!r} takes images of "
                f"shape {wanted}"
            )
        return images

    def __sklearn_clone__(self):
        """Make an unfitted copy around the same trained model, which a clone would un-train."""
        return type(self)(
            **{
                name: value if name == "estimator" else clone(value, safe=False)
                for name, value in self.get_params(deep=False).items()
            }
        )


def find_model(estimator):
    """Find the Keras model inside whatever a user calls a trained classifier.

    Parameters
    ----------
    estimator : keras.Model, estimator or Pipeline
        A model; a fitted estimator with a ``model_``; a Pipeline or a fitted search ending in one.

    Returns
    -------
    model : keras.Model
        The model.
    classes : ndarray of shape (n_classes,)
        Labels of its outputs; their indices for a bare model.
    steps_before : Pipeline or None
        The steps that images pass before they reach the model.
    """
    if isinstance(estimator, keras.Model):
        check_built(estimator)
        return estimator, np.arange(estimator.output_shape[-1]), None
    estimator = getattr(estimator, "best_estimator_", estimator)
    steps_before = None
    if isinstance(estimator, Pipeline):
        check_is_fitted(estimator)
        steps_before = estimator[:-1] if len(estimator) > 1 else None
        estimator = estimator[-1]
    if hasattr(estimator, "fit"):
        check_is_fitted(estimator)
    model = getattr(estimator, "model_", None)
    if not isinstance(model, keras.Model):
        raise ValueError(
            "estimator must be a keras.Model, a fitted estimator with a keras.Model in its "
            "attribute model_, or a Pipeline ending in one; got "
            f"{type(estimator).__name__}"
        )
    classes = getattr(estimator, "classes_", None)
    return model, np.arange(model.output_shape[-1]) if classes is None else classes, steps_before
