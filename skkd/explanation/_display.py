"""Pictures of explanations."""

import numpy as np


class ExplanationDisplay:
    """A grid of images and the maps that explain them: a row an image, a column a map.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, channels)
        The images, in any range of values.
    maps : ndarray of shape (n, n_maps, height, width)
        The maps of each image.
    map_names : list of str
        Title of each map's column.
    row_names : list of str
        Label of each image's row.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure, after ``plot``.
    axes_ : ndarray of matplotlib.axes.Axes, shape (n, 1 + n_maps)
        Its axes, after ``plot``.
    """

    def __init__(self, *, images, maps, map_names, row_names):
        self.images = images
        self.maps = maps
        self.map_names = map_names
        self.row_names = row_names

    @classmethod
    def from_explanations(cls, explanations, *, rows=None, **kwargs):
        """Put explanations of the same images side by side and draw them.

        Parameters
        ----------
        explanations : list of Explanation
            Each gives a column, or one a layer.
        rows : array-like of int, default=None
            The images to draw. None draws all.
        **kwargs : dict
            Passed to ``plot``.

        Returns
        -------
        display : ExplanationDisplay
            The drawn display.
        """
        first = explanations[0]
        rows = np.arange(len(first)) if rows is None else np.asarray(rows)
        maps, names = [], []
        for explanation in explanations:
            values = explanation.values[rows]
            if explanation.layer_names is not None:
                maps.extend(np.moveaxis(values, 1, 0))
                names.extend(name.rpartition("/")[2] for name in explanation.layer_names)
            else:
                maps.append(values.sum(axis=-1) if values.ndim == 4 else values)
                names.append(explanation.method)
        row_names = [
            f"{target} ({probability:.0%})"
            for target, probability in zip(
                first.targets[rows], first.probabilities[rows], strict=True
            )
        ]
        if first.labels is not None:
            row_names = [
                f"{label}\nseen as {name}"
                for label, name in zip(first.labels[rows], row_names, strict=True)
            ]
        display = cls(
            images=first.images[rows],
            maps=np.stack(maps, axis=1),
            map_names=names,
            row_names=row_names,
        )
        return display.plot(**kwargs)

    def plot(self, *, overlay=0.5, cmap="inferno", signed_cmap="RdBu_r", size=1.8):
        """Draw the grid.

        Parameters
        ----------
        overlay : float, default=0.5
            Opacity of a map over its image, in [0, 1].
        cmap : str or matplotlib.colors.Colormap, default="inferno"
            Colours of maps without negative values, from their lowest to their highest value.
        signed_cmap : str or matplotlib.colors.Colormap, default="RdBu_r"
            Colours of maps with negative values, centred at zero.
        size : float, default=1.8
            Height of one image in inches.

        Returns
        -------
        self : ExplanationDisplay
            With ``figure_`` and ``axes_``.
        """
        import matplotlib.pyplot as plt

        n_images, n_maps, height, width = self.maps.shape
        self.figure_, self.axes_ = plt.subplots(
            n_images,
            1 + n_maps,
            figsize=(size * width / height * (1 + n_maps), size * n_images + 0.3),
            squeeze=False,
            layout="constrained",
        )
        signed_maps = self.maps.min(axis=(0, 2, 3)) < 0
        for row, (axes, image, maps) in enumerate(
            zip(self.axes_, self.images, self.maps, strict=True)
        ):
            grey = image.mean(axis=-1)
            axes[0].imshow(_to_unit(image).squeeze(), cmap="gray", vmin=0, vmax=1)
            for ax, values, signed in zip(axes[1:], maps, signed_maps, strict=True):
                limit = np.abs(values).max()
                ax.imshow(grey, cmap="gray")
                ax.imshow(
                    values,
                    cmap=signed_cmap if signed else cmap,
                    vmin=-limit if signed else None,
                    vmax=limit if signed else None,
                    alpha=overlay,
                )
            axes[0].set_ylabel(self.row_names[row], fontsize="small")
            for ax in axes:
                ax.set(xticks=[], yticks=[])
        self.axes_[0, 0].set_title("image", fontsize="small")
        for ax, name in zip(self.axes_[0, 1:], self.map_names, strict=True):
            ax.set_title(name, fontsize="small")
        return self


def _to_unit(image):
    low, high = float(image.min()), float(image.max())
    return (image - low) / (high - low) if high > low else np.zeros(image.shape)
