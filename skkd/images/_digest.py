"""A digest of the files that somebody trained on."""

import hashlib

from skkd.images._files import split_frame


def files_digest(images):
    """Return a digest of image files by their bytes, which are not decoded for it.

    Parameters
    ----------
    images : ImagePaths
        The files.

    Returns
    -------
    digest : str
        Another one if a byte, the order, or how the files are read is another.
    """
    read_as = f"{images.shape}{images.dtype}{images.window!r}"
    digest = hashlib.blake2b(read_as.encode(), digest_size=16)
    for path in images.paths:
        name, frame = split_frame(path)
        with open(name, "rb") as file:
            digest.update(hashlib.file_digest(file, "blake2b").digest())
        digest.update(str(frame).encode())
    return digest.hexdigest()
