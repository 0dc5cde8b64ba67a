"""Parts of images that are exchanged between images."""

from numbers import Real

import numpy as np

# How many other images are looked at for one whose mask lies elsewhere.
_MOST_TRIED = 20


def frame(shape, share, name):
    """Return a mask of the border of images, a share of the sides wide."""
    height, width = (_pixels(side, share, name) for side in shape)
    mask = np.ones(shape, dtype=bool)
    mask[height:-height, width:-width] = False
    return _check_part(mask, share, name)


def corners(shape, share, name):
    """Return a mask of the four corners of images, each a share of the sides wide."""
    height, width = (_pixels(side, share, name) for side in shape)
    mask = np.zeros(shape, dtype=bool)
    for rows in (slice(height), slice(-height, None)):
        for columns in (slice(width), slice(-width, None)):
            mask[rows, columns] = True
    return _check_part(mask, share, name)


def check_masks(masks, shape):
    """Return masks of images of a shape (n, height, width) as booleans."""
    values = np.asarray(masks)
    if values.shape == (*shape, 1):
        values = values[..., 0]
    if values.shape != tuple(shape):
        raise ValueError(
            f"masks must have the shape of the images as the network takes them, {tuple(shape)}; "
            f"got {values.shape}"
        )
    if values.dtype != bool:
        if values.dtype.kind not in "iuf" or not np.isin(values, (0, values.max())).all():
            raise ValueError(
                "masks must be True, or one number above 0, where what the label is about lies, "
                f"and False or 0 elsewhere; got {values.dtype} with other values"
            )
        values = values > 0
    if not usable(values).any():
        raise ValueError(
            "masks must mark a part of at least one image; these mark nothing, or whole images"
        )
    return values


def usable(masks):
    """Return which masks mark a part of their image."""
    return masks.any(axis=(1, 2)) & ~masks.all(axis=(1, 2))


def draw_others(rows, units, random_state):
    """Return for each row that of another patient.

    Parameters
    ----------
    rows : ndarray of int of shape (n,)
        Rows of images.
    units : ndarray of int of shape (n_images,)
        The patient of each image, at least two.
    random_state : RandomState
        What draws.
    """
    order = np.argsort(units, kind="stable")
    first = np.searchsorted(units[order], units[rows], "left")
    last = np.searchsorted(units[order], units[rows], "right")
    drawn = np.floor(random_state.uniform(size=len(rows)) * (len(units) - (last - first)))
    drawn = drawn.astype(int)
    # The images of the own patient, which lie side by side in this order, are stepped over.
    return order[np.where(drawn >= first, drawn + last - first, drawn)]


def draw_others_elsewhere(rows, units, masks, random_state):
    """Return for each row that of another patient, whose mask lies elsewhere if that is found."""
    best = draw_others(rows, units, random_state)
    shared = (masks[rows] & masks[best]).sum(axis=(1, 2))
    for _ in range(_MOST_TRIED):
        if not shared.any():
            break
        tried = draw_others(rows, units, random_state)
        overlap = (masks[rows] & masks[tried]).sum(axis=(1, 2))
        better = overlap < shared
        best[better], shared[better] = tried[better], overlap[better]
    return best


def exchange(images, others, where):
    """Return images with the part where a mask is True taken from others."""
    return np.where(where[..., None], others, images)


def fill_masked(images, others, masks, other_masks):
    """Return images whose masked part is that of others, as far as that is not masked itself.

    A hole of one gray would tell the shape of the mask. What both have masked becomes the mean of
    the rest.
    """
    filled = exchange(images, others, masks)
    rest = ~masks[..., None]
    mean = (images * rest).sum(axis=(1, 2), keepdims=True) / rest.sum(axis=(1, 2), keepdims=True)
    both = masks & other_masks
    return np.where(both[..., None], mean.astype(images.dtype), filled)


def _pixels(side, share, name):
    if not isinstance(share, Real) or not 0 < share < 0.5:
        raise ValueError(f"{name} must be a share of the sides, in (0, 0.5); got {share!r}")
    return max(1, round(share * side))


def _check_part(mask, share, name):
    if mask.all():
        height, width = mask.shape
        raise ValueError(
            f"{name}={share} takes all of images of {height}x{width} pixels; set it lower, or use "
            "larger images"
        )
    return mask
