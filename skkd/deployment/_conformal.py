"""Classifiers as the package MAPIE takes them."""

from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted


def conformal_estimator(estimator):
    """Return a fitted classifier as MAPIE takes it, whatever images or paths are given as X.

    MAPIE [1]_ turns probabilities into sets of labels that hold the true one as often as asked for,
    by what a classifier says of images that it was not trained on. It takes X for a table: it
    compares the second axis with the classifier's ``n_features_in_``, and asks it about a row of
    zeros. What is returned has no ``n_features_in_``, so that X reaches the classifier as it is.

    Parameters
    ----------
    estimator : classifier
        Fitted, with `predict_proba`, such as a `~skkd.NetworkClassifier`, a Pipeline or a
        `~skkd.DeferringClassifier`. It is not fitted again.

    Returns
    -------
    estimator : classifier
        For ``SplitConformalClassifier(estimator, prefit=True)``. X is an array of images, an array
        of paths, ``np.asarray(paths)`` where they are a list, or `skkd.images.ImagePaths`.

    Raises
    ------
    TypeError
        If it has no `predict_proba`.
    sklearn.exceptions.NotFittedError
        If it is not fitted.

    See Also
    --------
    skkd.DeferringClassifier : Hands images over instead.

    Notes
    -----
    The promise is an average over images like those that MAPIE was given: new patients of the same
    hospital, and not of another scanner. It holds for all classes together; a rare one may be
    missed more often. Several images of one patient count as fewer than they are.

    References
    ----------
    .. [1] T. Cordier et al., "Flexible and systematic uncertainty estimation with conformal
       prediction via the MAPIE library", Conformal and Probabilistic Prediction with Applications,
       PMLR 204:549-581, 2023.

    Examples
    --------
    With the extra ``conformal`` installed:

    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skkd import FiveBlockCNN, NetworkClassifier, conformal_estimator
    >>> digits = load_digits()
    >>> X, y = digits.images[..., None], digits.target
    >>> student = NetworkClassifier(FiveBlockCNN(filters=(8, 16)), epochs=3, random_state=0)
    >>> student = student.fit(X[:700], y[:700])
    >>> from mapie.classification import SplitConformalClassifier  # doctest: +SKIP
    >>> conformal = SplitConformalClassifier(
    ...     conformal_estimator(student), confidence_level=0.9, prefit=True
    ... ).conformalize(X[700:1200], y[700:1200])  # doctest: +SKIP
    >>> labels, sets = conformal.predict_set(X[1200:])  # doctest: +SKIP
    >>> sets.shape  # doctest: +SKIP
    (597, 10, 1)
    """
    if not hasattr(estimator, "predict_proba"):
        raise TypeError(
            f"estimator must have predict_proba; got {type(estimator).__name__}: wrap it in "
            "sklearn.calibration.CalibratedClassifierCV"
        )
    check_is_fitted(estimator)
    return TakesAnything(estimator)


class TakesAnything(FrozenEstimator):
    """A fitted estimator that does not say what X it takes.

    Parameters
    ----------
    estimator : estimator
        The fitted estimator.
    """

    def __getattr__(self, name):
        if name in ("n_features_in_", "feature_names_in_"):
            raise AttributeError(f"{type(self).__name__} takes any X and has no {name}")
        return super().__getattr__(name)
