"""Clones and pickles of estimators that hold trained models."""

from copy import deepcopy

import keras
from sklearn.base import clone

from skkd._keras_objects import picklable


class SharesModels:
    """Mixin of estimators that hold Keras models, whose clones share those among the parameters.

    scikit-learn would deep-copy a teacher for every candidate and fold, and a deep copy is another
    teacher, to be asked all over again. Pickles hold what a model needs to be read again.
    """

    def __sklearn_clone__(self):
        """Make an unfitted copy that shares the Keras models among the parameters."""
        params = self.get_params(deep=False)
        copy = type(self)(**{name: _clone_parameter(value) for name, value in params.items()})
        if hasattr(self, "_metadata_request"):
            copy._metadata_request = deepcopy(self._metadata_request)
        return copy

    def __getstate__(self):
        """Give objects of Keras what they need to be read again."""
        return picklable(dict(super().__getstate__()))


def _clone_parameter(value):
    if isinstance(value, list | tuple):
        return type(value)(_clone_parameter(item) for item in value)
    # These are copied by fit, and a strategy cannot be copied.
    of_keras = keras.layers.Layer | keras.optimizers.Optimizer | keras.callbacks.Callback
    shared = (
        isinstance(value, of_keras)
        or hasattr(value, "scope")
        or (callable(value) and not _is_estimator(value))
    )
    return value if shared else clone(value, safe=False)


def _is_estimator(value):
    # Models of other libraries have a fit as well.
    others = ("get_params", "predict_proba", "decision_function")
    return hasattr(value, "fit") and any(hasattr(value, name) for name in others)
