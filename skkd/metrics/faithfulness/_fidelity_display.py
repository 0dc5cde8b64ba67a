"""Drawing of how faithful explanations are."""

import numpy as np
import pandas as pd

from skkd._text import ink
from skkd.metrics._axes import draw_bars, take_axes
from skkd.metrics.faithfulness._fidelity_report import fidelity_report


class FidelityDisplay:
    """Bars of the fidelity of each explainer and control, with its interval or spread.

    Make one with :meth:`from_estimator` or :meth:`from_report`. The bar is the average over the
    classes, whose own means are dots; the line across its end is the interval of the average if the
    report has one, and a standard deviation over images to either side if not. The controls, a
    random map and the inverted ones, are gray.

    Parameters
    ----------
    report : pandas.DataFrame
        What `fidelity_report` returned.

    Attributes
    ----------
    bars_ : matplotlib.container.BarContainer
        The bars.
    dots_ : matplotlib.collections.PathCollection
        The means of the classes.
    random_line_ : matplotlib.lines.Line2D
        The average of the random map.
    ax_ : matplotlib.axes.Axes
        Axes with the bars.
    figure_ : matplotlib.figure.Figure
        Figure containing the bars.

    See Also
    --------
    fidelity_report : The figures behind the bars.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyClassifier
    >>> from skkd.metrics import FidelityDisplay
    >>> X, y = np.zeros((4, 2, 2, 1)), np.array([0, 1, 1, 1])
    >>> classifier = DummyClassifier().fit(X[:, 0, 0], y)
    >>> maps = {"flat": np.ones((4, 2, 2))}
    >>> display = FidelityDisplay.from_estimator(classifier, X, y, maps)
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['flat', 'random', 'inverted flat']
    """

    def __init__(self, report):
        self.report = report

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
        display : FidelityDisplay
            The display itself, with what was drawn as attributes.
        """
        ax = take_axes(self, ax)
        report = self.report
        rows = range(len(report))
        # The classes come first, the controls last.
        first_control = report.index.get_loc("random")
        classes = report.columns[: report.columns.get_loc("average")]
        colors = ["C0" if row < first_control else "0.75" for row in rows]
        style = {"color": colors, **(bar_kwargs or {})}
        spread = report["std"]
        if "low" in report.columns[report.columns.get_loc("average") :]:
            spread = np.abs(report[["low", "high"]].T - report["average"])
        self.bars_ = draw_bars(ax, report["average"], spread, report.index, **style)
        self.dots_ = ax.scatter(
            report[classes].to_numpy(),
            [[row] * len(classes) for row in rows],
            s=12,
            color=ink(ax),
            edgecolors=ax.get_facecolor(),
            linewidths=0.5,
            zorder=3,
            label="Mean of a class",
        )
        self.random_line_ = ax.axvline(
            report["average"].iloc[first_control],
            linestyle=":",
            color=ink(ax),
            zorder=2.5,
            label="Random map",
        )
        ax.set_xlabel("Fidelity (confidence after perturbation / before)")
        ax.set_xlim(left=0)
        ax.legend()
        return self

    @classmethod
    def from_report(cls, report, *, ax=None, bar_kwargs=None):
        """Draw a report made before.

        Parameters
        ----------
        report : pandas.DataFrame
            What `fidelity_report` returned.
        ax, bar_kwargs : see `plot`
            Where and how to draw.

        Returns
        -------
        display : FidelityDisplay
            The display, drawn.
        """
        if not isinstance(report, pd.DataFrame) or "average" not in report:
            raise TypeError(f"report must be what fidelity_report returns; got {report!r}")
        return cls(report).plot(ax, bar_kwargs=bar_kwargs)

    @classmethod
    def from_estimator(cls, estimator, X, y, explainers, *, ax=None, bar_kwargs=None, **params):
        """Measure fidelity and draw it.

        Parameters
        ----------
        estimator, X, y, explainers : see `fidelity_report`
            A classifier, its images, their true labels, and explanations by name.
        ax, bar_kwargs : see `plot`
            Where and how to draw.
        **params : dict
            Further parameters of `fidelity_report`.

        Returns
        -------
        display : FidelityDisplay
            The display, drawn.
        """
        report = fidelity_report(estimator, X, y, explainers, **params)
        return cls.from_report(report, ax=ax, bar_kwargs=bar_kwargs)
