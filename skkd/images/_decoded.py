"""Images of files, kept decoded between epochs."""

import contextlib
import hashlib
import io
import math
import os
import uuid
from pathlib import Path

import numpy as np
import PIL
from tqdm.auto import tqdm

from skkd.images._files import split_frame
from skkd.images._paths import ImagePaths

# Images decoded at a time: enough to feed every thread, little beside what is kept.
_CHUNK = 256
# Raised when files come to be read in another way.
_READING = 2


def keep_decoded(images, cache, *, verbose=False):
    """Decode images of files once, so that later reads find them decoded.

    Parameters
    ----------
    images : ImagePaths or array-like
        Images; only those of files are decoded, others are returned as they are.
    cache : "memory", path or None
        Where decoded images are kept: in memory, or in a file of this folder, which is made if
        it is missing. None keeps nothing.
    verbose : bool, default=False
        Whether to show a progress bar if decoding takes longer than a second.

    Returns
    -------
    images : ImagePaths, ndarray, DecodedFile or array-like
        The same images.

    Raises
    ------
    OSError
        If an image file is missing, or nothing can be written to the folder.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skkd.images._decoded import keep_decoded
    >>> from skkd.images import ImagePaths
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "slice.png"
    ...     Image.new("L", (30, 20), 7).save(path)
    ...     images = keep_decoded(ImagePaths([path]), Path(folder) / "cache")
    ...     images.shape, images[[0]].mean().item()
    ((1, 20, 30, 1), 7.0)
    """
    if cache is None or not isinstance(images, ImagePaths):
        return images
    if isinstance(cache, str) and cache == "memory":
        decoded = np.empty(images.shape, images.dtype)
        for rows in _chunks(images, verbose):
            decoded[rows] = images[rows]
        return decoded
    folder = Path(cache)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f'image_cache must be None, "memory" or a folder to write to; got {folder}: {error}'
        ) from error
    path = folder / f"skkd-images-{_fingerprint(images)}.npy"
    if not _is_whole(path, images):
        _write(images, path, verbose)
    return DecodedFile(path)


class DecodedFile:
    """Images in an .npy file, mapped into memory for as long as a read takes.

    A lasting map would count every page ever read as memory of this process.

    Parameters
    ----------
    path : path-like
        File of an array of shape (n_images, height, width, channels).
    """

    ndim = 4

    def __init__(self, path):
        self.path = path
        mapped = self._map()
        self.shape, self.dtype = mapped.shape, mapped.dtype

    def _map(self):
        return np.load(self.path, mmap_mode="r")

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        return np.array(self._map()[rows])


def _chunks(images, verbose):
    starts = range(0, len(images), _CHUNK)
    for start in tqdm(starts, "decoding", delay=1, disable=not verbose):
        yield slice(start, start + _CHUNK)


def _fingerprint(images):
    """Return a digest that changes with any file, and with how files are decoded.

    A file that is copied over another may bring the time of its content along, and have the same
    size. The time of its last change on the disk (``st_ctime``) nobody can set.
    """
    decoding = (_READING, PIL.__version__, images.image_size, images.color_mode, images.window)
    digest = hashlib.blake2b(repr(decoding).encode(), digest_size=16)
    for path in images.paths:
        name, frame = split_frame(path)
        stat = os.stat(name)
        times = (stat.st_mtime_ns, stat.st_ctime_ns)
        file = (os.path.abspath(name), frame, stat.st_size, *times)
        digest.update(repr(file).encode())
    return digest.hexdigest()


def _header(images):
    header = io.BytesIO()
    layout = {"descr": images.dtype.str, "fortran_order": False, "shape": images.shape}
    np.lib.format.write_array_header_1_0(header, layout)
    return header.getvalue()


def _is_whole(path, images):
    # Compared and not parsed: a damaged header may fail in any way, or be read as another array.
    header = _header(images)
    size = len(header) + math.prod(images.shape) * images.dtype.itemsize
    try:
        with open(path, "rb") as file:
            return os.fstat(file.fileno()).st_size == size and file.read(len(header)) == header
    except OSError:
        return False


def _write(images, path, verbose):
    # Other processes see the whole file or none. Of several that write it the first to finish
    # removes what the others have written, those among them that were killed.
    part = path.with_name(f"{path.stem}-{uuid.uuid4().hex}.part")
    # Written, not mapped: a full disk is then an error and not the end of the process. And not
    # buffered, so that the error comes where it is expected.
    with _naming(part):
        file = open(part, "xb", buffering=0)  # noqa: SIM115
    try:
        with file:
            _append(file, _header(images))
            for rows in _chunks(images, verbose):
                _append(file, images[rows].data)
        try:
            with _naming(part):
                os.replace(part, path)
        except FileNotFoundError:
            if not _is_whole(path, images):
                raise
    finally:
        part.unlink(missing_ok=True)
    for other in path.parent.glob(f"{path.stem}-*.part"):
        # Windows lets nobody remove a file that is being written.
        with contextlib.suppress(OSError):
            other.unlink()


def _append(file, data):
    left = memoryview(data).cast("B")
    with _naming(file.name):
        while left:
            left = left[file.write(left) :]


@contextlib.contextmanager
def _naming(part):
    """Say of a file that cannot be written which one it is, and what helps."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno,
            f"image_cache: cannot write {part}: {error.strerror}. Make room there, or let it be "
            'written to; or set image_cache to another folder, "memory" or None',
        ) from error
