"""Whether an explanation points at what a classifier decides by."""

from numbers import Real

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from skkd._memory import kept_memory
from skkd._warnings import warn
from skkd.metrics._batches import row_batches
from skkd.metrics._confidence import TrueClassConfidence
from skkd.metrics.faithfulness._maps import map_reader
from skkd.metrics.faithfulness._perturbation import (
    RANDOM_MAPS,
    Perturbation,
    draw_seed,
    image_rng,
    mix,
    substitute,
)


def fidelity_score(
    estimator,
    X,
    y,
    explanation,
    *,
    mode="keep",
    mask="soft",
    fraction=None,
    baseline="blur",
    layer=-1,
    clip=False,
    eps=0.01,
    batch_size=32,
    random_state=None,
) -> float:
    """Measure how much of a classifier's confidence an explanation accounts for.

    The mean over images of [1]_ ::

        fidelity = C_adv / C_orig

    the confidence in the true class in the image perturbed as the explanation says, over that
    in the image itself. With ``mode="keep"`` higher is better: what the explanation points at is
    enough. With ``mode="remove"`` lower is better: without it the confidence falls. 1 means that
    the perturbation changes nothing; without ``clip`` there is no upper bound.

    A value means little alone: compare it with those of random and inverted maps
    (`fidelity_report`). A soft mask changes the less of an image, the higher the map is on
    average, whatever it points at; ``mask="top"`` changes equally much for every explanation.

    Parameters
    ----------
    estimator : fitted classifier or keras.Model
        Anything with ``predict_proba`` and ``classes_``; the outputs of a model stand for the
        classes 0, 1, ...
    X : array-like of shape (n, height, width[, channels]), or paths
        The images, as the estimator takes them.
    y : array-like of shape (n,)
        True labels.
    explanation : ndarray, Explanation or explainer
        Maps of shape (n, height, width), (n, layers, height, width) or, signed, (n, height,
        width, channels), whose channels are summed; or what makes them, batch by batch. Of an
        explainer that is not fitted a copy is.
    mode : {"keep", "remove"}, default="keep"
        Keep what the explanation points at, or remove it.
    mask : {"soft", "top"}, default="soft"
        The map scaled to [0, 1], or its highest ``fraction`` of the pixels.
    fraction : float, default=None
        Share of the pixels, in (0, 1], that ``mask="top"`` points at; needed there.
    baseline : {"zero", "mean", "blur", "noise", "road"} or callable, default="blur"
        What stands in for the rest; see `perturb_images`.
    layer : int or str, default=-1
        Which map, where there is one a layer; by default the last.
    clip : bool, default=False
        Count no image as more than 1.
    eps : float, default=0.01
        Images whose C_orig is below this are skipped, as their ratio says nothing and may be
        huge. A warning tells how many.
    batch_size : int, default=32
        Images perturbed and predicted at a time.
    random_state : int, RandomState instance or None, default=None
        Seeds noise and the order of equal values in maps, for each image on its own.

    Returns
    -------
    score : float
        The mean ratio; NaN if every image is skipped.

    See Also
    --------
    fidelity_samples : The ratio of each image.
    fidelity_report : Several explainers beside random and inverted maps.
    perturb_images : The perturbed images themselves.

    References
    ----------
    .. [1] A. Chaddad et al., "Knowledge distillation and feature map visualization for medical
       image analysis", 2025. The perturbation is not given there.

    Examples
    --------
    A classifier that looks at the first pixel alone, and a map that says so:

    >>> import numpy as np
    >>> from skkd.metrics import fidelity_score
    >>> class FirstPixel:
    ...     classes_ = np.array(["dark", "bright"])
    ...
    ...     def predict_proba(self, X):
    ...         return np.stack([1 - X[:, 0, 0, 0], X[:, 0, 0, 0]], axis=1)
    >>> images, maps = np.full((1, 2, 2, 1), 0.8), np.array([[[1.0, 0.0], [0.0, 0.0]]])
    >>> fidelity_score(FirstPixel(), images, ["bright"], maps, baseline="zero")
    1.0
    >>> fidelity_score(FirstPixel(), images, ["bright"], maps, baseline="zero", mode="remove")
    0.0
    """
    samples = fidelity_samples(
        estimator,
        X,
        y,
        explanation,
        mode=mode,
        mask=mask,
        fraction=fraction,
        baseline=baseline,
        layer=layer,
        clip=clip,
        eps=eps,
        batch_size=batch_size,
        random_state=random_state,
    )
    skipped = int(samples["fidelity"].isna().sum())
    if skipped:
        warn(
            f"{skipped} of {len(samples)} images are skipped: their confidence in the true class "
            f"is below eps={eps}"
        )
    return float(samples["fidelity"].mean())


