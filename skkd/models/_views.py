"""Augmented views of images, drawn so that the same seed draws them again."""

import numpy as np

from skkd._backend import random_state_kept, set_random_state
from skkd.models._copies import copy_layer


class Views:
    """A copy of a random Keras layer, seeded anew for everything it draws.

    Parameters
    ----------
    layer : keras.layers.Layer
        Random layers such as ``keras.layers.RandomRotation``, or a Sequential or Pipeline of them.
        It is copied, so that its own random state does not move.
    seed : int
        Seed of all views.
    """

    def __init__(self, layer, seed):
        self.layer = copy_layer(layer)
        self.seed = seed

    def draw(self, images, *key):
        """Return one view of each image.

        Parameters
        ----------
        images : ndarray of shape (n, height, width, channels)
            Images, in any range.
        *key : int
            Together with the seed it decides what is drawn.

        Returns
        -------
        views : ndarray of shape (n, height, width, channels), float32
            The views.
        """
        images = np.asarray(images, dtype=np.float32)
        if not self.layer.built:
            with random_state_kept():
                self.layer(images[:1], training=True)
        rng = np.random.default_rng([self.seed, *key])
        for variable in self.layer.variables:
            if variable.path.endswith("seed_generator_state"):
                variable.assign(rng.integers(2**31, size=variable.shape))
        with random_state_kept():
            set_random_state(int(rng.integers(2**31)))
            views = np.asarray(self.layer(images, training=True))
        if views.shape != images.shape:
            raise ValueError(
                f"augmentation turns images of shape {images.shape[1:]} into {views.shape[1:]}; "
                "it must keep their shape"
            )
        return views

    def draw_all(self, images, n_views, batch_size):
        """Return several views of each image, in memory.

        Parameters
        ----------
        images : array-like of shape (n, height, width, channels)
            Read a batch at a time.
        n_views : int
            Views of each image.
        batch_size : int
            Images read at a time.

        Returns
        -------
        views : ndarray of shape (n_views * n, height, width, channels)
            The first view of every image, then the second, and so on. 8-bit images give 8-bit
            views.
        """
        whole = images.dtype == np.uint8
        views = np.empty((n_views, *images.shape), dtype=np.uint8 if whole else np.float32)
        for view in range(n_views):
            for start in range(0, len(images), batch_size):
                rows = np.arange(start, min(start + batch_size, len(images)))
                drawn = self.draw(images[rows], view, start)
                views[view, rows] = np.rint(drawn).clip(0, 255) if whole else drawn
        return views.reshape(-1, *images.shape[1:])
