"""Folders of images, one folder a class, or with a table that says what they are."""

import os
from numbers import Integral

import numpy as np
import pandas as pd
from sklearn.utils import Bunch, resample

from skkd.datasets._labeled import check_classes, read_labeled, visit
from skkd.datasets._listing import SPLITS, flatten, list_splits
from skkd.datasets._manifest import read_manifest
from skkd.images._files import check_frames, list_frames, split_frame


def load_image_folder(
    root,
    *,
    subset=None,
    image_size=None,
    color_mode=None,
    window="header",
    frames=None,
    manifest=None,
    as_paths=False,
    limit=None,
    random_state=None,
    on_error="raise",
    n_jobs=-1,
    verbose=True,
) -> Bunch:
    """Load images sorted into one folder a class.

    `root` holds class folders, or split folders (such as Training and Testing, or train, val and
    test) that hold class folders. Images lie directly in the class folders, or in folders of
    patients inside them, at any depth. Hidden files and folders are passed over, files that are
    no images by their names are skipped with a warning unless they are DICOM by their content, as
    are masks beside images ("a_mask.png" beside "a.png"), and images come class by class in natural
    order (scan2 before scan10). A table can say in place of the folders what the images are.

    Parameters
    ----------
    root : str or path-like
        The folder.
    subset : {"train", "validation", "test", "all"} or None, default=None
        Which split folder to read. None and "all" read every image, split folders or not.
    image_size : tuple of (height, width) or None, default=None
        Size in pixels to resize to. None asks that all images share one size.
    color_mode : {"grayscale", "rgb"} or None, default=None
        Channels of the images. None means gray if all files are gray, and RGB otherwise.
    window : "header", str, tuple of (center, width) or None, default="header"
        Which values of gray files become black and white, as for `skkd.images.read_image`.
    frames : {"first", "middle", "all"} or None, default=None
        Which frames of files of several pages, frames or slices. "all" makes an image of each,
        and the file their group where no patient is known. None refuses such files.
    manifest : DataFrame, path of a CSV file or None, default=None
        A row for each image with the columns "path", relative to `root`, and "label"; optionally
        "patient", which gives the groups, and "split", which `subset` chooses from (train,
        validation or test). Any further columns are returned. The folders then mean nothing.
    as_paths : bool, default=False
        Whether to return file paths in place of decoded images. Estimators and explainers take
        such paths and decode them batch by batch, so the folder need not fit into memory;
        `image_size`, `color_mode` and `window` are then theirs to set. The header of every file is
        still read, so that a file that is no image is found now.
    limit : int or None, default=None
        Largest number of images to load: a random draw without replacement, stratified by class.
        None loads all.
    random_state : int, RandomState instance or None, default=None
        Seed of that draw.
    on_error : {"raise", "warn"}, default="raise"
        Whether a file that cannot be read raises, or is left out and counted in a warning.
    n_jobs : int or None, default=-1
        Number of threads that read files; -1 uses all processors.
    verbose : bool, default=True
        Whether to show a progress bar if reading takes longer than a second.

    Returns
    -------
    images : Bunch
        With the attributes

        - data : ndarray of shape (n_images, height, width, channels), dtype uint8, uint16 or
          float32 as the files are (see `skkd.images.read_image`), or of shape (n_images,) with
          file paths if `as_paths`
        - target : ndarray of str of shape (n_images,), the folder each image lies in
        - target_names : ndarray of str of shape (n_classes,), sorted; those of all splits
        - filenames : ndarray of str of shape (n_images,); of a file of several frames with the
          frame, as in "scan.tif[3]"
        - groups : ndarray of str of shape (n_images,), the patients, for splitters of
          scikit-learn that keep a group on one side. Folders of one name are one patient, in
          whatever class or split they lie. Only where there are patients, or all `frames`
        - DESCR : str, a description with the number of images by class

        and the further columns of a `manifest` under their names.

    Raises
    ------
    TypeError
        If `root` is no path.
    OSError
        If `root` is no readable folder, or a file vanished or may not be read.
    ValueError
        If there are fewer than two classes, a class without images, class names that differ only
        in case, images both in a class folder and in folders inside it, unequal image sizes or
        types of pixels, or a corrupt file.

    See Also
    --------
    find_duplicates : Find images that are the same.
    check_split : Find what leaks from one set of images into another.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skkd.datasets import load_image_folder, make_brain_phantoms
    >>> with tempfile.TemporaryDirectory() as root:
    ...     X, y = make_brain_phantoms(8, image_size=(32, 32), random_state=0)
    ...     for i, (image, name) in enumerate(zip(X, y)):
    ...         Path(root, name).mkdir(exist_ok=True)
    ...         Image.fromarray(image).save(Path(root, name, f"scan{i}.png"))
    ...     images = load_image_folder(root, image_size=(24, 24), color_mode="grayscale")
    >>> images.data.shape
    (8, 24, 24, 1)
    >>> images.target_names.tolist()
    ['glioma', 'meningioma', 'no_tumor', 'pituitary']
    """
    # None and integers have a meaning to the system: the working folder, an open file.
    if not isinstance(root, str | os.PathLike):
        raise TypeError(f"root must be the path of a folder, a str or path-like; got {root!r}")
    if subset not in (None, "all", *SPLITS.values()):
        raise ValueError(
            f'subset must be None, "train", "validation", "test" or "all"; got {subset!r}'
        )
    check_frames(frames)
    if manifest is not None:
        table, names = read_manifest(root, manifest, subset)
    else:
        table, names = _list_table(root, subset)
    if frames is not None:
        table = _with_frames(table, names, frames, on_error, n_jobs, verbose)
    if limit is not None:
        table = table.iloc[_draw(table["target"].to_numpy(), limit, random_state)]
    further = {str(name): table[name].to_numpy() for name in table.columns[2:]}
    return read_labeled(
        table["path"].to_numpy().astype(str),
        table["target"].to_numpy().astype(str),
        names,
        description=f"Images of the folder {os.fspath(root)}",
        further=further,
        image_size=image_size,
        color_mode=color_mode,
        window=window,
        as_paths=as_paths,
        on_error=on_error,
        n_jobs=n_jobs,
        verbose=verbose,
    )


