"""The statistics by which a network normalizes its images."""

import numpy as np


def mean_and_variance(images, rows, sample_weight, batch_size):
    """Return the weighted mean and variance of each channel or column, in one pass.

    Parameters
    ----------
    images : array-like of shape (n, ..., channels)
        Read a batch at a time.
    rows : ndarray of int
        The rows to take.
    sample_weight : ndarray of shape (n,)
        Weights, greater than 0 for these rows.
    batch_size : int
        Rows read at a time.

    Returns
    -------
    mean, variance : ndarray of shape (channels,)
        float64; the variance of a channel that is constant but for rounding is 1, so that it is
        only centered, as scikit-learn's StandardScaler does.
    """
    total, mean, squares, count = 0.0, 0.0, 0.0, 0
    for start in range(0, len(rows), batch_size):
        taken = rows[start : start + batch_size]
        values = np.array(images[taken], dtype=np.float64)
        weights = sample_weight[taken].astype(np.float64)
        batch_total = weights.sum()
        batch_mean = np.average(_mean_of_each(values), axis=0, weights=weights)
        count += values[..., 0].size
        values -= batch_mean
        deviations = _mean_of_each(np.square(values, out=values))
        batch_squares = np.average(deviations, axis=0, weights=weights) * batch_total
        # Chan et al.'s update: stable where a difference of sums of squares is not.
        difference = batch_mean - mean
        share = batch_total / (total + batch_total)
        squares = squares + batch_squares + np.square(difference) * total * share
        mean = mean + difference * share
        total += batch_total
    variance = squares / total
    # What rounding alone may leave of a constant.
    epsilon = count * np.finfo(np.float64).eps
    rounding = epsilon * variance + np.square(epsilon * mean)
    return mean, np.where(variance > rounding, variance, 1.0)


def _mean_of_each(values):
    # An axis at a time from the first, whose inner loops are long; channels are few.
    while values.ndim > 2:
        values = values.mean(axis=1)
    return values
