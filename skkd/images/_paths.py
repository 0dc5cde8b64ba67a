"""Image files as an array that is read where they are."""

import os
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral

import numpy as np

from skkd.images._files import (
    check_frames,
    check_options,
    list_frames,
    read_frames,
    read_header,
    split_frame,
)


class ImagePaths:
    """Image files that behave like a read-only array of images, decoded when rows are read.

    Parameters
    ----------
    paths : array-like of str or path-like of shape (n_images,)
        The files, in order.
    image_size : tuple of (height, width) or None, default=None
        Size in pixels to resize every image to. None asks that all files share one size.
    color_mode : {"grayscale", "rgb"} or None, default=None
        Channels of the images. None means gray if all files are gray, and RGB otherwise.
    window : "header", str, tuple of (center, width) or None, default="header"
        Which values become black and white, as for `read_image`.
    frames : {"first", "middle", "all"} or None, default=None
        Which frames of files of several; "all" makes a row of each frame. None refuses such files.

    Attributes
    ----------
    paths : ndarray of str of shape (n_images,), dtype object
        The files; of those of several frames with the frame, as in "scan.tif[3]".
    shape : tuple of (n_images, height, width, channels)
        Shape of the array that `images[:]` would be.
    dtype : numpy.dtype
        uint8, uint16 or float32, as of `read_image`. All files have to be of one type: how a file
        is read depends on no other.
    decodes : bool
        Always True: reading rows is work for the processor, and safe in several threads at once.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skkd.images import ImagePaths
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = [Path(folder) / f"{i}.png" for i in range(5)]
    ...     for path in paths:
    ...         Image.new("L", (30, 20)).save(path)
    ...     images = ImagePaths(paths, image_size=(16, 16))
    ...     images.shape, images[1:4].shape, images[[4, 0]].shape
    ((5, 16, 16, 1), (3, 16, 16, 1), (2, 16, 16, 1))
    """

    ndim = 4
    decodes = True

    def __init__(self, paths, *, image_size=None, color_mode=None, window="header", frames=None):
        check_options(image_size, color_mode, window)
        check_frames(frames)
        if isinstance(paths, str | bytes | os.PathLike) or not hasattr(paths, "__iter__"):
            raise TypeError(f"paths must be a list of paths of files; got {paths!r}")
        for path in paths:
            if not isinstance(path, str | os.PathLike):
                raise TypeError(f"paths must hold only str and path-like objects; got {path!r}")
        paths = [os.fspath(path) for path in paths]
        if frames is not None:
            with ThreadPoolExecutor() as pool:
                found = pool.map(lambda path: list_frames(path, frames), paths)
                paths = [frame for listed in found for frame in listed]
        self.paths = np.array(paths, dtype=object)
        self.window = tuple(window) if isinstance(window, list) else window
        if len(self.paths) == 0:
            raise ValueError("paths must hold at least one file; got none")
        self._dtype = None
        if image_size is None or color_mode is None:
            with ThreadPoolExecutor() as pool:
                headers = list(pool.map(lambda path: read_header(path, window), self.paths))
            self._dtype = headers[0].dtype
            for path, header in zip(self.paths, headers, strict=True):
                self._check_dtype(path, header.dtype)
        self._resizes = image_size is not None
        if image_size is None:
            image_size = headers[0][:2]
            for path, header in zip(self.paths, headers, strict=True):
                if header[:2] != image_size:
                    raise ValueError(
                        f"{path} is {header[0]}x{header[1]} pixels while {self.paths[0]} is "
                        f"{image_size[0]}x{image_size[1]} (height x width); "
                        "set image_size=(height, width) to resize all images to one size"
                    )
        if color_mode is None:
            color_mode = "grayscale" if all(header.gray for header in headers) else "rgb"
        self.image_size = tuple(int(side) for side in image_size)
        self.color_mode = color_mode

    @property
    def dtype(self):
        if self._dtype is None:
            self._dtype = read_header(self.paths[0], self.window).dtype
        return self._dtype

    def _check_dtype(self, path, dtype):
        if dtype != self.dtype:
            raise ValueError(
                f"{path} has pixels of type {dtype} while {self.paths[0]} has {self.dtype}; "
                "one set is of one type, as the same value would mean two brightnesses. Save all "
                "files alike, or show them all in one window=(center, width) as 8 bits"
            )

    @property
    def shape(self):
        return (len(self.paths), *self.image_size, 1 if self.color_mode == "grayscale" else 3)

    def __len__(self):
        return len(self.paths)

    def __repr__(self):
        return f"ImagePaths(shape={self.shape}, color_mode={self.color_mode!r})"

    def __getitem__(self, rows):
        if isinstance(rows, Integral):
            return self._read([self.paths[rows]])[0]
        paths = self.paths[rows]
        images = np.empty((len(paths), *self.shape[1:]), dtype=self.dtype)
        # A file of which several frames are wanted is opened once for them.
        places = {}
        for place, path in enumerate(paths):
            name, frame = split_frame(path)
            places.setdefault(place if frame is None else name, []).append(place)

        def read(wanted):
            for place, image in zip(wanted, self._read(paths[wanted]), strict=True):
                images[place] = image

        with ThreadPoolExecutor() as pool:
            for _ in pool.map(read, places.values()):
                pass
        return images

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self[:], dtype=dtype)

    def _read(self, paths):
        """Read one file, or several frames of one file."""
        options = self.image_size if self._resizes else None, self.color_mode, self.window
        if len(paths) == 1:
            images = read_frames(paths[0], [None], *options)
        else:
            frames = [split_frame(path) for path in paths]
            images = read_frames(frames[0][0], [frame for _, frame in frames], *options)
        for path, image in zip(paths, images, strict=True):
            self._check_dtype(path, image.dtype)
            if image.shape != self.shape[1:]:
                raise ValueError(
                    f"{path} is of shape {image.shape}, which was {self.shape[1:]} when its header "
                    "was read; the file has changed since, or its header is wrong"
                )
        return images
