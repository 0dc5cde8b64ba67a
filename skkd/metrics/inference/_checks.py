"""What says how intervals are made."""

from numbers import Integral, Real

import numpy as np
import pandas as pd


def check_confidence(confidence):
    """Return a confidence, in (0, 1)."""
    if not isinstance(confidence, Real) or not 0 < confidence < 1:
        raise ValueError(f"confidence must be a number in (0, 1), such as 0.95; got {confidence!r}")
    return float(confidence)


def check_groups(groups, n_rows):
    """Return the groups of rows as a 1-D array, at least two, None for None."""
    if groups is None:
        return None
    groups = np.asarray(groups)
    if groups.shape != (n_rows,):
        raise ValueError(
            f"groups must be 1-D with the group of each of the {n_rows} rows; got shape "
            f"{groups.shape}"
        )
    if (missing := pd.isna(groups)).any():
        raise ValueError(
            f"groups must have a value for every row; {missing.sum()} are missing, the first in "
            f"row {np.argmax(missing)}: give those rows groups of their own, or drop them"
        )
    if len(pd.unique(groups)) < 2:
        raise ValueError(
            f"groups must hold at least two groups to draw from; got {groups.tolist()[0]!r} alone"
        )
    return groups


def check_n_resamples(n_resamples):
    """Return a number of resamples, at least 1."""
    if not isinstance(n_resamples, Integral) or n_resamples < 1:
        raise ValueError(f"n_resamples must be an integer of at least 1; got {n_resamples!r}")
    return int(n_resamples)
