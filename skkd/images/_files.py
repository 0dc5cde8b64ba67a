"""Image files, decoded when rows of them are read."""

import os
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from skkd.images._dicom import decode_dicom, dicom_shape, is_dicom

_GRAY_MODES = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"}
_COLOR_MODES = {"grayscale": "L", "rgb": "RGB"}


def read_image(path, *, image_size=None, color_mode=None) -> np.ndarray:
    """Decode one image file into an 8-bit array.

    The picture is turned as its EXIF orientation says, transparent parts become black, 16-bit
    values keep their high byte, so that images stay comparable, and of several frames or pages
    the first is read. DICOM files go through their rescale slope and intercept and their first
    window; without a window, the lowest value becomes black and the highest white.

    Parameters
    ----------
    path : str or path-like
        File in any format Pillow reads, or DICOM when pydicom is installed.
    image_size : tuple of (height, width) or None, default=None
        Size in pixels to resize to, bilinear with antialiasing. None keeps the file's own size.
    color_mode : {"grayscale", "rgb"} or None, default=None
        Channels of the result. None keeps gray files gray and turns all others into RGB.

    Returns
    -------
    image : ndarray of shape (height, width, channels), dtype uint8
        One channel or three.

    Raises
    ------
    OSError
        If the file is missing or may not be read.
    ValueError
        If the content is not a readable image, or larger than Pillow's limit against
        decompression bombs.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skkd.images import read_image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "slice.png"
    ...     Image.new("L", (30, 20)).save(path)
    ...     read_image(path, color_mode="rgb").shape
    (20, 30, 3)
    """
    _check_options(image_size, color_mode)
    image = _open(path, _decode)
    if color_mode is not None:
        image = image.convert(_COLOR_MODES[color_mode])
    if image_size is not None:
        height, width = image_size
        image = image.resize((int(width), int(height)), Image.Resampling.BILINEAR)
    pixels = np.array(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _check_options(image_size, color_mode):
    if image_size is not None and not (
        isinstance(image_size, tuple | list | np.ndarray)
        and len(image_size) == 2
        and all(isinstance(side, Integral) and side > 0 for side in image_size)
    ):
        raise ValueError(f"image_size must be None or (height, width) in pixels; got {image_size}")
    if color_mode is not None and color_mode not in _COLOR_MODES:
        raise ValueError(f'color_mode must be None, "grayscale" or "rgb"; got {color_mode!r}')


def _open(path, reader):
    # A str of NumPy would stand in errors as np.str_('...').
    path = str(os.fsdecode(path))
    with open(path, "rb") as file:
        try:
            return reader(file)
        except MemoryError:
            raise
        except ImportError as error:
            raise ImportError(
                f"{path} is a DICOM file; reading it needs pydicom: pip install pydicom"
            ) from error
        except Image.DecompressionBombError as error:
            raise ValueError(
                f"{path} is larger than Pillow's limit against decompression bombs: {error} "
                "If you trust the file, raise PIL.Image.MAX_IMAGE_PIXELS or shrink the image first."
            ) from error
        except UnidentifiedImageError as error:
            raise ValueError(f"{path} is not a readable image: no format fits") from error
        # On broken files Pillow's decoders fail with whatever they trip over: OSError,
        # SyntaxError, struct.error, zlib.error, IndexError and more.
        except Exception as error:
            raise ValueError(f"{path} is not a readable image: {error}") from error


def _decode(file):
    if is_dicom(file):
        return decode_dicom(file)
    image = _turn(Image.open(file))
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(
                f"its values run from {values.min()} to {values.max()}, beyond 16 bits; "
                "save it with 8 or 16 bits a channel"
            )
        return Image.fromarray((values >> 8).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("it holds floating-point values; save it with 8 or 16 bits a channel")
    mode = "L" if image.mode in _GRAY_MODES else "RGB"
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    return image.convert(mode)


class ImageHeader(NamedTuple):
    """What a file says about its image: size in pixels, whether it is gray, and file format."""

    height: int
    width: int
    gray: bool
    format: str


def read_header(path):
    """Read what a file says about its image, without decoding it where possible.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    header : ImageHeader
        Height and width as `read_image` would give them, grayness and format.
    """
    return _open(path, _parse_header)


def _parse_header(file):
    if is_dicom(file):
        return ImageHeader(*dicom_shape(file), "DICOM")
    image = Image.open(file)
    file_format = image.format
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        # Formats differ in when they turn the picture, so its size is known after decoding only.
        image = _turn(image)
    return ImageHeader(image.height, image.width, image.mode in _GRAY_MODES, file_format)


def _turn(image):
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return image


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

    Attributes
    ----------
    paths : ndarray of str of shape (n_images,), dtype object
        The files.
    shape : tuple of (n_images, height, width, channels)
        Shape of the array that `images[:]` would be.
    dtype : numpy.dtype
        Always uint8.
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
    dtype = np.dtype(np.uint8)
    decodes = True

    def __init__(self, paths, *, image_size=None, color_mode=None):
        _check_options(image_size, color_mode)
        self.paths = np.array([os.fspath(path) for path in paths], dtype=object)
        if len(self.paths) == 0:
            raise ValueError("X has no file paths; at least one is needed")
        if image_size is None or color_mode is None:
            with ThreadPoolExecutor() as pool:
                headers = list(pool.map(read_header, self.paths))
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
    def shape(self):
        return (len(self.paths), *self.image_size, 1 if self.color_mode == "grayscale" else 3)

    def __len__(self):
        return len(self.paths)

    def __repr__(self):
        return f"ImagePaths(shape={self.shape}, color_mode={self.color_mode!r})"

    def __getitem__(self, rows):
        if isinstance(rows, Integral):
            return self._read(self.paths[rows])
        paths = self.paths[rows]
        images = np.empty((len(paths), *self.shape[1:]), dtype=self.dtype)
        with ThreadPoolExecutor() as pool:
            for i, image in enumerate(pool.map(self._read, paths)):
                images[i] = image
        return images

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self[:], dtype=dtype)

    def _read(self, path):
        return read_image(path, image_size=self.image_size, color_mode=self.color_mode)
