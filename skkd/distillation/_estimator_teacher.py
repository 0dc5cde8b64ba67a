"""A scikit-learn classifier as a teacher."""

import pickle

import keras
import numpy as np
import pandas as pd
from joblib.hashing import NumpyHasher
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from skkd._keras_objects import ByKeras
from skkd.distillation._answers import as_logits
from skkd.distillation._form import tags_of, takes_images
from skkd.distillation._keras_teacher import network_fingerprint
from skkd.models._copies import description

# How an estimator says what it thinks of each class.
_SCORES = ("predict_proba", "decision_function")


def is_estimator(teacher):
    """Whether a teacher is a classifier in scikit-learn's sense."""
    if not hasattr(teacher, "fit"):
        return False
    # SciKeras's classifiers have scores, but not the tag by which scikit-learn knows its own, and
    # classes that only look like classifiers have no tags.
    tags = tags_of(teacher)
    return (tags is not None and tags.estimator_type == "classifier") or _has_scores(teacher)


def _has_scores(estimator):
    return any(hasattr(estimator, method) for method in _SCORES)


def unfitted_copy(estimator):
    """Return a clone, a frozen classifier itself, or a copy of what cannot be cloned."""
    try:
        return clone(estimator, safe=False)
    except (TypeError, pickle.PicklingError) as error:
        raise ValueError(
            f"teacher {type(estimator).__name__} cannot be copied, and is to stay as it is: "
            f"{error}. Fit it, and pass FrozenEstimator(teacher)"
        ) from error


def fit_teacher(estimator, lessons, frame=None, verbose=False):
    """Fit a copy of a classifier on labeled images, in the form in which it takes them.

    Their weights are passed on if its fit takes any. ``frame`` and the rest are as in
    `EstimatorTeacher`.
    """
    rows = np.flatnonzero(lessons.sample_weight)
    images, labels = lessons.images[rows], lessons.labels[rows]
    weights, options = lessons.sample_weight[rows], {}
    if (weights != 1).any() and has_fit_parameter(estimator, "sample_weight"):
        options["sample_weight"] = weights

    def fitted(form):
        copy = unfitted_copy(estimator)
        copy.fit(_in_form(images, form, frame), labels, **options)
        return copy

    def teacher(copy, form):
        return EstimatorTeacher(copy, kept=False, form=form, frame=frame, verbose=verbose)

    answer = True if images.ndim == 2 else takes_images(estimator, images[:1])
    if answer is None:
        # Nobody knows what a class of somebody's own fails with on images.
        try:
            tried = fitted("images")
        except Exception as error:
            refusal = error
        else:
            ready = teacher(tried, "images")
            refusal = ready.refusal(images[:1], "images")
            if refusal is None:
                return ready
    try:
        return teacher(fitted("images" if answer else "rows"), "images" if answer else "rows")
    except Exception as error:
        if answer is None:
            raise _taking_neither(estimator, refusal, error) from error
        if images.ndim > 2 and "Found array with dim" in str(error):
            raise ValueError(
                f"teacher {type(estimator).__name__} is given images, as something inside it takes "
                "them, but it or something else inside takes rows only. Let what takes rows begin "
                "with the step FunctionTransformer(flatten), a function of yours that flattens "
                f"images, and leave out wrappers that take rows only: {error}"
            ) from error
        raise


def _taking_neither(estimator, of_images, of_rows):
    return ValueError(
        f"teacher {type(estimator).__name__} takes neither images ({of_images}) nor rows, the "
        f"images flattened ({of_rows}). Pass a function of images that asks it"
    )


def _in_form(images, form, frame):
    """Return images as they are or as rows, and rows of a table as the frame they came in."""
    if images.ndim > 2:
        return images if form == "images" else images.reshape(len(images), -1)
    if frame is None:
        return images
    return pd.DataFrame(images, columns=frame.columns).astype(frame.dtypes)


