"""Whatever a user calls a teacher, as something that turns images into logits."""

import hashlib
import pickle
from os import PathLike
from pathlib import Path

import keras
import numpy as np
from joblib.hashing import NumpyHasher
from scipy.special import log_softmax, logsumexp
from sklearn.base import clone, is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from skkd._scikeras import BaseWrapper
from skkd.models import NetworkClassifier
from skkd.models._adapter import adapt_input
from skkd.models._batches import Batches, predict_batches
from skkd.models._graph import check_built
from skkd.models._head import TINY, logits_model

# How an estimator says what it thinks of each class.
_SCORES = ("predict_proba", "decision_function")


def load_teacher(path):
    """Read a trained model from a file.

    Parameters
    ----------
    path : str or path
        A ``.keras`` or ``.h5`` file that holds a whole model, not its weights alone.

    Returns
    -------
    model : keras.Model
        Not compiled: a teacher is not trained, and its losses may be unknown here.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a Keras model.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skkd import MLP
    >>> from skkd.distillation import load_teacher
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "teacher.keras"
    ...     MLP(hidden=(4,)).build((3,), n_classes=2).save(path)
    ...     load_teacher(path).output_shape
    (None, 2)
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"teacher: there is no file {str(path)!r}")
    if path.name.endswith(".weights.h5"):
        raise ValueError(
            f"teacher: {str(path)!r} holds weights without the network they belong to; build the "
            "network, read them with its load_weights, and pass the model"
        )
    try:
        return keras.saving.load_model(path, compile=False)
    # On broken files Keras fails with whatever it trips over: KeyError, BadZipFile and more.
    except Exception as error:
        raise ValueError(f"teacher: {str(path)!r} is not a Keras model: {error}") from error


class KerasTeacher:
    """A trained Keras model.

    Parameters
    ----------
    model : keras.Model
        A functional or Sequential model, ending in logits, softmax or sigmoid. It is only read.
    labels : array-like of shape (n_outputs,), default=None
        Class label of each output. None: the class labels in sorted order.
    outputs : {"auto", "logits", "probabilities"}, default="auto"
        What the outputs are; "auto" goes by the activation of the last layer.
    """

    def __init__(self, model, labels=None, outputs="auto"):
        check_built(model)
        self.model = model
        self.labels = labels
        self.outputs = outputs
        self.network = logits_model(model) if outputs == "auto" else model
        self._taking = {}

    def __reduce__(self):
        """Pickle the model once, not again in the models made of its layers."""
        return type(self), (self.model, self.labels, self.outputs)

    identity = None

    @property
    def source(self):
        """What the user knows as the teacher."""
        return self.model

    def fingerprint(self):
        """Return a text that another network, or the same with other weights, does not have."""
        return f"{_network_fingerprint(self.model)}-{self.outputs}"

    def logits(self, images, rows, batch_size):
        """Return the logits of some rows of images."""
        shape = tuple(images.shape[1:])
        if shape not in self._taking:
            self._taking[shape] = adapt_input(self.network, shape)
        batches = Batches(images, rows=rows, batch_size=batch_size)
        if len(batches) == 1:
            values = np.asarray(self._taking[shape].predict_on_batch(batches[0][0]))
        else:
            values = predict_batches(self._taking[shape], batches)
        if self.outputs == "probabilities":
            if values.ndim == 2 and values.shape[1] == 1:
                values = np.concatenate([1 - values, values], axis=1)
            return log_of(check_probabilities(values, "the teacher's outputs"))
        if values.ndim == 2 and values.shape[1] == 1:
            # One sigmoid unit: softmax of (0, z) is (1 - sigmoid(z), sigmoid(z)).
            return np.concatenate([np.zeros_like(values), values], axis=1)
        if self.outputs == "auto":
            _refuse_probabilities(values, "model")
        return values


class EstimatorTeacher:
    """A fitted scikit-learn classifier.

    Parameters
    ----------
    estimator : classifier
        Fitted, with ``predict_proba`` or ``decision_function``.
    kept : bool
        Whether it was fitted before, and so may be met again.
    """

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
        self.estimator = estimator
        self.labels = estimator.classes_
        self.kept = kept

    identity = None

    @property
    def source(self):
        """What the user knows as the teacher."""
        return self.estimator

    def fingerprint(self):
        """Return a text that another estimator does not have, or None if there is no such text."""
        if not self.kept:
            return None
        try:
            return _Hasher("md5").hash(self.estimator)
        except (pickle.PicklingError, AttributeError, TypeError, NotImplementedError):
            # Of what cannot be pickled, such as a lambda, nobody can say whether it is the same.
            return None

    def logits(self, images, rows, batch_size):
        """Return log-probabilities, or else decision values, of some rows of images."""
        parts = []
        for start in range(0, len(rows), batch_size):
            X = _as_taken_by(self.estimator, images, rows[start : start + batch_size])
            if hasattr(self.estimator, "predict_proba"):
                parts.append(log_of(self.estimator.predict_proba(X)))
            else:
                scores = np.asarray(self.estimator.decision_function(X), dtype=np.float32)
                if scores.ndim == 1:
                    scores = np.column_stack([np.zeros_like(scores), scores])
                parts.append(scores)
        return np.concatenate(parts)


class CallableTeacher:
    """A function from images to logits or probabilities.

    Parameters
    ----------
    function : callable
        ``(images) -> array of shape (n, n_outputs)``. With an attribute ``fingerprint``, a text
        that another teacher does not have, its outputs can be kept on disk.
    labels : array-like of shape (n_outputs,), default=None
        Class label of each output. None: the class labels in sorted order.
    outputs : {"auto", "logits", "probabilities"}, default="auto"
        What it returns; "auto" takes it for logits, and refuses what looks like probabilities.
    """

    def __init__(self, function, labels=None, outputs="auto"):
        self.function = function
        self.labels = labels
        self.outputs = outputs

    @property
    def identity(self):
        """What is recognized while it lives, without a fingerprint."""
        return self.function

    @property
    def source(self):
        """What the user knows as the teacher."""
        return self.function

    def fingerprint(self):
        """Return the function's own fingerprint, or None."""
        own = getattr(self.function, "fingerprint", None)
        return None if own is None else f"{own}-{self.outputs}"

    def logits(self, images, rows, batch_size):
        """Return the logits of some rows of images."""
        batches = Batches(images, rows=rows, batch_size=batch_size)
        values = [np.asarray(self.function(batches[i][0])) for i in range(len(batches))]
        values = np.concatenate(values).astype(np.float32)
        if self.outputs == "probabilities":
            return log_of(check_probabilities(values, "the teacher's outputs"))
        if self.outputs == "auto":
            _refuse_probabilities(values, "function")
        return values


