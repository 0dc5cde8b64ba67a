"""Unfitted copies of estimators whose parameters hold trained models."""

from copy import deepcopy

import keras
from sklearn.base import clone


class SharesModels:
    """Mixin of estimators whose clones share the Keras models among their parameters.

    scikit-learn would deep-copy a teacher for every candidate and fold, and a deep copy is another
    teacher, to be asked all over again.
    """

    def __sklearn_clone__(self):
        """Make an unfitted copy that shares the Keras models among the parameters."""
        params = self.get_params(deep=False)
        copy = type(self)(**{name: _clone_parameter(value) for name, value in params.items()})
        if hasattr(self, "_metadata_request"):
            copy._metadata_request = deepcopy(self._metadata_request)
        return copy


def _clone_parameter(value):
    if isinstance(value, list | tuple):
        return type(value)(_clone_parameter(item) for item in value)
    # Layers are copied by fit, and a strategy cannot be copied.
    shared = (
        isinstance(value, keras.layers.Layer)
        or hasattr(value, "scope")
        or (callable(value) and not _is_estimator(value))
    )
    return value if shared else clone(value, safe=False)


def _is_estimator(value):
    # Models of other libraries have a fit as well.
    others = ("get_params", "predict_proba", "decision_function")
    return hasattr(value, "fit") and any(hasattr(value, name) for name in others)