class EstimatorTeacher:
    """A fitted scikit-learn classifier, or what looks like one.

    Parameters
    ----------
    estimator : classifier
        Fitted, with ``predict_proba`` or ``decision_function``.
    kept : bool
        Whether it was fitted before, and so may be met again.
    labels : array-like of shape (n_outputs,), default=None
        Class label of each output. None: its own ``classes_``.
    form : {"images", "rows"}, default=None
        The form in which it takes images; None finds it out.
    frame : DataFrame, default=None
        An empty one with the columns of the tables that it is given.
    verbose : bool, default=False
        Whether to say what it is given.
    """

    identity = None

    def __init__(self, estimator, kept, labels=None, form=None, frame=None, verbose=False):
        name = type(estimator).__name__
        if not _has_scores(estimator):
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
        if getattr(estimator, "classes_", None) is None:
            raise ValueError(
                f"teacher {name} has no classes_ that name its outputs; pass a function of images "
                "that asks it, and name them: Teacher(function, classes=[...])"
            )
        self.source = estimator
        self.labels = estimator.classes_ if labels is None else labels
        self.kept = kept
        self._form = form
        self._frame = frame
        self._verbose = verbose

    def made_of(self):
        """Return the arguments that make another one like it."""
        return self.source, self.kept, self.labels, self._form, self._frame, self._verbose

    def fingerprint(self):
        """Return a text that another estimator does not have, or None if there is no such text."""
        if not self.kept:
            return None
        try:
            return _Hasher("md5").hash(self.source)
        # Of what cannot be pickled or hashed, such as a lambda, whatever that fails with, nobody
        # can say whether it is the same.
        except Exception:
            return None

    def logits(self, images, batch_size):
        """Return log-probabilities, or else decision values, of shape (n, n_outputs)."""
        if images.ndim > 2 and self._form is None:
            self._form = self._find_form(images[:1])
        if self._verbose:
            self._verbose = False
            print(f"teacher {type(self.source).__name__} is given {self._given(images.shape[1:])}")
        return np.concatenate(
            [
                self._scores(images[start : start + batch_size], self._form)
                for start in range(0, len(images), batch_size)
            ]
        )

    def refusal(self, images, form):
        """Return why it does not answer about images in a form, None if it does."""
        # Nobody knows what a class of somebody's own fails with on images.
        try:
            shape = self._scores(images, form).shape
        except Exception as error:
            return error
        expected = len(images), len(self.labels)
        return None if shape == expected else ValueError(f"answers of shape {shape}")

    def _find_form(self, images):
        answer = takes_images(self.source, images)
        if answer is False:
            return "rows"
        # What takes images may have been fitted on rows of them.
        refusals = [self.refusal(images, form) for form in ("images", "rows")]
        if None in refusals:
            return ("images", "rows")[refusals.index(None)]
        raise refusals[0] if answer else _taking_neither(self.source, *refusals)

    def _scores(self, images, form):
        X = _in_form(images, form, self._frame)
        name = f"teacher: the outputs of {type(self.source).__name__}"
        method, outputs = "predict_proba", "probabilities"
        if not hasattr(self.source, method):
            method, outputs = "decision_function", "logits"
        values = np.asarray(getattr(self.source, method)(X), dtype=np.float32)
        # SciKeras leaves out the axis of a single image.
        return as_logits(values.reshape(len(images), -1), outputs, name)

    def _given(self, shape):
        if len(shape) == 1:
            return f"rows of {shape[0]} values"
        if self._form == "images":
            return f"images of shape {tuple(shape)}"
        return f"rows of {np.prod(shape)} values, the images flattened"


class _Hasher(NumpyHasher):
    """joblib's hash, also of masked arrays and of Keras's objects, whose pickles hold the date."""

    def save(self, obj):
        if isinstance(obj, ByKeras):
            obj = obj.source
        if isinstance(obj, keras.Model) and getattr(obj, "inputs", None):
            obj = ("keras.Model", network_fingerprint(obj))
        elif isinstance(obj, keras.Layer | keras.Metric | keras.Optimizer):
            values = [keras.ops.convert_to_numpy(variable) for variable in obj.variables]
            obj = (type(obj).__qualname__, description(obj), values)
        elif isinstance(obj, np.ma.MaskedArray):
            # joblib takes them for arrays, which they are not. Every search has some.
            obj = ("MaskedArray", obj.filled(), np.ma.getmaskarray(obj))
        super().save(obj)