def as_teachers(teacher, images, y, rows, sample_weight, labels=None, outputs="auto"):
    """Make ready whatever a user calls a teacher.

    Parameters
    ----------
    teacher : keras.Model, path, scikit-learn classifier, callable, or list of these
        A path is read; a scikit-learn classifier is cloned and fitted on these images, unless it
        is a FrozenEstimator.
    images : array-like of shape (n, ...)
        Raw images or a table.
    y : ndarray of shape (n,)
        Class labels.
    rows : ndarray of int
        The rows a scikit-learn classifier is fitted on.
    sample_weight : ndarray of shape (n,)
        Weights it is fitted with, if they are not all 1 and its fit takes them.
    labels, outputs : see `KerasTeacher`

    Returns
    -------
    teachers : list of KerasTeacher, EstimatorTeacher or CallableTeacher
        One for each member.
    """
    if isinstance(teacher, list | tuple):
        if not teacher:
            raise ValueError("teacher must not be an empty list; pass None for no teacher")
        if any(isinstance(member, list | tuple) for member in teacher):
            raise ValueError(
                "teacher must not be a list that holds lists; put all teachers into one, with "
                f"teacher_weights to weigh them; got {teacher!r}"
            )
        options = (images, y, rows, sample_weight, labels, outputs)
        return [as_teachers(member, *options)[0] for member in teacher]
    if isinstance(teacher, str | PathLike):
        teacher = load_teacher(teacher)
    if isinstance(teacher, keras.Model):
        return [KerasTeacher(teacher, labels, outputs)]
    # SciKeras's classifiers have scores, but not the tag by which scikit-learn knows its own.
    if hasattr(teacher, "fit") and (
        is_classifier(teacher) or any(hasattr(teacher, method) for method in _SCORES)
    ):
        fitted = clone(teacher)
        kept = fitted is teacher
        inner = getattr(fitted, "estimator", None) if kept else None
        if isinstance(inner, NetworkClassifier):
            return [KerasTeacher(inner.model_, inner.classes_)]
        if not kept:
            weights = {}
            if (sample_weight[rows] != 1).any() and has_fit_parameter(fitted, "sample_weight"):
                weights["sample_weight"] = sample_weight[rows]
            fitted.fit(_as_taken_by(fitted, images, rows), y[rows], **weights)
        return [EstimatorTeacher(fitted, kept)]
    if callable(teacher):
        return [CallableTeacher(teacher, labels, outputs)]
    raise ValueError(
        "teacher must be a keras.Model, the path of one, a scikit-learn classifier, a callable, a "
        f"list of these or None; got {teacher!r}"
    )


