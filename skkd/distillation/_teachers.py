"""Whatever a user calls a teacher, as something that turns images into logits."""

from os import PathLike
from pathlib import Path

import keras
import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.utils import get_tags

from skkd.models._batches import Batches
from skkd.models._layers import TINY, check_built, logits_model


def load_teacher(path):
    """Read a trained model from a file.

    Parameters
    ----------
    path : str or path
        A ``.keras`` or ``.h5`` file.

    Returns
    -------
    model : keras.Model
        Not compiled: a teacher is not trained, and its losses may be unknown here.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"teacher: there is no file {str(path)!r}")
    try:
        return keras.saving.load_model(path, compile=False)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"teacher: {str(path)!r} is not a Keras model: {error}") from error


def ready_teacher(teacher, images, y):
    """Return a teacher that can be asked.

    Parameters
    ----------
    teacher : keras.Model, path, or scikit-learn classifier
        A path is read; a scikit-learn classifier is cloned and fitted on these images.
    images : array-like of shape (n, ...)
        Raw images or a table.
    y : ndarray of shape (n,)
        Class labels.

    Returns
    -------
    teacher : keras.Model or classifier
        The model or the fitted clone.
    """
    if isinstance(teacher, str | PathLike):
        return load_teacher(teacher)
    if isinstance(teacher, keras.Model):
        return teacher
    teacher = clone(teacher)
    return teacher.fit(_rows_for(teacher, images), y)


def teacher_logits(teacher, images, classes, batch_size):
    """Ask a teacher.

    Parameters
    ----------
    teacher : keras.Model or fitted classifier
        As `ready_teacher` returns it.
    images : array-like of shape (n, ...)
        Raw images or a table.
    classes : ndarray of shape (n_classes,)
        Sorted class labels, the order of the logits' columns.
    batch_size : int
        Images the teacher sees at a time.

    Returns
    -------
    logits : ndarray of shape (n, n_classes), float32
        The teacher's logits.
    """
    if isinstance(teacher, keras.Model):
        logits = _keras_logits(teacher, images, batch_size)
    else:
        logits = _estimator_logits(teacher, _rows_for(teacher, images))
    if logits.shape != (len(images), len(classes)):
        raise ValueError(
            f"the teacher gives outputs of shape {logits.shape[1:]}, but y has {len(classes)} "
            f"classes: {classes.tolist()}"
        )
    if not np.isfinite(logits).all():
        bad = int(np.count_nonzero(~np.isfinite(logits).all(axis=1)))
        raise ValueError(
            f"the teacher's output is NaN or infinite for {bad} of {len(logits)} images"
        )
    return logits


def is_teacher(teacher):
    """Whether something can teach."""
    return isinstance(teacher, str | PathLike | keras.Model) or (
        hasattr(teacher, "fit") and is_classifier(teacher)
    )


def _keras_logits(model, images, batch_size):
    check_built(model)
    converted = _convert_images(logits_model(model), images.shape[1:])
    return converted.predict(Batches(images, batch_size=batch_size), verbose=0)


def _convert_images(model, image_shape):
    """Put the layers before a model that turn images of a shape into what it takes."""
    wanted = tuple(model.input_shape[1:])
    if len(wanted) != len(image_shape):
        raise ValueError(
            f"teacher {model.name!r} takes inputs of shape {wanted}, but the images have shape "
            f"{tuple(image_shape)}"
        )
    if len(wanted) != 3:
        return model
    inputs = x = keras.Input(image_shape)
    if wanted[2] == 3 and image_shape[2] == 1:
        x = keras.layers.Concatenate()([x, x, x])
    elif wanted[2] == 1 and image_shape[2] == 3:
        x = keras.ops.image.rgb_to_grayscale(x)
    size = tuple(
        have if want is None else want for want, have in zip(wanted[:2], x.shape[1:3], strict=True)
    )
    if size != tuple(image_shape[:2]):
        x = keras.layers.Resizing(*size)(x)
    return keras.Model(inputs, model(x))


def _rows_for(estimator, images):
    """Return images as the estimator takes them: flattened if it takes tables only."""
    tags = get_tags(estimator).input_tags
    takes_images = tags.three_d_array or not tags.two_d_array
    images = np.asarray(images[np.arange(len(images))])
    return images if takes_images or images.ndim == 2 else images.reshape(len(images), -1)


def _estimator_logits(estimator, rows):
    if hasattr(estimator, "predict_proba"):
        return np.log(np.maximum(estimator.predict_proba(rows), TINY)).astype(np.float32)
    scores = np.asarray(estimator.decision_function(rows), dtype=np.float32)
    return np.column_stack([np.zeros_like(scores), scores]) if scores.ndim == 1 else scores
