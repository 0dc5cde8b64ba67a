"""Loaders of three public sets of medical images."""

from numbers import Integral

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils import Bunch

from skkd._warnings import warn
from skkd.datasets._labeled import read_labeled
from skkd.datasets._leaks import group_files
from skkd.datasets._listing import flatten, list_splits
from skkd.datasets._sources import ALZHEIMER, BRAIN_TUMOR, EYE_DISEASE, find

# Whoever loads train, validation and test wants to be told of their leaks once.
_WARNED_OF = set()


def fetch_brain_tumor(
    data_home=None,
    *,
    subset="train",
    image_size=None,
    color_mode=None,
    as_paths=False,
    random_state=0,
    download_if_missing=True,
    return_X_y=False,
    n_jobs=-1,
    verbose=True,
) -> Bunch | tuple:
    """Load the brain tumor MRI dataset of four classes.

    The test images are those of the folder Testing, as published; those of Training are dealt
    8:2 to "train" and "validation", as in [1]_: stratified by class, identical files on one
    side. That some images of Testing are also in Training is said in a warning.

    Parameters
    ----------
    data_home : str, path-like or None, default=None
        Folder that holds, or is to hold, the folder brain_tumor. None means the environment
        variable SKKD_DATA, or the folder skkd_data in the user's home.
    subset : {"train", "validation", "test", "all"}, default="train"
        Which images to load.
    image_size : tuple of (height, width) or None, default=None
        Size in pixels to resize to. None asks that all images share one size.
    color_mode : {"grayscale", "rgb"} or None, default=None
        Channels of the images. None means gray if all files are gray, and RGB otherwise.
    as_paths : bool, default=False
        Whether to return file paths in place of decoded images, as `load_image_folder` does.
    random_state : int, default=0
        Seed of the split; the subsets of one seed do not overlap.
    download_if_missing : bool, default=True
        Whether to download the set if it is not there, which needs the package kagglehub. It
        keeps a copy of its own in its cache.
    return_X_y : bool, default=False
        Whether to return `(data, target)` in place of a Bunch.
    n_jobs : int or None, default=-1
        Number of threads that read files; -1 uses all processors.
    verbose : bool, default=True
        Whether to show a progress bar if reading takes longer than a second.

    Returns
    -------
    images : Bunch
        With the attributes data, target, target_names, filenames and DESCR, as
        `load_image_folder` returns them. DESCR names source, license, citation and known
        problems.
    data, target : ndarray
        Only if `return_X_y`.

    Raises
    ------
    OSError
        If the set is missing and is not to be downloaded, or cannot be.
    ImportError
        If the set is missing and kagglehub is not installed.

    See Also
    --------
    make_brain_phantoms : Synthetic slices that need no download.
    check_split : Find what leaks from one set of images into another.

    References
    ----------
    .. [1] A. Chaddad et al., "Knowledge distillation and feature map visualization for medical
       image analysis", 2025, Table 1.

    Examples
    --------
    >>> from skkd.datasets import fetch_brain_tumor
    >>> images = fetch_brain_tumor(image_size=(96, 96))  # doctest: +SKIP
    >>> images.target_names.tolist()  # doctest: +SKIP
    ['glioma', 'meningioma', 'notumor', 'pituitary']
    """
    return _fetch(
        BRAIN_TUMOR,
        data_home,
        subset,
        random_state,
        download_if_missing,
        return_X_y,
        image_size=image_size,
        color_mode=color_mode,
        as_paths=as_paths,
        n_jobs=n_jobs,
        verbose=verbose,
    )


