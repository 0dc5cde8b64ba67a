"""Intervals beside figures that are there already."""

import numpy as np
from sklearn.utils import check_random_state

from skkd.metrics.inference._checks import check_confidence, check_drawn, check_n_resamples
from skkd.metrics.inference._resampling import Resampling


class Intervals:
    """Percentile intervals of figures of the same rows, from the same draws.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    confidence : float or None
        Confidence of the intervals. None makes none, whatever the rest says.
    groups : array-like of shape (n_rows,) or None
        The patient of each row.
    n_resamples : int
        Number of draws.
    random_state : int, RandomState instance or None
        Their seed.
    """

    def __init__(self, n_rows, confidence, *, groups, n_resamples, random_state):
        self.n_rows = n_rows
        self.confidence = None if confidence is None else check_confidence(confidence)
        if self.confidence is None and groups is not None:
            raise ValueError(
                "groups are of the intervals, and confidence=None makes none: pass confidence=0.95"
            )
        self.groups = check_drawn(groups, n_rows)
        self.n_resamples = check_n_resamples(n_resamples)
        # Every figure is of the same draws, so the seed is drawn once.
        self._seed = random_state
        if self.confidence is not None:
            self._seed = check_random_state(random_state).randint(2**31 - 1)

    def ends(self, scores):
        """Return the ends of the intervals of scores.

        Parameters
        ----------
        scores : list of callable
            Each takes counts of the rows, of shape (n, n_rows), and returns an array of shape
            (n, ...), the same for all.

        Returns
        -------
        ends : ndarray of float of shape (2, n_scores, ...)
            NaN where a score is undefined in all resamples.
        """
        rng = np.random.RandomState(self._seed)
        drawn = Resampling(self.n_rows, self.groups, self.n_resamples, rng).distribution(scores)
        tail = (1 - self.confidence) / 2
        with np.errstate(invalid="ignore"):
            return _quantiles(drawn, [tail, 1 - tail])

    def beside(self, figures, scores):
        """Return figures with the ends of each after it.

        Parameters
        ----------
        figures : dict of str to float
            The figures of all rows, by column.
        scores : dict of str to callable
            What computes some of them, as for `ends`.

        Returns
        -------
        figures : dict of str to float
            The same, with columns such as "accuracy_low" and "accuracy_high".
        """
        lows, highs = self.ends(list(scores.values()))
        of_name = {name: (lows[k], highs[k]) for k, name in enumerate(scores)}
        row = {}
        for name, figure in figures.items():
            row[name] = figure
            if name in of_name:
                row[f"{name}_low"], row[f"{name}_high"] = map(float, of_name[name])
        return row


def _quantiles(drawn, shares):
    """Return quantiles along the second axis over what is no NaN, NaN where all is."""
    undefined = np.isnan(drawn).all(axis=1, keepdims=True)
    found = np.nanquantile(np.where(undefined, 0, drawn), shares, axis=1)
    return np.where(undefined[:, 0], np.nan, found)
