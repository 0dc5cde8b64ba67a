"""Images with predictions, and how some of them compare with others."""

import numpy as np
import pandas as pd

from skkd.metrics.inference._bootstrap import Predictions, prepare_score
from skkd.metrics.inference._resampling import Resampling


class Sample:
    """Labels and probabilities of images, of which parts are scored.

    Parameters
    ----------
    y : ndarray of shape (n_images,)
        True labels.
    proba : ndarray of shape (n_images, n_classes)
        Their probabilities.
    classes : ndarray of shape (n_classes,)
        Labels of the columns.
    units : ndarray of int of shape (n_images,)
        Patients, numbered from 0, or the images themselves.
    """

    def __init__(self, y, proba, classes, units, *, name="predict_proba"):
        self.y, self.proba, self.classes, self.units = y, proba, classes, units
        self._model = Predictions(name, proba, y, classes)
        self._draws = {}

    def scores(self, scores):
        """Return what computes each score of counted images, by name."""
        prepared = {
            name: prepare_score(name, score, [self._model])[0] for name, score in scores.items()
        }
        return {name: _quietly(score) for name, score in prepared.items()}

    def joined(self, other):
        """Return the images of both, with patients of their own."""
        return Sample(
            np.concatenate([self.y, other.y]),
            np.concatenate([self.proba, other.proba]),
            self.classes,
            np.concatenate([self.units, other.units + self.units.max() + 1]),
        )

    def resampling(self, n_resamples, random_state):
        """Return draws of patients."""
        units = None if len(np.unique(self.units)) == len(self.units) else self.units
        return Resampling(len(self.y), units, n_resamples, random_state)

    def n_units(self, rows):
        """Return how many patients some images are of."""
        return len(np.unique(self.units[rows]))


def permuted(inside, units, n, random_state):
    """Draw anew which images are inside, as chance might have it.

    Patients that lie wholly inside or outside change places as wholes, and images of a patient that
    lies in both change places among themselves, so that whatever images of a patient have in
    common remains.

    Parameters
    ----------
    inside : ndarray of bool of shape (n_images,)
        What is inside.
    units : ndarray of int of shape (n_images,)
        Patients.
    n : int
        How often to draw.
    random_state : RandomState
        What draws.

    Returns
    -------
    drawn : ndarray of bool of shape (n, n_images)
        What else could have been inside.
    """
    share = pd.Series(inside, dtype=float).groupby(units).transform("mean").to_numpy()
    whole = (share == 0) | (share == 1)
    # What changes places: the images of each patient in both, and then the other patients.
    _, first, unit_of_row = np.unique(
        np.where(whole, units, units.max() + 1 + np.arange(len(units))),
        return_index=True,
        return_inverse=True,
    )
    strata = np.where(whole, -1, units)[first]
    order = np.lexsort((first, strata))
    strata, first = strata[order], first[order]
    places = np.empty(len(order), dtype=int)
    places[order] = np.arange(len(order))
    blocks = np.unique(strata, return_inverse=True)[1]
    keys = blocks + random_state.uniform(size=(n, len(blocks)))
    if blocks.max() == 0:
        # All may change places with all: the lowest keys are inside, which takes no sorting.
        last = inside[first].sum() - 1
        drawn = keys <= np.partition(keys, last, axis=1)[:, [last]]
    else:
        drawn = inside[first][np.argsort(keys, axis=1)]
    return np.take(drawn, places[unit_of_row.ravel()], axis=1)


def _quietly(score):
    def of_counts(counts):
        # What is undefined, as the accuracy of no image, is NaN.
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(score(counts), dtype=float)

    return of_counts
