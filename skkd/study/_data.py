"""The images of a study, and who learns from which."""

import hashlib
import json
import os
import re
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold

from skkd import datasets
from skkd.images import ImagePaths
from skkd.study._settings import SETS

# Images that take less memory than this are decoded once.
_MOST_BYTES = 2 << 30
# A fifth is held out to choose by, and a fifth to report on.
_N_FOLDS = 5
_N_PHANTOMS = 1000


@dataclass
class Images:
    """Images with all that is known of them.

    Parameters
    ----------
    X : ndarray or ImagePaths of shape (n, height, width, channels)
        The images.
    table : pandas.DataFrame
        A row an image: "name", "path" of its file, "label", "part" ("train", "validation" or
        "test"), "group" (the number of the patient, or of images nearly the same) and "leaked",
        whether a test image has an equal, or nearly so, or its patient, among those learned or
        chosen from.
    """

    X: object
    table: pd.DataFrame

    def part(self, name):
        """Return the images, labels and groups of a part."""
        rows = self.rows(name)
        return self.X[rows], self.labels[rows], self.groups[rows]

    def rows(self, name):
        return np.flatnonzero(self.table["part"] == name)

    @property
    def labels(self):
        return self.table["label"].to_numpy().astype(str)

    @property
    def groups(self):
        return self.table["group"].to_numpy()

    @property
    def classes(self):
        return np.unique(self.labels)


def find_images(settings, color_mode="rgb"):
    """Return images as they are found, with their labels, patients and given test part.

    Parameters
    ----------
    settings : Settings
        Where they are.
    color_mode : {"rgb", "grayscale"}
        Channels of images of files.

    Returns
    -------
    X : ndarray or ImagePaths
        The images.
    table : pandas.DataFrame
        Columns "name", "path", "label", "patient" (None where none is known) and "given",
        "validation" or "test" for images that somebody has set apart for that and "" for others.
    """
    size = (settings.image_size,) * 2
    if settings.data is None:
        n = settings.limit or _N_PHANTOMS
        X, y = datasets.make_brain_phantoms(n, image_size=size, random_state=settings.random_state)
        names = [f"phantom {i}" for i in range(n)]
        table = pd.DataFrame({"name": names, "path": "", "label": y, "patient": None, "given": ""})
        _check_counts(table)
        # Phantoms are gray, in three equal channels.
        return X if color_mode == "rgb" else X[..., :1], table
    found = _fetch(settings.data) if settings.data in SETS else _load(settings)
    if settings.patients is not None:
        found["patient"] = _patients_of(found["path"], settings.patients)
    table = _limited(found, settings).reset_index(drop=True)
    _check_counts(table)
    table["name"] = _names(table["path"])
    X = ImagePaths(table["path"].to_numpy(), image_size=size, color_mode=color_mode)
    if np.prod(X.shape, dtype=float) * X.dtype.itemsize < _MOST_BYTES:
        X = X[:]
    return X, table


def _fetch(name):
    fetch = getattr(datasets, f"fetch_{name}")
    frames = []
    with warnings.catch_warnings():
        # The report counts what is in several parts.
        warnings.filterwarnings("ignore", ".*are also among its", UserWarning)
        for subset in ("train", "validation", "test"):
            part = fetch(subset=subset, as_paths=True, verbose=False)
            # Of the others the parts are drawn, image by image.
            is_given = subset == "test" and name == "brain_tumor"
            frames.append(_frame(part, "test" if is_given else ""))
    return pd.concat(frames, ignore_index=True)


def _load(settings):
    given = {"as_paths": True, "verbose": False, "manifest": settings.manifest}
    try:
        found = _frame(datasets.load_image_folder(settings.data, **given), "")
    except ValueError as error:
        raise ValueError(f"data: {error}") from error
    for part in ("validation", "test"):
        try:
            apart = datasets.load_image_folder(settings.data, subset=part, **given)
        except ValueError:
            # Nobody has set it apart; whatever else could be wrong, the whole folder was read.
            continue
        found.loc[found["path"].isin(apart.data), "given"] = part
    return found


def _frame(bunch, given):
    frame = pd.DataFrame({"path": bunch.data.astype(str), "label": bunch.target})
    patients = bunch.groups if "groups" in bunch else [None] * len(frame)
    # An image of which no patient is known is there a group of its own, by its path.
    frame["patient"] = [
        None if str(patient) == path else patient
        for patient, path in zip(patients, frame["path"], strict=True)
    ]
    frame["given"] = given
    return frame


def _names(paths):
    """Return the paths within the folder that all are in, for others to read."""
    folder = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [os.path.relpath(path, folder).replace(os.sep, "/") for path in paths]


def _limited(frame, settings):
    """Return some of the images, as large a share of each label and part."""
    n = settings.limit
    if n is None or n >= len(frame):
        return frame
    share = n / len(frame)
    drawn = frame.groupby(["label", "given"], group_keys=False).sample(
        frac=share, random_state=settings.random_state
    )
    return drawn.sort_index()


def _patients_of(paths, pattern):
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"patients: {pattern!r} is no regular expression: {error}") from error
    paths = list(paths)
    found = [compiled.search(path) for path in paths]
    if missing := [path for path, match in zip(paths, found, strict=True) if match is None]:
        raise ValueError(
            f"patients: {pattern!r} is not in {len(missing)} of {len(found)} names, the first "
            f"{missing[0]}"
        )
    # Of alternatives one has matched.
    patients = [next(filter(None, match.groups() or [match.group(0)]), None) for match in found]
    if None in patients:
        raise ValueError(
            f"patients: {pattern!r} finds no patient in {paths[patients.index(None)]}, though it "
            "matches; a part in parentheses must be the patient's"
        )
    if len(set(patients)) == len(patients):
        raise ValueError(
            f"patients: {pattern!r} finds another patient in each of the {len(patients)} names, so "
            "that it splits nothing; the first part in parentheses must be the patient's"
        )
    return patients


