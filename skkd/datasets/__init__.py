"""Medical image sets, folders of images, and synthetic images with ground truth."""

from skkd.datasets._phantoms import make_brain_phantoms

__all__ = ["make_brain_phantoms"]
