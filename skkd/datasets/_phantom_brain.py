"""How one brain phantom is drawn."""

import math

import numpy as np

from skkd.datasets._phantom_canvas import ellipse, mix, norm, segment

BRAIN_CLASSES = ("glioma", "meningioma", "no_tumor", "pituitary")


def draw_brain(canvas, label, seed):
    rng = np.random.RandomState(seed)
    # Noise has its own seed and the lesion is drawn last: the same seed gives the same head
    # under every label, so the lesion is all that tells the classes apart.
    noise_rng = np.random.RandomState(rng.randint(2**31 - 1))
    angle, scale, aspect = rng.uniform((-0.2, 0.78, 1.04), (0.2, 0.92, 1.2)).tolist()
    shift = rng.uniform(-0.06, 0.06, size=2).tolist()
    x, y = canvas.x - shift[0], canvas.y - shift[1]
    cos, sin = math.cos(angle), math.sin(angle)
    u = (cos * x + sin * y) * aspect / scale + 0.015 * canvas.field(rng, 1, 5)
    v = (cos * y - sin * x) / scale + 0.015 * canvas.field(rng, 1, 5)
    r = norm(u, v)
    folds, ribbon, grain = (canvas.field(rng, *band) for band in ((8, 15), (6, 14), (14, 28)))

    white, gray, fluid = rng.uniform((0.56, 0.38, 0.1), (0.66, 0.48, 0.2)).tolist()
    fat, bone = rng.uniform((0.6, 0.05), (0.95, 0.12)).tolist()
    image = mix(0.02, fat, canvas.inside(r - 1))
    image = mix(image, bone, canvas.inside(r - 0.94))
    image = mix(image, 0.3 + 0.08 * ribbon, canvas.inside(np.abs(r - 0.9) - 0.012))
    image = mix(image, fluid, canvas.inside(r - 0.86))

    # Every surface the cortex lies on: skull, base, midline fissure, Sylvian fissures.
    midline = u + 0.015 * np.sin(6 * v + rng.uniform(0, 6))
    top = rng.uniform(-0.25, -0.15)
    surface = np.maximum(r - 0.82 - 0.012 * folds, 0.28 - norm(u, 0.9 * (v - 0.86)))
    surface = np.maximum(surface, np.where(v < top, 0.014 - np.abs(midline), -1))
    for side in (-1, 1):
        tip = side * rng.uniform(0.38, 0.48), rng.uniform(0.06, 0.16)
        mouth = side * 0.85, rng.uniform(0.2, 0.3)
        surface = np.maximum(surface, 0.02 - segment(u, v, mouth, tip))
    brain = canvas.inside(surface)
    image = mix(image, gray, brain)
    groove = np.maximum(0.06 * np.abs(folds), -0.19 - surface + 0.03 * ribbon)
    depth = np.maximum(surface + 0.07, 0.04 - groove)
    image = mix(image, white, canvas.inside(depth))
    image = mix(image, fluid, 0.8 * canvas.inside(groove - 0.008) * brain)

    tilt, ventricle, third = rng.uniform((0.3, 0.04, 0.012), (0.7, 0.1, 0.035)).tolist()
    for side in (-1, 1):
        nucleus = ellipse(u, v, (side * 0.22, 0.08), (0.11, 0.15), side * 0.3)
        image = mix(image, gray, 0.8 * canvas.inside(nucleus))
        horn = ellipse(u, v, (side * 0.14, -0.13), (ventricle, 0.19), side * tilt)
        image = mix(image, fluid, canvas.inside(horn))
    image = mix(image, fluid, canvas.inside(ellipse(u, v, (0, 0.14), (third, 0.11))))
    image = image * (1 + 0.05 * grain * brain)

    # The base: marrow, air in the sphenoid sinus, the normal gland; then contrast in vessels.
    base = canvas.inside(np.maximum(norm(u, 0.9 * (v - 0.86)) - 0.26, r - 0.94))
    image = mix(image, 0.32 + 0.06 * grain, base)
    image = mix(image, 0.03, canvas.inside(ellipse(u, v, (0, 0.8), (0.13, 0.1))))
    image = mix(image, 0.6, canvas.inside(ellipse(u, v, (0, 0.6), (0.07, 0.035))))
    image = mix(image, 0.85, canvas.inside(ellipse(u, v, (0, -0.84), (0.05, 0.04))))
    for phi, depth in rng.uniform(
        (-np.pi, 0.35), (np.pi, 0.8), size=(rng.randint(3, 9), 2)
    ).tolist():
        spot = norm(u - depth * math.sin(phi), v - depth * math.cos(phi)) - rng.uniform(0.01, 0.02)
        image = mix(image, 0.9, 0.9 * canvas.inside(spot) * brain)

    gain = rng.uniform(0.85, 1.1) * np.exp(0.1 * canvas.field(rng, 1, 3))
    gamma, noise = rng.uniform((0.85, 0.01), (1.2, 0.03)).tolist()
    noise = noise * noise_rng.standard_normal((2, *canvas.shape)).astype(np.float32)

    lesion = _BRAIN_LESIONS[label]
    mask = np.zeros(canvas.shape, dtype=bool)
    if lesion:
        values, coverage = lesion(canvas, rng, u, v, r)
        mask = coverage > 0.1
        image = mix(image, values, coverage * mask)
    image = gain * np.clip(image, 0, None) ** gamma
    image = norm(image + noise[0], noise[1])
    image = np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)
    return image[..., None], mask


