"""Several explanations of the same images side by side."""

from typing import Self

import numpy as np
from sklearn.base import clone
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from skkd.explanation._display import MapDisplay
from skkd.explanation._explanation import arrays_to_draw, check_rows
from skkd.explanation._feature_maps import FeatureMapExplainer
from skkd.explanation._grad_cam import GradCAMExplainer
from skkd.explanation._shap import SHAPExplainer
from skkd.models._labels import check_true_labels


class ExplanationDisplay(MapDisplay):
    """A grid of images and the maps that explain them: a row an image, a column a map.

    Make one with :meth:`from_estimator` or :meth:`from_explanations`.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, channels)
        The images, in any range of values.
    maps : ndarray of shape (n, n_maps, height, width)
        The maps of each image.
    map_names : list of str
        Title of each map's column.
    row_titles : list of str
        Title of each image: the class explained and its probability.
    row_names : list of str, default=None
        Label beside each image, such as its true class.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure, after ``plot``.
    axes_ : ndarray of matplotlib.axes.Axes, shape (n, 1 + n_maps)
        Its axes, after ``plot``.
    colorbars_ : list of matplotlib.colorbar.Colorbar
        One for maps without negative values and one for maps with, where there are such and they
        were asked for, after ``plot``.
    window_ : tuple of float
        The values of images drawn black and white, after ``plot``.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skkd import ExplanationDisplay, FiveBlockCNN, NetworkClassifier
    >>> digits = load_digits()
    >>> X, y = digits.images[:200, ..., None], digits.target[:200]
    >>> classifier = NetworkClassifier(FiveBlockCNN(filters=(4, 8)), epochs=1).fit(X, y)
    >>> display = ExplanationDisplay.from_estimator(classifier, X, y)
    >>> display.axes_.shape
    (10, 5)
    >>> display.map_names
    ['Grad-CAM', 'SHAP', 'block1_conv', 'block2_conv']
    """

    @classmethod
    def from_estimator(cls, estimator, X, y=None, *, explainers=None, rows=None, **kwargs) -> Self:
        """Explain an image of each class in several ways and draw them side by side.

        Parameters
        ----------
        estimator : keras.Model, fitted estimator or Pipeline
            What the explainers take.
        X : array-like of shape (n, height, width[, channels]), or paths
            Images; explainers that need a background are fitted on them.
        y : array-like of shape (n,), default=None
            True class labels. Without them, a row is drawn for every class predicted.
        explainers : list of explainers, default=None
            Drawn from left to right. None takes the three that the paper compares: Grad-CAM,
            SHAP, and the feature map of every convolution.
        rows : array-like of int, default=None
            The images to draw. None draws the first of each class.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        display : ExplanationDisplay
            The drawn display.
        """
        if explainers is None:
            explainers = [
                GradCAMExplainer(estimator),
                SHAPExplainer(estimator, random_state=0),
                FeatureMapExplainer(estimator),
            ]
        if not isinstance(explainers, list | tuple) or not explainers:
            raise ValueError(f"explainers must be a list of at least one; got {explainers!r}")
        n_images = _num_samples(X)
        if not n_images:
            raise ValueError("X has no images; at least one is needed")
        if y is not None:
            y = check_true_labels(y, cls.__name__)
            if len(y) != n_images:
                raise ValueError(f"y must hold {n_images} labels, one an image; got {len(y)}")
        explainers = [clone(explainer).fit(X, y) for explainer in explainers]
        if rows is None:
            seen = GradCAMExplainer(estimator).fit().explain(X).targets if y is None else y
            rows = np.unique(seen, return_index=True)[1]
        rows = check_rows(rows, n_images)
        X = _safe_indexing(X, rows)
        y = None if y is None else y[rows]
        return cls.from_explanations([e.explain(X, y) for e in explainers], **kwargs)

    @classmethod
    def from_explanations(cls, explanations, *, rows=None, **kwargs) -> Self:
        """Put explanations of the same images side by side and draw them.

        Parameters
        ----------
        explanations : list of Explanation
            Each gives a column, or one a layer, or one a class. The first names the rows.
        rows : array-like of int, default=None
            The images to draw. None draws all.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        display : ExplanationDisplay
            The drawn display.
        """
        return cls(**arrays_to_draw(explanations, rows)).plot(**kwargs)
