"""Changing images as an explanation says."""

from dataclasses import dataclass
from numbers import Real

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.linalg import splu
from sklearn.utils import check_random_state

from skkd.metrics._images import read_images
from skkd.metrics.faithfulness._maps import map_reader, unit_maps

_BASELINES = ("zero", "mean", "blur", "noise", "road")

# Which stream of random numbers is for what: each image has its own, so that neither the batch
# size nor other draws change it.
_TIES, _NOISE, RANDOM_MAPS = range(3)

# Weights of the neighbors in noisy linear imputation.
_NEIGHBORS = {
    (down, right): 1 / 6 if 0 in (down, right) else 1 / 12
    for down in (-1, 0, 1)
    for right in (-1, 0, 1)
    if (down, right) != (0, 0)
}
_ROAD_NOISE = 0.01


def perturb_images(
    X,
    explanation,
    y=None,
    *,
    mode="keep",
    mask="soft",
    fraction=None,
    baseline="blur",
    layer=-1,
    random_state=None,
) -> np.ndarray:
    """Change images as an explanation says: ``m * x + (1 - m) * baseline(x)``.

    The mask ``m`` is the share of each pixel that stays. This is what the fidelity measures show
    a classifier, for looking at; they do it batch by batch.

    Parameters
    ----------
    X : array-like of shape (n, height, width[, channels]), or paths
        Images. Files are read in the size that an explainer's network takes, and else in their
        own.
    explanation : ndarray, Explanation or explainer
        Maps of shape (n, height, width), (n, layers, height, width) or, signed, (n, height,
        width, channels), whose channels are summed; or what makes them.
    y : array-like of shape (n,), default=None
        True labels, for explainers of the true class.
    mode : {"keep", "remove"}, default="keep"
        Keep what the explanation points at, or remove it.
    mask : {"soft", "top"}, default="soft"
        "soft" is the map scaled to [0, 1], image by image; a map that is the same everywhere
        says nothing and becomes 0.5, but one of zeros points at nothing and stays 0. "top" is 1
        on the highest ``fraction`` of the pixels, equal values in random order, and 0 elsewhere.
        Only "top" changes equally much of the image for every explanation.
    fraction : float, default=None
        Share of the pixels, in (0, 1], that ``mask="top"`` points at; needed there.
    baseline : {"zero", "mean", "blur", "noise", "road"} or callable, default="blur"
        What stands in for a pixel: 0; the image's mean of each channel; a Gaussian blur whose
        standard deviation is a tenth of the shorter side, at least 1 pixel; uniform noise
        between the lowest and highest value of the image; noisy linear imputation [1]_, in which
        each pixel is the weighted mean of its eight neighbors, given the pixels that stay (those
        of which a soft mask keeps at least half), plus noise of 0.01 standard deviations of the
        image; or a function from images (n, height, width, channels) to as many.
    layer : int or str, default=-1
        Which map, where there is one a layer.
    random_state : int, RandomState instance or None, default=None
        Seeds noise and the order of equal values, for each image on its own.

    Returns
    -------
    images : ndarray of shape (n, height, width, channels)
        The changed images, floats.

    References
    ----------
    .. [1] Y. Rong, T. Leemann, V. Borisov, G. Kasneci, E. Kasneci, "A consistent and efficient
       evaluation strategy for attribution methods", ICML 2022 (ROAD).

    Examples
    --------
    >>> import numpy as np
    >>> from skkd.metrics import perturb_images
    >>> image, importance = np.full((1, 2, 2), 8.0), np.array([[[0.0, 1.0], [2.0, 4.0]]])
    >>> perturb_images(image, importance, baseline="zero")[0, ..., 0]
    array([[0., 2.],
           [4., 8.]])
    """
    perturbation = Perturbation(mode=mode, mask=mask, fraction=fraction, baseline=baseline)
    images = read_images(getattr(explanation, "estimator", None), X)
    rows = np.arange(len(images))
    y = None if y is None else np.asarray(y)
    maps = map_reader(explanation, images, y, layer=layer)(rows)
    images = np.asarray(images[rows])
    images = images.astype(np.result_type(images.dtype, np.float32), copy=False)
    seed = draw_seed(random_state)
    masks = perturbation.masks(maps, seed, rows)
    return mix(images, masks, substitute(images, baseline, seed, rows)(masks))


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """How maps change images; see `perturb_images` for the parameters."""

    mode: str = "keep"
    mask: str = "soft"
    fraction: float | None = None
    baseline: object = "blur"

    def __post_init__(self):
        if self.mode not in ("keep", "remove"):
            raise ValueError(f"mode must be 'keep' or 'remove'; got {self.mode!r}")
        if self.mask not in ("soft", "top"):
            raise ValueError(f"mask must be 'soft' or 'top'; got {self.mask!r}")
        if self.mask == "soft" and self.fraction is not None:
            raise ValueError(
                f"fraction={self.fraction!r} has no effect with mask='soft'; set mask='top'"
            )
        if self.mask == "top" and not (isinstance(self.fraction, Real) and 0 < self.fraction <= 1):
            raise ValueError(f"fraction must be in (0, 1] with mask='top'; got {self.fraction!r}")
        check_baseline(self.baseline)

    def masks(self, maps, seed, rows):
        """Return the share of each pixel that stays, of the shape of the maps."""
        if self.mask == "soft":
            masks = unit_maps(maps)
        else:
            n_pixels = maps[0].size
            if round(self.fraction * n_pixels) == 0:
                raise ValueError(
                    f"fraction={self.fraction!r} of the {n_pixels} pixels of an image is less than "
                    "one pixel; set a larger one"
                )
            masks = top_masks(rank_pixels(maps, seed, rows), self.fraction)
        return masks if self.mode == "keep" else 1 - masks


