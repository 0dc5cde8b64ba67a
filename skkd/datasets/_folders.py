"""Folders of images, one folder a class, or with a table that says what they are."""

import os
import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from sklearn.utils import Bunch, resample
from tqdm.auto import tqdm

from skkd._warnings import warn
from skkd.images._files import (
    FRAMES,
    ImagePaths,
    is_unnamed_image,
    list_frames,
    read_header,
    split_frame,
)

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
    *(".ima", ".nii", ".npy", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
}
_MASK = re.compile(
    r"(?P<image>.+)[ _-](?:mask|seg|segmentation)(?:[ _-]?\d+)?", re.IGNORECASE | re.DOTALL
)
# Columns of a manifest that have a meaning, and names that the result has for other things.
_COLUMNS = ("path", "label", "patient", "split")
_TAKEN = ("data", "target", "target_names", "filenames", "groups", "DESCR", "clear", "items")
_TAKEN += ("copy", "fromkeys", "get", "keys", "pop", "popitem", "setdefault", "update", "values")


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
    if subset not in (None, "all", *_SPLITS.values()):
        raise ValueError(
            f'subset must be None, "train", "validation", "test" or "all"; got {subset!r}'
        )
    if frames is not None and frames not in FRAMES:
        raise ValueError(f'frames must be None, "first", "middle" or "all"; got {frames!r}')
    if manifest is not None:
        table, names = _read_manifest(root, manifest, subset)
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


def _read_manifest(root, manifest, subset):
    """Return a row for each image of a subset, and the names of all classes."""
    if not os.path.isdir(root):
        raise FileNotFoundError(f"root must be a folder; got {os.fspath(root)}")
    what = "manifest"
    if isinstance(manifest, str | os.PathLike):
        what = os.fspath(manifest)
        # As text, so that the patient 007 does not become 7.
        texts = dict.fromkeys(_COLUMNS, str)
        manifest = pd.read_csv(manifest, dtype=texts, keep_default_na=True)
    elif not isinstance(manifest, pd.DataFrame):
        raise TypeError(
            f"manifest must be a DataFrame or the path of a CSV file; got {type(manifest).__name__}"
        )
    for name in ("path", "label"):
        if name not in manifest.columns:
            raise ValueError(
                f'{what} must have the columns "path" and "label"; it has '
                f"{list(manifest.columns)}, so rename one to {name!r}"
            )
    if not manifest.columns.is_unique:
        raise ValueError(f"{what} has two columns of one name: {list(manifest.columns)}")
    if taken := [name for name in manifest.columns if name in _TAKEN]:
        raise ValueError(f"{what} has a column {taken[0]!r}, which the result has; rename it")
    used = [name for name in _COLUMNS if name in manifest.columns]
    for name in used:
        if (empty := manifest[name].isna().to_numpy()).any():
            raise ValueError(f"{what} has no {name} in row {int(empty.argmax())}; fill or drop it")
    paths = [os.path.join(root, os.fspath(path)) for path in manifest["path"]]
    table = pd.DataFrame({"path": paths}, dtype=object)
    table["target"] = [str(label) for label in manifest["label"]]
    if (double := table["path"].duplicated().to_numpy()).any():
        raise ValueError(f"{what} names {table['path'][int(double.argmax())]} twice; drop one row")
    if "patient" in used:
        table["groups"] = [str(patient) for patient in manifest["patient"]]
    for name in manifest.columns:
        if name not in used:
            table[name] = manifest[name].to_numpy()
    names = sorted(set(table["target"]))
    if len(names) < 2:
        raise ValueError(f"{what} has {len(names)} labels; a classifier needs two")
    if subset not in (None, "all"):
        if "split" not in used:
            raise ValueError(f'subset={subset!r} needs a column "split" in {what}')
        splits = [_SPLITS.get(str(name).casefold()) for name in manifest["split"]]
        if None in splits:
            raise ValueError(
                f"{what} has the split {manifest['split'].iloc[splits.index(None)]!r}; it must be "
                "train, validation or test"
            )
        table = table[np.array(splits) == subset]
        if len(table) == 0:
            raise ValueError(f"subset={subset!r} is not in {what}")
    return table, names


def _with_frames(table, names, frames, on_error, n_jobs, verbose):
    """Return a table with a row for each frame."""
    found, problems = {}, []

    def find(path):
        found[path] = list_frames(path, frames)

    options = {"on_error": on_error, "n_jobs": n_jobs, "verbose": verbose}
    good = _visit(find, table["path"].to_list(), problems, **options)
    target = table["target"].to_numpy()
    _check_classes(target[good], names, target, problems)
    # A file that cannot be read is left in its place, to be counted where files are read.
    listed = [found.get(path, [path]) for path in table["path"]]
    rows = np.repeat(np.arange(len(table)), [len(paths) for paths in listed])
    framed = table.iloc[rows].reset_index(drop=True)
    if frames == "all" and "groups" not in framed:
        framed.insert(2, "groups", [split_frame(path)[0] for path in framed["path"]])
    framed["path"] = [path for paths in listed for path in paths]
    return framed


