"""Fidelity as a scikit-learn scorer."""

import inspect
from collections.abc import Callable

from skkd.metrics.faithfulness._fidelity import fidelity_score


def make_fidelity_scorer(explainer_class, *, explainer_params=None, **params) -> Callable:
    """Make a scorer of how faithfully an explainer explains a classifier.

    Higher is better; a scorer with ``mode="remove"``, where lower fidelity is better, therefore
    returns minus the fidelity. It serves wherever scikit-learn takes a scorer, as one of several
    in a `~sklearn.model_selection.GridSearchCV` too.

    Parameters
    ----------
    explainer_class : class
        Such as `FeatureMapExplainer`; called with the fitted estimator.
    explainer_params : dict, default=None
        Further parameters of the explainer.
    **params : dict
        Parameters of `fidelity_score`, such as ``mask`` and ``fraction``.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y)`` returns the score.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import cross_validate
    >>> from skkd import FeatureMapExplainer, FiveBlockCNN, NetworkClassifier
    >>> from skkd.metrics import make_fidelity_scorer
    >>> digits = load_digits()
    >>> scoring = {"accuracy": "accuracy", "fidelity": make_fidelity_scorer(FeatureMapExplainer)}
    >>> classifier = NetworkClassifier(FiveBlockCNN(filters=(4,)), epochs=1, random_state=0)
    >>> X, y = digits.images[:200, ..., None], digits.target[:200]
    >>> sorted(cross_validate(classifier, X, y, scoring=scoring, cv=2))
    ['fit_time', 'score_time', 'test_accuracy', 'test_fidelity']
    """
    return _FidelityScorer(explainer_class, explainer_params, params)


class _FidelityScorer:
    """A scorer that can be pickled, for searches in several processes."""

    def __init__(self, explainer_class, explainer_params, params):
        if not callable(explainer_class):
            raise TypeError(
                "explainer_class must be a class such as FeatureMapExplainer, not an explainer; "
                f"got {explainer_class!r}"
            )
        known = [
            name
            for name, parameter in inspect.signature(fidelity_score).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY
        ]
        if unknown := sorted(set(params) - set(known)):
            raise TypeError(
                f"make_fidelity_scorer takes explainer_params and {known}; got {unknown}: what "
                "the explainer takes belongs into explainer_params"
            )
        self.explainer_class = explainer_class
        self.explainer_params = explainer_params
        self.params = params

    def __call__(self, estimator, X, y):
        explainer = self.explainer_class(estimator, **(self.explainer_params or {}))
        if not hasattr(explainer, "transform") and not hasattr(explainer, "explain"):
            raise TypeError(
                f"explainer_class must make explainers, which have transform or explain; got "
                f"{self.explainer_class!r}"
            )
        score = fidelity_score(estimator, X, y, explainer, **self.params)
        return -score if self.params.get("mode") == "remove" else score

    def __repr__(self):
        name = getattr(self.explainer_class, "__name__", repr(self.explainer_class))
        params = "".join(f", {key}={value!r}" for key, value in self.params.items())
        return f"make_fidelity_scorer({name}{params})"
