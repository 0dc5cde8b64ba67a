"""Confidence while an image disappears or appears, the most important pixels first."""

import numpy as np
from scipy.integrate import trapezoid
from sklearn.utils import Bunch

from skkd._memory import kept_memory
from skkd.metrics._batches import check_count, row_batches
from skkd.metrics._confidence import TrueClassConfidence
from skkd.metrics.faithfulness._maps import map_reader
from skkd.metrics.faithfulness._perturbation import (
    check_baseline,
    draw_seed,
    mix,
    rank_pixels,
    substitute,
    top_masks,
)


def deletion_curve(
    estimator,
    X,
    y,
    explanation,
    *,
    n_steps=20,
    baseline="mean",
    layer=-1,
    batch_size=32,
    random_state=None,
) -> Bunch:
    """Follow the confidence while pixels are replaced, the most important ones first.

    An explanation that points at what the classifier decides by makes the confidence in the true
    class fall early. A lower area under the curve is better [1]_.

    Parameters
    ----------
    estimator, X, y, explanation : see `fidelity_score`
        A classifier, its images, their true labels, and maps of these or what makes them.
    n_steps : int, default=20
        Steps of equally many pixels from the whole image to none of it.
    baseline : {"zero", "mean", "blur", "noise", "road"} or callable, default="mean"
        What stands in for a pixel; see `perturb_images`.
    layer, batch_size, random_state : see `fidelity_score`
        Which map of several, images at a time, and what seeds noise and ties.

    Returns
    -------
    curve : Bunch
        - fractions : ndarray of shape (n_steps + 1,), share of the pixels changed, 0 to 1;
        - confidence : ndarray of shape (n, n_steps + 1), probability of the true class;
        - auc : ndarray of shape (n,), area under each image's curve by the trapezoidal rule.

    See Also
    --------
    insertion_curve : The same the other way round.
    PerturbationCurveDisplay : Draw the curves of several explainers.

    References
    ----------
    .. [1] V. Petsiuk, A. Das, K. Saenko, "RISE: Randomized input sampling for explanation of
       black-box models", BMVC 2018.

    Examples
    --------
    A classifier that looks at the first pixel alone, and a map that says so:

    >>> import numpy as np
    >>> from skkd.metrics import deletion_curve
    >>> class FirstPixel:
    ...     classes_ = np.array([0, 1])
    ...
    ...     def predict_proba(self, X):
    ...         return np.stack([1 - X[:, 0, 0, 0], X[:, 0, 0, 0]], axis=1)
    >>> images, maps = np.full((1, 2, 2, 1), 0.8), np.array([[[4.0, 3.0], [2.0, 1.0]]])
    >>> curve = deletion_curve(FirstPixel(), images, [1], maps, n_steps=4, baseline="zero")
    >>> curve.confidence, curve.auc
    (array([[0.8, 0. , 0. , 0. , 0. ]]), array([0.1]))
    """
    return _curve(
        estimator,
        X,
        y,
        explanation,
        insertion=False,
        n_steps=n_steps,
        baseline=baseline,
        layer=layer,
        batch_size=batch_size,
        random_state=random_state,
    )


def insertion_curve(
    estimator,
    X,
    y,
    explanation,
    *,
    n_steps=20,
    baseline="blur",
    layer=-1,
    batch_size=32,
    random_state=None,
) -> Bunch:
    """Follow the confidence while pixels are put into a baseline, the most important ones first.

    An explanation that points at what the classifier decides by makes the confidence in the true
    class rise early. A higher area under the curve is better [1]_.

    Parameters
    ----------
    estimator, X, y, explanation : see `fidelity_score`
        A classifier, its images, their true labels, and maps of these or what makes them.
    n_steps : int, default=20
        Steps of equally many pixels from none of the image to the whole.
    baseline : {"zero", "mean", "blur", "noise", "road"} or callable, default="blur"
        What the pixels are put into; see `perturb_images`.
    layer, batch_size, random_state : see `fidelity_score`
        Which map of several, images at a time, and what seeds noise and ties.

    Returns
    -------
    curve : Bunch
        - fractions : ndarray of shape (n_steps + 1,), share of the pixels put in, 0 to 1;
        - confidence : ndarray of shape (n, n_steps + 1), probability of the true class;
        - auc : ndarray of shape (n,), area under each image's curve by the trapezoidal rule.

    See Also
    --------
    deletion_curve : The same the other way round.

    References
    ----------
    .. [1] V. Petsiuk, A. Das, K. Saenko, "RISE: Randomized input sampling for explanation of
       black-box models", BMVC 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyClassifier
    >>> from skkd.metrics import insertion_curve
    >>> X, y = np.zeros((4, 2, 2, 1)), np.array([0, 1, 1, 1])
    >>> classifier = DummyClassifier().fit(X[:, 0, 0], y)
    >>> insertion_curve(classifier, X, y, np.ones((4, 2, 2))).auc
    array([0.25, 0.75, 0.75, 0.75])
    """
    return _curve(
        estimator,
        X,
        y,
        explanation,
        insertion=True,
        n_steps=n_steps,
        baseline=baseline,
        layer=layer,
        batch_size=batch_size,
        random_state=random_state,
    )


@kept_memory()
def _curve(
    estimator,
    X,
    y,
    explanation,
    *,
    insertion,
    n_steps,
    baseline,
    layer,
    batch_size,
    random_state,
):
    check_baseline(baseline)
    fractions = np.arange(check_count(n_steps, "n_steps") + 1) / n_steps
    confidence = TrueClassConfidence(estimator, X, y)
    values = np.empty((len(confidence.y), len(fractions)))
    batches = row_batches(np.arange(len(values)), batch_size)
    read = map_reader(explanation, confidence.images, confidence.y, layer=layer)
    seed = draw_seed(random_state)
    for rows in batches:
        images = confidence.read(rows)
        ranks = rank_pixels(read(rows), seed, rows)
        fill = substitute(images, baseline, seed, rows)
        for step, fraction in enumerate(fractions):
            masks = top_masks(ranks, fraction)
            masks = masks if insertion else 1 - masks
            values[rows, step] = confidence(mix(images, masks, fill(masks)), rows)
    area = trapezoid(values, fractions, axis=1)
    return Bunch(fractions=fractions, confidence=values, auc=area)