def digest(X, table):
    """Return a digest of images, labels, patients and given parts, wherever the files lie."""
    known = table[["label", "given"]].assign(patient=pd.factorize(table["patient"])[0])
    made = hashlib.sha256(known.to_csv(index=False).encode())
    for start in range(0, len(table), 256):
        made.update(np.ascontiguousarray(X[start : start + 256]).tobytes())
    return made.hexdigest()


def split(X, table, settings, folder):
    """Deal images to the parts of a study, and write down what leaks between them.

    Parameters
    ----------
    X, table : see `find_images`
        The images.
    settings : Settings
        Seeds.
    folder : path
        Where ``images.csv`` and ``leaks.json`` are written.
    """
    alike = datasets.group_duplicates(X, method="perceptual", verbose=False)
    exact = datasets.group_duplicates(X, method="exact", verbose=False)
    group = _united(alike, table["patient"])
    table = table.assign(group=group)
    table["part"] = _deal(table, settings.random_state)
    learned = set(table.loc[table["part"] != "test", "group"])
    of_test = (table["part"] == "test").to_numpy()
    table["leaked"] = of_test & table["group"].isin(learned).to_numpy()
    labels = table["label"].to_numpy()
    n_labels = pd.Series(labels).groupby(exact).transform("nunique").to_numpy()
    leaks = {
        "n_images": len(table),
        "n_exact_copies": int(len(table) - len(np.unique(exact))),
        "n_alike": int(len(table) - len(np.unique(alike))),
        "n_test": int(of_test.sum()),
        "n_leaked": int(table["leaked"].sum()),
        "n_contradictions": int((n_labels > 1).sum()),
        "n_with_patient": int(table["patient"].notna().sum()),
        "n_groups": int(table["group"].nunique()),
    }
    table[["name", "label", "part", "group", "leaked"]].to_csv(folder / "images.csv", index=False)
    (folder / "leaks.json").write_text(json.dumps(leaks, indent=1), encoding="utf-8")


def dealt_by_image(table, settings):
    """Return the parts of images as they would be without groups, for a plan."""
    table = table.assign(group=np.arange(len(table)), leaked=False)
    return table.assign(part=_deal(table, settings.random_state))


def read_split(X, table, folder):
    """Return the images as `split` has dealt them, and what leaks."""
    dealt = pd.read_csv(folder / "images.csv", usecols=["part", "group", "leaked"])
    table = pd.concat([table[["name", "path", "label"]], dealt], axis=1)
    return Images(X, table), json.loads((folder / "leaks.json").read_text(encoding="utf-8"))


def _check_counts(table):
    counts = table["label"].value_counts()
    if len(counts) < 2:
        raise ValueError(f"data has {len(counts)} class; a classifier needs two")
    label, n = counts.index[-1], int(counts.iloc[-1])
    if n < 2 * _N_FOLDS:
        raise ValueError(
            f"class {label!r} has {n} images; at least {2 * _N_FOLDS} are needed, to learn from, "
            "to choose by and to report on"
        )
    given = table["given"] == "test"
    if given.any():
        missing = sorted(set(table.loc[~given, "label"]) ^ set(table.loc[given, "label"]))
        if missing:
            raise ValueError(
                f"data: the test part and the rest must have the same classes; {missing} are in one"
            )


def _united(alike, patients):
    """Return the number of each image's group: those alike, and those of one patient."""
    codes, _ = pd.factorize(patients)
    n = len(alike)
    known = np.flatnonzero(codes >= 0)
    # Images, groups of those alike and patients are nodes; who belongs to what is an edge.
    sources = np.concatenate([np.arange(n), known])
    targets = np.concatenate([n + alike, 2 * n + codes[known]])
    graph = coo_array((np.ones(len(sources)), (sources, targets)), shape=(3 * n, 3 * n))
    labels = connected_components(graph, directed=False)[1][:n]
    return np.unique(labels, return_inverse=True)[1]


def _deal(table, random_state):
    part = np.full(len(table), "train", dtype=object)
    given, labels, groups = (table[name].to_numpy() for name in ("given", "label", "group"))
    for name in ("test", "validation"):
        rest = np.flatnonzero(part == "train")
        if (given == name).any():
            part[given == name] = name
        else:
            rest = rest[given[rest] == ""]
            part[rest[_fold(labels[rest], groups[rest], random_state)]] = name
    _check_parts(part, labels, groups)
    return part


def _fold(labels, groups, random_state):
    folds = StratifiedGroupKFold(_N_FOLDS, shuffle=True, random_state=random_state)
    try:
        return next(folds.split(labels, labels, groups))[1]
    except ValueError as error:
        raise ValueError(f"data cannot be divided by patients and near copies: {error}") from error


def _check_parts(part, labels, groups):
    for name in ("train", "validation", "test"):
        mine = part == name
        if missing := sorted(set(labels) - set(labels[mine])):
            raise ValueError(
                f"data: no image of {missing[0]!r} is left for the {name} part: its images are "
                "alike, or of too few patients"
            )
        if len(np.unique(groups[mine])) < 2:
            raise ValueError(
                f"data: all images of the {name} part are of one patient, or alike, so that "
                "nothing can be said of others"
            )