def _list_table(root, subset):
    """Return a row for each image of a subset: path, target and, if there are any, groups."""
    splits = list_splits(root, patients=True)
    if subset in (None, "all"):
        wanted = list(splits.values())
    elif subset in splits:
        wanted = [splits[subset]]
    else:
        has = ", ".join(sorted(splits)) if None not in splits else "only class folders"
        raise ValueError(f"subset={subset!r} is not in {root}, which has {has}")
    paths, target = flatten(wanted)
    table = pd.DataFrame({"path": paths, "target": target}, dtype=object)
    patients = [classes[name].patients for classes in wanted for name in classes]
    if any(patients):
        known = {path: patient for found in patients for path, patient in found.items()}
        # An image of which no patient is known is a group of its own.
        table["groups"] = [known.get(path, path) for path in table["path"]]
    return table, sorted({name for classes in splits.values() for name in classes})


def _with_frames(table, names, frames, on_error, n_jobs, verbose):
    """Return a table with a row for each frame."""
    found, problems = {}, []

    def find(path):
        found[path] = list_frames(path, frames)

    options = {"on_error": on_error, "n_jobs": n_jobs, "verbose": verbose}
    good = visit(find, table["path"].to_list(), problems, **options)
    target = table["target"].to_numpy()
    check_classes(target[good], names, target, problems)
    # A file that cannot be read is left in its place, to be counted where files are read.
    listed = [found.get(path, [path]) for path in table["path"]]
    rows = np.repeat(np.arange(len(table)), [len(paths) for paths in listed])
    framed = table.iloc[rows].reset_index(drop=True)
    if frames == "all" and "groups" not in framed:
        framed.insert(2, "groups", [split_frame(path)[0] for path in framed["path"]])
    framed["path"] = [path for paths in listed for path in paths]
    return framed


def _draw(target, limit, random_state):
    names = np.unique(target)
    if not isinstance(limit, Integral) or limit < len(names):
        raise ValueError(
            f"limit must be None or an integer of at least the number of classes, {len(names)}; "
            f"got {limit}"
        )
    if limit >= len(target):
        return np.arange(len(target))
    rows = np.sort(
        resample(
            np.arange(len(target)),
            replace=False,
            n_samples=int(limit),
            stratify=target,
            random_state=random_state,
        )
    )
    missed = set(names) - set(target[rows])
    if missed:
        raise ValueError(
            f"limit={limit} leaves no image of {', '.join(sorted(missed))}; raise limit"
        )
    return rows
