"""Synthetic brain slices and eye photographs whose lesions are known to the pixel."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state

from skkd.datasets._phantom_brain import BRAIN_CLASSES, draw_brain
from skkd.datasets._phantom_canvas import Canvas
from skkd.datasets._phantom_eye import FUNDUS_CLASSES, draw_fundus


def make_brain_phantoms(
    n_samples=400, *, image_size=(128, 128), random_state=None, return_masks=False
) -> tuple:
    """Make brain-like slices with a tumor of one of three kinds, or none.

    The pictures resemble coronal, contrast-enhanced T1-weighted magnetic resonance slices. What
    is no tumor is drawn alike for all classes: size, pose, folding, ventricles, vessels,
    contrast, uneven coil sensitivity and noise. A glioma lies inside the brain, ragged and
    mottled with a dark core and edema around it; a meningioma is smooth and bright, with a broad
    base on the brain's edge; a pituitary tumor is a round mass at the midline of the base.

    Parameters
    ----------
    n_samples : int, default=400
        Number of images, at least 4. Classes are balanced to within one image.
    image_size : tuple of (height, width), default=(128, 128)
        Size in pixels, each side at least 32.
    random_state : int, RandomState instance or None, default=None
        Seed of the images and their order. The same seed at another `image_size` gives the same
        heads at another resolution, with other noise.
    return_masks : bool, default=False
        Whether to return also where the lesions are.

    Returns
    -------
    X : ndarray of shape (n_samples, height, width, 3), dtype uint8
        The slices, gray, with the same values in all three channels, so that networks made for
        color photographs take them too.
    y : ndarray of shape (n_samples,)
        Class of each image: "glioma", "meningioma", "no_tumor" or "pituitary".
    masks : ndarray of shape (n_samples, height, width), dtype bool
        True where the lesion changed the image, edema included; all False for "no_tumor". Only
        if `return_masks`.

    See Also
    --------
    make_fundus_phantoms : Photographs of the back of the eye.
    fetch_brain_tumor : Real slices of the same four classes.

    Examples
    --------
    >>> from skkd.datasets import make_brain_phantoms
    >>> X, y, masks = make_brain_phantoms(8, image_size=(64, 48), random_state=0, return_masks=True)
    >>> X.shape, masks.shape
    ((8, 64, 48, 3), (8, 64, 48))
    >>> sorted(set(y[masks.any(axis=(1, 2))].tolist()))
    ['glioma', 'meningioma', 'pituitary']
    """
    return _make(draw_brain, BRAIN_CLASSES, n_samples, image_size, random_state, return_masks)


def make_fundus_phantoms(
    n_samples=400, *, image_size=(128, 128), random_state=None, return_masks=False
) -> tuple:
    """Make photographs of the back of an eye, with one of three diseases or none.

    What is no disease is drawn alike for all classes: side, pose, color, disc, macula, vessels,
    a few pale specks, light, haze of the camera and noise. Cataract veils and blurs the view;
    diabetic retinopathy adds dark bleedings and, around the macula, bright exudates; glaucoma
    widens the pale cup inside the disc.

    Parameters
    ----------
    n_samples : int, default=400
        Number of images, at least 4. Classes are balanced to within one image.
    image_size : tuple of (height, width), default=(128, 128)
        Size in pixels, each side at least 32. A disc needs about 64 to show its cup.
    random_state : int, RandomState instance or None, default=None
        Seed of the images and their order. The same seed at another `image_size` gives the same
        eyes at another resolution, with other noise.
    return_masks : bool, default=False
        Whether to return also where the lesions are.

    Returns
    -------
    X : ndarray of shape (n_samples, height, width, 3), dtype uint8
        The photographs, RGB.
    y : ndarray of shape (n_samples,)
        Class of each image: "cataract", "diabetic_retinopathy", "glaucoma" or "normal".
    masks : ndarray of shape (n_samples, height, width), dtype bool
        True where the disease changed the image: the veil, the bleedings and exudates, or the
        wide cup; all False for "normal". Only if `return_masks`.

    See Also
    --------
    make_brain_phantoms : Slices of the brain.
    fetch_eye_disease : Real photographs of the same four classes.

    Examples
    --------
    >>> from skkd.datasets import make_fundus_phantoms
    >>> X, y = make_fundus_phantoms(8, image_size=(64, 64), random_state=0)
    >>> X.shape, sorted(set(y.tolist()))
    ((8, 64, 64, 3), ['cataract', 'diabetic_retinopathy', 'glaucoma', 'normal'])
    """
    return _make(draw_fundus, FUNDUS_CLASSES, n_samples, image_size, random_state, return_masks)


def _make(draw, classes, n_samples, image_size, random_state, return_masks):
    canvas = Canvas(image_size)
    labels, seeds = _plan(classes, n_samples, random_state)
    X = np.empty((n_samples, *image_size, 3), dtype=np.uint8)
    masks = np.empty((n_samples, *image_size), dtype=bool)
    for i, (label, seed) in enumerate(zip(labels, seeds, strict=True)):
        X[i], masks[i] = draw(canvas, label, seed)
    return (X, labels, masks) if return_masks else (X, labels)


def _plan(classes, n_samples, random_state):
    """Draw the class and the seed of every image."""
    if not isinstance(n_samples, Integral) or n_samples < len(classes):
        raise ValueError(f"n_samples must be an integer of at least 4; got {n_samples}")
    rng = check_random_state(random_state)
    labels = rng.permutation(np.resize(classes, n_samples))
    return labels, rng.randint(2**31 - 1, size=n_samples)
