"""Image files with labels, read into a Bunch."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from joblib import effective_n_jobs
from sklearn.utils import Bunch
from tqdm.auto import tqdm

from skkd._warnings import warn
from skkd.images._files import read_header, split_frame
from skkd.images._paths import ImagePaths


def read_labeled(
    paths,
    target,
    target_names,
    *,
    description,
    image_size,
    color_mode,
    as_paths,
    window="header",
    further=None,
    **options,
):
    """Read image files and describe them.

    Parameters
    ----------
    paths, target : ndarray of str of shape (n_images,)
        The files and their classes.
    target_names : list of str
        All classes.
    description : str
        What the images are.
    image_size, color_mode, as_paths, window : object
        As for `load_image_folder`.
    further : dict of str to ndarray of shape (n_images,), default=None
        What else is known of each image.
    **options : dict
        `on_error`, `n_jobs` and `verbose` of `load_image_folder`.

    Returns
    -------
    images : Bunch
        As from `load_image_folder`.
    """
    if as_paths and (image_size is not None or color_mode is not None or window != "header"):
        raise ValueError(
            "as_paths=True returns files that are not decoded yet; give image_size and color_mode "
            f"to the estimator instead, and window. Got image_size={image_size}, "
            f"color_mode={color_mode!r}, window={window!r}"
        )
    if options["on_error"] not in ("raise", "warn"):
        raise ValueError(f'on_error must be "raise" or "warn"; got {options["on_error"]!r}')
    keep, problems = np.arange(len(paths)), []
    if as_paths or options["on_error"] == "warn":
        good = visit(lambda path: read_header(path, window), paths, problems, **options)
        keep = keep[good]
        check_classes(target[keep], target_names, target, problems)
    data = data_paths = paths[keep]
    if not as_paths:
        images = ImagePaths(data, image_size=image_size, color_mode=color_mode, window=window)
        data = np.empty(images.shape, dtype=images.dtype)

        def decode(rows):
            rows = rows if len(rows) > 1 else rows[0]
            data[rows] = images[rows]

        # Frames of one file are read together, as a compressed volume is unpacked for each read.
        rows_of = {}
        for row, path in enumerate(data_paths):
            name, frame = split_frame(path)
            rows_of.setdefault(row if frame is None else name, []).append(row)
        groups = list(rows_of.values())
        read = visit(decode, groups, problems, **options)
        good = np.ones(len(data), dtype=bool)
        for rows, was_good in zip(groups, read, strict=True):
            good[rows] = was_good
        keep, data = keep[good], data if good.all() else data[good]
        check_classes(target[keep], target_names, target, problems)
    if problems:
        warn(
            f"Left out {len(problems)} of {len(paths)} files that could not be read; the first: "
            f"{problems[0]}"
        )
    counts = [
        f"{' '.join(str(name).splitlines())}: {np.sum(target[keep] == name)}"
        for name in target_names
    ]
    return Bunch(
        data=data,
        target=target[keep],
        target_names=np.array(target_names),
        filenames=paths[keep],
        **{name: values[keep] for name, values in (further or {}).items()},
        DESCR="\n".join([description, "", f"{len(keep)} images", *counts, ""]),
    )


def visit(function, items, problems, *, on_error, n_jobs, verbose):
    """Call a function for its effect on each item, in threads; tell which calls went well."""

    def attempt(item):
        try:
            function(item)
        except (OSError, ValueError) as error:
            return error

    good = np.ones(len(items), dtype=bool)
    bar = tqdm(total=len(items), desc="Reading images", delay=1, disable=not verbose)
    with bar, ThreadPoolExecutor(effective_n_jobs(n_jobs)) as pool:
        for i, error in enumerate(pool.map(attempt, items)):
            bar.update()
            if error is not None:
                if on_error == "raise":
                    pool.shutdown(cancel_futures=True)
                    raise error
                problems.append(error)
                good[i] = False
    return good


def check_classes(kept, target_names, asked, problems):
    """Raise where no image of a class that was asked for could be read."""
    for name in target_names:
        if name in asked and name not in kept:
            raise ValueError(
                f"The class {name} has no readable image; the first of {len(problems)} files that "
                f"could not be read: {problems[0]}"
            )
