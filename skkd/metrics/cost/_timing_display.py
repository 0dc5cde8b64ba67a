"""Drawing of what explanations cost."""

import pandas as pd

from skkd.metrics._axes import draw_bars, take_axes
from skkd.metrics.cost._timing import explain_timing


class TimingDisplay:
    """Bars of the mean execution time of each explainer, with its spread over repeats.

    Make one with :meth:`from_explainers` or :meth:`from_timing`. Times are on a logarithmic axis,
    as explainers differ by orders of magnitude.

    Parameters
    ----------
    met : ndarray of shape (n_explainers,)
        Mean execution times in seconds an image.
    met_std : ndarray of shape (n_explainers,)
        Their standard deviations.
    names : list of str
        Label of each bar.

    Attributes
    ----------
    bars_ : matplotlib.container.BarContainer
        The bars.
    ax_ : matplotlib.axes.Axes
        Axes with the bars.
    figure_ : matplotlib.figure.Figure
        Figure containing the bars.

    See Also
    --------
    explain_timing : The figures behind the bars.

    Examples
    --------
    >>> import numpy as np
    >>> from skkd import FeatureMapExplainer, FiveBlockCNN
    >>> from skkd.metrics import TimingDisplay
    >>> model = FiveBlockCNN(filters=(4,)).build((8, 8, 1), n_classes=3)
    >>> explainers = {"student": [FeatureMapExplainer(model)]}
    >>> display = TimingDisplay.from_explainers(explainers, np.zeros((4, 8, 8, 1)), n_repeats=2)
    >>> display.names
    ['FeatureMapExplainer (student)']
    """

    def __init__(self, met, met_std, names):
        self.met = met
        self.met_std = met_std
        self.names = names

    def plot(self, ax=None, *, bar_kwargs=None):
        """Draw the bars.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None makes a new figure.
        bar_kwargs : dict, default=None
            Arguments of :meth:`matplotlib.axes.Axes.barh`.

        Returns
        -------
        display : TimingDisplay
            The display itself, with the bars as attributes.
        """
        ax = take_axes(self, ax)
        self.bars_ = draw_bars(ax, self.met, self.met_std, self.names, **(bar_kwargs or {}))
        ax.set(xscale="log", xlabel="Mean execution time (seconds per image)")
        ax.bar_label(self.bars_, labels=[f"{met:.2g} s" for met in self.met], padding=3)
        ax.margins(x=0.15)
        return self

    @classmethod
    def from_timing(cls, timing, *, ax=None, bar_kwargs=None):
        """Draw a table made before.

        Parameters
        ----------
        timing : pandas.DataFrame
            What `explain_timing` returned.
        ax, bar_kwargs : see `plot`
            Where and how to draw.

        Returns
        -------
        display : TimingDisplay
            The display, drawn.
        """
        if not isinstance(timing, pd.DataFrame) or "met_std" not in timing:
            raise TypeError(f"timing must be what explain_timing returns; got {timing!r}")
        names = (timing["explainer"] + " (" + timing["model"] + ")").to_list()
        display = cls(timing["met"].to_numpy(), timing["met_std"].to_numpy(), names)
        return display.plot(ax, bar_kwargs=bar_kwargs)

    @classmethod
    def from_explainers(
        cls,
        explainers,
        X,
        y=None,
        *,
        n_repeats=5,
        warmup=1,
        batch_size=1,
        ax=None,
        bar_kwargs=None,
    ):
        """Time explainers and draw the result.

        Parameters
        ----------
        explainers, X, y, n_repeats, warmup, batch_size : see `explain_timing`
            What to time, on which images, and how often.
        ax, bar_kwargs : see `plot`
            Where and how to draw.

        Returns
        -------
        display : TimingDisplay
            The display, drawn.
        """
        timing = explain_timing(
            explainers, X, y, n_repeats=n_repeats, warmup=warmup, batch_size=batch_size
        )
        return cls.from_timing(timing, ax=ax, bar_kwargs=bar_kwargs)