def fetch_eye_disease(
    data_home=None,
    *,
    subset="train",
    image_size=None,
    color_mode=None,
    as_paths=False,
    random_state=0,
    download_if_missing=True,
    return_X_y=False,
    n_jobs=-1,
    verbose=True,
) -> Bunch | tuple:
    """Load the eye disease dataset of four classes.

    The images are dealt 7:2:1 to "train", "validation" and "test", as in [1]_: stratified by
    class, identical files on one side.

    Parameters
    ----------
    data_home : str, path-like or None, default=None
        Folder that holds, or is to hold, the folder eye_disease. None means the environment
        variable SKKD_DATA, or the folder skkd_data in the user's home.
    subset : {"train", "validation", "test", "all"}, default="train"
        Which images to load.
    image_size : tuple of (height, width) or None, default=None
        Size in pixels to resize to. None asks that all images share one size.
    color_mode : {"grayscale", "rgb"} or None, default=None
        Channels of the images. None means gray if all files are gray, and RGB otherwise.
    as_paths : bool, default=False
        Whether to return file paths in place of decoded images, as `load_image_folder` does.
    random_state : int, default=0
        Seed of the split; the subsets of one seed do not overlap.
    download_if_missing : bool, default=True
        Whether to download the set if it is not there, which needs the package kagglehub. It
        keeps a copy of its own in its cache.
    return_X_y : bool, default=False
        Whether to return `(data, target)` in place of a Bunch.
    n_jobs : int or None, default=-1
        Number of threads that read files; -1 uses all processors.
    verbose : bool, default=True
        Whether to show a progress bar if reading takes longer than a second.

    Returns
    -------
    images : Bunch
        With the attributes data, target, target_names, filenames and DESCR, as
        `load_image_folder` returns them. DESCR names source, license, citation and known
        problems.
    data, target : ndarray
        Only if `return_X_y`.

    Raises
    ------
    OSError
        If the set is missing and is not to be downloaded, or cannot be.
    ImportError
        If the set is missing and kagglehub is not installed.

    See Also
    --------
    make_fundus_phantoms : Synthetic photographs that need no download.
    find_duplicates : Find images that are the same.

    References
    ----------
    .. [1] A. Chaddad et al., "Knowledge distillation and feature map visualization for medical
       image analysis", 2025, Table 1.

    Examples
    --------
    >>> from skkd.datasets import fetch_eye_disease
    >>> images = fetch_eye_disease(image_size=(96, 96))  # doctest: +SKIP
    >>> images.target_names.tolist()  # doctest: +SKIP
    ['cataract', 'diabetic_retinopathy', 'glaucoma', 'normal']
    """
    return _fetch(
        EYE_DISEASE,
        data_home,
        subset,
        random_state,
        download_if_missing,
        return_X_y,
        image_size=image_size,
        color_mode=color_mode,
        as_paths=as_paths,
        n_jobs=n_jobs,
        verbose=verbose,
    )


