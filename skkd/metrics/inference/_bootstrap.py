"""Intervals of scores by the bootstrap."""

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import get_scorer_names
from sklearn.utils import check_random_state

from skkd.metrics._predictions import check_labels, check_predictions
from skkd.metrics.inference import _scores
from skkd.metrics.inference._checks import check_confidence, check_drawn, check_n_resamples
from skkd.metrics.inference._resampling import Resampling

# Scores of scikit-learn that all resamples have at once; any other asks its scorer for each.
_AT_ONCE = {
    "accuracy": lambda model: _scores.accuracy(model.codes, model.proba),
    "balanced_accuracy": lambda model: _scores.balanced_accuracy(model.codes, model.proba),
    "f1_macro": lambda model: _scores.macro_f1(model.codes, model.proba),
    "matthews_corrcoef": lambda model: _scores.matthews_corrcoef(model.codes, model.proba),
    "neg_log_loss": lambda model: _scores.minus(
        _scores.log_loss(model.codes, model.proba, model.eps)
    ),
    "roc_auc_ovr": lambda model: _scores.roc_auc(model.codes, model.proba),
}


def bootstrap_scores(
    scores,
    y_true,
    y_proba,
    *,
    labels=None,
    groups=None,
    n_resamples=2000,
    confidence=0.95,
    method="percentile",
    paired_with=None,
    random_state=None,
) -> pd.DataFrame:
    """Compute scores of predicted probabilities with their confidence intervals.

    The rows are drawn with replacement, as many as there are, again and again [1]_, and one set of
    draws serves all scores and both models. Where several images are of one patient they are not
    independent, and an interval over images is too narrow: pass the patients as `groups`, which
    are then drawn in their place.

    The interval says how the score varies with the images that were measured on. How it varies with
    the images and the seed of training is not in it.

    Parameters
    ----------
    scores : str, callable, array-like, or a list or mapping of these
        What to compute:

        - the name of a scorer of scikit-learn (``sklearn.metrics.get_scorer_names()``), or a
          scorer itself; higher is better;
        - a callable ``score(y_true, y_proba)`` that returns a number, such as
          ``functools.partial(net_benefit, thresholds=0.2)``, which gets `y_proba` as it is given
          here, a part of the rows of it;
        - in a mapping an array of one value an image, such as those of `fidelity_samples`, whose
          mean is meant; NaN is left out. With `paired_with`, of shape (n_samples, 2).

        Scores in a list are called by their names.
    y_true : array-like of shape (n_samples,)
        True labels.
    y_proba : array-like of shape (n_samples, n_classes) or (n_samples,)
        Predicted probabilities, one column a class, each row summing to 1, or for two classes those
        of the second.
    labels : array-like of shape (n_classes,), default=None
        Classes in the order of the columns, as in `classes_`. None means the sorted labels of
        `y_true`.
    groups : array-like of shape (n_samples,), default=None
        The patient of each row.
    n_resamples : int, default=2000
        Number of draws.
    confidence : float, default=0.95
        Confidence of the intervals, in (0, 1).
    method : {"percentile", "bca"}, default="percentile"
        The quantiles of the resampled scores, or these corrected for bias and skewness [2]_, which
        covers better in small samples and takes a score of all rows but one for every row. Where
        one of these is undefined, so is the interval, and a warning says so.
    paired_with : array-like of the shape of y_proba, default=None
        Probabilities that another model gives to the same rows. The interval is then that of the
        difference.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws.

    Returns
    -------
    table : pandas.DataFrame
        A row a score with the columns

        - `estimate`: the score of all rows;
        - `paired_with`, `difference`: the score of the other model, and `estimate` less it; only
          with `paired_with`;
        - `low`, `high`: ends of the interval, of the difference where there is one;
        - `p_value`: of the difference being 0, two-sided: twice the share of resamples on the far
          side of 0, at least ``2 / (n_resamples + 1)`` [1]_, whatever the `method`; only with
          `paired_with`;
        - `n_resamples`: number of resamples in which the score is defined. ROC AUC, for one, is
          undefined where a class is missing, and recall where there is nothing to be found, which
          scikit-learn calls 0 with a warning. The interval is over those in which it is defined; a
          score that is undefined of all rows is NaN, with 0 resamples.

    Raises
    ------
    ValueError
        If an argument is malformed, or a score cannot be computed of all rows.

    See Also
    --------
    mcnemar_test : Compare the predictions of two models.
    delong_test : Compare the areas under two ROC curves.
    classification_summary : The usual figures of several models, with intervals.

    Notes
    -----
    "accuracy", "balanced_accuracy", "f1_macro", "matthews_corrcoef", "neg_log_loss", "roc_auc" and
    "roc_auc_ovr" of all resamples are computed at once; other scores one resample at a time, about
    a millisecond each.

    References
    ----------
    .. [1] A. C. Davison and D. V. Hinkley, "Bootstrap Methods and their Application", Cambridge
       University Press, 1997.
    .. [2] B. Efron, "Better bootstrap confidence intervals", Journal of the American Statistical
       Association 82(397):171-185, 1987.

    Examples
    --------
    >>> import numpy as np
    >>> from skkd.metrics import bootstrap_scores
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 200)
    >>> proba = np.clip(0.3 + 0.4 * y + rng.normal(0, 0.3, 200), 0, 1)
    >>> bootstrap_scores(["accuracy", "roc_auc"], y, proba, random_state=0).round(2)
              estimate   low  high  n_resamples
    score
    accuracy      0.73  0.67  0.79         2000
    roc_auc       0.82  0.76  0.88         2000
    """
    confidence = check_confidence(confidence)
    n_resamples = check_n_resamples(n_resamples)
    if method not in ("percentile", "bca"):
        raise ValueError(f'method must be "percentile" or "bca"; got {method!r}')
    y_true = check_labels(y_true)
    labels = np.sort(pd.unique(y_true)) if labels is None else np.asarray(labels)
    models = [Predictions("y_proba", y_proba, y_true, labels)]
    if paired_with is not None:
        models.append(Predictions("paired_with", paired_with, y_true, labels))
    groups = check_drawn(groups, len(y_true))
    resampling = Resampling(len(y_true), groups, n_resamples, check_random_state(random_state))
    named = name_scores(scores)
    prepared = {name: prepare_score(name, score, models) for name, score in named.items()}
    flat = [score for of_models in prepared.values() for score in of_models]
    values = resampling.distribution(flat).reshape(len(named), len(models), -1)
    rows = {}
    for (name, of_models), drawn in zip(prepared.items(), values, strict=True):
        estimates = [float(score(resampling.whole())[0]) for score in of_models]
        rows[name] = _row(name, resampling, of_models, estimates, drawn, confidence, method)
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("score")
    return table.astype({"n_resamples": int})


