"""Results of blocks as files that a run leaves behind, whole or not at all."""

import hashlib
import os
from pathlib import Path
from uuid import uuid4

import joblib
import numpy as np
import pandas as pd

from skkd.blocks._listed import listed
from skkd.images._files import split_frame
from skkd.models._read_once import read_once

_STAMP = b"skkd"


def write_block(paths, folder, block, model, **options) -> str:
    """Write what a function says about a block of files as one Parquet file of a folder.

    The file is named after the paths, and appears when it is whole. If it is there already, of the
    same model, options and image files, nothing is computed: a run that was cut off goes on when
    it is started again, and a block that an engine hands out twice is written once. If one of
    these has changed, the file is made anew in its place. Cut the paths into the same blocks every
    time: other blocks have other names, and their rows would stand beside those of the first.

    Parameters
    ----------
    paths : sequence of str or path of shape (n,)
        Image files, at least one.
    folder : str or path
        Where files are written to; made if need be.
    block : callable
        `predict_block`, `teacher_block`, `explain_block`, or a function of a module of one's own,
        ``(paths, model, **options)``, that returns a DataFrame or an array with a row for each
        path. It is known by its name: give it another when what it does changes.
    model : str or path
        The file that `block` reads its model or explainer from.
    **options : object
        Further options of `block`.

    Returns
    -------
    path : str
        The file. It holds the DataFrame, or of an array the columns "path" and "values", whose
        type in Arrow is a tensor of fixed shape.

    Notes
    -----
    Needs pyarrow, as the extra ``distributed`` installs it. A process that is killed while it
    writes leaves a file behind whose name begins with a dot, which readers of a folder of Parquet
    files pass over.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd
    >>> from PIL import Image
    >>> from skkd import FiveBlockCNN
    >>> from skkd.blocks import predict_block, write_block
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model = Path(folder, "student.keras")
    ...     FiveBlockCNN(filters=(4,)).build((8, 8, 1), n_classes=2).save(model)
    ...     paths = [str(Path(folder, f"{number}.png")) for number in range(5)]
    ...     for path in paths:
    ...         Image.new("L", (8, 8)).save(path)
    ...     for start in (0, 2, 4):
    ...         part = write_block(paths[start : start + 2], folder + "/out", predict_block, model)
    ...     pd.read_parquet(folder + "/out").shape
    (5, 3)
    """
    import pyarrow.parquet as pq

    paths = listed(paths)
    if not paths:
        raise ValueError("paths must name at least one image file; got none")
    if "<" in getattr(block, "__qualname__", "<"):
        raise ValueError(f"block must be a function that a module defines by name; got {block!r}")
    for argument, given in {"folder": folder, "model": model}.items():
        if not isinstance(given, str | os.PathLike):
            raise TypeError(f"{argument} must be a str or a path; got {given!r}")
    folder = Path(folder)
    name = _digest(paths)
    stamp = _stamp(paths, block, model, options)
    part = folder / f"part-{name}.parquet"
    if _stamp_of(part) == stamp:
        return str(part)
    table = _as_table(block(paths, model, **options), paths)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), _STAMP: stamp})
    folder.mkdir(parents=True, exist_ok=True)
    # Of a name that no other process on any machine writes to.
    unfinished = folder / f".{name}.{uuid4().hex}"
    try:
        pq.write_table(table, unfinished)
        os.replace(unfinished, part)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return str(part)


def _as_table(values, paths):
    import pyarrow as pa

    if len(values) != len(paths):
        raise ValueError(f"block must give a row for each of {len(paths)} paths; got {len(values)}")
    if isinstance(values, pd.DataFrame):
        return pa.Table.from_pandas(values, preserve_index=False)
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(values))
    return pa.table({"path": paths, "values": tensors})


def _stamp(paths, block, model, options):
    """Return a digest of all that a result depends on beside the paths themselves."""
    files = [os.stat(split_frame(path)[0]) for path in paths]
    files = [(file.st_size, file.st_mtime_ns) for file in files]
    made_by = (block.__module__, block.__qualname__, joblib.hash(sorted(options.items())))
    return _digest([repr(made_by), read_once(model, _file_digest), repr(files)]).encode()


def _stamp_of(part):
    """Return the stamp of a file that is there and whole, None of another."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return (pq.read_schema(part).metadata or {}).get(_STAMP)
    except (FileNotFoundError, pa.ArrowInvalid):
        return None


def _file_digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _digest(texts):
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        digest.update(f"{len(text)}:{text}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
