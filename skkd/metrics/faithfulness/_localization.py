"""Whether an explanation points at what is known to matter, such as a lesion."""

from numbers import Real

import numpy as np
from scipy import ndimage

from skkd.images._conversions import as_numbers
from skkd.metrics.faithfulness._maps import one_map


def pointing_game(explanation, masks, *, layer=-1, tolerance=0) -> float:
    """Measure how often the highest value of a map lies on what matters.

    Higher is better. The share of images whose maximum hits the mask [1]_; where several pixels
    share the maximum, the share of them that do. By chance it is the mask's share of the image.

    Parameters
    ----------
    explanation : ndarray or Explanation
        Maps of shape (n, height, width), (n, layers, height, width) or, signed, (n, height,
        width, channels), whose channels are summed.
    masks : array-like of shape (n, height, width[, 1])
        True, or not 0, where a lesion or object is. Images with an empty mask are left out.
    layer : int or str, default=-1
        Which map, where there is one a layer.
    tolerance : float, default=0
        Distance from the mask, in pixels, that still counts as a hit. The original game allows 15.

    Returns
    -------
    share : float
        In [0, 1].

    See Also
    --------
    saliency_iou : How well the highest part of a map covers a mask.

    References
    ----------
    .. [1] J. Zhang, S. A. Bargal, Z. Lin, J. Brandt, X. Shen, S. Sclaroff, "Top-down neural
       attention by excitation backprop", International Journal of Computer Vision 126, 2018.

    Examples
    --------
    >>> from skkd.metrics import pointing_game
    >>> maps = [[[0.1, 0.9], [0.3, 0.2]], [[0.8, 0.1], [0.2, 0.1]]]
    >>> masks = [[[0, 1], [0, 0]], [[0, 0], [0, 1]]]
    >>> pointing_game(maps, masks)
    0.5
    >>> pointing_game(maps, masks, tolerance=1.5)
    1.0
    """
    if not isinstance(tolerance, Real) or tolerance < 0:
        raise ValueError(f"tolerance must be a number of at least 0; got {tolerance!r}")
    hits = []
    for values, mask in _with_masks(explanation, masks, layer):
        hit = ndimage.distance_transform_edt(~mask) <= tolerance
        hits.append(hit[values == values.max()].mean())
    return float(np.mean(hits))


def saliency_iou(explanation, masks, *, fraction=None, layer=-1) -> float:
    """Measure how well the highest part of a map covers what matters.

    Higher is better. The mean over images of the intersection over union ::

        |S and M| / |S or M|

    of the mask M and the pixels S whose value is among the highest, as many as the mask has or
    ``fraction`` of the image. Pixels equal to the lowest of these belong to S too, so a map that
    is the same everywhere covers the whole image.

    Parameters
    ----------
    explanation : ndarray or Explanation
        Maps, as for `pointing_game`.
    masks : array-like of shape (n, height, width[, 1])
        True, or not 0, where a lesion or object is. Images with an empty mask are left out.
    fraction : float, default=None
        Share of the pixels, in (0, 1]. None takes as many as each mask has, so that 1 can be
        reached.
    layer : int or str, default=-1
        Which map, where there is one a layer.

    Returns
    -------
    iou : float
        In [0, 1].

    See Also
    --------
    pointing_game : Whether the maximum alone lies on the mask.

    Examples
    --------
    >>> from skkd.metrics import saliency_iou
    >>> saliency_iou([[[0.9, 0.8], [0.3, 0.2]]], [[[1, 0], [1, 0]]])  # one of three
    0.3333333333333333
    """
    if fraction is not None and not (isinstance(fraction, Real) and 0 < fraction <= 1):
        raise ValueError(f"fraction must be None or in (0, 1]; got {fraction!r}")
    scores = []
    for values, mask in _with_masks(explanation, masks, layer):
        size = mask.sum() if fraction is None else max(1, round(fraction * mask.size))
        salient = values >= np.partition(values.ravel(), -size)[-size]
        scores.append((salient & mask).sum() / (salient | mask).sum())
    return float(np.mean(scores))


def _with_masks(explanation, masks, layer):
    """Yield pairs of an image's map and mask, for the images whose mask is not empty."""
    values = getattr(explanation, "values", explanation)
    values = values if hasattr(values, "shape") else as_numbers(values, "explanation")
    if not np.ndim(values):
        raise ValueError(f"explanation must be maps; got {explanation!r}")
    masks = as_numbers(masks, "masks")
    if masks.ndim == 4 and masks.shape[-1] == 1:
        masks = masks[..., 0]
    if masks.ndim != 3:
        raise ValueError(f"masks must have the shape (n, height, width); got {masks.shape}")
    if len(values) != len(masks):
        raise ValueError(
            f"masks must be as many as the explanation's maps; got {len(masks)} masks and "
            f"{len(values)} maps"
        )
    if masks.dtype.kind == "f" and not np.isfinite(masks).all():
        raise ValueError("masks must be finite; got NaN or infinity")
    masks = masks.astype(bool)
    rows = np.flatnonzero(masks.any(axis=(1, 2)))
    if not len(rows):
        raise ValueError("masks must mark a pixel in at least one image; all are empty")
    names = getattr(explanation, "layer_names", None)
    # One image at a time, so that maps of many layers are never copied as a whole.
    for row in rows:
        (one,) = one_map(values[row : row + 1], masks.shape[1:], layer=layer, layer_names=names)
        yield one, masks[row]
