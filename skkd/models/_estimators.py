"""The Keras model inside whatever a user calls a trained classifier."""

from dataclasses import replace

import keras
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import check_is_fitted

from skkd.images import as_images
from skkd.models._classifier import NetworkClassifier
from skkd.models._graph import open_model, without_traces
from skkd.models._head import find_head
from skkd.models._layout import image_layout, image_network, read_as_taken


def find_model(estimator, name="estimator"):
    """Find the Keras model inside whatever a user calls a trained classifier.

    Parameters
    ----------
    estimator : keras.Model, estimator or Pipeline
        A model; a fitted estimator with a ``model_``, such as `NetworkClassifier` or one of
        SciKeras; a Pipeline or a fitted search ending in one.
    name : str, default="estimator"
        What the user calls it, for errors.

    Returns
    -------
    model : keras.Model
        The model.
    classes : ndarray of shape (n_classes,) or None
        Labels of its outputs, where they are known.
    steps_before : Pipeline or None
        The steps that images pass before they reach the model.
    """
    if isinstance(estimator, keras.Model):
        return estimator, None, None
    estimator, steps = _unwrapped(estimator)
    model = getattr(estimator, "model_", None)
    if model is None and isinstance(estimator, BaseEstimator):
        check_is_fitted(estimator)
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"{name} must be a keras.Model, a fitted estimator with a keras.Model in its "
            "attribute model_, or a Pipeline ending in one; got "
            f"{type(estimator).__name__}"
        )
    classes = getattr(estimator, "classes_", None)
    if classes is not None:
        classes = np.asarray(classes)
    return model, classes, make_pipeline(*steps) if steps else None


def find_classifier(estimator):
    """Find the Keras model inside a trained classifier of images, and how it is to be read.

    Parameters
    ----------
    estimator : keras.Model, estimator or Pipeline
        As for `find_model`.

    Returns
    -------
    model, head, classes, steps_before
        The model, its `Head`, whose network takes images with their channels last however the
        model does, the labels of its classes, which are 0, 1, ... where they are not known, and
        the steps before it or None.
    """
    model, classes, steps_before = find_model(estimator)
    with without_traces(model):
        head = find_head(model, None if classes is None else len(classes))
        if len(head.network.inputs) != 1:
            raise ValueError(
                f"model {model.name!r} has {len(head.network.inputs)} inputs; models of one image "
                "are explained and measured"
            )
        head = replace(head, network=image_network(head.network))
    n_scores = head.network.output_shape[-1]
    if classes is None:
        classes = np.arange(n_scores)
    if classes.shape != (n_scores,):
        raise ValueError(
            f"{type(estimator).__name__} has the classes_ {classes.tolist()}, but its model "
            f"{model.name!r} tells {n_scores} classes apart"
        )
    return model, head, classes, steps_before


def read_for(estimator, X):
    """Read what a user calls images as the model inside an estimator takes them.

    Parameters
    ----------
    estimator : keras.Model, estimator or Pipeline
        As for `find_model`. What stands before the model is not asked.
    X : array-like or paths
        Images.

    Returns
    -------
    images : array-like of shape (n, height, width, channels)
        With their channels last, whichever way the model takes them. For a model that takes
        something else, which an estimator may make of images, they are read as they are.
    """
    model, _, steps_before = find_model(estimator)
    with without_traces(model):
        opened = open_model(model)
        if len(opened.inputs[0].shape) != 4:
            return as_images(X)
        layout = "channels_last" if steps_before is not None else image_layout(opened)
        shape = image_network(opened).input_shape[1:]
        return read_as_taken(X, shape, layout, find_reader(estimator))


def find_reader(estimator):
    """Return the `NetworkClassifier` inside an estimator, which says how files are read, or None.

    Parameters
    ----------
    estimator : keras.Model, estimator or Pipeline
        As for `find_model`.
    """
    estimator, _ = _unwrapped(estimator)
    estimator = getattr(estimator, "student_", estimator)
    return estimator if isinstance(estimator, NetworkClassifier) else None


def _unwrapped(estimator):
    """Return the estimator inside searches and pipelines, and the steps before it."""
    steps = []
    while hasattr(estimator, "best_estimator_") or isinstance(estimator, Pipeline):
        estimator = getattr(estimator, "best_estimator_", estimator)
        if isinstance(estimator, Pipeline):
            check_is_fitted(estimator)
            steps += [step for _, step in estimator.steps[:-1]]
            estimator = estimator[-1]
    return estimator, steps
