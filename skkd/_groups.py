"""Groups of images that belong together, such as those of a patient."""

import numpy as np
import pandas as pd


def check_groups(groups, n_images, name="groups"):
    """Return the group of each image.

    Parameters
    ----------
    groups : array-like of shape (n_images,)
        Numbers or names of the groups.
    n_images : int
        How many images there are.
    name : str, default="groups"
        What the user calls the groups.

    Returns
    -------
    groups : ndarray of shape (n_images,)
        The groups, none of them missing.
    """
    if isinstance(groups, list | tuple):
        # NumPy would make the text "nan" of what is missing, and "1" of 1.
        groups = _as_they_are(groups, name)
    try:
        values = np.asarray(groups)
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim == 1:
            pd.factorize(values)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must hold the name or number of a group, such as a patient, for each image: "
            f"{error}"
        ) from error
    if values.shape != (n_images,):
        got = f"{len(values)} groups" if values.ndim == 1 else f"shape {values.shape}"
        raise ValueError(
            f"{name} must have one group, such as a patient, for each of the {n_images} images; "
            f"got {got}"
        )
    missing = pd.isna(values)
    if missing.any():
        raise ValueError(
            f"{name} must have a group for every image; {missing.sum()} are missing, the first "
            f"in row {int(missing.argmax())}: give each of these images a group of its own, or "
            "drop them"
        )
    return values


def _as_they_are(groups, name):
    """Return a list as an array, of objects where some are missing."""
    values = pd.Series(groups, dtype=object)
    if values.isna().any():
        return values.to_numpy()
    kinds = {isinstance(value, str) for value in groups}
    if len(kinds) == 2:
        raise ValueError(
            f"{name} must hold names or numbers, not both; got {groups[0]!r} among others: turn "
            "all into str"
        )
    return groups
