"""What the readers of the file formats share: which types pixels have, and how to refuse."""

import importlib
from typing import NamedTuple

import numpy as np
from PIL import Image

# Deflate, the compression of zip and gzip, makes nothing smaller than by this factor.
_MOST_DEFLATED = 1032


class Refusal(ValueError):
    """A reason not to read a file that is whole; its path is put before it."""


class ImageHeader(NamedTuple):
    """What a file says about its image.

    Height and width in pixels, whether it is gray, the file format, the type of the pixels as
    they will be read, and how many frames the file has.
    """

    height: int
    width: int
    gray: bool
    format: str
    dtype: np.dtype = np.dtype(np.uint8)
    n_frames: int = 1


def need(module, what, install):
    """Import an optional module; the error says what it is for, to follow the path of a file."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise ImportError(
            f"is {what}; reading it needs {name}: pip install {install}", name=name
        ) from error


def check_size(height, width):
    """Refuse a picture without pixels, and one beyond Pillow's limit against bombs.

    Pillow itself looks at the first picture of a file alone, and other readers have no limit.
    """
    if height < 1 or width < 1:
        raise Refusal(f"it says that it is of {height}x{width} pixels (height x width)")
    most = Image.MAX_IMAGE_PIXELS
    if most is not None and height * width > 2 * most:
        raise Image.DecompressionBombError(
            f"it says that it is of {height}x{width} pixels (height x width)."
        )


def check_held(n_bytes, file_size, deflated=False):
    """Refuse a file that says it holds more than fits into it, before memory is taken for that."""
    if n_bytes > file_size * (_MOST_DEFLATED if deflated else 1):
        raise Refusal(f"it says that it holds {n_bytes} bytes of pixels, but has only {file_size}")


def read_dtype(dtype):
    """Return the type in which pixels of a type are read: uint8, uint16 or float32."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.kind == "u" and dtype.itemsize <= 2:
        return dtype.newbyteorder("=")
    if dtype.kind in "iuf":
        return np.dtype(np.float32)
    raise Refusal(f"its values are of type {dtype}, which is no type of pixels")


def as_read(values):
    """Return pixels in the type in which they are read, each with its own value."""
    dtype = read_dtype(values.dtype)
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * np.uint8(255)
    if dtype == np.float32:
        if values.dtype.kind in "iu" and values.size:
            low, high = int(values.min()), int(values.max())
            if max(-low, high) > 2**24:
                raise Refusal(
                    f"its values run from {low} to {high}, more than float32 tells apart; save it "
                    "with 8 or 16 bits a channel"
                )
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
        if not np.isfinite(values).all():
            raise Refusal("it holds NaN, infinity, or numbers beyond float32; mend or drop it")
    return np.ascontiguousarray(values, dtype=dtype)