def match_classes(logits, labels, classes):
    """Bring a teacher's logits into the order of the student's classes.

    Parameters
    ----------
    logits : ndarray of shape (n, n_outputs)
        The teacher's logits.
    labels : array-like of shape (n_outputs,) or None
        Class label of each output; None: they are the student's classes.
    classes : ndarray of shape (n_classes,)
        The student's class labels.

    Returns
    -------
    logits : ndarray of shape (n, n_classes), float32
        Outputs for classes that the student does not know are left out.
    """
    if logits.ndim != 2 or logits.shape[1] != len(classes if labels is None else labels):
        expected = f"y has {len(classes)} classes" if labels is None else f"{len(labels)} labels"
        raise ValueError(
            f"the teacher's outputs have shape {logits.shape}, but {expected}: "
            f"{np.asarray(classes if labels is None else labels).tolist()}; set teacher_classes to "
            "the label of each output, in their order"
        )
    if not np.isfinite(logits).all():
        bad = int(np.count_nonzero(~np.isfinite(logits).all(axis=1)))
        raise ValueError(
            f"the teacher's output is NaN or infinite for {bad} of {len(logits)} images"
        )
    if labels is not None:
        position = {label: number for number, label in enumerate(np.asarray(labels).tolist())}
        if len(position) < len(labels):
            raise ValueError(
                "teacher_classes must name another class for each output; got "
                f"{np.asarray(labels).tolist()}"
            )
        missing = [label for label in classes.tolist() if label not in position]
        if missing:
            raise ValueError(
                f"the teacher does not know the classes {missing}; it knows {list(position)}"
            )
        logits = logits[:, [position[label] for label in classes.tolist()]]
    return logits.astype(np.float32)


def average_logits(members, weights, temperature):
    """Average several teachers' softened probabilities.

    Parameters
    ----------
    members : list of ndarray of shape (n, n_classes)
        Each teacher's logits, classes matched.
    weights : array-like of shape (n_teachers,), default=None
        Their weights; None weighs them alike.
    temperature : float
        The temperature at which probabilities are averaged.

    Returns
    -------
    logits : ndarray of shape (n, n_classes), float32
        ``T log(p)`` for the averaged p, so that softmax(logits / T) is p.
    """
    weights = np.ones(len(members)) if weights is None else np.asarray(weights, dtype=float)
    if weights.shape != (len(members),) or not (weights >= 0).all() or weights.sum() == 0:
        raise ValueError(
            f"teacher_weights must be {len(members)} numbers, none negative and not all zero; got "
            f"{weights.tolist()}"
        )
    if len(members) == 1:
        return members[0]
    log_p = log_softmax(np.stack(members).astype(float) / temperature, axis=2)
    shares = (weights / weights.sum())[:, None, None]
    return (temperature * logsumexp(log_p, axis=0, b=shares)).astype(np.float32)


def _as_taken_by(estimator, images, rows):
    """Return rows of images as an estimator takes them: flattened if it takes tables only."""
    taken = np.asarray(images[rows])
    if taken.ndim == 2 or _takes_images(estimator, taken[:1]):
        return taken
    return taken.reshape(len(taken), -1)


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
        if isinstance(obj, keras.Model) and getattr(obj, "inputs", None):
            obj = ("keras.Model", _network_fingerprint(obj))
        elif isinstance(obj, keras.Layer | keras.Metric | keras.Optimizer):
            values = [keras.ops.convert_to_numpy(variable) for variable in obj.variables]
            obj = (type(obj).__qualname__, str(obj.get_config()), values)
        super().save(obj)


def _network_fingerprint(model):
    """Return a digest of a model's architecture and weights, however it is compiled."""
    bare = keras.Model(model.inputs, model.outputs, name=model.name)
    digest = hashlib.blake2b(bare.to_json().encode(), digest_size=16)
    for weights in model.get_weights():
        digest.update(np.ascontiguousarray(weights).tobytes())
    return digest.hexdigest()


def check_probabilities(values, name):
    """Return probabilities, one row an image; raise a ValueError if they are something else."""
    if values.ndim != 2:
        return values
    finite = values[np.isfinite(values).all(axis=1)]
    if (finite < 0).any() or not np.allclose(finite.sum(axis=1), 1, atol=1e-2):
        raise ValueError(
            f"{name} must be probabilities, none negative and of sum 1 for each image; got values "
            f"from {finite.min():g} to {finite.max():g} and sums from "
            f"{finite.sum(axis=1).min():g} to {finite.sum(axis=1).max():g}. If they are logits, "
            "say so: teacher_outputs='logits', or teacher_logits instead of teacher_proba"
        )
    return values


def log_of(probabilities):
    """Return finite logarithms: equal to logits up to a constant that softmax ignores."""
    return np.log(np.maximum(probabilities, TINY)).astype(np.float32)


def _refuse_probabilities(values, teacher):
    """Raise where what was taken for logits looks like probabilities."""
    if (values >= 0).all() and np.allclose(values.sum(axis=-1), 1, atol=1e-3):
        raise ValueError(
            f"teacher: the {teacher}'s outputs look like probabilities; set "
            "teacher_outputs='probabilities', or 'logits' if they are not"
        )
