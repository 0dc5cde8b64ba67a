"""In which form a classifier takes images: as they are, or flattened to rows of a table."""

import keras
import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags

from skkd._scikeras import BaseWrapper


def tags_of(estimator):
    """Return an estimator's tags, None of one that is not scikit-learn's or holds such."""
    try:
        return get_tags(estimator)
    except AttributeError:
        return None


def takes_images(estimator, images):
    """Tell by what is inside an estimator whether it takes images.

    ``images`` are a few to ask functions with. Returns True, False, or None where only trying
    tells: classes of one's own say that they take tables unless they were told to say otherwise,
    and wrappers say it whatever they wrap.
    """
    if isinstance(estimator, Pipeline):
        return _first_step_takes(_steps(estimator), images)
    if isinstance(estimator, BaseWrapper | keras.Model):
        return True
    if isinstance(estimator, FunctionTransformer):
        return np.ndim(_transformed(estimator, images)) == 2
    tags = tags_of(estimator)
    if tags is not None and (tags.input_tags.three_d_array or not tags.input_tags.two_d_array):
        return True
    answers = {takes_images(part, images) for part in _parts(_params(estimator))}
    if True in answers:
        return True
    is_own = not type(estimator).__module__.startswith("sklearn.")
    return None if is_own or None in answers else False


def _steps(pipeline):
    """Return the steps of a pipeline, and of those in it, that do something."""
    for _, step in pipeline.steps:
        if isinstance(step, Pipeline):
            yield from _steps(step)
        elif step is not None and not isinstance(step, str):
            yield step


def _first_step_takes(steps, images):
    for step in steps:
        if not isinstance(step, FunctionTransformer):
            return takes_images(step, images)
        images = _transformed(step, images)
        if images is None:
            return False
        if np.ndim(images) == 2:
            return True
    return False


def _transformed(transformer, images):
    """Return what a function makes of images, None if it takes none."""
    if transformer.validate:
        return None
    # Whether a function takes images nobody knows but the function.
    try:
        return transformer.transform(images)
    except Exception:
        return None


def _params(estimator):
    if not hasattr(estimator, "get_params"):
        return {}
    params = estimator.get_params(deep=False)
    # It is given what the others predict.
    params.pop("final_estimator", None)
    return params


def _parts(value):
    """Return the estimators among parameters, also those of lists, steps and grids to search."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _parts(item)
    elif hasattr(value, "fit") and not isinstance(value, type):
        yield value