class Predictions:
    """Labels of rows, and the probabilities that one model gives to them."""

    def __init__(self, name, y_proba, y_true, labels):
        self.y_true, self.labels = y_true, labels
        try:
            self.given = np.asarray(y_proba)
            _, self.codes, proba, _ = check_predictions(y_true, y_proba, labels)
        except ValueError as error:
            raise ValueError(str(error).replace("y_proba", name)) from error
        self.proba = proba.astype(np.float32) if self.given.dtype == np.float32 else proba
        given = self.given.dtype
        self.eps = np.finfo(given if given.kind == "f" else np.float64).eps


def name_scores(scores):
    """Return scores by name."""
    if isinstance(scores, Mapping):
        named = dict(scores)
    else:
        scores = [scores] if isinstance(scores, str) or callable(scores) else scores
        if not isinstance(scores, list | tuple | set):
            raise TypeError(
                "scores must be a name, a callable, or a list or mapping of these; got "
                f"{type(scores).__name__}"
            )
        named = {_name_of(score): score for score in scores}
        if len(named) < len(scores):
            raise ValueError(
                f"scores must have names of their own; got {[_name_of(s) for s in scores]}: pass "
                "a mapping of names to scores"
            )
    if not named:
        raise ValueError("scores must hold at least one score; got none")
    for name, score in named.items():
        if isinstance(score, str) and score not in get_scorer_names():
            raise ValueError(
                f"scores[{name!r}] must be one of sklearn.metrics.get_scorer_names(), a callable, "
                f"or values by image; got {score!r}"
            )
    return named


