"""Images listed by the folders that they lie in."""

import os
import re
import unicodedata
from pathlib import Path

import numpy as np

from skkd._warnings import warn
from skkd.images._files import is_unnamed_image

SPLITS = {
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
        if name.casefold() in SPLITS and _entries(folder)[0]
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
            split = SPLITS[name.casefold()]
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
            or any(patient.casefold() in SPLITS for patient in inner)
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
