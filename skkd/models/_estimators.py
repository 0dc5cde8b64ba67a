"""The Keras model inside whatever a user calls a trained classifier."""

import keras
import numpy as np
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import check_is_fitted

from skkd.models._graph import open_model


def find_model(estimator):
    """Find the Keras model inside whatever a user calls a trained classifier.

    Parameters
    ----------
    estimator : keras.Model, estimator or Pipeline
        A model; a fitted estimator with a ``model_``, such as `NetworkClassifier` or one of
        SciKeras; a Pipeline or a fitted search ending in one.

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
        return estimator, np.arange(open_model(estimator).output_shape[-1]), None
    steps = []
    while hasattr(estimator, "best_estimator_") or isinstance(estimator, Pipeline):
        estimator = getattr(estimator, "best_estimator_", estimator)
        if isinstance(estimator, Pipeline):
            check_is_fitted(estimator)
            steps += [step for _, step in estimator.steps[:-1]]
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
    if classes is None:
        classes = np.arange(open_model(model).output_shape[-1])
    return model, np.asarray(classes), make_pipeline(*steps) if steps else None
