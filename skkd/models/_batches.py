"""Images and targets as the batches a Keras model reads."""

import math

import keras
import numpy as np


class Batches(keras.utils.PyDataset):
    """Batches of images, with targets and weights when there are any.

    Parameters
    ----------
    images : array-like of shape (n, ...)
        Anything with ``shape``, ``dtype`` and indexing by an integer array; read one batch at a
        time.
    targets : ndarray of shape (n, ...), default=None
        What the loss compares the network's output with.
    sample_weight : ndarray of shape (n,), default=None
        Weight of each image in the loss.
    rows : ndarray of int, default=None
        The rows to take from all of these. None takes every one, in order.
    batch_size : int, default=32
        Images in a batch; the last batch may be smaller.
    seed : int, default=None
        Shuffle anew in every epoch. The order depends on the seed and the epoch's number alone,
        so training that stops and resumes sees the same batches. None keeps the order given.
    first_epoch : int, default=0
        Number of the first epoch this object will be used for.
    """

    def __init__(
        self,
        images,
        targets=None,
        sample_weight=None,
        *,
        rows=None,
        batch_size=32,
        seed=None,
        first_epoch=0,
    ):
        super().__init__()
        self.images = images
        self.targets = targets
        self.sample_weight = sample_weight
        self.rows = np.arange(len(images)) if rows is None else rows
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = first_epoch
        self._order = self._epoch_order()

    def _epoch_order(self):
        if self.seed is None:
            return self.rows
        return np.random.default_rng([self.seed, self.epoch]).permutation(self.rows)

    def __len__(self):
        return math.ceil(len(self.rows) / self.batch_size)

    def __getitem__(self, index):
        rows = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        images = np.asarray(self.images[rows])
        if images.dtype != np.uint8:
            images = images.astype(np.float32, copy=False)
        if self.targets is None:
            return (images,)
        if self.sample_weight is None:
            return images, self.targets[rows]
        return images, self.targets[rows], self.sample_weight[rows]

    def on_epoch_end(self):
        """Draw the next epoch's order."""
        self.epoch += 1
        self._order = self._epoch_order()
