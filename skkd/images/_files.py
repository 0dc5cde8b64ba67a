"""Image files, decoded when rows of them are read."""

import os
import re
from numbers import Integral

import numpy as np
from PIL import Image, UnidentifiedImageError

from skkd.images._arrays import NIFTI_SUFFIXES, NiftiFrames, NpyFrames
from skkd.images._dicom import DicomFrames, is_dicom
from skkd.images._pillow import FORMATS, PillowFrames, TiffFrames, is_tiff
from skkd.images._values import Refusal
from skkd.images._windows import WINDOWS, check_window, is_chosen, show

_COLOR_MODES = {"grayscale": "L", "rgb": "RGB"}
FRAMES = ("first", "middle", "all")
# Weights of red, green and blue by which Pillow makes gray of 8 bits.
_LUMA = (0.299, 0.587, 0.114)


def read_image(
    path, *, image_size=None, color_mode=None, window="header", frames=None
) -> np.ndarray:
    """Decode one image file into an array.

    The type of the pixels depends on the file alone: files of at most 8 bits a channel give
    uint8, files of 16 bits their values as they are in uint16, and files of signed or
    floating-point values float32. DICOM files are shown in a window, which gives uint8, and NIfTI
    files give float32 after their scaling. The picture is turned as its EXIF orientation says,
    and transparent parts become black.

    Parameters
    ----------
    path : str or path-like
        File of one of the formats BMP, GIF, JPEG, JPEG 2000, PNG, PPM (PBM, PGM), TIFF and WebP,
        whatever its name; an .npy file; DICOM when pydicom is installed, or NIfTI when nibabel is.
        ``"scan.tif[3]"`` names the frame 3, counted from 0, of a file of several.
    image_size : tuple of (height, width) or None, default=None
        Size in pixels to resize to, bilinear with antialiasing. None keeps the file's own size.
    color_mode : {"grayscale", "rgb"} or None, default=None
        Channels of the result. None keeps gray files gray and turns all others into RGB.
    window : "header", str, tuple of (center, width) or None, default="header"
        Which values of gray files become black, at center - width / 2, and white, at center +
        width / 2, as uint8. Names are windows in Hounsfield units for CT: "abdomen", "bone",
        "brain", "liver", "lung", "mediastinum", "spine", "stroke", "subdural" and
        "temporal_bone". "header" shows DICOM by its first look-up table or window, without one
        from its lowest value to its highest, and leaves other files as they are. None gives the
        values of DICOM after their rescaling, as float32, and leaves other files as they are.
    frames : {"first", "middle", "all"} or None, default=None
        Which frames of a file of several pages, frames or slices; of an even number the later of
        the two in the middle. None refuses such a file. An MPO, the JPEG of a camera with further
        views behind the picture, counts as that picture alone.

    Returns
    -------
    image : ndarray of shape (height, width, channels), dtype uint8, uint16 or float32
        One channel or three. Of shape (n_frames, height, width, channels) if `frames` is "all".

    Raises
    ------
    ImportError
        If reading the file needs a package that is not installed.
    OSError
        If the file is missing or may not be read.
    ValueError
        If the content is not a readable image, or larger than Pillow's limit against
        decompression bombs, or holds what would be read only in part.

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
    check_options(image_size, color_mode, window)
    check_frames(frames)
    if frames is None:
        return read_frames(path, [None], image_size, color_mode, window)[0]
    found = list_frames(path, frames)
    images = read_frames(
        split_frame(path)[0],
        [split_frame(name)[1] for name in found],
        image_size,
        color_mode,
        window,
    )
    if frames != "all":
        return images[0]
    kinds = sorted({f"{image.shape} {image.dtype}" for image in images})
    if len(kinds) > 1:
        raise ValueError(
            f"{path} is not read: its frames are of several shapes or types, {'; '.join(kinds)}; "
            "set image_size and color_mode, or read them one by one"
        )
    return np.stack(images)


def read_frames(path, indices, image_size, color_mode, window):
    """Read frames of one file, which is opened once.

    Parameters
    ----------
    path : str or path-like
        The file; it may name a frame, which an index of None then means.
    indices : list of int or None
        The frames; None is the only one.
    image_size, color_mode, window : see `read_image`

    Returns
    -------
    images : list of ndarray of shape (height, width, channels)
        As of `read_image`.
    """

    def read(frames, named):
        if len(indices) > 1 and hasattr(frames, "load"):
            frames.load()
        return [
            _finished(
                _values(frames, _pick(frames, named if index is None else index), window),
                image_size,
                color_mode,
            )
            for index in indices
        ]

    return _open(path, read)


def list_frames(path, frames):
    """Name the frames of a file.

    Parameters
    ----------
    path : str or path-like
        The file. One that names a frame already stands for that one.
    frames : {"first", "middle", "all"}
        Which frames.

    Returns
    -------
    paths : list of str
        A name such as "scan.tif[3]" for each frame; the path itself if the file has one frame.
    """
    name, frame = split_frame(path)
    if frame is not None:
        return [os.fspath(path)]
    n_frames = _open(name, lambda opened, named: opened.n_frames)
    if n_frames == 1:
        return [name]
    numbers = {"first": [0], "middle": [n_frames // 2], "all": range(n_frames)}[frames]
    return [f"{name}[{number}]" for number in numbers]


def split_frame(path):
    """Return the file and the frame, or None, that a path names."""
    if not isinstance(path, str | bytes | os.PathLike):
        raise TypeError(f"path must be a str or path-like; got {path!r}")
    # A str of NumPy would stand in errors as np.str_('...').
    path = str(os.fsdecode(path))
    if path.endswith("]") and not os.path.exists(path):
        found = re.fullmatch(r"(.+)\[(\d+)\]", path, flags=re.DOTALL)
        if found:
            return found[1], int(found[2])
    return path, None


def is_unnamed_image(path):
    """Tell by its content whether a file without the suffix of an image is DICOM."""
    if os.path.basename(path).upper() == "DICOMDIR":
        return False
    try:
        with open(path, "rb") as file:
            return is_dicom(file.read(132))
    except OSError:
        return False


def check_image_size(image_size):
    """Refuse what is neither None nor two whole numbers of pixels."""
    if image_size is not None and not (
        isinstance(image_size, tuple | list | np.ndarray)
        and len(image_size) == 2
        and all(isinstance(side, Integral) and side > 0 for side in image_size)
    ):
        raise ValueError(f"image_size must be None or (height, width) in pixels; got {image_size}")


def check_options(image_size, color_mode, window):
    """Refuse what `read_image` cannot do."""
    check_image_size(image_size)
    if color_mode is not None and color_mode not in _COLOR_MODES:
        raise ValueError(f'color_mode must be None, "grayscale" or "rgb"; got {color_mode!r}')
    check_window(window)


def check_frames(frames):
    """Refuse what says of a file of several frames nothing about which to read."""
    if frames is not None and frames not in FRAMES:
        raise ValueError(f'frames must be None, "first", "middle" or "all"; got {frames!r}')


def _open(path, reader):
    """Call a reader with the frames of a file, and the frame that its path names or None."""
    path, named = split_frame(path)
    if "\0" in path:
        raise ValueError(f"{path!r} is no path of a file, as it holds a null character")
    with open(path, "rb") as file:
        try:
            return reader(_frames_of(file, path), named)
        except MemoryError:
            raise
        except Refusal as error:
            raise ValueError(f"{path} is not read: {error}") from None
        except ImportError as error:
            raise ImportError(f"{path} {error}") from error
        except Image.DecompressionBombError as error:
            raise ValueError(
                f"{path} is larger than Pillow's limit against decompression bombs: {error} "
                "If you trust the file, raise PIL.Image.MAX_IMAGE_PIXELS or shrink the image first."
            ) from error
        except UnidentifiedImageError as error:
            raise ValueError(
                f"{path} is not a readable image: it is none of {', '.join(FORMATS)}, DICOM, NIfTI "
                "and .npy, which are what is read"
            ) from error
        # On broken files decoders fail with whatever they trip over: OSError, SyntaxError,
        # struct.error, zlib.error, IndexError and more.
        except Exception as error:
            raise ValueError(f"{path} is not a readable image: {error}") from error


def _frames_of(file, path):
    head = file.read(132)
    file.seek(0)
    if is_dicom(head):
        return DicomFrames(file)
    if path.lower().endswith(NIFTI_SUFFIXES):
        return NiftiFrames(path)
    if head.startswith(b"\x93NUMPY"):
        return NpyFrames(file)
    try:
        return PillowFrames(file)
    except UnidentifiedImageError:
        if not is_tiff(head):
            raise
        file.seek(0)
        return TiffFrames(file)


def _pick(frames, index):
    if index is None:
        if frames.n_frames > 1:
            raise Refusal(
                f'it holds {frames.n_frames} frames; choose with frames="first", "middle" or '
                '"all" where files are listed or read, or name one by its number, as in '
                '"scan.tif[0]"'
            )
        return 0
    if index >= frames.n_frames:
        raise Refusal(f"it holds {frames.n_frames} frames, so [{index}] is none of them")
    return index


def _values(frames, index, window):
    if isinstance(frames, DicomFrames):
        return frames.values(index, window)
    values = frames.values(index)
    if not is_chosen(window):
        return values
    if isinstance(window, str) and not frames.has_units:
        center, width = WINDOWS[window]
        raise Refusal(
            f"window={window!r} is for values in Hounsfield units, which a {frames.format} of "
            f"unsigned values does not hold; where values are shifted by 1024, say, give "
            f"window=({center + 1024}, {width})"
        )
    values = np.asarray(values)
    if values.ndim == 3:
        raise Refusal(f"it is in color, of which window={window!r} says nothing")
    return Image.fromarray(show(values, window))


def _finished(image, image_size, color_mode):
    """Give an image its channels and size."""
    if isinstance(image, np.ndarray) and image.dtype == np.uint8:
        image = Image.fromarray(image)
    if isinstance(image, Image.Image):
        if color_mode is not None:
            image = image.convert(_COLOR_MODES[color_mode])
        if image_size is not None:
            height, width = image_size
            image = image.resize((int(width), int(height)), Image.Resampling.BILINEAR)
        pixels = np.array(image)
        return pixels[..., None] if pixels.ndim == 2 else pixels
    dtype = image.dtype
    planes = [image] if image.ndim == 2 else list(np.moveaxis(image, -1, 0))
    if color_mode == "grayscale" and len(planes) == 3:
        planes = [sum(w * plane.astype(float) for w, plane in zip(_LUMA, planes, strict=True))]
    if image_size is not None:
        size = int(image_size[1]), int(image_size[0])
        planes = [
            np.asarray(
                Image.fromarray(plane.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
            )
            for plane in planes
        ]
    if dtype.kind == "u":
        planes = [np.rint(plane).clip(0, np.iinfo(dtype).max) for plane in planes]
    if color_mode == "rgb" and len(planes) == 1:
        planes = planes * 3
    return np.stack(planes, axis=-1).astype(dtype)


def read_header(path, window="header"):
    """Read what a file says about its image, without decoding it where possible.

    Parameters
    ----------
    path : str or path-like
        The file, or a frame of it.
    window : see `read_image`
        What it will be shown in.

    Returns
    -------
    header : ImageHeader
        Height, width and type of pixels as `read_image` would give them, grayness and format.
    """

    def read(frames, named):
        index = _pick(frames, named)
        if isinstance(frames, DicomFrames):
            return frames.header(index, window)
        header = frames.header(index)
        return header._replace(dtype=np.dtype(np.uint8)) if is_chosen(window) else header

    return _open(path, read)
