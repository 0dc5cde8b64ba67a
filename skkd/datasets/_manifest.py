"""A table that says what images are."""

import os

import numpy as np
import pandas as pd

from skkd.datasets._listing import SPLITS

# Columns of a manifest that have a meaning, and names that the result has for other things.
_COLUMNS = ("path", "label", "patient", "split")
_TAKEN = ("data", "target", "target_names", "filenames", "groups", "DESCR", "clear", "items")
_TAKEN += ("copy", "fromkeys", "get", "keys", "pop", "popitem", "setdefault", "update", "values")


def read_manifest(root, manifest, subset):
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
        splits = [SPLITS.get(str(name).casefold()) for name in manifest["split"]]
        if None in splits:
            raise ValueError(
                f"{what} has the split {manifest['split'].iloc[splits.index(None)]!r}; it must be "
                "train, validation or test"
            )
        table = table[np.array(splits) == subset]
        if len(table) == 0:
            raise ValueError(f"subset={subset!r} is not in {what}")
    return table, names