def draw_seed(random_state):
    """Return the number from which every image's own random numbers are drawn."""
    return check_random_state(random_state).randint(2**31 - 1)


def image_rng(seed, row, stream):
    """Return an image's own generator for one purpose."""
    return np.random.default_rng([seed, row, stream])


def check_baseline(baseline):
    """Raise unless a baseline is a known name or a function."""
    if not callable(baseline) and baseline not in _BASELINES:
        raise ValueError(
            f"baseline must be one of {list(_BASELINES)} or a function; got {baseline!r}"
        )


def rank_pixels(maps, seed, rows):
    """Return each pixel's place in its image, 0 for the highest value, ties in random order."""
    ranks = np.empty(maps.shape, dtype=np.int64)
    for rank, values, row in zip(ranks, maps, rows, strict=True):
        order = np.lexsort((image_rng(seed, row, _TIES).random(values.size), -values.ravel()))
        rank.reshape(-1)[order] = np.arange(values.size)
    return ranks


def top_masks(ranks, fraction):
    """Return 1 on the first ``fraction`` of the pixels, rounded to whole ones, and 0 elsewhere."""
    return (ranks < round(fraction * ranks[0].size)).astype(np.float64)


def mix(images, masks, fill):
    """Return ``m * x + (1 - m) * fill``, exactly x where the fill is x or m is 1."""
    shares = (1 - masks[..., None]).astype(images.dtype)
    return images + shares * (fill - images)


def substitute(images, baseline, seed, rows):
    """Return a function from masks to the images that stand in for the originals.

    What does not depend on the mask is computed once, whatever number of masks follows.
    """
    if isinstance(baseline, str) and baseline == "road":
        return lambda masks: np.stack(
            [
                impute(image, mask >= 0.5, image_rng(seed, row, _NOISE))
                for image, mask, row in zip(images, masks, rows, strict=True)
            ]
        )
    fill = _fill(images, baseline, seed, rows)
    return lambda masks: fill


def _fill(images, baseline, seed, rows):
    if callable(baseline):
        fill = np.asarray(baseline(images.copy()))
        if fill.shape != images.shape:
            raise ValueError(
                "baseline must return images of the shape it is given; got "
                f"{fill.shape} for {images.shape}"
            )
        return fill.astype(images.dtype, copy=False)
    if baseline == "zero":
        return np.zeros_like(images)
    if baseline == "mean":
        return np.broadcast_to(images.mean(axis=(1, 2), keepdims=True), images.shape)
    if baseline == "blur":
        width = max(1.0, min(images.shape[1:3]) / 10)
        return ndimage.gaussian_filter(images, width, axes=(1, 2), mode="nearest")
    fill = np.empty_like(images)
    for noise, image, row in zip(fill, images, rows, strict=True):
        noise[:] = image_rng(seed, row, _NOISE).uniform(image.min(), image.max(), image.shape)
    return fill


def impute(image, known, rng):
    """Fill in pixels by noisy linear imputation.

    Parameters
    ----------
    image : ndarray of shape (height, width, channels)
        The image; what it holds at unknown pixels has no influence but on the noise's strength.
    known : ndarray of shape (height, width), bool
        The pixels that stay.
    rng : numpy.random.Generator
        Source of the noise.

    Returns
    -------
    image : ndarray of shape (height, width, channels)
        Each unknown pixel is the mean of its neighbors, weighted 1/6 along the axes and 1/12
        along the diagonals (over those that exist at the border), plus noise. Without any known
        pixel, all are the image's mean plus noise.
    """
    filled = image.copy()
    n_unknown = np.count_nonzero(~known)
    if not n_unknown:
        return filled
    if n_unknown == known.size:
        filled[:] = image.mean(axis=(0, 1))
    else:
        filled[~known] = _solve_neighborhoods(image, known)
    noise = rng.standard_normal((n_unknown, image.shape[-1]))
    filled[~known] += _ROAD_NOISE * image.std() * noise
    return filled


def _solve_neighborhoods(image, known):
    """Return the unknown pixels for which each is the weighted mean of its neighbors."""
    height, width = known.shape
    down, right = np.nonzero(~known)
    number = np.full(known.shape, -1)
    number[down, right] = np.arange(len(down))
    total = np.zeros(len(down))
    constants = np.zeros((len(down), image.shape[-1]))
    entries = []
    for (step_down, step_right), weight in _NEIGHBORS.items():
        y, x = down + step_down, right + step_right
        equations = np.flatnonzero((y >= 0) & (y < height) & (x >= 0) & (x < width))
        y, x = y[equations], x[equations]
        total[equations] += weight
        given = known[y, x]
        constants[equations[given]] += weight * image[y[given], x[given]]
        apart = np.full(np.count_nonzero(~given), -weight)
        entries.append((equations[~given], number[y[~given], x[~given]], apart))
    entries.append((np.arange(len(down)), np.arange(len(down)), total))
    rows, columns, weights = (np.concatenate(part) for part in zip(*entries, strict=True))
    # SciPy 1.11 solves systems with indices of 32 bits alone.
    places = rows.astype(np.int32), columns.astype(np.int32)
    system = sparse.csc_array((weights, places), shape=(len(down), len(down)))
    # The system is symmetric, for which this ordering fills in least.
    return splu(system, permc_spec="MMD_AT_PLUS_A").solve(constants)
