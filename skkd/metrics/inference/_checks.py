"""What says how intervals are made."""

from numbers import Integral, Real

import pandas as pd

from skkd._groups import check_groups


def check_confidence(confidence):
    """Return a confidence, in (0, 1)."""
    if not isinstance(confidence, Real) or not 0 < confidence < 1:
        raise ValueError(f"confidence must be a number in (0, 1), such as 0.95; got {confidence!r}")
    return float(confidence)


def check_drawn(groups, n_rows):
    """Return the groups that are drawn, at least two, None for None."""
    if groups is None:
        return None
    groups = check_groups(groups, n_rows)
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
