"""What leaks from one set of images into another."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from numbers import Real
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import chi2_contingency
from scipy.stats.contingency import association
from sklearn.neighbors import radius_neighbors_graph
from sklearn.utils import Bunch
from tqdm.auto import tqdm

from skkd._groups import check_groups
from skkd.images._files import read_image
from skkd.images._input import as_column, as_images, holds_paths
from skkd.images._metadata import file_metadata

_SIDE = 16
# Parts of a hash with fewer bits than these tell few images apart.
_LEAST_BITS = 16
_BATCH = 256
# Images that one thread hashes at a time: many small ones cost less together.
_PART = 16


def find_duplicates(X, *, method="exact", threshold=8, verbose=True) -> list:
    """Group the images that are the same, or nearly so.

    Parameters
    ----------
    X : array-like
        File paths of shape (n_images,), or images of shape (n_images, height, width) or
        (n_images, height, width, channels). Files may differ in size and format.
    method : {"exact", "perceptual"}, default="exact"
        "exact" compares pixels, a gray image being the same whether it is stored in one channel
        or three, and the same numbers in whatever type. "perceptual" compares 255-bit
        hashes, the signs about their median of the 16 x 16 lowest frequencies [1]_: they change
        little when an image is compressed again, resized or brightened, and much when it is
        cropped, turned or mirrored.
    threshold : float, default=8
        Largest number of differing bits, in [0, 255], for two images to count as nearly the
        same; for "perceptual" only. Images are grouped through one another: the first and the
        last of a group may differ by more. Neighboring slices of one scan may differ by 10 bits.
    verbose : bool, default=True
        Whether to show a progress bar if reading takes longer than a second.

    Returns
    -------
    groups : list of ndarray of int
        The rows of X that belong together, at least two in each group, in order.

    See Also
    --------
    check_split : Find what leaks from one set of images into another.

    References
    ----------
    .. [1] C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions",
       Master's thesis, Upper Austria University of Applied Sciences, 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from skkd.datasets import find_duplicates, make_brain_phantoms
    >>> X, _ = make_brain_phantoms(6, image_size=(64, 64), random_state=0)
    >>> X[4] = X[1]
    >>> find_duplicates(X)
    [array([1, 4])]
    >>> X[2] = X[5] // 2
    >>> find_duplicates(X, method="perceptual")
    [array([1, 4]), array([2, 5])]
    """
    groups = group_duplicates(X, method=method, threshold=threshold, verbose=verbose)
    return _rows_by_group(groups)


def group_duplicates(X, *, method="perceptual", threshold=8, verbose=True) -> np.ndarray:
    """Give images that are nearly the same one number.

    The numbers can stand for patients where none is known: as the ``groups`` of splitters, of
    early stopping and of intervals. They keep near copies together and no more. Images of one
    patient that look different have different numbers, so splits are still too good and intervals
    too narrow where a patient has several.

    Parameters
    ----------
    X : array-like
        File paths or images, as for `find_duplicates`.
    method : {"perceptual", "exact"}, default="perceptual"
        When two images count as the same, as for `find_duplicates`.
    threshold : float, default=8
        Largest number of differing bits, as for `find_duplicates`. More of them put neighboring
        slices of one scan together, and at some point slices of different heads.
    verbose : bool, default=True
        Whether to show a progress bar if reading takes longer than a second.

    Returns
    -------
    groups : ndarray of int of shape (n_images,)
        The numbers, from 0 in the order in which they first occur.

    See Also
    --------
    find_duplicates : List the images that are the same.
    load_image_folder : Read patients from folders or a table.

    Examples
    --------
    >>> from skkd.datasets import group_duplicates, make_brain_phantoms
    >>> X, _ = make_brain_phantoms(6, image_size=(64, 64), random_state=0)
    >>> X[4] = X[1] // 2
    >>> group_duplicates(X)
    array([0, 1, 2, 3, 1, 4])
    """
    _check_method(method, threshold)
    return pd.factorize(_group(_fingerprints(X, method, verbose), threshold))[0]


def check_split(train, test, *, method="exact", threshold=8, verbose=True) -> Bunch:
    """Find what leaks from one set of labeled images into another.

    Four leaks are looked for: images on both sides of the split; patients on both sides, where
    they are known; equal images under different labels, on either side; and, among files,
    properties that betray the label, of which no classifier should learn: size, channels, type of
    pixels and file format, each held against the label by the chi-squared test of independence.

    Parameters
    ----------
    train, test : Bunch, or tuple of (X, y) or (X, y, groups)
        The two sides: what the loaders of this module return, or file paths or images as for
        `find_duplicates` with their labels, and the patient or other group of each image where
        it is known. Patients of the two sides are the same if their names or numbers are.
    method : {"exact", "perceptual"}, default="exact"
        When two images count as the same, as for `find_duplicates`.
    threshold : float, default=8
        Largest number of differing bits, as for `find_duplicates`.
    verbose : bool, default=True
        Whether to show a progress bar if reading takes longer than a second.

    Returns
    -------
    report : Bunch
        With the attributes

        - shared : DataFrame with a row for each test image that is also in train, and columns
          test, train (the rows; of several equal training images the first), test_label and
          train_label
        - contradictions : DataFrame with a row for each image that has an equal under another
          label, and columns group, side, row and label
        - shared_groups : DataFrame with a row for each patient of test that is also in train, and
          columns group, n_train and n_test, the numbers of its images; empty if patients are
          known of less than both sides
        - metadata : DataFrame with a row for each property that differs between files, and
          columns cramers_v (0 if it tells nothing of the label, 1 if it tells all), p_value and
          n_values; empty if the images are no files
        - summary : str, the findings in words

    See Also
    --------
    find_duplicates : Find images that are the same.
    group_duplicates : Number images so that near copies share a number.

    Examples
    --------
    >>> import numpy as np
    >>> from skkd.datasets import check_split, make_brain_phantoms
    >>> X, y = make_brain_phantoms(20, image_size=(64, 64), random_state=0)
    >>> report = check_split((X[:15], y[:15]), (X[12:], y[12:]))
    >>> report.shared.test.tolist(), report.shared.train.tolist()
    ([0, 1, 2], [12, 13, 14])
    >>> print(report.summary)
    3 of 8 test images are also in train.
    0 images have an equal under another label.
    >>> patients = np.arange(20) // 2
    >>> sides = [(X[rows], y[rows], patients[rows]) for rows in (slice(0, 13), slice(13, 20))]
    >>> check_split(*sides).shared_groups
       group  n_train  n_test
    0      6        1       1
    """
    _check_method(method, threshold)
    (X_train, y_train, of_train), (X_test, y_test, of_test) = (
        _side(*side) for side in (("train", train), ("test", test))
    )
    _check_kinds(y_train, y_test, "labels")
    shared_groups = _share_groups(of_train, of_test)
    prints = []
    for name, X in (("train", X_train), ("test", X_test)):
        try:
            prints.append(_fingerprints(X, method, verbose))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    found = pd.DataFrame(
        {
            "group": _group(np.concatenate(prints), threshold),
            "side": np.repeat(["train", "test"], [len(y_train), len(y_test)]),
            "row": np.concatenate([np.arange(len(y_train)), np.arange(len(y_test))]),
            "label": np.concatenate([y_train, y_test]),
        }
    )
    first_in_train = found[found.side == "train"].drop_duplicates("group")
    shared = found[found.side == "test"].merge(first_in_train, on="group")
    shared = shared.rename(
        columns={
            "row_x": "test",
            "row_y": "train",
            "label_x": "test_label",
            "label_y": "train_label",
        }
    )[["test", "train", "test_label", "train_label"]].sort_values("test", ignore_index=True)
    n_labels = found.groupby("group")["label"].transform("nunique")
    contradictions = found[n_labels > 1].sort_values(["group", "side", "row"], ignore_index=True)
    metadata = _test_metadata([X_train, X_test], found["label"], verbose)
    nearly = ", or nearly so" if method == "perceptual" else ""
    summary = [
        f"{len(shared)} of {len(y_test)} test images are also in train{nearly}.",
        *_say_groups(shared_groups, of_train, of_test),
        f"{len(contradictions)} images have an equal under another label{nearly}.",
        *(
            f"The {name} of a file goes with its label (Cramer's V {row.cramers_v:.2f}, p < 0.001)."
            for name, row in metadata[metadata.p_value < 0.001].iterrows()
        ),
    ]
    return Bunch(
        shared=shared,
        contradictions=contradictions,
        shared_groups=shared_groups,
        metadata=metadata,
        summary="\n".join(summary),
    )


def group_files(paths):
    """Give files the same number where their contents are the same, byte by byte.

    Parameters
    ----------
    paths : ndarray of str of shape (n_files,)
        The files.

    Returns
    -------
    groups : ndarray of int of shape (n_files,)
        The numbers, from 0.
    """
    with ThreadPoolExecutor() as pool:
        prints = list(pool.map(lambda path: _digest(Path(path).read_bytes()), paths))
    return np.unique(prints, return_inverse=True)[1]


def _check_method(method, threshold):
    if method not in ("exact", "perceptual"):
        raise ValueError(f'method must be "exact" or "perceptual"; got {method!r}')
    if not isinstance(threshold, Real) or not 0 <= threshold <= 255:
        raise ValueError(f"threshold must be a number of bits in [0, 255]; got {threshold}")


def _side(name, side):
    if hasattr(side, "target"):
        X, y, groups = side.data, side.target, getattr(side, "groups", None)
    elif isinstance(side, tuple) and len(side) in (2, 3):
        X, y, groups = (*side, None)[:3]
    else:
        raise ValueError(
            f"{name} must be a Bunch, or a tuple (X, y) or (X, y, groups); got "
            f"{type(side).__name__}"
            + (f" of length {len(side)}" if isinstance(side, tuple) else "")
        )
    if not np.size(getattr(X, "shape", (0,))):
        raise ValueError(f"{name} must hold images and their labels; got the single value {X!r}")
    X = as_column(X)
    try:
        y = np.asarray(y)
    except ValueError as error:
        raise ValueError(f"{name} must have a label for each image: {error}") from error
    if y.ndim != 1:
        raise ValueError(f"{name} must have a label for each image; got labels of shape {y.shape}")
    # Stores have a shape but need have no length: Zarr arrays have none.
    n_images = X.shape[0] if hasattr(X, "shape") else len(X)
    if n_images != len(y):
        raise ValueError(f"{name} must have a label for each image; got {n_images} and {len(y)}")
    if groups is not None:
        groups = check_groups(groups, n_images, f"groups of {name}")
    return X, y, groups


def _check_kinds(train, test, what):
    """Refuse values of two kinds, of which NumPy would make one: of 1 the text "1"."""
    kinds = {"number" if y.dtype.kind in "biuf" else y.dtype.kind for y in (train, test)}
    if len(kinds - {"O"}) > 1:
        raise ValueError(
            f"train and test must have {what} of one kind; got {train.dtype} and {test.dtype}"
        )


def _share_groups(of_train, of_test):
    """Tabulate the patients of test that are also in train."""
    columns = ["group", "n_train", "n_test"]
    if of_train is None or of_test is None:
        return pd.DataFrame(columns=columns)
    _check_kinds(of_train, of_test, "groups")
    train, test = (pd.Series(groups).value_counts(sort=False) for groups in (of_train, of_test))
    both = pd.concat([train, test], axis=1, join="inner").reset_index()
    return both.set_axis(columns, axis=1)


def _say_groups(shared_groups, of_train, of_test):
    """Return what is to be said of patients, as a list of one sentence or none."""
    if of_train is None and of_test is None:
        return []
    if of_train is None or of_test is None:
        known = "train" if of_test is None else "test"
        return [f"Patients are known of {known} alone and were not compared."]
    n_images = shared_groups["n_test"].sum()
    return [
        f"{len(shared_groups)} of {len(pd.unique(of_test))} patients of test are also in train, "
        f"with {n_images} test images."
    ]


def _fingerprints(X, method, verbose):
    fingerprints = _pixel_digests if method == "exact" else _perceptual_hashes
    if holds_paths(X):
        # Files may differ in size, so each part is a list.
        batches, read = [list(X)], read_image
    else:
        X, read = as_images(X), np.asarray
        if len(X.shape) != 4:
            raise ValueError(f"X must be file paths or images; got a table of shape {X.shape}")
        # Stores are read by one thread, as not all stand more, and many rows at a time, as they
        # may unpack as many for each read.
        starts = range(0, len(X), _BATCH)
        batches = (np.asarray(X[start : start + _BATCH]) for start in starts)
    bar = tqdm(total=len(X), desc="Comparing images", delay=1, disable=not verbose)
    prints = [fingerprints([])]
    with bar, ThreadPoolExecutor() as pool:
        for batch in batches:
            parts = (batch[start : start + _PART] for start in range(0, len(batch), _PART))
            for found in pool.map(lambda part: fingerprints(map(read, part)), parts):
                prints.append(found)
                bar.update(len(found))
    return np.concatenate(prints)


def _digest(content):
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _pixel_digest(image):
    if (image == image[..., :1]).all():
        image = image[..., :1]
    # Files are read in the smallest type; the same values in another type are the same image.
    for dtype in (np.uint8, np.float32):
        with np.errstate(invalid="ignore", over="ignore"):
            values = image.astype(dtype)
        if (values == image).all():
            image = values
            break
    return _digest(f"{image.dtype}{image.shape}".encode() + image.tobytes())


def _pixel_digests(images):
    return np.array([_pixel_digest(image) for image in images], dtype="U32")


def _perceptual_hashes(images):
    small = np.reshape([_shrink(image) for image in images], (-1, 4 * _SIDE, 4 * _SIDE))
    # The first coefficient is the mean brightness, which carries no shape.
    waves = dctn(small, axes=(1, 2), norm="ortho")[:, :_SIDE, :_SIDE]
    waves = waves.reshape(len(small), _SIDE**2)[:, 1:]
    return waves > np.median(waves, axis=1, keepdims=True)


def _shrink(image):
    # As mean(axis=-1), several times as fast over so short an axis.
    n_channels = image.shape[-1]
    gray = image.astype(np.float32) @ np.full(n_channels, 1 / n_channels, np.float32)
    small = Image.fromarray(gray).resize((4 * _SIDE, 4 * _SIDE), Image.Resampling.LANCZOS)
    return np.asarray(small)


def _group(prints, threshold):
    """Give images the same number where they belong to one group."""
    if prints.ndim == 1:
        return np.unique(prints, return_inverse=True)[1]
    _, first, group = np.unique(
        np.packbits(prints, axis=1), axis=0, return_index=True, return_inverse=True
    )
    return _group_near(prints[first], threshold)[group.ravel()]


def _group_near(bits, threshold):
    """Give rows one number where steps of few enough bits lead from one to the other.

    Of more parts than bits that may differ, one at least is the same in both (Norouzi, Punjani and
    Fleet, "Fast search in Hamming space with multi-index hashing", CVPR 2012).
    """
    n_parts = int(threshold) + 1
    if n_parts > bits.shape[1] // _LEAST_BITS:
        # The squared Euclidean distance of two rows of bits is the number that differ.
        graph = radius_neighbors_graph(bits.astype(np.float32), np.sqrt(threshold + 0.5))
        return connected_components(graph, directed=False)[1]
    # SciPy 1.11 takes no indices of 64 bits for a graph, and says so nowhere.
    groups = np.arange(len(bits), dtype=np.int32)
    for part in range(n_parts):
        keys = np.packbits(bits[:, part::n_parts], axis=1)
        _, numbers = np.unique(keys, axis=0, return_inverse=True)
        order = np.argsort(numbers.ravel(), kind="stable")
        numbers = numbers.ravel()[order]
        for lag in range(1, len(order)):
            alike = np.flatnonzero(numbers[lag:] == numbers[:-lag])
            if not len(alike):
                break
            one, other = order[alike], order[alike + lag]
            # Those in one group already are not compared: there may be as many as pairs.
            apart = groups[one] != groups[other]
            one, other = one[apart], other[apart]
            near = (bits[one] != bits[other]).sum(axis=1) <= threshold
            if near.any():
                links = groups[one[near]], groups[other[near]]
                graph = coo_array((np.ones(near.sum()), links), shape=(len(bits), len(bits)))
                groups = connected_components(graph, directed=False)[1][groups]
    return groups


def _rows_by_group(groups):
    order = np.argsort(groups, kind="stable")
    cuts = np.flatnonzero(np.diff(groups[order])) + 1
    found = [rows for rows in np.split(order, cuts) if len(rows) > 1]
    return sorted(found, key=lambda rows: rows[0])


def _test_metadata(sides, labels, verbose):
    columns = ["cramers_v", "p_value", "n_values"]
    if not all(holds_paths(X) for X in sides):
        return pd.DataFrame(columns=columns)
    found = file_metadata([path for X in sides for path in X], verbose=verbose)
    found["size"] = found["height"].astype(str) + "x" + found["width"].astype(str)
    rows = {}
    for name in ("size", "color", "type", "format"):
        table = pd.crosstab(found[name].to_numpy(), np.asarray(labels)).to_numpy()
        if min(table.shape) > 1:
            rows[name] = (association(table), chi2_contingency(table).pvalue, len(table))
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)
