"""Pixel coordinates, smooth random fields and soft-edged shapes to draw phantoms with."""

import math
from numbers import Integral

import numpy as np


class Canvas:
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
        self.y = self._axis(height)[:, None]
        self.x = self._axis(width)[None, :]
        waves = np.arange(self.n_frequencies, dtype=np.float32) * np.float32(np.pi / 2)
        self._rows = np.cos((self.y + 1) * waves)
        self._columns = np.cos((self.x.T + 1) * waves).T

    def _axis(self, n_pixels):
        # Single precision: half the memory traffic, which is most of the time spent here.
        return ((np.arange(n_pixels) - (n_pixels - 1) / 2) * self.pixel).astype(np.float32)

    def field(self, rng, low, high):
        """Draw a field of unit variance with `low` to `high` half waves over the shorter side."""
        weights = rng.standard_normal((high, high))
        frequency = np.hypot(*np.ogrid[:high, :high])
        weights[(frequency < low) | (frequency >= high)] = 0
        weights = (weights * 2 / np.linalg.norm(weights)).astype(np.float32)
        return self._rows[:, :high] @ weights @ self._columns[:high]

    def inside(self, distance):
        """Turn signed distances, negative inside, into coverage with an edge of two pixels."""
        return np.clip(0.5 - distance / (2 * self.pixel), 0, 1)


def mix(image, value, coverage):
    return image + coverage * (value - image)


def norm(a, b):
    # np.hypot guards against overflow, at several times the cost.
    return np.sqrt(a * a + b * b)


def ellipse(u, v, center, axes, angle=0.0):
    """Signed distance, roughly, to an ellipse."""
    cos, sin = math.cos(angle), math.sin(angle)
    du, dv = u - center[0], v - center[1]
    reach = norm((cos * du + sin * dv) / axes[0], (cos * dv - sin * du) / axes[1])
    return (reach - 1) * min(axes)


def segment(u, v, start, end):
    """Distance to a straight line between two points."""
    (au, av), (bu, bv) = start, end
    du, dv = bu - au, bv - av
    along = np.clip(((u - au) * du + (v - av) * dv) / (du**2 + dv**2), 0, 1)
    return norm(u - au - along * du, v - av - along * dv)
