"""A temperature that becomes part of a student."""

from copy import deepcopy

import numpy as np
from scipy.special import logit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skkd.distillation import KDClassifier
from skkd.models import NetworkClassifier


def fold_temperature(calibrated):
    """Return the student inside a calibrated classifier, with the temperature in its weights.

    scikit-learn keeps the temperature beside the student, where a saved or exported network knows
    nothing of it. Here logits are divided by it inside the network, so that ``model_``, files,
    exports and explainers are calibrated too.

    Parameters
    ----------
    calibrated : CalibratedClassifierCV
        Fitted with ``method="temperature"`` (scikit-learn 1.8 or later) around a
        `~skkd.NetworkClassifier`, a `~skkd.KDClassifier`, or a Pipeline or search ending in one:
        ``CalibratedClassifierCV(FrozenEstimator(student), method="temperature")``, fitted on images
        that the student was not trained on. It is left as it is.

    Returns
    -------
    student : NetworkClassifier, KDClassifier or Pipeline
        A fitted copy, of a search that of its best estimator. Its ``predict_proba`` equals that of
        `calibrated`, its ``decision_function`` gives the student's logits divided by the
        temperature, and it predicts the same labels. Its ``calibration_temperature_`` is the
        temperature, or the product of several that were folded one after the other. Teachers are
        shared with the student.

    Raises
    ------
    TypeError
        If `calibrated` is no CalibratedClassifierCV, or holds no student.
    ValueError
        If it was fitted with another method or as an ensemble, or on labels from which scikit-learn
        does not find the temperature: those of all classes, which are strings, booleans or the
        numbers 0, 1, ....

    See Also
    --------
    skkd.expected_calibration_error : What was gained.
    skkd.DeferringClassifier : Hands over what it is not sure of.

    Notes
    -----
    Weights and bias of the last dense layer are divided by the temperature [1]_; where the network
    ends in something else, a ``Rescaling`` of the logits is added. ``fit`` begins anew, without a
    temperature; ``partial_fit`` and ``warm_start`` refuse, as a student that learned on would have
    to be calibrated again.

    scikit-learn 1.8 and 1.9 take labels that are other numbers, such as 1, 2 and 3, for the
    positions of columns, and find a wrong temperature without saying so. Positions, which are
    ``np.searchsorted(student.classes_, y)``, are right for any student.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On calibration of modern neural
       networks", ICML 2017.

    Examples
    --------
    With scikit-learn 1.8 or later:

    >>> from sklearn.calibration import CalibratedClassifierCV
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.frozen import FrozenEstimator
    >>> from skkd import FiveBlockCNN, NetworkClassifier, fold_temperature
    >>> digits = load_digits()
    >>> X, y = digits.images[..., None], digits.target
    >>> student = NetworkClassifier(FiveBlockCNN(filters=(8, 16)), epochs=2, random_state=0)
    >>> student = student.fit(X[:500], y[:500])
    >>> calibrated = CalibratedClassifierCV(
    ...     FrozenEstimator(student), method="temperature"
    ... ).fit(X[500:1000], y[500:1000])  # doctest: +SKIP
    >>> folded = fold_temperature(calibrated)  # doctest: +SKIP
    >>> expected = calibrated.predict_proba(X[1000:])  # doctest: +SKIP
    >>> bool(abs(folded.predict_proba(X[1000:]) - expected).max() < 1e-5)  # doctest: +SKIP
    True
    >>> folded.model_.save("calibrated.keras")  # doctest: +SKIP
    """
    if not isinstance(calibrated, CalibratedClassifierCV):
        raise TypeError(
            "calibrated must be a fitted CalibratedClassifierCV of scikit-learn; got "
            f"{type(calibrated).__name__}"
        )
    check_is_fitted(calibrated)
    if calibrated.method != "temperature":
        raise ValueError(
            f"calibrated was fitted with method={calibrated.method!r}, which is no multiple of "
            "logits and no part of a network can stand for; fit it with method='temperature'"
        )
    fitted = calibrated.calibrated_classifiers_
    if len(fitted) > 1:
        raise ValueError(
            f"calibrated averages {len(fitted)} students of different temperatures, which is no "
            "one network; fit CalibratedClassifierCV(FrozenEstimator(student), "
            "method='temperature'), or pass ensemble=False"
        )
    steps, student = _student_in(fitted[0].estimator)
    _check_labels(calibrated.classes_, student.classes_)
    folded = student._with_scaled_logits(_factor(fitted[0].calibrators[0], len(student.classes_)))
    return Pipeline([*deepcopy(steps[:-1]), (steps[-1][0], folded)]) if steps else folded


def _student_in(estimator):
    """Return the steps of a pipeline, if there is one, and the student."""
    steps = []
    while not isinstance(estimator, NetworkClassifier | KDClassifier):
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif isinstance(estimator, Pipeline) and not steps:
            steps, estimator = estimator.steps, estimator[-1]
        else:
            raise TypeError(
                "calibrated must be around a NetworkClassifier, a KDClassifier, or a Pipeline or "
                f"search ending in one; got {type(estimator).__name__}, which has no network that "
                "a temperature could be part of"
            )
    return steps, estimator


def _check_labels(classes, known):
    """Refuse labels from which scikit-learn finds another temperature than that of the student."""
    positions = np.arange(len(known))
    if not (np.array_equal(classes, known) or np.array_equal(classes, positions)):
        raise ValueError(
            f"calibrated was fitted on images of the classes {classes.tolist()} and the student on "
            f"those of {known.tolist()}, so that its temperature is that of other columns; "
            "calibrate on images of every class"
        )
    if classes.dtype.kind not in "OUST" and not np.array_equal(classes, positions):
        raise ValueError(
            f"calibrated was fitted on the labels {classes.tolist()}, of which scikit-learn takes "
            "the numbers for positions of columns, so that its temperature is wrong; calibrate on "
            "np.searchsorted(student.classes_, y)"
        )


def _factor(calibrator, n_classes):
    """Return what a calibrator of scikit-learn multiplies logits by."""
    # Read off what it computes: of two classes it takes the difference of their logits, whose
    # multiple is its own affair. Small differences are exact, and sum to no 1 as probabilities do.
    if n_classes == 2:
        return float(logit(calibrator.predict(np.array([0.5]))[0, 1]) / 0.5)
    scores = np.zeros((1, n_classes))
    scores[0, 0] = -0.5
    proba = calibrator.predict(scores)[0]
    return float(2 * np.log(proba[1] / proba[0]))
