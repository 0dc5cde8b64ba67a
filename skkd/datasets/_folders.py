"""Folders of images, one folder a class."""

import os
import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral
from pathlib import Path

import numpy as np
from joblib import effective_n_jobs
from sklearn.utils import Bunch, resample
from tqdm.auto import tqdm

from skkd._warnings import warn
from skkd.images._files import ImagePaths, read_header

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
_SUFFIXES = {
    *(".bmp", ".dcm", ".dicom", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm"),
    *(".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
}


def load_image_folder(
    root,
    *,
    subset=None,
    image_size=None,
    color_mode=None,
    as_paths=False,
    limit=None,
    random_state=None,
    on_error="raise",
    n_jobs=-1,
    verbose=True,
) -> Bunch:
    """Load images sorted into one folder a class.

    `root` holds class folders, or split folders (such as Training and Testing, or train, val and
    test) that hold class folders. Images lie directly in the class folders. Hidden files and
    folders are passed over, files that are no images by their names are skipped with a warning,
    and images come class by class in natural order (scan2 before scan10).

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
    as_paths : bool, default=False
        Whether to return file paths in place of decoded images. Estimators and explainers take
        such paths and decode them batch by batch, so the folder need not fit into memory;
        `image_size` and `color_mode` are then theirs to set. The header of every file is still
        read, so that a file that is no image is found now.
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

        - data : ndarray of shape (n_images, height, width, channels), dtype uint8, or of
          shape (n_images,) with file paths if `as_paths`
        - target : ndarray of str of shape (n_images,), the folder each image lies in
        - target_names : ndarray of str of shape (n_classes,), sorted; those of all splits
        - filenames : ndarray of str of shape (n_images,)
        - DESCR : str, a description with the number of images by class

    Raises
    ------
    TypeError
        If `root` is no path.
    OSError
        If `root` is no readable folder, or a file vanished or may not be read.
    ValueError
        If there are fewer than two classes, a class without images, class names that differ only
        in case, folders inside class folders, unequal image sizes, or a corrupt file.

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
    splits = list_splits(root)
    if subset in (None, "all"):
        wanted = list(splits.values())
    elif subset not in _SPLITS.values():
        raise ValueError(
            f'subset must be None, "train", "validation", "test" or "all"; got {subset!r}'
        )
    elif subset in splits:
        wanted = [splits[subset]]
    else:
        has = ", ".join(sorted(splits)) if None not in splits else "only class folders"
        raise ValueError(f"subset={subset!r} is not in {root}, which has {has}")
    paths, target = flatten(wanted)
    if limit is not None:
        paths, target = _draw(paths, target, limit, random_state)
    names = sorted({name for classes in splits.values() for name in classes})
    return read_labeled(
        paths,
        target,
        names,
        description=f"Images of the folder {os.fspath(root)}",
        image_size=image_size,
        color_mode=color_mode,
        as_paths=as_paths,
        on_error=on_error,
        n_jobs=n_jobs,
        verbose=verbose,
    )


def list_splits(root):
    """List the images of a folder.

    Parameters
    ----------
    root : str or path-like
        Folder of class folders, or of split folders with class folders.

    Returns
    -------
    splits : dict of dict of list of str
        For each split ("train", "validation", "test", or only None if there are no split
        folders) and each class, the paths in natural order.
    """
    folders, _ = _entries(root)
    split_folders = {
        name: folder
        for name, folder in folders.items()
        if name.casefold() in _SPLITS and _entries(folder)[0]
    }
    skipped = []
    if not split_folders:
        splits = {None: _list_classes(root, skipped)}
    else:
        if len(split_folders) < len(folders):
            others = ", ".join(sorted(folders.keys() - split_folders.keys()))
            raise ValueError(
                f"{root} mixes split folders ({', '.join(sorted(split_folders))}) with others "
                f"({others}); move the others away"
            )
        splits = {}
        for name, folder in split_folders.items():
            split = _SPLITS[name.casefold()]
            if split in splits:
                raise ValueError(f"{root} has more than one {split} folder; join them")
            splits[split] = _list_classes(folder, skipped)
    _check_names(root, {name for classes in splits.values() for name in classes})
    if skipped:
        warn(
            f"Skipped {len(skipped)} files of {root} that are no images by their names, such as "
            f"{skipped[0]}"
        )
    return splits


def _entries(folder):
    """Return the visible folders and files in a folder as {name: path}, in natural order."""
    folders, files = {}, {}
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: _natural(entry.name)):
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            try:
                is_folder = entry.is_dir()
            except OSError:  # A link that leads nowhere.
                is_folder = False
            (folders if is_folder else files)[entry.name] = entry.path
    return folders, files


def _natural(name):
    parts = re.split(r"(\d+)", name)
    return [int(part) if i % 2 else part.casefold() for i, part in enumerate(parts)], name


def _list_classes(folder, skipped):
    class_folders, loose = _entries(folder)
    if not class_folders:
        raise ValueError(
            f"{folder} has no class folders; put the images of each class into a folder of its own"
        )
    skipped.extend(loose.values())
    classes = {}
    for name, class_folder in class_folders.items():
        inner, files = _entries(class_folder)
        if inner:
            raise ValueError(
                f"{next(iter(inner.values()))} is a folder inside the class folder {class_folder}; "
                f"images must lie directly in class folders. If {class_folder} holds the class "
                "folders, pass that as root"
            )
        classes[name] = [path for path in files.values() if Path(path).suffix.lower() in _SUFFIXES]
        skipped.extend(set(files.values()).difference(classes[name]))
        if not classes[name]:
            raise ValueError(f"The class folder {class_folder} has no images; fill or remove it")
    return classes


def _check_names(root, names):
    if len(names) < 2:
        raise ValueError(
            f"{root} has only one class folder ({next(iter(names))}); a classifier needs two"
        )
    seen = {}
    for name in sorted(names):
        # Some file systems compose accents in names, others take them apart.
        key = unicodedata.normalize("NFC", name).casefold()
        if key in seen:
            raise ValueError(
                f"{root} has class folders whose names differ only in case: {seen[key]!r} and "
                f"{name!r}; give them one name"
            )
        seen[key] = name


def flatten(splits):
    """Put images listed by class into two arrays.

    Parameters
    ----------
    splits : list of dict of list of str
        For each part and each class, file paths.

    Returns
    -------
    paths, target : ndarray of str of shape (n_images,)
        The paths and their classes.
    """
    rows = [(path, name) for classes in splits for name in classes for path in classes[name]]
    paths, target = zip(*rows, strict=True)
    return np.array(paths), np.array(target)


def _draw(paths, target, limit, random_state):
    names = np.unique(target)
    if not isinstance(limit, Integral) or limit < len(names):
        raise ValueError(
            f"limit must be None or an integer of at least the number of classes, {len(names)}; "
            f"got {limit}"
        )
    if limit >= len(paths):
        return paths, target
    rows = np.sort(
        resample(
            np.arange(len(paths)),
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
    return paths[rows], target[rows]


def read_labeled(
    paths, target, target_names, *, description, image_size, color_mode, as_paths, **options
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
    image_size, color_mode, as_paths : object
        As for `load_image_folder`.
    **options : dict
        `on_error`, `n_jobs` and `verbose` of `load_image_folder`.

    Returns
    -------
    images : Bunch
        As from `load_image_folder`.
    """
    if as_paths and (image_size is not None or color_mode is not None):
        raise ValueError(
            "as_paths=True returns files that are not decoded yet; give image_size and color_mode "
            f"to the estimator instead. Got image_size={image_size}, color_mode={color_mode!r}"
        )
    if options["on_error"] not in ("raise", "warn"):
        raise ValueError(f'on_error must be "raise" or "warn"; got {options["on_error"]!r}')
    keep, problems = np.arange(len(paths)), []
    if as_paths or options["on_error"] == "warn":
        good = _visit(read_header, paths, problems, **options)
        keep = keep[good]
        _check_classes(target[keep], target_names, target, problems)
    data = paths[keep]
    if not as_paths:
        images = ImagePaths(data, image_size=image_size, color_mode=color_mode)
        data = np.empty(images.shape, dtype=images.dtype)

        def decode(row):
            data[row] = images[row]

        good = _visit(decode, range(len(data)), problems, **options)
        keep, data = keep[good], data if good.all() else data[good]
        _check_classes(target[keep], target_names, target, problems)
    if problems:
        warn(
            f"Left out {len(problems)} of {len(paths)} files that could not be read; the first: "
            f"{problems[0]}"
        )
    counts = [f"{name}: {np.sum(target[keep] == name)}" for name in target_names]
    return Bunch(
        data=data,
        target=target[keep],
        target_names=np.array(target_names),
        filenames=paths[keep],
        DESCR="\n".join([description, "", f"{len(keep)} images", *counts, ""]),
    )


def _visit(function, items, problems, *, on_error, n_jobs, verbose):
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


def _check_classes(kept, target_names, asked, problems):
    for name in target_names:
        if name in asked and name not in kept:
            raise ValueError(
                f"The class {name} has no readable image; the first of {len(problems)} files that "
                f"could not be read: {problems[0]}"
            )
