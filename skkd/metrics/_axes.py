"""The axes that displays draw on, and the bars on them."""

from skkd._text import AS_IT_IS, as_text, fit_text, ink


def take_axes(display, ax):
    """Give a display the axes to draw on, those of a new figure where there are none."""
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(layout="constrained")
    if not hasattr(ax, "figure"):
        raise TypeError(f"ax must be a matplotlib Axes or None; got {ax!r}")
    display.ax_, display.figure_ = ax, ax.figure
    return ax


def draw_bars(ax, lengths, spreads, names, **kwargs):
    """Draw a named horizontal bar for each row of a table, the first on top, and return them."""
    style = {"xerr": spreads, "capsize": 3, "ecolor": ink(ax), **kwargs}
    bars = ax.barh(range(len(names)), lengths, **style)
    # Wider names would leave nothing of the axes to the bars.
    fitted = ax.text(0, 0, "", fontsize=ax.yaxis.get_ticklabels()[0].get_fontsize(), **AS_IT_IS)
    labels = []
    for name in names:
        fitted.set_text(as_text(name))
        labels.append(fit_text(fitted, 0.4 * ax.figure.bbox.width).get_text())
    fitted.remove()
    ax.set_yticks(range(len(names)), labels, **AS_IT_IS)
    ax.invert_yaxis()
    return bars
