"""Images and targets as the batches a Keras model reads."""

import contextlib
import math
import threading

import keras
import numpy as np

from skkd._backend import (
    draws_in_threads,
    is_out_of_memory,
    put_back_weights,
    random_state_kept,
    without_advice,
)
from skkd._memory import kept_memory
from skkd._warnings import warn


class Batches(keras.utils.PyDataset):
    """Batches of images, with targets and weights when there are any.

    Parameters
    ----------
    images : array-like of shape (n, ...)
        Anything with ``shape``, ``dtype`` and indexing by an integer array; read one batch at a
        time, and image files a few batches ahead.
    targets : ndarray of shape (n, ...), default=None
        What the loss compares the network's output with.
    sample_weight : ndarray of shape (n,), default=None
        Weight of each image in the loss.
    rows : ndarray of int, default=None
        The rows to take from all of these. None takes every one, in order.
    extra_rows : ndarray of int, default=None
        Rows of a second kind, such as images nobody labeled. Every batch then mixes both kinds,
        and an epoch takes each row at least once; the rarer kind comes round again.
    extra_ratio : float, default=None
        Rows of the second kind for each of the first in a batch. None keeps the proportion they
        have altogether.
    n_views : int, default=0
        Number of augmented views of each image that follow the images: row i of n has its views
        at n + i, 2n + i and so on. Epochs take them in turn, instead of the images.
    augment : callable, default=None
        ``(images, epoch, first) -> images``: draws a view of a batch.
    retarget : callable, default=None
        ``(images, targets) -> targets``: says what is to be learned of a view just drawn.
    batch_size : int, default=32
        Images in a batch, of both kinds together; the last batch may be smaller.
    seed : int, default=None
        Shuffle anew in every epoch. The order depends on the seed and the epoch's number alone,
        so training that stops and resumes sees the same batches. None keeps the order given.
    """

    def __init__(
        self,
        images,
        targets=None,
        sample_weight=None,
        *,
        rows=None,
        extra_rows=None,
        extra_ratio=None,
        n_views=0,
        augment=None,
        retarget=None,
        batch_size=32,
        seed=None,
    ):
        super().__init__(max_queue_size=4)
        self.images = images
        self.targets = targets
        self.sample_weight = sample_weight
        self.rows = np.arange(len(images)) if rows is None else rows
        self.extra_rows = extra_rows
        self.n_views = n_views
        self.augment = augment
        self.retarget = retarget
        if extra_rows is not None:
            ratio = len(extra_rows) / len(self.rows) if extra_ratio is None else extra_ratio
            # At least one of each kind, or the batch would not mix.
            n_first = min(max(round(batch_size / (1 + ratio)), 1), max(batch_size - 1, 1))
            self._n_of_each = n_first, max(batch_size - n_first, 1)
            batch_size = sum(self._n_of_each)
        self.batch_size = batch_size
        self.seed = seed
        self._drawing = threading.Lock()
        self._part, self._n_parts = 0, 1
        self.error = None
        self.start(epoch=0)
        alone = augment is not None and not draws_in_threads()
        if getattr(images, "decodes", False) and len(self) > 1 and not alone:
            # Keras then reads batches ahead of the network, in order. Each is decoded by many
            # threads already; a second batch keeps them busy while the last images of one finish.
            self.workers = 2

    def check_shares(self, n_parts):
        """Refuse batches that processes cannot share evenly, the last of an epoch included."""
        n_rows = len(self._order)
        if any(size % n_parts for size in (min(self.batch_size, n_rows), n_rows % self.batch_size)):
            raise ValueError(
                f"batch_size={self.batch_size} cuts {n_rows} images into batches that {n_parts} "
                "processes cannot share evenly, the last one included; choose another batch_size "
                "or number of images"
            )

    def share(self, part, n_parts):
        """Give one part of each batch from now on, in the order of rows; others give the others."""
        self._part, self._n_parts = part, n_parts

    def start(self, epoch):
        """Draw the order of an epoch, from which training will go on."""
        self.epoch = epoch
        self._order = self._epoch_order()
        if self.n_views:
            n_images = len(self.images) // (1 + self.n_views)
            self._order = self._order + n_images * (1 + epoch % self.n_views)

    def _epoch_order(self):
        if self.seed is None:
            return self.rows
        rng = np.random.default_rng([self.seed, self.epoch])
        if self.extra_rows is None:
            return rng.permutation(self.rows)
        kinds = (self.rows, self.extra_rows)
        n_batches = max(
            math.ceil(len(rows) / n) for rows, n in zip(kinds, self._n_of_each, strict=True)
        )
        mixed = []
        for rows, n in zip(kinds, self._n_of_each, strict=True):
            rounds = math.ceil(n_batches * n / len(rows))
            order = np.concatenate([rng.permutation(rows) for _ in range(rounds)])
            mixed.append(order[: n_batches * n].reshape(n_batches, n))
        return np.concatenate(mixed, axis=1).ravel()

    def __len__(self):
        return math.ceil(len(self._order) / self.batch_size)

    def __getitem__(self, index):
        first = index * self.batch_size
        rows = self._order[first : first + self.batch_size]
        own = len(rows) // self._n_parts
        rows = rows[self._part * own :][:own]
        first += self._part * own
        try:
            images = np.asarray(self.images[rows])
        except Exception as error:
            self.error = error
            raise
        if images.dtype != np.uint8:
            images = images.astype(np.float32, copy=False)
        if self.augment is not None:
            with self._drawing:
                images = self.augment(images, self.epoch, first)
        if self.targets is None:
            return (images,)
        targets = self.targets[rows]
        if self.retarget is not None:
            with self._drawing:
                targets = self.retarget(images, targets)
        if self.sample_weight is None:
            return images, targets
        return images, targets, self.sample_weight[rows]

    def on_epoch_end(self):
        """Draw the next epoch's order."""
        self.start(self.epoch + 1)


@contextlib.contextmanager
def naming_files(*batches):
    """Raise an error of reading images as it was.

    Batches are read in threads of Keras and TensorFlow, which hand such an error on as one of
    their own, buried in tracebacks.
    """
    try:
        yield
    except Exception as error:
        for read in batches:
            if read is not None and read.error not in (None, error):
                raise read.error from None
        raise


def predict(model, images, batch_size):
    """Return a model's outputs for images, which are read ``batch_size`` at a time."""
    n_together = min(batch_size, max(len(images), 1))
    return as_memory_allows(lambda size: _predict(model, images, size), n_together)


def as_memory_allows(compute, batch_size):
    """Return ``compute(batch_size)``, with half the size where it takes more memory than there is.

    Parameters
    ----------
    compute : callable
        From a batch size to a result. It begins anew each time.
    batch_size : int
        The one asked for. A warning says which one it came to, if it is another.
    """
    size = batch_size
    while True:
        try:
            result = compute(size)
            break
        except Exception as error:
            if size == 1 or not is_out_of_memory(error):
                raise
        # Not among the above, where the error still holds what was computed.
        size //= 2
    if size < batch_size:
        warn(
            f"{batch_size} images at a time take more memory than there is, and {size} do not; set "
            f"batch_size={size} to save the attempts"
        )
    return result


def _predict(model, images, batch_size):
    batches = Batches(images, batch_size=batch_size)
    with kept_memory(), random_state_kept(), naming_files(batches), without_advice():
        try:
            if len(batches) == 1:
                return np.asarray(model.predict_on_batch(batches[0][0]))
            return model.predict(batches, verbose=0)
        finally:
            put_back_weights(model)