def fidelity_samples(
    estimator,
    X,
    y,
    explanation,
    *,
    mode="keep",
    mask="soft",
    fraction=None,
    baseline="blur",
    layer=-1,
    clip=False,
    eps=0.01,
    batch_size=32,
    random_state=None,
) -> pd.DataFrame:
    """Measure the fidelity of an explanation to each image.

    Higher is better with ``mode="keep"``, lower with ``mode="remove"``. `fidelity_score` is the
    mean of the column "fidelity".

    Parameters
    ----------
    estimator, X, y, explanation : see `fidelity_score`
        A classifier, its images, their true labels, and maps of these or what makes them.
    mode, mask, fraction, baseline, layer : see `fidelity_score`
        What of an image is kept or removed by which map, and what stands in for the rest.
    clip, eps, batch_size, random_state : see `fidelity_score`
        How ratios are taken, images at a time, and what seeds noise and ties.

    Returns
    -------
    samples : pandas.DataFrame
        A row an image, with the columns

        - "class": its true class;
        - "c_orig", "c_adv": confidence in the true class in the image and in its perturbed copy;
        - "fidelity": ``c_adv / c_orig``, NaN where ``c_orig`` is below ``eps``;
        - "kept": mean of the mask, the share of the image that stays.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyClassifier
    >>> from skkd.metrics import fidelity_samples
    >>> X, y = np.zeros((4, 2, 2, 1)), np.array([0, 1, 1, 1])
    >>> classifier = DummyClassifier().fit(X[:, 0, 0], y)
    >>> fidelity_samples(classifier, X, y, np.ones((4, 2, 2)))
       class  c_orig  c_adv  fidelity  kept
    0      0    0.25   0.25       1.0   0.5
    1      1    0.75   0.75       1.0   0.5
    2      1    0.75   0.75       1.0   0.5
    3      1    0.75   0.75       1.0   0.5
    """
    perturbation = Perturbation(mode=mode, mask=mask, fraction=fraction, baseline=baseline)
    confidence = TrueClassConfidence(estimator, X, y)
    measured = measure_fidelity(
        confidence,
        {"explanation": map_reader(explanation, confidence.images, confidence.y, layer=layer)},
        perturbation,
        rows=np.arange(len(confidence.y)),
        clip=clip,
        eps=eps,
        batch_size=batch_size,
        random_state=random_state,
    )
    return measured["explanation"]


@kept_memory()
def measure_fidelity(
    confidence,
    readers,
    perturbation,
    *,
    rows,
    clip,
    eps,
    batch_size,
    random_state,
    controls=False,
    verbose=0,
):
    """Measure the fidelity of maps from several sources to the same images.

    Parameters
    ----------
    confidence : TrueClassConfidence
        The classifier, its images and their labels.
    readers : dict of str to function
        Of each source by name, what `map_reader` returned.
    perturbation : Perturbation
        How maps change images.
    rows : ndarray of int
        The images to measure.
    clip, eps, batch_size, random_state : see `fidelity_score`
        How ratios are taken, how many images at a time, and what seeds noise and ties.
    controls : bool, default=False
        Measure random maps and the inverse of each source's too.
    verbose : {0, 1}, default=0
        1 shows a progress bar.

    Returns
    -------
    measured : dict of str to pandas.DataFrame
        Of each source and control, the table that `fidelity_samples` returns.
    """
    if not isinstance(eps, Real) or eps < 0:
        raise ValueError(f"eps must be a number of at least 0; got {eps!r}")
    batches = row_batches(rows, batch_size)
    seed = draw_seed(random_state)
    parts, empty = {}, {}
    for batch in tqdm(batches, desc="fidelity", unit="batch", disable=not verbose):
        images = confidence.read(batch)
        fill = substitute(images, perturbation.baseline, seed, batch)
        original = confidence(images, batch)
        for name, maps in _maps_by_source(readers, batch, images.shape[1:3], seed, controls):
            masks = perturbation.masks(maps, seed, batch)
            empty[name] = empty.get(name, 0) + int((~maps.any(axis=(1, 2))).sum())
            table = {
                "class": confidence.y[batch],
                "c_orig": original,
                "c_adv": confidence(mix(images, masks, fill(masks)), batch),
                "kept": masks.mean(axis=(1, 2)),
            }
            parts.setdefault(name, []).append(pd.DataFrame(table, index=batch))
    for name in readers:
        if empty[name]:
            of_source = f" of {name}" if len(readers) > 1 else ""
            warn(f"{empty[name]} of {len(rows)} maps{of_source} are empty: they point at nothing")
    measured = {name: pd.concat(tables) for name, tables in parts.items()}
    for table in measured.values():
        ratios = table["c_adv"] / table["c_orig"].where(table["c_orig"] >= eps)
        ratios = ratios.replace(np.inf, np.nan)
        table.insert(3, "fidelity", ratios.clip(upper=1) if clip else ratios)
    return measured


def _maps_by_source(readers, batch, size, seed, controls):
    """Yield names and maps of a batch, one source at a time and each read once."""
    for name, read in readers.items():
        maps = read(batch)
        yield name, maps
        if controls:
            yield f"inverted {name}", -maps
    if controls:
        yield "random", np.stack([image_rng(seed, row, RANDOM_MAPS).random(size) for row in batch])
