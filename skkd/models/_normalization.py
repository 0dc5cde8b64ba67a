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
        float64; the variance of a constant channel is 1, so that it is only centered, as
        scikit-learn's StandardScaler does.
    """
    total, mean, squares = 0.0, 0.0, 0.0
    for start in range(0, len(rows), batch_size):
        taken = rows[start : start + batch_size]
        values = np.asarray(images[taken], dtype=np.float64)
        values = values.reshape(len(values), -1, values.shape[-1])
        weights = sample_weight[taken].astype(np.float64)
        batch_total = weights.sum()
        batch_mean = np.average(values.mean(axis=1), axis=0, weights=weights)
        deviations = np.square(values - batch_mean).mean(axis=1)
        batch_squares = np.average(deviations, axis=0, weights=weights) * batch_total
        # Chan et al.'s update: stable where a difference of sums of squares is not.
        difference = batch_mean - mean
        share = batch_total / (total + batch_total)
        squares = squares + batch_squares + np.square(difference) * total * share
        mean = mean + difference * share
        total += batch_total
    variance = squares / total
    return mean, np.where(variance > 0, variance, 1.0)
