"""How confidence changes when a classifier sees only what an explanation points at."""

import numpy as np

from skkd.metrics.faithfulness._fidelity import fidelity_samples


def average_drop(
    estimator,
    X,
    y,
    explanation,
    *,
    mask="soft",
    fraction=None,
    baseline="zero",
    layer=-1,
    batch_size=32,
    random_state=None,
) -> float:
    """Measure how much confidence is lost in images masked by their explanation.

    Lower is better. The mean over images of [1]_ ::

        max(0, C_orig - C_adv) / C_orig

    with the confidence in the true class in the image and in the image of which only what the
    explanation points at is kept. A gain in one image does not make up for a loss in another.

    Parameters
    ----------
    estimator, X, y, explanation : see `fidelity_score`
        A classifier, its images, their true labels, and maps of these or what makes them.
    mask, fraction : see `perturb_images`
        What a map points at: as much as its values say, or its highest pixels alone.
    baseline : {"zero", "mean", "blur", "noise", "road"} or callable, default="zero"
        What stands in for the rest; zero is the definition's product of map and image.
    layer, batch_size, random_state : see `fidelity_score`
        Which map of several, images at a time, and what seeds noise and ties.

    Returns
    -------
    drop : float
        In [0, 1]; a hundredfold the percentage usually given. Images of confidence 0, which
        have nothing to lose, are left out; NaN if all are.

    See Also
    --------
    increase_in_confidence : How often confidence rises.

    References
    ----------
    .. [1] A. Chattopadhay, A. Sarkar, P. Howlader, V. N. Balasubramanian, "Grad-CAM++:
       Generalized gradient-based visual explanations for deep convolutional networks", WACV 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from skkd.metrics import average_drop, increase_in_confidence
    >>> class Brightness:
    ...     classes_ = np.array([0, 1])
    ...
    ...     def predict_proba(self, X):
    ...         mean = X.mean(axis=(1, 2, 3))
    ...         return np.stack([1 - mean, mean], axis=1)
    >>> X, maps = np.full((2, 2, 2, 1), 0.8), np.array([[[1.0, 1.0], [1.0, 0.0]]] * 2)
    >>> y = [1, 0]  # masking makes the image darker: class 1 loses a quarter, class 0 gains
    >>> round(average_drop(Brightness(), X, y, maps), 6)
    0.125
    >>> increase_in_confidence(Brightness(), X, y, maps)
    0.5
    """
    samples = fidelity_samples(
        estimator,
        X,
        y,
        explanation,
        mask=mask,
        fraction=fraction,
        baseline=baseline,
        layer=layer,
        batch_size=batch_size,
        random_state=random_state,
    )
    original = samples["c_orig"].where(samples["c_orig"] > 0)
    return float(((original - samples["c_adv"]) / original).clip(lower=0).mean())


def increase_in_confidence(
    estimator,
    X,
    y,
    explanation,
    *,
    mask="soft",
    fraction=None,
    baseline="zero",
    layer=-1,
    batch_size=32,
    random_state=None,
) -> float:
    """Measure how often confidence rises in images masked by their explanation.

    Higher is better. The share of images with [1]_ ::

        C_adv > C_orig

    Parameters
    ----------
    estimator, X, y, explanation : see `average_drop`
        A classifier, its images, their true labels, and maps of these or what makes them.
    mask, fraction, baseline, layer, batch_size, random_state : see `average_drop`
        What a map points at, what stands in for the rest, and how that is measured.

    Returns
    -------
    share : float
        In [0, 1]; a hundredfold the percentage usually given.

    See Also
    --------
    average_drop : How much confidence falls, with an example of both.

    References
    ----------
    .. [1] A. Chattopadhay, A. Sarkar, P. Howlader, V. N. Balasubramanian, "Grad-CAM++:
       Generalized gradient-based visual explanations for deep convolutional networks", WACV 2018.
    """
    samples = fidelity_samples(
        estimator,
        X,
        y,
        explanation,
        mask=mask,
        fraction=fraction,
        baseline=baseline,
        layer=layer,
        batch_size=batch_size,
        random_state=random_state,
    )
    return float(np.mean(samples["c_adv"] > samples["c_orig"]))
