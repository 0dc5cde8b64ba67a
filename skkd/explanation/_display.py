"""Pictures of images and the maps that explain them."""

from typing import Self

import numpy as np


class MapDisplay:
    """A grid of images and maps, given as arrays: a row an image, a column a map.

    `ExplanationDisplay`, which adds ways to make one, tells of its parameters and attributes.
    """

    def __init__(self, *, images, maps, map_names, row_titles, row_names=None):
        self.images = images
        self.maps = maps
        self.map_names = map_names
        self.row_titles = row_titles
        self.row_names = row_names

    def plot(
        self,
        ax=None,
        *,
        overlay=0.5,
        cmap="inferno",
        signed_cmap="RdBu_r",
        colorbar=True,
        size=1.8,
    ) -> Self:
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
        self : MapDisplay
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


def _to_unit(values):
    values = values.astype(float)
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros(values.shape)


def _to_signed_unit(values):
    limit = np.percentile(np.abs(values), 99)
    return np.clip(values / limit, -1, 1) if limit > 0 else np.zeros(values.shape)
