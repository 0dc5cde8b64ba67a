"""The axes that displays draw on, and the bars on them."""


def take_axes(display, ax):
    """Give a display the axes to draw on, those of a new figure where there are none."""
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(layout="constrained")
    display.ax_, display.figure_ = ax, ax.figure
    return ax


def draw_bars(ax, lengths, spreads, names, **kwargs):
    """Draw a named horizontal bar for each row of a table, the first on top, and return them."""
    bars = ax.barh(range(len(names)), lengths, **{"xerr": spreads, "capsize": 3, **kwargs})
    ax.set(yticks=range(len(names)), yticklabels=names)
    ax.invert_yaxis()
    return bars