class _Files(list):
    """Paths of the images of a class, and the patients of those that lie in folders."""

    def __init__(self, paths, patients):
        super().__init__(paths)
        self.patients = patients


def list_splits(root, patients=False):
    """List the images of a folder.

    Parameters
    ----------
    root : str or path-like
        Folder of class folders, or of split folders with class folders.
    patients : bool, default=False
        Whether class folders may hold folders of patients.

    Returns
    -------
    splits : dict of dict of list of str
        For each split ("train", "validation", "test", or only None if there are no split
        folders) and each class, the paths in natural order. The lists have an attribute patients,
        of those paths that lie in the folder of a patient.
    """
    folders, _ = _entries(root)
    split_folders = {
        name: folder
        for name, folder in folders.items()
        if name.casefold() in _SPLITS and _entries(folder)[0]
    }
    skipped = []
    if not split_folders:
        splits = {None: _list_classes(root, skipped, patients)}
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
            splits[split] = _list_classes(folder, skipped, patients)
    _check_names(root, {name for classes in splits.values() for name in classes})
    if skipped:
        warn(
            f"Skipped {len(skipped)} files of {root} that are no images by their names, or masks "
            f"of images beside them, such as {skipped[0]}"
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


def _list_classes(folder, skipped, patients):
    class_folders, loose = _entries(folder)
    if not class_folders:
        raise ValueError(
            f"{folder} has no class folders; put the images of each class into a folder of its own"
        )
    skipped.extend(loose.values())
    classes = {}
    for name, class_folder in class_folders.items():
        inner, files = _entries(class_folder)
        if inner and (
            not patients
            or len(class_folders) < 2
            or any(patient.casefold() in _SPLITS for patient in inner)
        ):
            raise ValueError(
                f"{next(iter(inner.values()))} is a folder inside the class folder {class_folder}; "
                f"images must lie directly in class folders. If {class_folder} holds the class "
                "folders, pass that as root"
            )
        paths = _images_of(files.values(), skipped)
        if inner and paths:
            raise ValueError(
                f"{next(iter(inner.values()))} is a folder inside the class folder {class_folder}, "
                f"which holds images too, such as {paths[0]}; put the images of each patient into "
                "a folder, or all of them directly into the class folder"
            )
        known = {}
        for patient, patient_folder in inner.items():
            around = os.path.realpath(folder), os.path.realpath(class_folder)
            found = _images_of(_walk(patient_folder, class_folder, around), skipped)
            known.update(dict.fromkeys(found, patient))
        classes[name] = _Files(paths or list(known), known)
        if not classes[name]:
            raise ValueError(f"The class folder {class_folder} has no images; fill or remove it")
    return classes


def _images_of(paths, skipped):
    images = []
    for path in paths:
        is_image = path.lower().endswith(".nii.gz") or Path(path).suffix.lower() in _SUFFIXES
        (images if is_image or is_unnamed_image(path) else skipped).append(path)
    # Outlines of lesions lie beside the images in some sets, and would be learned as images.
    stems = {os.path.splitext(path)[0] for path in images}
    masks = [path for path in images if _without_mask(path) in stems]
    skipped.extend(masks)
    return [path for path in images if path not in set(masks)]


def _without_mask(path):
    """Return the path without suffix of the image that a mask by its name belongs to, or None."""
    found = _MASK.fullmatch(os.path.splitext(path)[0])
    return found and found["image"]


def _walk(folder, class_folder, above):
    """Yield the files of a folder and of those inside it, in natural order."""
    real = os.path.realpath(folder)
    if real in above:
        raise ValueError(
            f"{folder} is a folder inside the class folder {class_folder}, and a link to a folder "
            "around it; remove the link"
        )
    folders, files = _entries(folder)
    yield from files.values()
    for inner in folders.values():
        yield from _walk(inner, class_folder, (*above, real))


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
        good = _visit(lambda path: read_header(path, window), paths, problems, **options)
        keep = keep[good]
        _check_classes(target[keep], target_names, target, problems)
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
        read = _visit(decode, groups, problems, **options)
        good = np.ones(len(data), dtype=bool)
        for rows, was_good in zip(groups, read, strict=True):
            good[rows] = was_good
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
        **{name: values[keep] for name, values in (further or {}).items()},
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
