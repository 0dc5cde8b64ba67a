"""Pictures of explanations."""

import numpy as np
from sklearn.base import clone
from sklearn.utils import _safe_indexing

from skkd.explanation._feature_maps import FeatureMapExplainer
from skkd.explanation._grad_cam import GradCAMExplainer
from skkd.explanation._shap import SHAPExplainer


class ExplanationDisplay:
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

    def __init__(self, *, images, maps, map_names, row_titles, row_names=None):
        self.images = images
        self.maps = maps
        self.map_names = map_names
        self.row_titles = row_titles
        self.row_names = row_names

    @classmethod
    def from_estimator(cls, estimator, X, y=None, *, explainers=None, rows=None, **kwargs):
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
        explainers = [clone(explainer).fit(X, y) for explainer in explainers]
        if rows is None:
            seen = GradCAMExplainer(estimator).fit().explain(X).targets if y is None else y
            rows = np.unique(np.asarray(seen), return_index=True)[1]
        X = _safe_indexing(X, rows)
        y = None if y is None else np.asarray(y)[rows]
        return cls.from_explanations([e.explain(X, y) for e in explainers], **kwargs)

    @classmethod
    def from_explanations(cls, explanations, *, rows=None, **kwargs):
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
        first = explanations[0]
        shapes = [explanation.images.shape for explanation in explanations]
        if any(shape != shapes[0] for shape in shapes):
            raise ValueError(
                f"explanations must be of the same images; theirs have shapes {shapes}"
            )
        rows = np.arange(len(first)) if rows is None else np.asarray(rows)
        columns = [column for explanation in explanations for column in _columns(explanation, rows)]
        display = cls(
            images=np.asarray(first.images[rows]),
            maps=np.stack([maps for _, maps in columns], axis=1),
            map_names=[name for name, _ in columns],
            row_titles=[
                f"{target} {probability:.0%}"
                for target, probability in zip(
                    first.targets[rows], first.probabilities[rows], strict=True
                )
            ],
            row_names=None if first.labels is None else [str(name) for name in first.labels[rows]],
        )
        return display.plot(**kwargs)

    def plot(
        self,
        ax=None,
        *,
        overlay=0.5,
        cmap="inferno",
        signed_cmap="RdBu_r",
        colorbar=True,
        size=1.8,
    ):
        """Draw the grid.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or array-like of Axes of shape (n, 1 + n_maps), default=None
            Where to draw: axes in whose place the grid is put, or the axes of the grid. None
            makes a new figure.
        overlay : float, default=0.5
            Opacity of a map over its image, in [0, 1]. Signed maps fade out towards zero.
        cmap : str or matplotlib.colors.Colormap, default="inferno"
            Colors of maps without negative values, from the lowest to the highest value of each.
        signed_cmap : str or matplotlib.colors.Colormap, default="RdBu_r"
            Colors of maps with negative values, centered at zero. They end at the 99th
            percentile of each map's absolute values, so that single pixels do not pale the rest.
        colorbar : bool, default=True
            Draw a color bar for maps without negative values and one for maps with.
        size : float, default=1.8
            Height of one image in inches, in a new figure.

        Returns
        -------
        self : ExplanationDisplay
            With ``figure_``, ``axes_`` and ``colorbars_``.
        """
        if not 0 <= overlay <= 1:
            raise ValueError(f"overlay must be in [0, 1]; got {overlay}")
        self.figure_, self.axes_ = self._make_axes(ax, size)
        signed_columns = self.maps.min(axis=(0, 2, 3)) < 0
        for row, (axes, image) in enumerate(zip(self.axes_, self.images, strict=True)):
            axes[0].imshow(_to_unit(image).squeeze(), cmap="gray", vmin=0, vmax=1)
            axes[0].set_title(self.row_titles[row], fontsize="small")
            if self.row_names is not None:
                axes[0].set_ylabel(self.row_names[row], fontsize="small")
            for ax, values, signed in zip(axes[1:], self.maps[row], signed_columns, strict=True):
                ax.imshow(image.mean(axis=-1), cmap="gray")
                if signed:
                    values = _to_signed_unit(values)
                    alpha = min(1, 2 * overlay) * np.abs(values)
                    ax.imshow(values, cmap=signed_cmap, vmin=-1, vmax=1, alpha=alpha)
                else:
                    ax.imshow(_to_unit(values), cmap=cmap, vmin=0, vmax=1, alpha=overlay)
            for ax in axes:
                ax.set(xticks=[], yticks=[])
        for ax, name in zip(self.axes_[0, 1:], self.map_names, strict=True):
            ax.set_title(name, fontsize="small")
        self.colorbars_ = []
        if colorbar:
            if not signed_columns.all():
                self._draw_colorbar(cmap, {0: "lowest", 1: "highest"})
            if signed_columns.any():
                self._draw_colorbar(signed_cmap, {-1: "-", 0: "0", 1: "+"})
        return self

    def _make_axes(self, ax, size):
        n_images, n_maps, height, width = self.maps.shape
        if ax is None:
            import matplotlib.pyplot as plt

            return plt.subplots(
                n_images,
                1 + n_maps,
                figsize=(size * width / height * (1 + n_maps) + 1.4, (size + 0.25) * n_images),
                squeeze=False,
                layout="constrained",
            )
        axes = np.asarray(ax, dtype=object)
        if axes.ndim == 0:
            figure = ax.figure
            grid = ax.get_subplotspec().subgridspec(n_images, 1 + n_maps)
            ax.set_axis_off()
            return figure, grid.subplots(squeeze=False)
        if axes.size != n_images * (1 + n_maps):
            raise ValueError(
                f"ax must be one Axes or {n_images} x {1 + n_maps} of them; got {axes.size}"
            )
        axes = axes.reshape(n_images, 1 + n_maps)
        return axes[0, 0].figure, axes

    def _draw_colorbar(self, cmap, ticks):
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        bar = self.figure_.colorbar(
            ScalarMappable(Normalize(min(ticks), max(ticks)), cmap),
            ax=self.axes_.ravel().tolist(),
            fraction=0.02,
            pad=0.01,
        )
        bar.set_ticks(list(ticks), labels=list(ticks.values()), fontsize="small", rotation=90)
        self.colorbars_.append(bar)


def _columns(explanation, rows):
    """Return the name and the maps of every column that an explanation gives."""
    values = explanation.values[rows]
    if explanation.layer_names is not None:
        names = [name.rpartition("/")[2] for name in explanation.layer_names]
        return list(zip(names, np.moveaxis(values, 1, 0), strict=True))
    if explanation.classes is not None:
        names = [f"{explanation.method} {label}" for label in explanation.classes]
        return list(zip(names, np.moveaxis(values.sum(axis=3), -1, 0), strict=True))
    return [(explanation.method, values.sum(axis=-1) if values.ndim == 4 else values)]


def _to_unit(values):
    values = values.astype(float)
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros(values.shape)


def _to_signed_unit(values):
    limit = np.percentile(np.abs(values), 99)
    return np.clip(values / limit, -1, 1) if limit > 0 else np.zeros(values.shape)
