"""Pictures of images and the maps that explain them."""

from collections.abc import Mapping
from typing import Self

import numpy as np

from skkd._text import AS_IT_IS, as_text, fit_text
from skkd.explanation._picture import to_pictures

# Longer images than this are stretched to it, or a row of pixels would be too thin to see.
_LONGEST = 4


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

        Images keep their own brightness. Black and white are 0 and 255 in images of uint8, 0 and
        1 in images of bool, and the lowest and the highest value of all images drawn in others;
        the label below the last image says which. Three channels are colors; of any other number,
        and below maps, the mean over the channels is drawn. An image more than four times as long
        as wide, or as wide as long, is stretched to that.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or array-like of Axes of shape (n, 1 + n_maps), default=None
            Where to draw: axes in whose place the grid is put, or the axes of the grid. None
            makes a new figure.
        overlay : float, default=0.5
            Opacity of a map over its image where the map is highest, in [0, 1]. Maps fade out
            towards their lowest value, signed ones towards zero.
        cmap : str or matplotlib.colors.Colormap, default="inferno"
            Colors of maps without negative values, from the lowest to the highest value of each.
            The label below a map says where these are the same.
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
            With ``figure_``, ``axes_``, ``colorbars_`` and ``window_``.
        """
        if not 0 <= overlay <= 1:
            raise ValueError(f"overlay must be in [0, 1]; got {overlay}")
        pictures, grays, self.window_ = to_pictures(np.asarray(self.images))
        low, high = self.window_
        self.figure_, self.axes_ = self._make_axes(ax, size)
        shape = "equal" if self._ratio() == self.maps.shape[3] / self.maps.shape[2] else "auto"
        gray = {"cmap": "gray", "vmin": low, "vmax": high, "aspect": shape}
        signed_columns = self.maps.min(axis=(0, 2, 3)) < 0
        for row, axes in enumerate(self.axes_):
            axes[0].imshow(pictures[row], **gray)
            for ax, values, signed in zip(axes[1:], self.maps[row], signed_columns, strict=True):
                ax.imshow(grays[row], **gray)
                if signed:
                    drawn = _to_signed_unit(values)
                    alpha = min(1, 2 * overlay) * np.abs(drawn)
                    style = {"cmap": signed_cmap, "vmin": -1, "alpha": alpha}
                else:
                    drawn = _to_unit(values)
                    style = {"cmap": _fading(cmap), "vmin": 0, "alpha": overlay}
                ax.imshow(drawn, vmax=1, aspect=shape, **style)
            for ax in axes:
                ax.set(xticks=[], yticks=[])
        self._write()
        self.colorbars_ = []
        if colorbar:
            if not signed_columns.all():
                self._draw_colorbar(cmap, {0: "lowest", 1: "highest"})
            if signed_columns.any():
                self._draw_colorbar(signed_cmap, {-1: "-", 0: "0", 1: "+"})
        return self

    def _ratio(self):
        """Return the width of an image as drawn over its height."""
        height, width = self.maps.shape[2:]
        return np.clip(width / height, 1 / _LONGEST, _LONGEST)

    def _make_axes(self, ax, size):
        """Return the figure and the axes, and keep the size in pixels of the place of each."""
        n_images, n_maps = self.maps.shape[:2]
        n_columns = 1 + n_maps
        if ax is None:
            import matplotlib.pyplot as plt

            width = max(size * self._ratio(), 0.9)
            figure, axes = plt.subplots(
                n_images,
                n_columns,
                figsize=(width * n_columns + 1.4, (size + 0.25) * n_images),
                squeeze=False,
                layout="constrained",
            )
            self._new, self._place = True, (width * figure.dpi, size * figure.dpi)
            return figure, axes
        self._new = False
        axes = np.asarray(list(ax.values()) if isinstance(ax, Mapping) else ax, dtype=object)
        if not all(hasattr(one, "get_window_extent") for one in axes.flat):
            raise TypeError(f"ax must be matplotlib Axes or None; got {ax!r}")
        if axes.ndim == 0:
            place = ax.get_window_extent()
            self._place = 0.85 * place.width / n_columns, place.height / n_images
            ax.set_axis_off()
            return ax.figure, self._divide(ax, n_images, n_columns)
        if axes.size != n_images * n_columns:
            raise ValueError(
                f"ax must be one Axes or {n_images} x {n_columns} of them; got {axes.size}"
            )
        axes = axes.reshape(n_images, n_columns)
        place = axes[0, 0].get_window_extent()
        self._place = place.width, place.height
        return axes[0, 0].figure, axes

    def _divide(self, ax, n_rows, n_columns):
        """Return axes of a grid in the place of others."""
        if (place := ax.get_subplotspec()) is not None:
            return place.subgridspec(n_rows, n_columns, hspace=0.4).subplots(squeeze=False)
        from matplotlib.gridspec import GridSpec

        locator = ax.get_axes_locator()
        box = ax.get_position() if locator is None else locator(ax, None)
        grid = GridSpec(
            *(n_rows, n_columns),
            **{
                "left": box.x0,
                "right": box.x1,
                "bottom": box.y0 + 0.1 * box.height,
                "top": box.y1 - 0.05 * box.height,
                "hspace": 0.4,
            },
        )
        bottoms, tops, lefts, rights = grid.get_grid_positions(ax.figure)
        # Added one by one, as a layout engine would spread a grid over the whole figure.
        axes = [
            ax.figure.add_axes([left, bottom, right - left, top - bottom])
            for bottom, top in zip(bottoms, tops, strict=True)
            for left, right in zip(lefts, rights, strict=True)
        ]
        return np.array(axes, dtype=object).reshape(n_rows, n_columns)

    def _write(self):
        """Name rows and columns, and say what the colors do not."""
        width, height = self._place
        # Text between two rows of a figure that does not grow must leave most of it to them.
        points = 0.2 * height * 72 / self.figure_.dpi
        size = "small" if self._new or points > 9 else points

        def write(set_text, name, length=0.95 * width):
            return fit_text(set_text(as_text(name), fontsize=size, **AS_IT_IS), length)

        n_channels, (low, high) = self.images.shape[-1], self.window_
        mean = "" if n_channels in (1, 3) else f"mean of {n_channels} channels, "
        pixels, beside = 0, 0
        for row, (axes, title) in enumerate(zip(self.axes_, self.row_titles, strict=True)):
            titles = [title, *self.map_names] if row == 0 else [title]
            above = [write(ax.set_title, name) for ax, name in zip(axes, titles, strict=False)]
            below = [
                write(ax.set_xlabel, f"constant {values.flat[0]:.3g}")
                for ax, values in zip(axes[1:], self.maps[row], strict=True)
                if values.min() == values.max()
            ]
            if row == len(self.axes_) - 1:
                note = f"{mean}black {low:.4g}, white {high:.4g}"
                below.append(write(axes[0].set_xlabel, note))
            for texts in (above, below):
                pixels += max((text.get_window_extent().height for text in texts), default=0)
            if self.row_names is not None:
                label = write(axes[0].set_ylabel, self.row_names[row], 0.95 * height)
                beside = max(beside, label.get_window_extent().width)
        if self._new:
            self.figure_.set_size_inches(
                self.figure_.get_figwidth() + beside / self.figure_.dpi,
                len(self.axes_) * (height / self.figure_.dpi + 0.12) + pixels / self.figure_.dpi,
            )

    def _draw_colorbar(self, cmap, ticks):
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        bar = self.figure_.colorbar(
            ScalarMappable(Normalize(min(ticks), max(ticks)), cmap),
            ax=self.axes_.ravel().tolist(),
            # The labels take as much room again where no layout makes it.
            fraction=0.02 if self.figure_.get_layout_engine() else 0.06,
            aspect=40,
            pad=0.01,
        )
        bar.set_ticks(list(ticks), labels=list(ticks.values()), fontsize="small", rotation=90)
        self.colorbars_.append(bar)


def _fading(cmap):
    """Return a color map that is transparent at its lowest value and opaque at its highest."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    cmap = colormaps[cmap] if isinstance(cmap, str) else cmap
    positions = np.linspace(0, 1, 256)
    colors = cmap(positions)
    colors[:, 3] *= positions
    return ListedColormap(colors, name=cmap.name)


def _to_unit(values):
    values = values.astype(float)
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros(values.shape)


def _to_signed_unit(values):
    # Of a map of hardly a pixel the percentile is zero.
    limit = np.percentile(np.abs(values), 99) or np.abs(values).max()
    return np.clip(values / limit, -1, 1) if limit > 0 else np.zeros(values.shape)