def _name_of(score):
    if isinstance(score, str):
        return score
    if not callable(score):
        raise TypeError(
            f"a score must be a name or a callable, and of a list nothing else; got "
            f"{type(score).__name__}: pass values by image in a mapping, under a name"
        )
    # A partial has the name of the function in it.
    named = getattr(score, "func", getattr(score, "_score_func", score))
    return getattr(named, "__name__", type(score).__name__)


def prepare_score(name, score, models):
    """Return for each model what computes a score of counted rows."""
    if hasattr(score, "explainer_class"):
        raise ValueError(
            f"scores[{name!r}] measures images, which are not here: pass the fidelity of each, "
            '{"fidelity": fidelity_samples(...)["fidelity"]}'
        )
    if not isinstance(score, str) and not callable(score):
        return _prepare_values(name, score, models)
    n_rows = len(models[0].y_true)
    prepared = []
    for model in models:
        # Of two classes one area is that of both.
        binary_auc = isinstance(score, str) and score == "roc_auc" and len(model.labels) == 2
        known = "roc_auc_ovr" if binary_auc else score
        if isinstance(known, str) and known in _AT_ONCE:
            prepared.append(_AT_ONCE[known](model))
            continue
        if isinstance(score, str) or _scores.is_scorer(score):
            of_rows = _scores.of_scorer(score, model.y_true, model.proba, model.labels)
        else:
            of_rows = _of_metric(score, model)
        _check_possible(name, of_rows, n_rows)
        prepared.append(_scores.of_resampled_rows(of_rows, n_rows))
    return prepared


def _check_possible(name, of_rows, n_rows):
    """Raise what is wrong with all rows, which is wrong for good."""
    with warnings.catch_warnings():
        # What is undefined is NaN in the table.
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        warnings.filterwarnings("ignore", "No positive class found", UserWarning)
        try:
            of_rows(np.arange(n_rows))
        except ValueError as error:
            if "pos_label" not in str(error):
                raise ValueError(f"scores[{name!r}]: {error}") from error
            raise ValueError(
                f"scores[{name!r}] is of one label, and which is not known: {error}; pass a "
                "scorer that says it, such as make_scorer(f1_score, pos_label='ill')"
            ) from error


def _of_metric(score, model):
    return lambda rows: float(score(model.y_true[rows], model.given[rows]))


def _prepare_values(name, values, models):
    n_rows = len(models[0].y_true)
    values = np.asarray(values, dtype=np.float64)
    shape = (n_rows,) if len(models) == 1 else (n_rows, 2)
    if values.shape != shape:
        raise ValueError(
            f"scores[{name!r}] must be the name of a scorer, a callable, or values of shape "
            f"{shape}, one an image{' and model' if len(models) == 2 else ''}; got shape "
            f"{values.shape}"
        )
    if np.isinf(values).any():
        raise ValueError(f"scores[{name!r}] must be finite, or NaN for none; got infinity")
    return [mean_of_known(column) for column in values.reshape(n_rows, -1).T]


def mean_of_known(values):
    known = np.isfinite(values)
    filled = np.where(known, values, 0)

    def score(counts):
        with np.errstate(invalid="ignore"):
            return (counts @ filled) / (counts @ known.astype(np.float64))

    return score


def _row(name, resampling, of_models, estimates, drawn, confidence, method):
    if len(of_models) == 1:
        score, values = of_models[0], drawn[0]
        row = {"estimate": estimates[0]}
    else:
        values = drawn[0] - drawn[1]
        row = {
            "estimate": estimates[0],
            "paired_with": estimates[1],
            "difference": estimates[0] - estimates[1],
        }

        def score(counts):
            return of_models[0](counts) - of_models[1](counts)

    defined = values[np.isfinite(values)]
    row["low"], row["high"] = resampling.interval(name, score, defined, confidence, method)
    if len(of_models) == 2:
        row["p_value"] = _p_value(defined)
    row["n_resamples"] = len(defined)
    return row


def _p_value(differences):
    if not len(differences):
        return np.nan
    fewer = min((differences <= 0).sum(), (differences >= 0).sum())
    return min(1.0, 2 * (fewer + 1) / (len(differences) + 1))
