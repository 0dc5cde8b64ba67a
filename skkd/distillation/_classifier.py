"""A classifier that learns from labels and from a teacher."""

from numbers import Real
from os import PathLike
from typing import Self

import joblib
import keras
import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.base import BaseEstimator, clone
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_array, check_is_fitted

from skkd._scikeras import seeded
from skkd._warnings import warn
from skkd.distillation._answers import as_logits
from skkd.distillation._callable_teacher import CallableTeacher
from skkd.distillation._encoded import check_not_encoded
from skkd.distillation._estimator_teacher import EstimatorTeacher
from skkd.distillation._hints import Hints, TeacherFeatures, as_hints
from skkd.distillation._keras_teacher import KerasTeacher
from skkd.distillation._lessons import (
    check_lessons,
    with_given_logits,
    with_hints,
    with_loss,
    with_teachers,
    with_unlabeled,
)
from skkd.distillation._losses import SOFT_LOSSES, DistillationLoss
from skkd.distillation._teacher import Teacher, as_teachers, make_ready
from skkd.distillation._teachers import Teachers
from skkd.images._blocks import read_blocks
from skkd.images._decoded import keep_decoded
from skkd.models._architecture import as_network
from skkd.models._classifier import NetworkClassifier
from skkd.models._image_classifier import ImageClassifierMixin
from skkd.models._sharing import SharesModels
from skkd.persistence._saving import SavesMixin, write
from skkd.persistence._values import NotSaved

# By their names in files.
_KINDS_OF_TEACHERS = {
    "keras": KerasTeacher,
    "estimator": EstimatorTeacher,
    "function": CallableTeacher,
}


def _of_student(name, doc):
    def get(self):
        return getattr(self.student_, name)

    return property(get, doc=doc)