def fetch_alzheimer(
    data_home=None,
    *,
    subset="train",
    augmented=False,
    image_size=None,
    color_mode=None,
    as_paths=False,
    random_state=0,
    download_if_missing=True,
    return_X_y=False,
    n_jobs=-1,
    verbose=True,
) -> Bunch | tuple:
    """Load the Alzheimer MRI dataset of four classes.

    The images are dealt 7:2:1 to "train", "validation" and "test", as in [1]_: stratified by
    class, identical files on one side.

    Parameters
    ----------
    data_home : str, path-like or None, default=None
        Folder that holds, or is to hold, the folder alzheimer. None means the environment
        variable SKKD_DATA, or the folder skkd_data in the user's home.
    subset : {"train", "validation", "test", "all"}, default="train"
        Which images to load.
    augmented : bool, default=False
        Whether to load the augmented images in place of the 6400 original ones, as [1]_ does.
        Copies of one slice then lie on all sides of the split, which is said in a warning.
    image_size : tuple of (height, width) or None, default=None
        Size in pixels to resize to. None asks that all images share one size.
    color_mode : {"grayscale", "rgb"} or None, default=None
        Channels of the images. None means gray if all files are gray, and RGB otherwise.
    as_paths : bool, default=False
        Whether to return file paths in place of decoded images, as `load_image_folder` does.
    random_state : int, default=0
        Seed of the split; the subsets of one seed do not overlap.
    download_if_missing : bool, default=True
        Whether to download the set if it is not there, which needs the package kagglehub. It
        keeps a copy of its own in its cache.
    return_X_y : bool, default=False
        Whether to return `(data, target)` in place of a Bunch.
    n_jobs : int or None, default=-1
        Number of threads that read files; -1 uses all processors.
    verbose : bool, default=True
        Whether to show a progress bar if reading takes longer than a second.

    Returns
    -------
    images : Bunch
        With the attributes data, target, target_names, filenames and DESCR, as
        `load_image_folder` returns them. DESCR names source, license, citation and known
        problems.
    data, target : ndarray
        Only if `return_X_y`.

    Raises
    ------
    OSError
        If the set is missing and is not to be downloaded, or cannot be.
    ImportError
        If the set is missing and kagglehub is not installed.

    See Also
    --------
    find_duplicates : Find images that are the same.

    References
    ----------
    .. [1] A. Chaddad et al., "Knowledge distillation and feature map visualization for medical
       image analysis", 2025, Table 1.

    Examples
    --------
    >>> from skkd.datasets import fetch_alzheimer
    >>> images = fetch_alzheimer(image_size=(96, 96))  # doctest: +SKIP
    >>> images.target_names.tolist()  # doctest: +SKIP
    ['MildDemented', 'ModerateDemented', 'NonDemented', 'VeryMildDemented']
    """
    source = ALZHEIMER
    if augmented:
        source = source._replace(folders=("AugmentedAlzheimerDataset",))
        warn(
            "Copies of one slice, augmented before the split, lie on all its sides: accuracies on "
            "the augmented Alzheimer images are flattered"
        )
    return _fetch(
        source,
        data_home,
        subset,
        random_state,
        download_if_missing,
        return_X_y,
        image_size=image_size,
        color_mode=color_mode,
        as_paths=as_paths,
        n_jobs=n_jobs,
        verbose=verbose,
    )


def _fetch(source, data_home, subset, random_state, download_if_missing, return_X_y, **reading):
    if subset not in ("train", "validation", "test", "all"):
        raise ValueError(f'subset must be "train", "validation", "test" or "all"; got {subset!r}')
    if not isinstance(random_state, Integral):
        raise ValueError(
            "random_state must be an integer, so that the subsets of several calls do not "
            f"overlap; got {random_state}"
        )
    folder = find(source, data_home, download_if_missing)
    splits = list_splits(folder / source.folders[0] if len(source.folders) == 1 else folder)
    published_test = splits.pop("test", {})
    paths, target = flatten([*splits.values(), published_test])
    groups = group_files(paths)
    n_free = len(paths) - sum(map(len, published_test.values()))
    shares = {"validation": 0.2} if published_test else {"test": 0.1, "validation": 0.2}
    parts = np.full(len(paths), "test", dtype=object)
    parts[:n_free] = _deal(groups[:n_free], target[:n_free], shares, random_state)
    leaked = np.isin(groups[n_free:], groups[:n_free]).sum()
    if leaked and folder not in _WARNED_OF:
        _WARNED_OF.add(folder)
        warn(
            f"{leaked} of the {len(paths) - n_free} test images of {source.name} are also among "
            "its training images; skkd.datasets.check_split names them"
        )
    chosen = np.isin(parts, [subset]) | (subset == "all")
    images = read_labeled(
        paths[chosen],
        target[chosen],
        sorted(set(target)),
        description=source.description,
        on_error="raise",
        **reading,
    )
    return (images.data, images.target) if return_X_y else images


def _deal(groups, target, shares, random_state):
    """Deal images to parts, by class and keeping groups together; what is left is "train"."""
    numbers, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
    labels = target[first]
    parts = np.full(len(numbers), "train", dtype=object)
    rest, left = np.arange(len(numbers)), 1.0
    for part, share in shares.items():
        rest, drawn = train_test_split(
            rest, test_size=share / left, stratify=labels[rest], random_state=random_state
        )
        parts[drawn] = part
        left -= share
    return parts[group_of]
