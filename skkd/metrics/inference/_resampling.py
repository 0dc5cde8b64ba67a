"""Resamples of rows, or of the groups they come in."""

import warnings

import numpy as np
import pandas as pd
from scipy.stats import DegenerateDataWarning, bootstrap

from skkd._warnings import warn

# Counts at a time, as a resample is a count of every row: few enough for the caches of a CPU.
_MOST_NUMBERS = 250_000


class Resampling:
    """What a bootstrap draws with replacement, and how often.

    A resample is kept as the number of times that each row is in it. It weighs the rows of a score,
    and one matrix of such counts serves all scores.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    groups : array-like of shape (n_rows,) or None
        The patient of each row, whose rows are drawn together. None draws rows.
    n_resamples : int
        Number of resamples.
    random_state : RandomState
        What draws.
    """

    def __init__(self, n_rows, groups, n_resamples, random_state):
        self.n_rows = n_rows
        self.unit_of_row = None if groups is None else pd.factorize(groups)[0]
        self.n_units = n_rows if groups is None else int(self.unit_of_row.max()) + 1
        self.n_resamples = n_resamples
        self.random_state = random_state

    def distribution(self, scores):
        """Return the value of each score in each resample.

        Parameters
        ----------
        scores : list of callable
            Each takes the counts of the rows, of shape (n, n_rows), and returns n values.

        Returns
        -------
        values : ndarray of float of shape (n_scores, n_resamples)
            NaN where a score is undefined.
        """
        parts = []
        size = self._most_resamples()
        for start in range(0, self.n_resamples, size):
            n = min(size, self.n_resamples - start)
            drawn = self.random_state.randint(self.n_units, size=(n, self.n_units))
            counts = self.rows_of(self._count(drawn))
            parts.append([score(counts) for score in scores])
        return np.concatenate(parts, axis=1)

    def whole(self):
        """Return the counts of the rows themselves, each once."""
        return np.ones((1, self.n_rows))

    def interval(self, name, score, distribution, confidence, method):
        """Return the ends of the interval of one score.

        Parameters
        ----------
        name : str
            What the user calls the score, for warnings.
        score : callable
            As for `distribution`.
        distribution : ndarray of float of shape (n,)
            Its values in the resamples in which it is defined.
        confidence : float
            How much of the distribution lies between the ends.
        method : {"percentile", "bca"}
            How the ends are found.

        Returns
        -------
        low, high : float
            The ends, NaN for no distribution.
        """
        if not len(distribution):
            return np.nan, np.nan
        if method == "percentile" or np.ptp(distribution) == 0:
            tail = (1 - confidence) / 2
            return tuple(np.quantile(distribution, [tail, 1 - tail]))

        def of_units(units, axis=-1):
            drawn = np.atleast_2d(units)
            return score(self.rows_of(self._count(drawn))).reshape(np.shape(units)[:-1])

        # SciPy corrects for bias and skewness, by leaving out one unit after the other.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DegenerateDataWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
            found = bootstrap(
                (np.arange(self.n_units),),
                of_units,
                n_resamples=0,
                batch=self._most_resamples(),
                confidence_level=confidence,
                method="BCa",
                bootstrap_result=_Drawn(distribution),
            )
        low, high = found.confidence_interval
        if np.isnan(low) or np.isnan(high):
            warn(
                f"{name} has no BCa interval, as it is undefined or constant without one of the "
                f'{self.n_units} rows or groups; method="percentile" gives one'
            )
        return low, high

    def rows_of(self, counts):
        """Return how often each row is drawn, from how often each unit is."""
        return counts if self.unit_of_row is None else counts[:, self.unit_of_row]

    def _count(self, drawn):
        n = len(drawn)
        places = drawn + np.arange(n)[:, None] * self.n_units
        counts = np.bincount(places.ravel(), minlength=n * self.n_units)
        return counts.reshape(n, self.n_units).astype(np.float64)

    def _most_resamples(self):
        return max(1, _MOST_NUMBERS // self.n_rows)


class _Drawn:
    """Resamples that are there already, as SciPy takes them."""

    def __init__(self, bootstrap_distribution):
        self.bootstrap_distribution = bootstrap_distribution
