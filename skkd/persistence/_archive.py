"""One file of several members, each with a checksum."""

import hashlib
import io
import os
import uuid
import zipfile
from pathlib import Path

CHECKSUMS = "SHA256SUMS"


def check_path(path):
    """Raise TypeError unless a user has given the path of a file."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a str or a path; got {path!r}")


def write_archive(path, members):
    """Write a zip file, whole or not at all.

    Parameters
    ----------
    path : str or path
        The file. One that is there is replaced.
    members : dict of str to bytes
        Contents by name. ``SHA256SUMS`` is added, in the format of ``sha256sum --check``.
    """
    # Of a link, the file that it leads to is replaced.
    path = Path(os.path.realpath(path))
    unfinished = path.with_name(f"{path.name}-{uuid.uuid4().hex}.part")
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
            archive.writestr(CHECKSUMS, _checksums(members))
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_archive(path):
    """Return the members of a file that `write_archive` made.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    members : dict of str to bytes
        Contents by name.

    Raises
    ------
    ValueError
        If the file is another one, or not as it was written.
    """
    check_path(path)
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path: there is no file {str(path)!r}")
    members = {}
    try:
        whole = path.read_bytes()
        # zipfile reads past whatever stands before and behind an archive.
        if whole[:4] != b"PK\x03\x04" or whole[-22:-18] != b"PK\x05\x06":
            raise zipfile.BadZipFile("it does not begin and end as one")
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            for entry in archive.infolist():
                # Members are written uncompressed, so that what is read is no larger than the file.
                if entry.compress_type != zipfile.ZIP_STORED or entry.filename in members:
                    raise zipfile.BadZipFile(f"{entry.filename!r} was not written by skkd")
                members[entry.filename] = archive.read(entry)
    # Of a damaged directory zipfile trips over names, sizes, flags and versions.
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, RuntimeError) as error:
        raise _damaged(path, error) from error
    checksums = members.pop(CHECKSUMS, None)
    if checksums != _checksums(members):
        raise _damaged(path, "its parts are not those of its SHA256SUMS")
    return members


def _checksums(members):
    lines = [
        f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in members.items()
    ]
    return "".join(lines).encode()


def _damaged(path, reason):
    return ValueError(
        f"path: {str(path)!r} is not a file that save(path) wrote, or it has been cut off or "
        f"changed since: {reason}. Take a copy of it that is whole, or save anew"
    )
