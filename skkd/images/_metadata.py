"""What files say of their images beside the pixels."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from skkd.images._files import read_header
from skkd.images._input import as_column, holds_paths
from skkd.images._paths import ImagePaths


def file_metadata(paths, *, verbose=True) -> pd.DataFrame:
    """Tabulate how image files are stored: size, color, type of pixels and format.

    None of it should tell what an image shows. Where it does, a classifier can read the label off
    it: resizing hides the size, but saving all files in one format does not undo what another one
    left in the pixels.

    Parameters
    ----------
    paths : array-like of str or path-like of shape (n_images,), or ImagePaths
        The files, or frames of them.
    verbose : bool, default=True
        Whether to show a progress bar if reading takes longer than a second.

    Returns
    -------
    metadata : pandas.DataFrame
        A row for each file, in order, with the columns

        - `height` and `width`: in pixels;
        - `color`: "gray" or "color", by how the file is stored, whatever it shows;
        - `type`: type of the pixels as they are read: "uint8", "uint16" or "float32";
        - `format`: "JPEG", "PNG", "DICOM", ...

    Raises
    ------
    ValueError
        If `paths` holds no paths, or a file is no image.

    See Also
    --------
    skkd.datasets.check_split : Test whether these properties go with the label.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skkd.images import file_metadata
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = [Path(folder, "a.png"), Path(folder, "b.jpg")]
    ...     Image.new("L", (30, 20)).save(paths[0])
    ...     Image.new("RGB", (16, 16)).save(paths[1])
    ...     file_metadata(paths)
       height  width  color   type format
    0      20     30   gray  uint8    PNG
    1      16     16  color  uint8   JPEG
    """
    if isinstance(paths, ImagePaths):
        paths = paths.paths
    elif hasattr(paths, "__len__") and not isinstance(paths, str | bytes):
        paths = as_column(paths)
    if not hasattr(paths, "__len__") or not holds_paths(paths):
        raise ValueError(
            f"paths must be a list of paths of image files, at least one; got {paths!r:.200}"
        )
    paths = np.asarray(paths, dtype=object)
    bar = tqdm(total=len(paths), desc="Reading headers", delay=1, disable=not verbose)
    headers = []
    with bar, ThreadPoolExecutor() as pool:
        for header in pool.map(read_header, paths):
            headers.append(header)
            bar.update()
    return pd.DataFrame(
        {
            "height": [header.height for header in headers],
            "width": [header.width for header in headers],
            "color": ["gray" if header.gray else "color" for header in headers],
            "type": [header.dtype.name for header in headers],
            "format": [header.format for header in headers],
        }
    )
