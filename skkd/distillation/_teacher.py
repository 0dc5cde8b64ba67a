"""What a user calls a teacher."""

from numbers import Real
from os import PathLike

import keras
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from skkd.distillation._callable_teacher import CallableTeacher
from skkd.distillation._estimator_teacher import (
    EstimatorTeacher,
    fit_teacher,
    is_estimator,
    unfitted_copy,
)
from skkd.distillation._keras_teacher import KerasTeacher, teacher_of_file
from skkd.images._blocks import in_memory
from skkd.models._image_classifier import ImageClassifierMixin
from skkd.models._sharing import SharesModels


class Teacher(SharesModels, BaseEstimator):
    """A teacher of whom more is to be said than who it is.

    A bare model, path, classifier or function can be passed to `KDClassifier` as it is where the
    defaults below are right; a list may mix both.

    Parameters
    ----------
    model : keras.Model, path, scikit-learn classifier, callable or None
        Whom the student learns from, as ``teacher`` in `KDClassifier`. None is somebody who was
        asked elsewhere, and whose answers are passed to ``fit`` as ``teacher_logits`` or
        ``teacher_proba``.
    classes : array-like of shape (n_outputs,), default=None
        Class label of each output. None: the labels of y, sorted, or the ``classes_`` of a frozen
        scikit-learn classifier. One that is to be fitted knows its own. Outputs for classes that y
        does not have are left out.
    outputs : {"auto", "logits", "probabilities"}, default="auto"
        What a Keras model or function gives; "auto" goes by a model's last activation. A single
        output is that of the second of two classes.
    weight : float, default=1.0
        Weight of its probabilities beside those of other teachers, 0 or more.

    See Also
    --------
    KDClassifier : Takes them, one or a list, as its parameter ``teacher``.

    Examples
    --------
    Two teachers, of which one knows the classes in another order and counts twice:

    >>> from sklearn.datasets import load_digits
    >>> from sklearn.svm import SVC
    >>> from skkd import MLP, KDClassifier, NetworkClassifier, Teacher
    >>> X, y = load_digits(n_class=3, return_X_y=True)
    >>> def turned(images):
    ...     return images[:, [2, 1, 0]]
    >>> teachers = [SVC(), Teacher(turned, classes=[2, 1, 0], weight=2)]
    >>> small = NetworkClassifier(MLP(hidden=(4,)), epochs=1)
    >>> KDClassifier(teachers, small).fit(X, y).n_iter_
    1
    """

    _parameter_constraints: dict = {
        "model": [str, PathLike, keras.Model, HasMethods("fit"), callable, None],
        "classes": ["array-like", None],
        "outputs": [StrOptions({"auto", "logits", "probabilities"})],
        "weight": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, model, *, classes=None, outputs="auto", weight=1.0):
        self.model = model
        self.classes = classes
        self.outputs = outputs
        self.weight = weight


def as_teachers(teacher):
    """Return whatever a user calls a teacher, or a list of them, as a list of `Teacher`."""
    if isinstance(teacher, list | tuple):
        if not teacher:
            raise ValueError("teacher must not be an empty list; pass None for no teacher")
        if any(isinstance(member, list | tuple) for member in teacher):
            raise ValueError(
                "teacher must not be a list that holds lists; put all teachers into one, weighed "
                f"by Teacher(..., weight=...); got {teacher!r}"
            )
    else:
        teacher = [] if teacher is None else [teacher]
    teachers = [one if isinstance(one, Teacher) else Teacher(one) for one in teacher]
    for one in teachers:
        one._validate_params()
    if teachers and not any(one.weight for one in teachers):
        raise ValueError("weight must not be zero for every Teacher; got 0 for all")
    return teachers


def make_ready(teachers, lessons, frame=None, verbose=False):
    """Return teachers loaded, or fitted on the images of lessons of labels.

    Where a classifier is fitted, these images are held in memory from now on. A teacher that was
    asked elsewhere is left out. ``frame`` has the columns of the table that the images are, if it
    came as a DataFrame; ``verbose`` lets classifiers say what they are given.
    """
    return [_make_ready(one, lessons, frame, verbose) for one in teachers if one.model is not None]


def _make_ready(teacher, lessons, frame, verbose):
    model = teacher.model
    if isinstance(model, str | PathLike):
        model = teacher_of_file(model)
    if isinstance(model, keras.Model):
        return KerasTeacher(model, teacher.classes, teacher.outputs)
    if is_estimator(model):
        return _ready_estimator(teacher, lessons, frame, verbose)
    if callable(model):
        return CallableTeacher(model, teacher.classes, teacher.outputs)
    raise ValueError(
        "teacher must be a keras.Model, the path of one, a scikit-learn classifier, a callable, a "
        f"list of these or None; got {model!r}"
    )


def _ready_estimator(teacher, lessons, frame, verbose):
    model, classes = teacher.model, teacher.classes
    kept = hasattr(model, "__sklearn_clone__") and unfitted_copy(model) is model
    if teacher.outputs != "auto" or not (kept or classes is None):
        raise ValueError(
            f"classes and outputs of a Teacher have no effect on {type(model).__name__}, which "
            f"knows its own; got classes={classes}, outputs={teacher.outputs!r}"
        )
    if not kept:
        lessons.images = in_memory(lessons.images)
        return fit_teacher(model, lessons, frame, verbose)
    inner = getattr(model, "estimator", None)
    if isinstance(inner, ImageClassifierMixin):
        return KerasTeacher(inner.model_, inner.classes_ if classes is None else classes)
    return EstimatorTeacher(model, True, classes, frame=frame, verbose=verbose)
