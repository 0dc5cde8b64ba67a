"""What an explainer says about some images."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from skkd.explanation._display import MapDisplay

_OF_EACH_IMAGE = (
    *("values", "images", "targets", "probabilities", "labels"),
    *("base_values", "additivity_gap"),
)


@dataclass
class Explanation:
    """Maps of what a network looks at, with what they are about.

    Explainers return one from ``explain``. ``explanation[rows]``, with a slice, an array of rows
    or of booleans, is the explanation of some of its images.

    Parameters
    ----------
    values : ndarray of shape (n, height, width), (n, n_layers, height, width), \
            (n, height, width, channels) or (n, height, width, channels, n_classes)
        One map an image; one for each layer; or signed values for each channel, of one class or
        of all. float32.
    images : array-like of shape (n, height, width, channels)
        The images explained: those passed in, not a copy; files are read when rows are asked for.
    targets : ndarray of shape (n,)
        Label, or index where labels are unknown, of the class explained.
    probabilities : ndarray of shape (n,)
        The network's probability of that class, in [0, 1].
    labels : ndarray of shape (n,), default=None
        True class labels, where they are known.
    layer_names : list of str, default=None
        Names of the layers along the second axis of ``values``.
    method : str, default=""
        Name of the explanation, for titles.
    base_values : ndarray of shape (n,) or (n, n_classes), default=None
        The score that signed values start from: that of the background.
    additivity_gap : ndarray of shape (n,) or (n, n_classes), default=None
        What signed values fail to explain: the image's score, minus the base value, minus their
        sum. Zero for exact SHAP values.
    classes : ndarray of shape (n_classes,), default=None
        Labels along the last axis of ``values`` of all classes.
    """

    values: np.ndarray
    images: np.ndarray
    targets: np.ndarray
    probabilities: np.ndarray
    labels: np.ndarray | None = None
    layer_names: list | None = None
    method: str = ""
    base_values: np.ndarray | None = None
    additivity_gap: np.ndarray | None = None
    classes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows) -> Self:
        """Return the explanation of some of the images."""
        rows = np.atleast_1d(np.arange(len(self))[rows])
        chosen = {}
        for name in _OF_EACH_IMAGE:
            of_all = getattr(self, name)
            chosen[name] = None if of_all is None else of_all[rows]
        return replace(self, **chosen)

    @property
    def n_empty(self) -> int:
        """Number of maps that are zero everywhere."""
        per_layer = self.layer_names is not None
        maps = self.values.reshape(*self.values.shape[: 1 + per_layer], -1)
        return int((~maps.any(axis=-1)).sum())

    def to_shap(self):
        """Return signed values as the shap package has them, for its plots.

        Returns
        -------
        explanation : shap.Explanation
            With the names of the classes; ``shap.image_plot(explanation.to_shap())`` draws it.
        """
        import shap
        from slicer import Obj

        if self.base_values is None:
            raise ValueError(f"{self.method} gives no SHAP values; SHAPExplainer does")
        if self.classes is None:
            # Says that there is a name an image: shap would take them for names of the channels
            # where there are as many.
            names = Obj(self.targets.astype(str).tolist(), [0])
        else:
            names = self.classes.astype(str).tolist()
        return shap.Explanation(
            self.values, self.base_values, np.asarray(self.images), output_names=names
        )

    def plot(self, *, rows=None, **kwargs) -> MapDisplay:
        """Draw every image beside its maps.

        Parameters
        ----------
        rows : array-like of int, default=None
            The images to draw. None draws all.
        **kwargs : dict
            Passed to `ExplanationDisplay.plot`.

        Returns
        -------
        display : MapDisplay
            With ``figure_`` and ``axes_``, as `ExplanationDisplay` has them.
        """
        return MapDisplay(**arrays_to_draw([self], rows)).plot(**kwargs)


def arrays_to_draw(explanations, rows=None):
    """Put the maps of several explanations of the same images side by side.

    Parameters
    ----------
    explanations : list of Explanation
        Each gives a column, or one a layer, or one a class. The first names the rows.
    rows : array-like of int, default=None
        The images to take. None takes all.

    Returns
    -------
    arrays : dict
        The parameters of a `MapDisplay`.
    """
    if not isinstance(explanations, list | tuple) or not explanations:
        raise ValueError(f"explanations must be a list of at least one; got {explanations!r}")
    for one in explanations:
        if not isinstance(one, Explanation):
            raise TypeError(
                f"explanations must hold what an explainer's explain returns; got "
                f"{type(one).__name__}"
            )
    first = explanations[0]
    shapes = [explanation.images.shape for explanation in explanations]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(f"explanations must be of the same images; theirs have shapes {shapes}")
    rows = np.arange(len(first)) if rows is None else check_rows(rows, len(first))
    columns = [column for explanation in explanations for column in _columns(explanation, rows)]
    return dict(
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


def check_rows(rows, n_images):
    """Return rows to draw as an array; refuse what are none of the images."""
    chosen = np.asarray(rows)
    if chosen.ndim == 1 and chosen.dtype == bool and len(chosen) == n_images:
        chosen = np.flatnonzero(chosen)
    right = chosen.ndim == 1 and chosen.dtype.kind in "iu" and len(chosen)
    if not right or chosen.min() < -n_images or chosen.max() >= n_images:
        raise ValueError(
            f"rows must be a list of at least one row from 0 to {n_images - 1}; got {rows!r}"
        )
    return chosen


def _columns(explanation, rows):
    """Return the name and the maps of every column that an explanation gives."""
    values = explanation.values[rows]
    if explanation.layer_names is not None:
        names = [name.rpartition("/")[2] for name in explanation.layer_names]
        if len(set(names)) < len(names):
            names = explanation.layer_names
        return list(zip(names, np.moveaxis(values, 1, 0), strict=True))
    if explanation.classes is not None:
        names = [f"{explanation.method} {label}" for label in explanation.classes]
        return list(zip(names, np.moveaxis(values.sum(axis=3), -1, 0), strict=True))
    return [(explanation.method, values.sum(axis=-1) if values.ndim == 4 else values)]
