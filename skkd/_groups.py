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
