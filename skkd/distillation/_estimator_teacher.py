"""A scikit-learn classifier as a teacher."""

import pickle

import keras
import numpy as np
from joblib.hashing import NumpyHasher
from sklearn.base import is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from skkd._keras_objects import ByKeras
from skkd._scikeras import BaseWrapper
from skkd.distillation._answers import log_of
from skkd.distillation._keras_teacher import network_fingerprint
from skkd.models._copies import description

# How an estimator says what it thinks of each class.
_SCORES = ("predict_proba", "decision_function")


def is_estimator(teacher):
    """Whether a teacher is a classifier in scikit-learn's sense."""
    # SciKeras's classifiers have scores, but not the tag by which scikit-learn knows its own.
    return hasattr(teacher, "fit") and (
        is_classifier(teacher) or any(hasattr(teacher, method) for method in _SCORES)
    )


def fit_on_images(estimator, images, y, sample_weight):
    """Fit a classifier on images as it takes them, and with their weights if its fit takes any."""
    rows = np.flatnonzero(sample_weight)
    options = {}
    if (sample_weight[rows] != 1).any() and has_fit_parameter(estimator, "sample_weight"):
        options["sample_weight"] = sample_weight[rows]
    estimator.fit(_as_taken_by(estimator, images[rows]), y[rows], **options)


class EstimatorTeacher:
    """A fitted scikit-learn classifier.

    Parameters
    ----------
    estimator : classifier
        Fitted, with ``predict_proba`` or ``decision_function``.
    kept : bool
        Whether it was fitted before, and so may be met again.
    """

    identity = None

    def __init__(self, estimator, kept):
        if not any(hasattr(estimator, method) for method in _SCORES):
            raise ValueError(
                "teacher must have predict_proba or decision_function, to say how sure it is; got "
                f"{estimator!r}"
            )
        if getattr(estimator, "decision_function_shape", None) == "ovo" and not hasattr(
            estimator, "predict_proba"
        ):
            raise ValueError(
                "teacher has decision_function_shape='ovo', which gives a value for each pair of "
                "classes; set it to 'ovr'"
            )
        self.source = estimator
        self.labels = estimator.classes_
        self.kept = kept

    def fingerprint(self):
        """Return a text that another estimator does not have, or None if there is no such text."""
        if not self.kept:
            return None
        try:
            return _Hasher("md5").hash(self.source)
        except (pickle.PicklingError, AttributeError, TypeError, NotImplementedError):
            # Of what cannot be pickled, such as a lambda, nobody can say whether it is the same.
            return None

    def logits(self, images, batch_size):
        """Return log-probabilities, or else decision values, of shape (n, n_outputs)."""
        parts = []
        for start in range(0, len(images), batch_size):
            X = _as_taken_by(self.source, images[start : start + batch_size])
            if hasattr(self.source, "predict_proba"):
                parts.append(log_of(self.source.predict_proba(X)))
            else:
                scores = np.asarray(self.source.decision_function(X), dtype=np.float32)
                if scores.ndim == 1:
                    scores = np.column_stack([np.zeros_like(scores), scores])
                parts.append(scores)
        return np.concatenate(parts)


def _as_taken_by(estimator, images):
    """Return images as an estimator takes them: flattened if it takes tables only."""
    if images.ndim == 2 or _takes_images(estimator, images[:1]):
        return images
    return images.reshape(len(images), -1)


def _takes_images(estimator, images):
    if isinstance(estimator, FrozenEstimator):
        return _takes_images(estimator.estimator, images)
    if isinstance(estimator, Pipeline):
        for _, step in estimator.steps[:-1]:
            if not isinstance(step, FunctionTransformer) or step.validate:
                return _takes_images(step, images)
            # Whether a function takes images nobody knows but the function.
            try:
                images = step.transform(images)
            except Exception:
                return False
            if np.ndim(images) == 2:
                return True
        return _takes_images(estimator.steps[-1][1], images)
    if isinstance(estimator, BaseWrapper):
        return True
    tags = get_tags(estimator).input_tags
    return tags.three_d_array or not tags.two_d_array


class _Hasher(NumpyHasher):
    """joblib's hash, in which Keras's objects, whose pickles hold the date, are what they are."""

    def save(self, obj):
        if isinstance(obj, ByKeras):
            obj = obj.source
        if isinstance(obj, keras.Model) and getattr(obj, "inputs", None):
            obj = ("keras.Model", network_fingerprint(obj))
        elif isinstance(obj, keras.Layer | keras.Metric | keras.Optimizer):
            values = [keras.ops.convert_to_numpy(variable) for variable in obj.variables]
            obj = (type(obj).__qualname__, description(obj), values)
        super().save(obj)