def _glioma(canvas, rng, u, v, r):
    center = int(rng.choice([-1, 1])) * rng.uniform(0.24, 0.42), rng.uniform(-0.4, 0.3)
    size = rng.uniform(0.21, 0.3)
    ragged, mottled = canvas.field(rng, 3, 9), canvas.field(rng, 9, 20)
    reach = ellipse(u, v, center, (size, size * rng.uniform(0.8, 1.3)), rng.uniform(0, 3))
    tumor = reach + 0.05 * ragged
    core = tumor + size * rng.uniform(0.35, 0.6) + 0.03 * mottled
    values = mix(rng.uniform(0.25, 0.34), 0.8 + 0.15 * mottled, canvas.inside(tumor))
    values = mix(values, rng.uniform(0.12, 0.25), canvas.inside(core))
    edema = reach - rng.uniform(0.07, 0.13) + 0.05 * mottled
    within = np.maximum(r - 0.81, 0.28 - norm(u, 0.9 * (v - 0.86)))
    return values, canvas.inside(np.maximum(np.minimum(tumor, edema), within))


def _meningioma(canvas, rng, u, v, r):
    phi, size = rng.uniform((-2.1, 0.18), (2.1, 0.3)).tolist()
    across = u * math.cos(phi) + v * math.sin(phi)
    out = u * math.sin(phi) - v * math.cos(phi)
    mass = norm(across / rng.uniform(1.1, 1.5), out - 0.83) - size
    tail = np.maximum(np.abs(r - 0.835) - 0.02 * (1 - np.abs(across) / (1.7 * size)), -out)
    values = mix(0.18, rng.uniform(0.85, 1.0), canvas.inside(np.minimum(mass, tail)))
    cleft = canvas.inside(np.minimum(mass - 0.025, tail))
    return values, cleft * canvas.inside(r - 0.855)


def _pituitary_tumor(canvas, rng, u, v, r):
    size = rng.uniform(0.13, 0.2)
    center = rng.uniform(-0.03, 0.03), rng.uniform(0.5, 0.56)
    mass = ellipse(u, v, center, (size, size * rng.uniform(0.85, 1.15)))
    return rng.uniform(0.75, 1.0) + 0.03 * canvas.field(rng, 9, 20), canvas.inside(mass)


_BRAIN_LESIONS = {
    "glioma": _glioma,
    "meningioma": _meningioma,
    "no_tumor": None,
    "pituitary": _pituitary_tumor,
}
