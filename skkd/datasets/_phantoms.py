"""Synthetic brain slices and eye fundus photographs whose lesions are known to the pixel."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state

BRAIN_CLASSES = ("glioma", "meningioma", "no_tumor", "pituitary")
FUNDUS_CLASSES = ("cataract", "diabetic_retinopathy", "glaucoma", "normal")


def make_brain_phantoms(
    n_samples=400, *, image_size=(128, 128), random_state=None, return_masks=False
):
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
        The slices, grey, with the same values in all three channels, so that networks made for
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
    return _make(_draw_brain, BRAIN_CLASSES, n_samples, image_size, random_state, return_masks)


def _make(draw, classes, n_samples, image_size, random_state, return_masks):
    canvas = _Canvas(image_size)
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


class _Canvas:
    """Pixel coordinates, one unit being half the shorter side, and smooth random fields."""

    n_frequencies = 28

    def __init__(self, image_size):
        try:
            height, width = image_size
            fits = min(height, width) >= 32 and all(isinstance(s, Integral) for s in image_size)
        except (TypeError, ValueError):
            fits = False
        if not fits:
            raise ValueError(
                f"image_size must be (height, width), each at least 32 pixels; got {image_size}"
            )
        self.shape = int(height), int(width)
        self.pixel = 2 / min(height, width)
        self.y = ((np.arange(height) - (height - 1) / 2) * self.pixel)[:, None]
        self.x = ((np.arange(width) - (width - 1) / 2) * self.pixel)[None, :]
        waves = np.arange(self.n_frequencies) * np.pi / 2
        self._rows = np.cos((self.y + 1) * waves)
        self._columns = np.cos((self.x.T + 1) * waves).T

    def field(self, rng, low, high):
        """Draw a field of unit variance with `low` to `high` half waves over the shorter side."""
        weights = rng.standard_normal((high, high))
        frequency = np.hypot(*np.ogrid[:high, :high])
        weights[(frequency < low) | (frequency >= high)] = 0
        weights *= 2 / np.linalg.norm(weights)
        return self._rows[:, :high] @ weights @ self._columns[:high]

    def inside(self, distance):
        """Turn signed distances, negative inside, into coverage with an edge of two pixels."""
        return np.clip(0.5 - distance / (2 * self.pixel), 0, 1)


def _mix(image, value, coverage):
    return image + coverage * (value - image)


def _norm(a, b):
    # np.hypot guards against overflow, at several times the cost.
    return np.sqrt(a * a + b * b)


def _ellipse(u, v, center, axes, angle=0.0):
    """Signed distance, roughly, to an ellipse."""
    cos, sin = np.cos(angle), np.sin(angle)
    du, dv = u - center[0], v - center[1]
    reach = _norm((cos * du + sin * dv) / axes[0], (cos * dv - sin * du) / axes[1])
    return (reach - 1) * min(axes)


def _segment(u, v, start, end):
    """Distance to a straight line between two points."""
    (au, av), (bu, bv) = start, end
    du, dv = bu - au, bv - av
    along = np.clip(((u - au) * du + (v - av) * dv) / (du**2 + dv**2), 0, 1)
    return _norm(u - au - along * du, v - av - along * dv)


def _draw_brain(canvas, label, seed):
    rng = np.random.RandomState(seed)
    # Noise has its own seed and the lesion is drawn last: the same seed gives the same head
    # under every label, so the lesion is all that tells the classes apart.
    noise_rng = np.random.RandomState(rng.randint(2**31 - 1))
    angle, scale, aspect = rng.uniform((-0.2, 0.78, 1.04), (0.2, 0.92, 1.2))
    shift = rng.uniform(-0.06, 0.06, size=2)
    x, y = canvas.x - shift[0], canvas.y - shift[1]
    cos, sin = np.cos(angle), np.sin(angle)
    u = (cos * x + sin * y) * aspect / scale + 0.015 * canvas.field(rng, 1, 5)
    v = (cos * y - sin * x) / scale + 0.015 * canvas.field(rng, 1, 5)
    r = _norm(u, v)
    folds, ribbon, grain = (canvas.field(rng, *band) for band in ((8, 15), (6, 14), (14, 28)))

    white, grey, fluid = rng.uniform((0.56, 0.38, 0.1), (0.66, 0.48, 0.2))
    fat, bone = rng.uniform((0.6, 0.05), (0.95, 0.12))
    image = _mix(0.02, fat, canvas.inside(r - 1))
    image = _mix(image, bone, canvas.inside(r - 0.94))
    image = _mix(image, 0.3 + 0.08 * ribbon, canvas.inside(np.abs(r - 0.9) - 0.012))
    image = _mix(image, fluid, canvas.inside(r - 0.86))

    # Every surface the cortex lies on: skull, base, midline fissure, Sylvian fissures.
    midline = u + 0.015 * np.sin(6 * v + rng.uniform(0, 6))
    top = rng.uniform(-0.25, -0.15)
    surface = np.maximum(r - 0.82 - 0.012 * folds, 0.28 - _norm(u, 0.9 * (v - 0.86)))
    surface = np.maximum(surface, np.where(v < top, 0.014 - np.abs(midline), -1))
    for side in (-1, 1):
        tip = side * rng.uniform(0.38, 0.48), rng.uniform(0.06, 0.16)
        mouth = side * 0.85, rng.uniform(0.2, 0.3)
        surface = np.maximum(surface, 0.02 - _segment(u, v, mouth, tip))
    brain = canvas.inside(surface)
    image = _mix(image, grey, brain)
    groove = np.maximum(0.06 * np.abs(folds), -0.19 - surface + 0.03 * ribbon)
    depth = np.maximum(surface + 0.07, 0.04 - groove)
    image = _mix(image, white, canvas.inside(depth))
    image = _mix(image, fluid, 0.8 * canvas.inside(groove - 0.008) * brain)

    tilt, ventricle, third = rng.uniform((0.3, 0.04, 0.012), (0.7, 0.1, 0.035))
    for side in (-1, 1):
        nucleus = _ellipse(u, v, (side * 0.22, 0.08), (0.11, 0.15), side * 0.3)
        image = _mix(image, grey, 0.8 * canvas.inside(nucleus))
        horn = _ellipse(u, v, (side * 0.14, -0.13), (ventricle, 0.19), side * tilt)
        image = _mix(image, fluid, canvas.inside(horn))
    image = _mix(image, fluid, canvas.inside(_ellipse(u, v, (0, 0.14), (third, 0.11))))
    image = image * (1 + 0.05 * grain * brain)

    # The base: marrow, air in the sphenoid sinus, the normal gland; then contrast in vessels.
    base = canvas.inside(np.maximum(_norm(u, 0.9 * (v - 0.86)) - 0.26, r - 0.94))
    image = _mix(image, 0.32 + 0.06 * grain, base)
    image = _mix(image, 0.03, canvas.inside(_ellipse(u, v, (0, 0.8), (0.13, 0.1))))
    image = _mix(image, 0.6, canvas.inside(_ellipse(u, v, (0, 0.6), (0.07, 0.035))))
    image = _mix(image, 0.85, canvas.inside(_ellipse(u, v, (0, -0.84), (0.05, 0.04))))
    for phi, depth in rng.uniform((-np.pi, 0.35), (np.pi, 0.8), size=(rng.randint(3, 9), 2)):
        spot = _norm(u - depth * np.sin(phi), v - depth * np.cos(phi)) - rng.uniform(0.01, 0.02)
        image = _mix(image, 0.9, 0.9 * canvas.inside(spot) * brain)

    gain = rng.uniform(0.85, 1.1) * np.exp(0.1 * canvas.field(rng, 1, 3))
    gamma, noise = rng.uniform((0.85, 0.01), (1.2, 0.03))
    noise = noise * noise_rng.standard_normal((2, *canvas.shape))

    lesion = _BRAIN_LESIONS[label]
    mask = np.zeros(canvas.shape, dtype=bool)
    if lesion:
        values, coverage = lesion(canvas, rng, u, v, r)
        mask = coverage > 0.1
        image = _mix(image, values, coverage * mask)
    image = gain * np.clip(image, 0, None) ** gamma
    image = _norm(image + noise[0], noise[1])
    image = np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)
    return image[..., None], mask


def _glioma(canvas, rng, u, v, r):
    center = rng.choice([-1, 1]) * rng.uniform(0.24, 0.42), rng.uniform(-0.4, 0.3)
    size = rng.uniform(0.21, 0.3)
    ragged, mottled = canvas.field(rng, 3, 9), canvas.field(rng, 9, 20)
    reach = _ellipse(u, v, center, (size, size * rng.uniform(0.8, 1.3)), rng.uniform(0, 3))
    tumor = reach + 0.05 * ragged
    core = tumor + size * rng.uniform(0.35, 0.6) + 0.03 * mottled
    values = _mix(rng.uniform(0.25, 0.34), 0.8 + 0.15 * mottled, canvas.inside(tumor))
    values = _mix(values, rng.uniform(0.12, 0.25), canvas.inside(core))
    edema = reach - rng.uniform(0.07, 0.13) + 0.05 * mottled
    within = np.maximum(r - 0.81, 0.28 - _norm(u, 0.9 * (v - 0.86)))
    return values, canvas.inside(np.maximum(np.minimum(tumor, edema), within))


def _meningioma(canvas, rng, u, v, r):
    phi, size = rng.uniform((-2.1, 0.18), (2.1, 0.3))
    across = u * np.cos(phi) + v * np.sin(phi)
    out = u * np.sin(phi) - v * np.cos(phi)
    mass = _norm(across / rng.uniform(1.1, 1.5), out - 0.83) - size
    tail = np.maximum(np.abs(r - 0.835) - 0.02 * (1 - np.abs(across) / (1.7 * size)), -out)
    values = _mix(0.18, rng.uniform(0.85, 1.0), canvas.inside(np.minimum(mass, tail)))
    cleft = canvas.inside(np.minimum(mass - 0.025, tail))
    return values, cleft * canvas.inside(r - 0.855)


def _pituitary_tumor(canvas, rng, u, v, r):
    size = rng.uniform(0.13, 0.2)
    center = rng.uniform(-0.03, 0.03), rng.uniform(0.5, 0.56)
    mass = _ellipse(u, v, center, (size, size * rng.uniform(0.85, 1.15)))
    return rng.uniform(0.75, 1.0) + 0.03 * canvas.field(rng, 9, 20), canvas.inside(mass)


_BRAIN_LESIONS = {
    "glioma": _glioma,
    "meningioma": _meningioma,
    "no_tumor": None,
    "pituitary": _pituitary_tumor,
}
