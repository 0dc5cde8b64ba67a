"""Images read a block at a time, each with a digest of its content."""

import hashlib
import math

import numpy as np

# Enough that what is done once a block costs nothing, few enough that an interrupted run loses
# little; fewer where they would take more than the bytes.
_ROWS, _BYTES = 512, 2**28


def read_blocks(images, rows, batch_size):
    """Read rows of images in order, a block at a time.

    Parameters
    ----------
    images : array-like of shape (n, ...)
        Images or rows of a table.
    rows : ndarray of int
        The rows to read.
    batch_size : int
        What a block is cut into by its reader: large images come in whole batches.

    Yields
    ------
    rows : ndarray of int
        The rows of the block.
    block : ndarray of shape (n_rows, ...)
        Their images.
    digests : list of bytes
        Those of `image_digests`.
    """
    most = _BYTES // max(math.prod(images.shape[1:]) * np.dtype(images.dtype).itemsize, 1)
    size = _ROWS if most >= _ROWS else max(most // batch_size, 1) * batch_size
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        block = np.asarray(images[part])
        yield part, block, image_digests(block)


def image_digests(images):
    """Return a digest of the content of each image, the same for arrays and for files.

    It depends on values, shape and type; all types other than uint8 count as float32.
    """
    if images.dtype != np.uint8:
        images = images.astype(np.float32, copy=False)
    head = hashlib.blake2b(f"{images.shape[1:]}{images.dtype}".encode(), digest_size=16)
    digests = []
    for image in np.ascontiguousarray(images):
        digest = head.copy()
        digest.update(image.data)
        digests.append(digest.digest())
    return digests


def in_memory(images):
    """Return images as an array, which is read again at no cost; an array is returned as it is."""
    return images if isinstance(images, np.ndarray) else np.asarray(images[np.arange(len(images))])
