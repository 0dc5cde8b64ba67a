"""How one phantom of the back of an eye is drawn."""

import math

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from skkd.datasets._phantom_canvas import ellipse, mix, norm

FUNDUS_CLASSES = ("cataract", "diabetic_retinopathy", "glaucoma", "normal")
CUP_COLOR = (1.0, 0.93, 0.72)


def draw_fundus(canvas, label, seed):
    rng = np.random.RandomState(seed)
    noise_rng = np.random.RandomState(rng.randint(2**31 - 1))
    eye = _Eye(canvas, rng)
    u, v = eye.u, eye.v
    r = norm(u, v)
    clouds, grain = canvas.field(rng, 1, 5), canvas.field(rng, 10, 26)

    hue = rng.uniform((0.62, 0.26, 0.08), (0.85, 0.42, 0.2)).astype(np.float32)
    image = (1 + 0.08 * clouds + 0.04 * grain)[..., None] * hue
    macula = np.exp(-((u - eye.macula[0]) ** 2 + (v - eye.macula[1]) ** 2) / 0.03)
    image = image * (1 - rng.uniform(0.25, 0.45) * macula[..., None])
    crescent = ellipse(u, v, (eye.disc[0] - 0.03, eye.disc[1]), eye.disc_axes)
    image = _paint(image, (0.85, 0.55, 0.3), rng.uniform(0, 0.6) * canvas.inside(crescent - 0.02))
    disc = ellipse(u, v, eye.disc, eye.disc_axes)
    paleness = rng.uniform(0.85, 1.0)
    rim = tuple(paleness * value for value in (0.95, 0.68, 0.38))
    image = _paint(image, rim, canvas.inside(disc))
    ratio = rng.uniform(0.25, 0.45)
    cup = ellipse(u, v, eye.disc, [ratio * axis for axis in eye.disc_axes])
    image = _paint(image, CUP_COLOR, canvas.inside(cup))
    vessels = eye.draw_vessels(rng)
    image = _paint(image, hue * (0.6, 0.3, 0.4), 0.85 * vessels)
    specks = rng.uniform(-0.7, 0.7, size=(rng.randint(5), 2))
    image = _paint(image, (0.95, 0.75, 0.35), 0.5 * eye.draw_spots(specks, rng, 0.01, 0.02))

    light = rng.uniform(0.8, 1.1) * np.exp(0.12 * canvas.field(rng, 1, 3) - 0.35 * r**2)
    veil, noise = rng.uniform((0, 0.008), (0.12, 0.025)).tolist()
    aperture = canvas.inside(r - rng.uniform(0.9, 0.97))

    mask = np.zeros(canvas.shape, dtype=bool)
    if label != "normal":
        values, coverage = _FUNDUS_LESIONS[label](canvas, rng, eye, image, vessels)
        coverage = coverage * aperture
        mask = coverage > 0.1
        image = _paint(image, values, coverage * mask)
    image = _paint(image * light[..., None], (0.75, 0.65, 0.5), veil)
    image = image * aperture[..., None]
    image = image + noise * noise_rng.standard_normal(image.shape).astype(np.float32)
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8), mask


def _paint(image, color, coverage):
    color, coverage = np.asarray(color, np.float32), np.asarray(coverage, np.float32)
    return mix(image, color, coverage[..., None])


