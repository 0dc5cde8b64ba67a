"""Net benefit of rows that are there any number of times."""

import numpy as np
from scipy.sparse import csr_array


class ResampledCurve:
    """Net benefit over thresholds of one class against the rest, for resampled rows.

    Parameters
    ----------
    codes : ndarray of int of shape (n_rows,)
        The class of each row.
    scores : ndarray of float of shape (n_rows,)
        The probability of the class treated.
    thresholds, reached : ndarray of float of shape (n_thresholds,)
        The thresholds, ascending, and the least probabilities that reach them.
    positive : int
        The class treated.
    weights : ndarray of float of shape (n_rows,) or None
        The weight of each row.
    prevalence : ndarray of float of shape (n_classes,) or None
        The share of each class where it is known, None to take those of the resample.
    standardized : bool
        Whether to divide by the share of the class treated.
    test_harm : float
        What is taken off the model's net benefit.
    """

    def __init__(
        self,
        codes,
        scores,
        thresholds,
        reached,
        positive,
        weights,
        *,
        prevalence,
        standardized,
        test_harm,
    ):
        self._odds = thresholds / (1 - thresholds)
        self._prevalence = prevalence
        self._standardized = standardized
        self._test_harm = test_harm
        # Where the shares are those of the resample, all other classes count alike.
        self._positive = 1 if prevalence is None else positive
        of_row = (codes == positive).astype(int) if prevalence is None else codes
        n_classes = 2 if prevalence is None else len(prevalence)
        n_rows, self._n_bins = len(codes), len(thresholds) + 1
        n_reached = np.searchsorted(reached, scores, side="right")
        self._of_bin = csr_array(
            (
                np.ones(n_rows) if weights is None else weights,
                (of_row * self._n_bins + n_reached, np.arange(n_rows)),
            ),
            shape=(n_classes * self._n_bins, n_rows),
        )

    def model(self, counts):
        """Return the net benefit of the model, of shape (n, n_thresholds)."""
        by_class, shares = self._shares(counts)
        # Those at a threshold are all that reach more thresholds than lie below it.
        treated = by_class[:, :, ::-1].cumsum(axis=2)[:, :, -2::-1]
        with np.errstate(invalid="ignore"):
            treated = shares[..., None] * treated / by_class.sum(axis=2, keepdims=True)
        # A class that the resample lacks, and whose share is not known, has none that are treated.
        if self._prevalence is None:
            treated = np.where(by_class.sum(axis=2, keepdims=True) > 0, treated, 0)
        right = treated[:, self._positive]
        wrong = treated.sum(axis=1) - right
        # Of rows that weigh nothing the shares are NaN.
        nothing = 0 * shares[:, :1]
        return self._scaled(right - wrong * self._odds - self._test_harm + nothing, shares)

    def treat_all(self, counts):
        """Return the net benefit of treating all, of shape (n, n_thresholds)."""
        _, shares = self._shares(counts)
        share = shares[:, self._positive, None]
        return self._scaled(share - (1 - share) * self._odds, shares)

    def _shares(self, counts):
        binned = (self._of_bin @ counts.T).T.reshape(len(counts), -1, self._n_bins)
        totals = binned.sum(axis=2)
        if self._prevalence is not None:
            return binned, np.broadcast_to(self._prevalence, totals.shape)
        with np.errstate(invalid="ignore"):
            return binned, totals / totals.sum(axis=1, keepdims=True)

    def _scaled(self, benefit, shares):
        if not self._standardized:
            return benefit
        with np.errstate(invalid="ignore", divide="ignore"):
            scaled = benefit / shares[:, self._positive, None]
        return np.where(np.isfinite(scaled), scaled, np.nan)
