"""Stores of images, and two sets of images as one."""

import numpy as np

from skkd.images._finite import check_finite_images


class StoredImages:
    """Rows of anything that has a shape and can be sliced along its first axis.

    HDF5 and Zarr arrays differ in the indices they take, so rows are fetched here as the plain
    slices that cover them, and nothing but the rows asked for is read.

    Parameters
    ----------
    source : object with `shape` and row slicing
        Images of shape (n_images, height, width) or (n_images, height, width, channels).
    channels_first : bool, default=False
        Whether the source has the shape (n_images, channels, height, width). The images read have
        their channels last all the same.

    Examples
    --------
    >>> import numpy as np
    >>> from skkd.images._stores import StoredImages
    >>> StoredImages(np.arange(12).reshape(3, 2, 2))[[2, 0, 2]].shape
    (3, 2, 2, 1)
    """

    ndim = 4

    def __init__(self, source, channels_first=False):
        self.source = source
        self.channels_first = channels_first
        n_images, *shape = source.shape
        if channels_first:
            shape = [*shape[1:], shape[0]]
        self.shape = (n_images, *shape, *(1,) * (3 - len(shape)))
        self.dtype = np.asarray(source[:1]).dtype

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        rows = np.arange(len(self))[rows]
        if rows.size == 0:
            return np.empty((0, *self.shape[1:]), dtype=self.dtype)
        needed, place = np.unique(rows, return_inverse=True)
        runs = np.split(needed, np.flatnonzero(np.diff(needed) > 1) + 1)
        read = np.concatenate([np.asarray(self.source[run[0] : run[-1] + 1]) for run in runs])
        check_finite_images(read, needed)
        if self.channels_first:
            read = np.moveaxis(read, 1, -1)
        return read.reshape(-1, *self.shape[1:])[place.reshape(rows.shape)]

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self[:], dtype=dtype)


class JoinedImages:
    """Two sets of images as one, read where they are.

    Parameters
    ----------
    first, second : array-like of shape (n, ...)
        Images of one and the same shape.

    Examples
    --------
    >>> import numpy as np
    >>> from skkd.images._stores import JoinedImages
    >>> JoinedImages(np.zeros((3, 2, 2, 1)), np.ones((4, 2, 2, 1)))[np.array([5, 0])].ravel()
    array([1., 1., 1., 1., 0., 0., 0., 0.])
    """

    def __init__(self, first, second):
        self.first = first
        self.second = second
        self.shape = (len(first) + len(second), *first.shape[1:])
        self.dtype = np.result_type(first.dtype, second.dtype)
        self.decodes = all(getattr(part, "decodes", False) for part in (first, second))

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        rows = np.asarray(rows)
        in_first = rows < len(self.first)
        images = np.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        if in_first.any():
            images[in_first] = self.first[rows[in_first]]
        if not in_first.all():
            images[~in_first] = self.second[rows[~in_first] - len(self.first)]
        return images