class _Eye:
    """Where the parts of one retina lie, in a frame whose disc is on the right."""

    oversampling = 4

    def __init__(self, canvas, rng):
        self.canvas = canvas
        self.side = int(rng.choice([-1, 1]))
        angle = rng.uniform(-0.2, 0.2)
        self.cos, self.sin = math.cos(angle), math.sin(angle)
        self.shift = rng.uniform(-0.03, 0.03, size=2).tolist()
        x, y = self.side * (canvas.x - self.shift[0]), canvas.y - self.shift[1]
        self.u, self.v = self.cos * x + self.sin * y, self.cos * y - self.sin * x
        self.disc = rng.uniform((0.38, -0.08), (0.52, 0.08)).tolist()
        self.macula = self.disc[0] - rng.uniform(0.5, 0.6), self.disc[1] + rng.uniform(0, 0.08)
        radius = rng.uniform(0.15, 0.19)
        self.disc_axes = radius, radius * rng.uniform(1.0, 1.2)

    def _draw(self, paint):
        """Rasterize what `paint` draws, by averaging a picture several times as large."""
        height, width = self.canvas.shape
        k = self.oversampling
        picture = Image.new("L", (k * width, k * height))
        paint(ImageDraw.Draw(picture))
        return np.asarray(picture.reduce(k), dtype=np.float32) / 255

    def _to_pixels(self, points):
        u, v = np.asarray(points, dtype=float).T
        x = self.side * (self.cos * u - self.sin * v) + self.shift[0]
        y = self.sin * u + self.cos * v + self.shift[1]
        height, width = self.canvas.shape
        at = np.column_stack([x, y]) / self.canvas.pixel + (width / 2, height / 2)
        return at * self.oversampling

    def draw_vessels(self, rng):
        """Draw arcades over and under the macula, nasal vessels, and branches."""
        strokes = []
        for up in (-1, 1):
            for reach, bow, width in (
                ((-0.9, 0.35), (-0.1, 0.75), 0.045),
                ((-0.75, 0.5), (0.05, 0.6), 0.035),
                ((0.95, 0.55), (0.6, 0.4), 0.035),
                ((0.5, 0.95), (0.45, 0.5), 0.03),
                ((-0.25, 0.12), (0.1, 0.25), 0.018),
            ):
                stem = self._curve(rng, self.disc, bow, reach, up)
                strokes.append((stem, width))
                for start in rng.randint(8, 26, size=3):
                    along = stem[start + 4] - stem[start]
                    across = np.array([-along[1], along[0]]) * int(rng.choice([-1, 1]))
                    end = stem[start] + 2.5 * along + rng.uniform(1, 2.5) * across
                    bend = stem[start] + 1.5 * along + 0.3 * across
                    strokes.append((_bezier(stem[start], bend, end), 0.5 * width))

        def paint(pen):
            for points, width in strokes:
                at = self._to_pixels(points)
                thickness = width / self.canvas.pixel * self.oversampling
                for first in range(0, 32, 8):
                    pen.line(
                        at[first : first + 9].ravel().tolist(),
                        fill=255,
                        width=max(1, round(thickness * (1 - first / 50))),
                    )

        return self._draw(paint)

    def _curve(self, rng, start, bow, reach, up):
        bend, end = (
            (a + da, up * (b + db))
            for (a, b), (da, db) in zip(
                (bow, reach), rng.uniform(-0.1, 0.1, size=(2, 2)).tolist(), strict=True
            )
        )
        return _bezier(start, bend, end)

    def draw_spots(self, centers, rng, smallest, largest):
        """Draw filled ellipses at points of the retina."""

        def paint(pen):
            for x, y in self._to_pixels(centers):
                a, b = rng.uniform(smallest, largest, size=2) / self.canvas.pixel
                a, b = a * self.oversampling, b * self.oversampling
                pen.ellipse((x - a, y - b, x + a, y + b), fill=255)

        return self._draw(paint) if len(centers) else np.zeros(self.canvas.shape, np.float32)


def _bezier(start, bend, end):
    t = np.linspace(0, 1, 32)[:, None]
    start, bend, end = np.asarray(start), np.asarray(bend), np.asarray(end)
    return (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end


def _haze(canvas, rng, eye, image, vessels):
    density = rng.uniform(0.5, 0.8) + 0.25 * canvas.field(rng, 1, 4)
    blurred = gaussian_filter(image, (0.05 / canvas.pixel,) * 2 + (0,))
    return mix(blurred, np.float32((0.8, 0.7, 0.55)), 0.6), np.clip(density, 0, 0.92)


def _bleeding(canvas, rng, eye, image, vessels):
    around = rng.uniform((-np.pi, 0.1), (np.pi, 0.8), size=(rng.randint(10, 25), 2)).T
    blots = eye.draw_spots(_polar((0, 0), *around), rng, 0.015, 0.06)
    around = rng.uniform((-np.pi, 0.1), (np.pi, 0.4), size=(rng.randint(10, 40), 2)).T
    exudates = eye.draw_spots(_polar(eye.macula, *around), rng, 0.008, 0.03)
    values = _paint(np.float32((0.36, 0.05, 0.04)), (1.0, 0.9, 0.45), exudates)
    return values, np.maximum(0.85 * blots, exudates)


def _polar(center, angle, radius):
    return np.column_stack([center[0] + radius * np.cos(angle), center[1] + radius * np.sin(angle)])


def _wide_cup(canvas, rng, eye, image, vessels):
    ratio = rng.uniform(0.72, 0.88)
    cup = ellipse(eye.u, eye.v, eye.disc, [ratio * axis for axis in eye.disc_axes])
    return np.float32(CUP_COLOR), canvas.inside(cup) * (1 - 0.6 * vessels)


_FUNDUS_LESIONS = {
    "cataract": _haze,
    "diabetic_retinopathy": _bleeding,
    "glaucoma": _wide_cup,
}
