"""Files that hold arrays: .npy of NumPy, and NIfTI volumes, whose frames are slices."""

import math
import os

import numpy as np

from skkd.images._values import (
    ImageHeader,
    Refusal,
    as_read,
    check_held,
    check_size,
    need,
    read_dtype,
)

NIFTI_SUFFIXES = (".nii", ".nii.gz")
# A third version is for arrays with fields, which are no images.
_NPY_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class NpyFrames:
    """The one image of an .npy file.

    Parameters
    ----------
    file : binary file object
        The open file.
    """

    format = "NPY"
    has_units = True
    n_frames = 1

    def __init__(self, file):
        shape, _, dtype = _NPY_HEADERS[np.lib.format.read_magic(file)](file)
        check_held(math.prod(shape) * dtype.itemsize, os.fstat(file.fileno()).st_size)
        file.seek(0)
        self._values = np.load(file, allow_pickle=False)
        if not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))) or min(shape) < 1:
            raise Refusal(
                f"its array has the shape {shape}; an image is (height, width) or (height, "
                "width, channels) with one channel or three"
            )
        self.has_units = self._values.dtype.kind in "if"

    def header(self, index):
        """Return the `ImageHeader`."""
        height, width, *channels = self._values.shape
        dtype = read_dtype(self._values.dtype)
        return ImageHeader(height, width, channels != [3], self.format, dtype)

    def values(self, index):
        """Return the pixels."""
        values = as_read(self._values)
        return values[..., 0] if values.shape[2:] == (1,) else values


class NiftiFrames:
    """The slices of a NIfTI file along the last axis, after turning it to RAS+.

    Parameters
    ----------
    path : str
        The file.
    """

    format = "NIfTI"
    has_units = True

    def __init__(self, path):
        nibabel = need("nibabel", "a NIfTI file", "skkd[nifti]")
        self._image = nibabel.load(path)
        shape = self._image.shape
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        if len(shape) not in (2, 3) or min(shape) < 1:
            raise Refusal(
                f"it has the shape {self._image.shape}; slices are read of one volume of two or "
                "three axes, so save each volume as a file"
            )
        if self._image.get_data_dtype().kind not in "biuf":
            raise Refusal(f"its values are of type {self._image.get_data_dtype()}, not numbers")
        n_bytes = math.prod(shape) * self._image.get_data_dtype().itemsize
        check_held(n_bytes, os.path.getsize(path), deflated=path.lower().endswith(".gz"))
        self._shape = (*shape, 1)[:3]
        turned = nibabel.io_orientation(self._image.affine)
        if not np.isfinite(turned).all():
            raise Refusal("its affine says of an axis that it has no direction")
        # Where among the axes of the file the three of RAS+ are, and whether they run backward.
        self._axes = np.argsort(turned[:, 0])
        self._backward = turned[self._axes, 1] < 0
        check_size(*(self._shape[axis] for axis in self._axes[:2]))
        self.n_frames = self._shape[self._axes[2]]
        self._volume = None

    def header(self, index):
        """Return the `ImageHeader` of a slice."""
        height, width = (self._shape[axis] for axis in self._axes[:2])
        dtype = np.dtype(np.float32)
        return ImageHeader(height, width, True, self.format, dtype, self.n_frames)

    def load(self):
        """Read the whole volume, where many slices of it are wanted."""
        self._volume = np.asarray(self._image.dataobj).reshape(self._shape)

    def values(self, index):
        """Return a slice of shape (x, y)."""
        if self._image.ndim != 3 and self._volume is None:
            self.load()
        source = self._image.dataobj if self._volume is None else self._volume
        place = [slice(None)] * 3
        place[self._axes[2]] = self.n_frames - 1 - index if self._backward[2] else index
        values = np.asarray(source[tuple(place)])
        if self._axes[0] > self._axes[1]:
            values = values.T
        if self._backward[0]:
            values = values[::-1]
        if self._backward[1]:
            values = values[:, ::-1]
        return as_read(values.astype(np.float64))