class KDClassifier(SavesMixin, SharesModels, ImageClassifierMixin, BaseEstimator):
    """Train a small network from labels and from a large one's outputs.

    The student minimizes ``alpha * hard + (1 - alpha) * soft``: the cross-entropy with the labels
    and the temperature-softened divergence from the teacher [1]_. The teacher's outputs are
    computed once and travel with the labels; training itself is plain ``keras.Model.fit``.

    How the student is trained (epochs, optimizer, augmentation, image files, seeds) is said by the
    student, a `NetworkClassifier`, whose parameters are searched as ``student__epochs`` or
    ``student__network__filters``.

    Parameters
    ----------
    teacher : keras.Model, path, scikit-learn classifier, callable, Teacher, list of these or \
            None, default=None
        Whom the student learns from; it sees the same raw images, and is left as it is.

        - A trained Keras model, or the path of one saved whole. Images are resized and converted
          between gray and RGB if it needs that.
        - A scikit-learn or SciKeras classifier, which is cloned and fitted on the same images,
          flattened if nothing inside it takes images, and with their weights (those of
          `class_weight` included) if its fit takes them. Wrap a fitted one in
          ``sklearn.frozen.FrozenEstimator`` to keep it.
        - A function from a batch of images to logits. In one process it is taken to give the
          same answers as long as it is the same object.
        - A `Teacher`, which says more about one of these: its classes, whether it gives logits or
          probabilities, its weight.
        - A list of teachers, whose probabilities are averaged at the temperature.
        - None trains without a teacher; `alpha` and `temperature` then play no part.
    student : NetworkClassifier, str, network object, keras.Model or callable, default="auto"
        The student, cloned for fit, or a network, as `network` in `NetworkClassifier`, that is
        trained with the defaults of one.
    alpha : float, default=0.5
        Weight of the hard loss, in [0, 1]. With 1 the student trains on labels alone, with 0 on
        the teacher's outputs alone.
    temperature : float, default=4.0
        Divides the logits of both sides in the soft loss; greater than 0.
    soft_loss : {"kl", "standardized", "dkd", "dist", "literal"} or callable, default="kl"
        How the student's logits are compared with the teacher's.

        - "kl": Hinton's divergence of softened probabilities, times the squared temperature.
        - "standardized": the same of logits brought to mean 0 and deviation 1 [3]_; try
          temperature=2 and alpha=0.1.
        - "dkd": decoupled, for three classes or more [4]_.
        - "dist": correlations within images and within classes [5]_.
        - "literal": Eq. 2 of [2]_ as printed. No student stands in it, so its gradient is zero.
        - A function ``(one_hot, teacher_logits, student_logits, temperature, sample_weight)`` of
          Keras operations that returns one value an image.
    hints : dict of str to str or Hints, default=None
        Feature distillation [6]_: name of a layer of the teacher (a Keras model) to the name of
        the student's layer whose features are to be like it. A `Hints` says their weight and how
        they are compared too.
    unlabeled_ratio : float, default=None
        With ``fit(..., X_unlabeled=U)``, unlabeled images for each labeled one in a batch,
        greater than 0. None keeps the proportion they have altogether.
    memory : str, path, joblib.Memory or None, default=None
        Folder in which Keras models' and functions' outputs are kept, by the content of each
        image, for later fits and other processes. None keeps them in this process. Either way a
        grid search asks the teacher about each image once.

    Attributes
    ----------
    student_ : NetworkClassifier
        The fitted student. It holds no teacher: pickled alone, or saved as
        ``student_.model_.save("student.keras")``, it serves alone.
    model_ : keras.Model
        Its network, from raw images to class probabilities.
    teacher_ : keras.Model, classifier, callable or list of these
        The teacher, loaded or fitted; absent without one.
    classes_ : ndarray of shape (n_classes,)
        Class labels, in the order of the outputs.
    history_ : dict of str to list of float
        Loss and accuracy of each epoch, also on the validation part ("val_loss") if there is one.
    n_iter_ : int
        Epochs trained.
    calibration_temperature_ : float
        What logits are divided by since the fit, if `skkd.fold_temperature` did so.
    n_features_in_ : int
        Size of X's second axis in fit.
    feature_names_in_ : ndarray of str
        Names of the columns, when X was a DataFrame with string column names.

    See Also
    --------
    skkd.NetworkClassifier : The student; alone it trains from labels, and trains teachers.

    References
    ----------
    .. [1] G. Hinton, O. Vinyals and J. Dean, "Distilling the knowledge in a neural network", 2015.
    .. [2] A. Chaddad et al., "Knowledge distillation and feature map visualization for medical
       image analysis", 2025.
    .. [3] S. Sun et al., "Logit standardization in knowledge distillation", CVPR 2024.
    .. [4] B. Zhao et al., "Decoupled knowledge distillation", CVPR 2022.
    .. [5] T. Huang et al., "Knowledge distillation from a stronger teacher", NeurIPS 2022.
    .. [6] A. Romero et al., "FitNets: hints for thin deep nets", ICLR 2015.

    Examples
    --------
    A support vector machine teaches a small convolutional network:

    >>> from sklearn.datasets import load_digits
    >>> from sklearn.svm import SVC
    >>> from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier
    >>> digits = load_digits()
    >>> X, y = digits.images[..., None], digits.target
    >>> small = NetworkClassifier(FiveBlockCNN(filters=(8, 16)), epochs=5, random_state=0)
    >>> student = KDClassifier(SVC(gamma=0.001), small).fit(X[:1000], y[:1000])
    >>> student.score(X[1000:], y[1000:]) > 0.8
    True
    """

    _parameter_constraints: dict = {
        "teacher": [
            str,
            PathLike,
            keras.Model,
            HasMethods("fit"),
            callable,
            Teacher,
            list,
            tuple,
            None,
        ],
        "student": [NetworkClassifier, *NetworkClassifier._parameter_constraints["network"]],
        "alpha": [Interval(Real, 0, 1, closed="both")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "soft_loss": [StrOptions(set(SOFT_LOSSES)), callable],
        "hints": [dict, Hints, None],
        "unlabeled_ratio": [Interval(Real, 0, None, closed="neither"), None],
        "memory": [str, PathLike, joblib.Memory, None],
    }

    model_ = _of_student("model_", "Trained network, from raw images to class probabilities.")
    classes_ = _of_student("classes_", "Class labels, in the order of the outputs.")
    history_ = _of_student("history_", "Loss and accuracy of each epoch.")
    n_iter_ = _of_student("n_iter_", "Epochs trained.")
    calibration_temperature_ = _of_student(
        "calibration_temperature_", "What logits are divided by since the fit, if they are."
    )
    n_features_in_ = _of_student("n_features_in_", "Size of X's second axis in fit.")
    feature_names_in_ = _of_student("feature_names_in_", "Names of the columns in fit.")

    def __init__(
        self,
        teacher=None,
        student="auto",
        *,
        alpha=0.5,
        temperature=4.0,
        soft_loss="kl",
        hints=None,
        unlabeled_ratio=None,
        memory=None,
    ):
        self.teacher = teacher
        self.student = student
        self.alpha = alpha
        self.temperature = temperature
        self.soft_loss = soft_loss
        self.hints = hints
        self.unlabeled_ratio = unlabeled_ratio
        self.memory = memory

    def fit(
        self,
        X,
        y=None,
        sample_weight=None,
        *,
        teacher_logits=None,
        teacher_proba=None,
        X_unlabeled=None,
        groups=None,
        X_val=None,
        y_val=None,
        sample_weight_val=None,
    ) -> Self:
        """Train the student.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]) or (n, n_features), or paths
            Images, a table, or n paths of image files.
        y : array-like of shape (n,)
            Class labels, numbers or strings. None if X is a ``tf.data.Dataset`` of (image, label)
            batches, which is read into memory.
        sample_weight : array-like of shape (n,), default=None
            Weight of each image in the whole loss; images of weight 0 are left out.
        teacher_logits : array-like of shape (n, n_outputs), default=None
            What the teacher says about X, if it was asked elsewhere. scikit-learn's searches take
            the rows of each fold. Labels of the outputs that are not those of y, sorted, are named
            by ``teacher=Teacher(None, classes=...)``.
        teacher_proba : array-like of shape (n, n_outputs), default=None
            The same as probabilities.
        X_unlabeled : like X, of any length, default=None
            Images nobody labeled: the student learns from the teacher on them too, by the soft
            loss and the hints alone. scikit-learn's searches pass it whole, as long as its length
            differs from X's.
        groups : array-like of shape (n,), default=None
            Group of each image, such as its patient. Early stopping keeps whole groups for
            validation, stratified by label.
        X_val, y_val : like X and y, of any length, default=None
            Images to validate with, none of which are trained on: their loss and accuracy are in
            ``history_``, and early stopping goes by them. scikit-learn's searches pass them whole,
            as long as their length differs from X's.
        sample_weight_val : array-like of shape (n_val,), default=None
            Weight of each of them.

        Returns
        -------
        self : KDClassifier
            The fitted classifier.
        """
        again = getattr(self.student, "warm_start", False) and hasattr(self, "student_")
        given = _check_given(teacher_logits, teacher_proba)
        return self._fit(
            X,
            y,
            sample_weight,
            again=again,
            given=given,
            X_unlabeled=X_unlabeled,
            groups=groups,
            validation=(X_val, y_val, sample_weight_val),
        )

    def partial_fit(self, X, y=None, classes=None, sample_weight=None) -> Self:
        """Train the student for one more epoch.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]) or (n, n_features), or paths
            Images, a table, or n paths of image files.
        y : array-like of shape (n,)
            Class labels. None if X is a ``tf.data.Dataset`` of (image, label) batches.
        classes : array-like of shape (n_classes,), default=None
            Every label that may come; needed in the first call only.
        sample_weight : array-like of shape (n,), default=None
            Weight of each image in the loss.

        Returns
        -------
        self : KDClassifier
            The fitted classifier.
        """
        again = hasattr(self, "student_")
        if not again and classes is None:
            raise ValueError("classes must be passed in the first call of partial_fit")
        return self._fit(X, y, sample_weight, again=again, classes=classes, epochs=1)

    def _fit(
        self,
        X,
        y,
        sample_weight,
        *,
        again,
        classes=None,
        epochs=None,
        given=None,
        X_unlabeled=None,
        groups=None,
        validation=(None, None, None),
    ):
        self._validate_params()
        teachers = as_teachers(self.teacher)
        hints = as_hints(self.hints)
        student = self._student_to_train(again)
        apart = validation[0] is not None
        lessons = student._make_lessons(
            X, y, sample_weight, classes=classes, again=again, groups=groups, apart=apart
        )
        check_lessons(self, student, lessons, teachers, hints, given, X_unlabeled)
        if apart and given is not None and self.alpha < 1:
            raise ValueError(
                "teacher_logits and teacher_proba say nothing about X_val; give a teacher that can "
                "be asked instead of them"
            )
        if again and _hinted(hints) != self._hinted:
            raise ValueError(
                "hints cannot change while training goes on with the same network: they were "
                f"{self._hinted}, and are {_hinted(hints)}. Set them back, or begin anew with fit "
                "and warm_start=False"
            )
        self._prepare_teachers(teachers, lessons, student, hints, again, X)
        lessons = student._with_validation(lessons, *validation)
        if X_unlabeled is not None:
            unlabeled = student._read(X_unlabeled, reset=False, name="X_unlabeled")
            unlabeled = keep_decoded(unlabeled, student.image_cache, verbose=student.verbose)
            lessons = with_unlabeled(lessons, unlabeled, self.unlabeled_ratio)
        lessons = student._with_views(lessons)
        if self._teachers.members or given is not None:
            lessons = self._distilled(lessons, student, teachers, hints, given)
        student._learn(lessons, student.epochs if epochs is None else epochs)
        self.student_ = student
        self._hinted = _hinted(hints)
        return self

    def _student_to_train(self, again):
        """Return a clone of the student, or the one trained before with today's parameters."""
        student = self.student
        if isinstance(student, str):
            # Names what is wrong with it by this parameter's name.
            as_network(student, (1,), "student")
        if not isinstance(student, NetworkClassifier):
            student = NetworkClassifier(student)
        student = clone(student)
        return self.student_.set_params(**student.get_params(deep=False)) if again else student

    def _distilled(self, lessons, student, teachers, hints, given):
        """Add to lessons what is learned from teachers."""
        features = self._teacher_features(lessons, student, hints) if hints else None
        loss = DistillationLoss(
            len(student.classes_),
            self.alpha,
            self.temperature,
            self.soft_loss,
            hint_sizes=features.sizes if features else (),
            hint_weight=hints.weight if hints else 0.0,
        )
        lessons = with_loss(lessons, loss)
        if self.alpha < 1:
            check_not_encoded(self._teachers, lessons, self.memory)
            if given is not None:
                labels = teachers[0].classes if len(teachers) == 1 else None
                lessons = with_given_logits(lessons, given, labels, student.classes_)
            if self._teachers.members:
                lessons = with_teachers(
                    lessons,
                    self._teachers,
                    self.temperature,
                    self.memory,
                    unlabeled_only=given is not None,
                )
        return with_hints(lessons, features, student.batch_size) if features else lessons

    def _prepare_teachers(self, teachers, lessons, student, hints, again, X):
        """Load or fit the teachers, unless training goes on and they are there already."""
        made_of = _made_of(teachers)
        before = getattr(self, "_made_of", []) if again else []
        if not (again and _same(before, made_of)):
            if again and hints:
                raise ValueError(
                    "teacher cannot change while training goes on with hints, which were made "
                    "for the one before. Set it back, or begin anew with fit and warm_start=False"
                )
            members = make_ready(teachers, lessons, _columns_of(X, student), student.verbose)
            digests = getattr(self, "_teacher_digests", []) if again else []
            if digests and digests != [member.fingerprint() for member in members]:
                warn(
                    "training goes on with another teacher than the one that the student, which "
                    "was loaded from a file, has learned from before"
                )
            self._set_teachers(members, teachers, student)
        self._teachers.weights = [one.weight for one in teachers if one.model is not None]

    def _set_teachers(self, members, teachers, student):
        self._teachers = Teachers(members, student.classes_, student.batch_size)
        self._made_of = _made_of(teachers)
        for name in ("teacher_", "_teacher_digests"):
            vars(self).pop(name, None)
        if members:
            sources = [member.source for member in members]
            several = isinstance(self.teacher, list | tuple)
            self.teacher_ = sources if several else sources[0]

    def _teacher_features(self, lessons, student, hints):
        members = self._teachers.members
        if len(members) != 1 or not isinstance(members[0], KerasTeacher):
            raise ValueError(
                "hints need a teacher that is one keras.Model, or the path of one; got "
                f"{self.teacher!r}"
            )
        if lessons.network is None:
            network = student._logits_model
        else:
            # Making a network draws random weights; nobody else's random numbers must move.
            with seeded(0):
                network = lessons.network()
        return TeacherFeatures(hints, members[0].network, network)

    def save(self, path, *, teacher=False) -> None:
        """Write the classifier to a file that `skkd.load` reads without running code.

        Parameters
        ----------
        path : str or path
            The file, such as "student.skkd"; one that is there is replaced. It is a zip archive of
            ``skkd.json``, which holds parameters, labels, history, versions and digests of data and
            teachers, of networks as ``.keras`` files and of large arrays as ``.npy`` files.
        teacher : bool, default=False
            Write the teachers too: Keras models, and classifiers of scikit-learn if skops is
            installed. False leaves a path as it is, and puts a `~skkd.persistence.NotSaved` in
            place of any other teacher, without which the student predicts and is explained.

        Raises
        ------
        ValueError
            If it cannot be written without code, such as a function as the teacher.
        """
        write(self, path, *self._to_save(teacher))

    def _to_save(self, teacher=False):
        params = self.get_params(deep=False)
        if not (teacher or isinstance(params["teacher"], str | PathLike | None)):
            params["teacher"] = NotSaved(_name_of(params["teacher"]))
        if not hasattr(self, "student_"):
            return params, None
        members = self._teachers.members
        digests = [member.fingerprint() for member in members]
        kinds = {kind: name for name, kind in _KINDS_OF_TEACHERS.items()}
        return params, {
            "student": self.student_,
            "hinted": self._hinted,
            # What was loaded without its teachers still says who they were.
            "teacher_digests": digests or getattr(self, "_teacher_digests", []),
            "teachers": [(kinds[type(one)], one.made_of()) for one in members] if teacher else [],
            "weights": self._teachers.weights if teacher else [],
            "taught_by_these": teacher
            and _same(_made_of(as_teachers(self.teacher)), self._made_of),
        }

    def _set_fitted(self, state):
        self.student_, self._hinted = state["student"], state["hinted"]
        members = [_KINDS_OF_TEACHERS[kind](*made_of) for kind, made_of in state["teachers"]]
        teachers = as_teachers(self.teacher) if state["taught_by_these"] else []
        self._set_teachers(members, teachers, self.student_)
        self._teachers.weights = state["weights"]
        self._teacher_digests = state["teacher_digests"]

    def _with_scaled_logits(self, factor):
        """Return a classifier with a copy of the student, whose logits are multiplied."""
        scaled = clone(self)
        fitted = {k: v for k, v in vars(self).items() if k not in self.get_params(deep=False)}
        # It is not trained on, so that teachers can be shared.
        vars(scaled).update(fitted, student_=self.student_._with_scaled_logits(factor))
        return scaled

    def _logits(self, X):
        return self.student_._logits(X)

    def teacher_predict_proba(self, X) -> np.ndarray:
        """Return the probability of each class according to the teacher.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]) or (n, n_features), or paths
            Images, a table, or n paths of image files.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            Probabilities in the order of ``classes_``.
        """
        check_is_fitted(self)
        if not hasattr(self, "teacher_"):
            raise ValueError(
                f"this {type(self).__name__} was fitted without a teacher that can be asked about "
                "images; give one as its parameter teacher"
            )
        images = self.student_._read(X, reset=False)
        blocks = read_blocks(images, np.arange(len(images)), self._teachers.batch_size)
        with self._teachers.remembering(temperature=1.0, memory=self.memory) as ask:
            logits = [ask(block, digests) for _, block, digests in blocks]
        return softmax(np.concatenate(logits).astype(np.float64), axis=1)

    def agreement_score(self, X) -> float:
        """Return how often student and teacher predict the same class.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]) or (n, n_features), or paths
            Images, a table, or n paths of image files.

        Returns
        -------
        agreement : float
            Share of images, in [0, 1].
        """
        taught = self.classes_[self.teacher_predict_proba(X).argmax(axis=1)]
        return float(np.mean(self.predict(X) == taught))


def _same(before, made_of):
    return len(before) == len(made_of) and all(map(_same_teacher, before, made_of))


def _made_of(teachers):
    return [(one.model, one.classes, one.outputs) for one in teachers]


def _name_of(teacher):
    """Return what a teacher is called whom a file does not hold."""
    if isinstance(teacher, list | tuple):
        return ", ".join(map(_name_of, teacher))
    teacher = teacher.model if isinstance(teacher, Teacher) else teacher
    name = getattr(teacher, "name", None) or getattr(teacher, "__qualname__", "")
    return f"{type(teacher).__name__} {name}".strip()


def _columns_of(X, student):
    """Return an empty DataFrame with the columns of a table, None of what has no such names."""
    if isinstance(X, pd.DataFrame):
        return X.iloc[:0]
    names = getattr(student, "feature_names_in_", None)
    return None if names is None else pd.DataFrame(columns=names, dtype=float)


def _check_given(teacher_logits, teacher_proba):
    """Return what a teacher said elsewhere as logits, None if it said nothing."""
    if teacher_logits is not None and teacher_proba is not None:
        raise ValueError("give teacher_logits or teacher_proba, not both")
    name, outputs = "teacher_logits", "logits"
    if teacher_proba is not None:
        name, outputs = "teacher_proba", "probabilities"
    given = teacher_logits if teacher_proba is None else teacher_proba
    if given is None:
        return None
    given = check_array(given, ensure_2d=False, dtype=[np.float64, np.float32], input_name=name)
    return as_logits(given, outputs, name)


def _same_teacher(one, other):
    (model, classes, outputs), (other_model, other_classes, other_outputs) = one, other
    return (
        model is other_model and outputs == other_outputs and np.array_equal(classes, other_classes)
    )


def _hinted(hints):
    """Return what a network that is trained for hints cannot follow when they change."""
    return None if hints is None else (hints.layers, hints.loss)
