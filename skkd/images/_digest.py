"""A digest of all images that somebody trained on."""

import hashlib

import numpy as np

from skkd.images._files import split_frame
from skkd.images._paths import ImagePaths


def content_digest(images, batch_size):
    """Return a digest of images: of the files' own bytes where they are files.

    Parameters
    ----------
    images : ImagePaths or array-like of shape (n, ...)
        Images or rows of a table.
    batch_size : int
        Images read at a time.

    Returns
    -------
    digest : str
        Another one if a single value, a type or the order is another.
    """
    digest = hashlib.blake2b(f"{images.shape}{images.dtype}".encode(), digest_size=16)
    if isinstance(images, ImagePaths):
        for path in images.paths:
            name, frame = split_frame(path)
            with open(name, "rb") as file:
                digest.update(hashlib.file_digest(file, "blake2b").digest())
            digest.update(str(frame).encode())
        return digest.hexdigest()
    for start in range(0, len(images), batch_size):
        rows = np.arange(start, min(start + batch_size, len(images)))
        digest.update(np.ascontiguousarray(images[rows]))
    return digest.hexdigest()
