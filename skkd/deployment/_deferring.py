"""A student that hands over what it is not sure of."""

from numbers import Real
from typing import Self

import numpy as np
import pandas as pd
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import check_cv, cross_val_predict
from sklearn.utils import Bunch, _safe_indexing, get_tags, indexable
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from skkd._groups import check_groups
from skkd.deployment._confidence import check_confidence, least_reaching, threshold_keeping
from skkd.images._conversions import to_array
from skkd.metrics._predictions import label_codes
from skkd.models._labels import check_to_score, check_true_labels


def _someone_answers(self):
    if self.fallback is None:
        raise AttributeError(
            "nobody answers for the images that are handed over, as fallback=None; ask student_ "
            "about the rest, X[~deferring.defer(X)]"
        )
    return True


class DeferringClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Answer by a student where it is sure, and by somebody else where it is not.

    The student is asked about every image. Those whose most probable class is less probable than a
    threshold are handed over to the fallback, which is asked about no others [1]_.

    Parameters
    ----------
    student : classifier
        With `predict_proba`, such as `~skkd.KDClassifier`. It is cloned and fitted; one that is
        fitted already stays as it is in a `sklearn.frozen.FrozenEstimator`.
    fallback : classifier, "teacher" or None, default=None
        Who is asked about the rest: a classifier with `predict_proba`, which is cloned and fitted
        too unless it is frozen; "teacher" for the teacher that the student, a `~skkd.KDClassifier`,
        learned from; None for a person, for whom `defer` names the images.
    threshold : float, default=None
        Least probability of the predicted class with which the student answers, in (0, 1]. As in
        `skkd.net_benefit`, 0.7 is reached by what 0.7 is in the type of the probabilities.
    coverage : float, default=None
        Share of the images of fit that the student keeps, in (0, 1], from which the threshold
        follows: the highest that keeps as many. Images count alike, whatever their weights. Either
        this or `threshold` is given.
    deferred_label : str, int, float or missing value, default=None
        What `predict` gives for images handed over to a person, such as "ask" or ``np.nan``; none
        of the classes.
    cv : int, splitter or iterable, default=None
        How a student that is not frozen is asked about images of fit for `coverage`: by
        `sklearn.model_selection.cross_val_predict`, as it is too sure of those that it was trained
        on. None is 5-fold. Where patients have several images, one that keeps them together, such
        as ``GroupKFold()``, with `groups` given to `fit`.

    Attributes
    ----------
    student_ : classifier
        The fitted student.
    fallback_ : classifier, "teacher" or None
        The fitted fallback.
    threshold_ : float
        Least probability with which the student answers.
    classes_ : ndarray of shape (n_classes,)
        Class labels, those of the student.
    n_features_in_ : int
        As the student says, if it does.
    feature_names_in_ : ndarray of str
        As the student says, if it does.

    See Also
    --------
    skkd.deferral_curve : What each threshold would cost and gain, to choose one by.
    skkd.fold_temperature : Calibrates a student, so that its probabilities mean what they say.
    skkd.conformal_estimator : Sets of labels instead of one.

    Notes
    -----
    Choose the threshold on images that neither student nor fallback was trained on, and report on
    others. Images of another kind than those of training need not make a network unsure.

    References
    ----------
    .. [1] C. K. Chow, "On optimum recognition error and reject tradeoff", IEEE Transactions on
       Information Theory 16(1):41-46, 1970.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.svm import SVC
    >>> from skkd import DeferringClassifier, FiveBlockCNN, KDClassifier, NetworkClassifier
    >>> digits = load_digits()
    >>> X, y = digits.images[..., None], digits.target
    >>> small = NetworkClassifier(FiveBlockCNN(filters=(8, 16)), epochs=5, random_state=0)
    >>> student = KDClassifier(SVC(gamma=0.001), small).fit(X[:700], y[:700])
    >>> deferring = DeferringClassifier(FrozenEstimator(student), "teacher", coverage=0.7)
    >>> deferring = deferring.fit(X[700:1200], y[700:1200])
    >>> deferring.score(X[1200:], y[1200:]) > student.score(X[1200:], y[1200:])
    True
    >>> bool(deferring.defer(X[1200:]).mean() < 0.4)
    True
    """

    _parameter_constraints: dict = {
        "student": [HasMethods(["fit", "predict_proba"])],
        "fallback": [HasMethods(["fit", "predict_proba"]), StrOptions({"teacher"}), None],
        "threshold": [Interval(Real, 0, 1, closed="right"), None],
        "coverage": [Interval(Real, 0, 1, closed="right"), None],
        "deferred_label": "no_validation",
        "cv": ["cv_object"],
    }

    def __init__(
        self,
        student,
        fallback=None,
        *,
        threshold=None,
        coverage=None,
        deferred_label=None,
        cv=None,
    ):
        self.student = student
        self.fallback = fallback
        self.threshold = threshold
        self.coverage = coverage
        self.deferred_label = deferred_label
        self.cv = cv

    def fit(self, X, y, **params) -> Self:
        """Fit student and fallback unless they are frozen, and find the threshold.

        Parameters
        ----------
        X : array-like of shape (n, ...), or paths
            Images or whatever else student and fallback take.
        y : array-like of shape (n,)
            Class labels, of which a student that is frozen knows all.
        **params : dict
            `groups`, the patient of each image, goes to the splitter `cv`, which `coverage` of a
            student that is not frozen needs; elsewhere they are refused. With metadata routing,
            what they request goes to `cv` and to the ``fit`` of student and fallback.

        Returns
        -------
        self : DeferringClassifier
            The fitted classifier.

        Raises
        ------
        ValueError
            If parameters contradict each other, or labels are missing or unknown to the student.
        """
        self._validate_params()
        if (self.threshold is None) == (self.coverage is None):
            raise ValueError(
                "either threshold or coverage must be given, a probability or a share of images; "
                f"got threshold={self.threshold!r} and coverage={self.coverage!r}"
            )
        X, y = indexable(to_array(X), check_true_labels(y, type(self).__name__))
        check_classification_targets(y)
        routed = self._route(params)
        if routed.splitter.split.get("groups") is not None:
            if self.coverage is None or isinstance(self.student, FrozenEstimator):
                raise ValueError(
                    "groups have no effect where threshold is given or the student is frozen, as "
                    "no folds are made then: leave them out"
                )
            routed.splitter.split["groups"] = check_groups(routed.splitter.split["groups"], len(y))
        self.student_ = clone(self.student).fit(X, y, **routed.student.fit)
        self.classes_ = np.asarray(self.student_.classes_)
        label_codes(y, self.classes_, "y")
        self._check_deferred_label()
        self._fit_fallback(X, y, routed)
        self.threshold_ = self.threshold
        if self.threshold is None:
            confidence = self._out_of_fold_confidence(X, y, routed)
            self.threshold_ = threshold_keeping(confidence, self.coverage)
        return self

    def _route(self, params):
        if get_config()["enable_metadata_routing"]:
            return process_routing(self, "fit", **params)
        others = sorted(params.keys() - {"groups"})
        if others:
            raise ValueError(
                f"fit passes on {others} only with sklearn.set_config(enable_metadata_routing=True)"
            )
        nothing = Bunch(fit={})
        return Bunch(student=nothing, fallback=nothing, splitter=Bunch(split=dict(params)))

    def _fit_fallback(self, X, y, routed):
        self.fallback_ = self.fallback
        if self.fallback == "teacher":
            # One that was loaded without its teacher has the method, and nobody to ask.
            if not hasattr(self.student_, "teacher_"):
                raise ValueError(
                    "fallback='teacher' needs a KDClassifier with its teacher as the student; got "
                    f"{self.student!r}: pass the teacher as a fitted classifier, "
                    "FrozenEstimator(teacher)"
                )
        elif self.fallback is not None:
            self.fallback_ = clone(self.fallback).fit(X, y, **routed.fallback.fit)
            if set(self.fallback_.classes_) != set(self.classes_):
                raise ValueError(
                    f"fallback knows the classes {np.asarray(self.fallback_.classes_).tolist()} "
                    f"and student {self.classes_.tolist()}; both must be fitted on the same labels"
                )

    def _out_of_fold_confidence(self, X, y, routed):
        if isinstance(self.student, FrozenEstimator):
            proba = self.student_.predict_proba(X)
            return check_confidence(proba, self.classes_, "student")[0].max(axis=1)
        # Split here, as with metadata routing what is requested of a splitter reaches it here only.
        folds = check_cv(self.cv, y, classifier=True).split(X, y, **routed.splitter.split)
        proba = cross_val_predict(
            self.student, X, y, cv=list(folds), method="predict_proba", params=routed.student.fit
        )
        return check_confidence(proba, self.classes_, "student")[0].max(axis=1)

    def _check_deferred_label(self):
        label = self.deferred_label
        if label is None:
            return
        if self.fallback is not None:
            raise ValueError(
                f"deferred_label={label!r} has no effect beside a fallback that answers; leave it "
                "None"
            )
        if np.ndim(label) > 0:
            raise ValueError(f"deferred_label must be one label; got {label!r}")
        if not pd.isna(label) and label in self.classes_.tolist():
            raise ValueError(
                f"deferred_label must be none of the classes {self.classes_.tolist()}; got "
                f"{label!r}, which would be taken for an answer"
            )

    def _ask_student(self, X):
        """Return the student's probabilities, and which images it is not sure enough of."""
        given = self.student_.predict_proba(X)
        proba, precision = check_confidence(given, self.classes_, "student")
        return proba, proba.max(axis=1) < least_reaching(self.threshold_, precision)

    def defer(self, X) -> np.ndarray:
        """Return which images are handed over.

        Parameters
        ----------
        X : array-like of shape (n, ...), or paths
            Images or whatever else the student takes.

        Returns
        -------
        deferred : ndarray of bool of shape (n,)
            True where the student is not sure enough.
        """
        check_is_fitted(self)
        return self._ask_student(X)[1]

    @available_if(_someone_answers)
    def predict_proba(self, X) -> np.ndarray:
        """Return the probability of each class, according to whoever answers.

        Parameters
        ----------
        X : array-like of shape (n, ...), or paths
            Images or whatever else student and fallback take.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            Probabilities in the order of ``classes_``.
        """
        check_is_fitted(self)
        (X,) = indexable(to_array(X))
        proba, deferred = self._ask_student(X)
        rows = np.flatnonzero(deferred)
        if len(rows):
            proba[rows] = self._ask(_safe_indexing(X, rows))
        return proba

    def _answers(self, X):
        """Return what the student says, what the fallback says of all images, and who is asked."""
        check_is_fitted(self)
        (X,) = indexable(to_array(X))
        proba, deferred = self._ask_student(X)
        return proba, None if self.fallback is None else self._ask(X), deferred

    def _ask(self, X):
        """Return what the fallback says of images, in the order of the student's classes."""
        if self.fallback == "teacher":
            return self.student_.teacher_predict_proba(X)
        classes = np.asarray(self.fallback_.classes_)
        proba, _ = check_confidence(self.fallback_.predict_proba(X), classes, "fallback")
        places = {label: place for place, label in enumerate(classes.tolist())}
        return proba[:, [places[label] for label in self.classes_.tolist()]]

    def predict(self, X) -> np.ndarray:
        """Return the most probable class label, according to whoever answers.

        Parameters
        ----------
        X : array-like of shape (n, ...), or paths
            Images or whatever else student and fallback take.

        Returns
        -------
        y : ndarray of shape (n,)
            Class labels, and `deferred_label` for what is handed over to a person.

        Raises
        ------
        ValueError
            If images go to a person and there is no `deferred_label`.
        """
        check_is_fitted(self)
        if self.fallback is not None:
            return self.classes_[self.predict_proba(X).argmax(axis=1)]
        if self.deferred_label is None:
            raise ValueError(
                "images that are handed over to a person have no label yet; set deferred_label, "
                "such as 'ask' or np.nan, or take those that the student keeps, "
                "X[~deferring.defer(X)]"
            )
        proba, deferred = self._ask_student(X)
        y = self.classes_[proba.argmax(axis=1)]
        kinds = {np.asarray(self.deferred_label).dtype.kind, y.dtype.kind}
        if len(kinds) == 1 or kinds <= set("iuf"):
            return np.where(deferred, self.deferred_label, y)
        y = y.astype(object)
        y[deferred] = self.deferred_label
        return y

    @available_if(_someone_answers)
    def score(self, X, y, sample_weight=None) -> float:
        """Return the accuracy of the student and the fallback together.

        Parameters
        ----------
        X : array-like of shape (n, ...), or paths
            Images or whatever else student and fallback take.
        y : array-like of shape (n,)
            True class labels.
        sample_weight : array-like of shape (n,), default=None
            Weight of each image.

        Returns
        -------
        accuracy : float
            Share of the images whose predicted label is the true one.
        """
        check_is_fitted(self)
        return super().score(X, *check_to_score(y, self.classes_, sample_weight))

    @property
    def n_features_in_(self):
        check_is_fitted(self)
        return self.student_.n_features_in_

    @property
    def feature_names_in_(self):
        check_is_fitted(self)
        return self.student_.feature_names_in_

    def __sklearn_is_fitted__(self):
        """Return whether there is a threshold, which is found last."""
        return hasattr(self, "threshold_")

    def get_metadata_routing(self):
        """Return where metadata is passed on to.

        Returns
        -------
        routing : MetadataRouter
            Says that ``fit`` passes on to ``fit`` of student and fallback, and to `cv`.
        """
        router = MetadataRouter(owner=self)
        mapping = MethodMapping().add(caller="fit", callee="fit")
        router.add(student=self.student, method_mapping=mapping)
        to_split = MethodMapping().add(caller="fit", callee="split")
        router.add(splitter=self.cv, method_mapping=to_split)
        if hasattr(self.fallback, "fit"):
            router.add(fallback=self.fallback, method_mapping=mapping)
        return router

    def __sklearn_tags__(self):
        """Take what the student takes."""
        tags = super().__sklearn_tags__()
        of_student = get_tags(self.student)
        tags.input_tags = of_student.input_tags
        if hasattr(self.fallback, "fit"):
            tags.input_tags.sparse &= get_tags(self.fallback).input_tags.sparse
        tags.classifier_tags.multi_class = of_student.classifier_tags.multi_class
        return tags
