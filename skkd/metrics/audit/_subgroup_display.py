"""Drawing of scores by subgroup."""

import pandas as pd

from skkd._text import AS_IT_IS, as_text, ink
from skkd.metrics._axes import take_axes
from skkd.metrics.audit._subgroups import ALL, INTERNAL, subgroup_report

# Inches of height that a line of the picture takes.
_LINE = 0.27


class SubgroupDisplay:
    """Forest plot of a score by subgroup, each with its interval.

    Make one with :meth:`from_estimator` or :meth:`from_report`. The vertical line is the score of
    all images of the set that the report is about. Filled dots are subgroups that differ from the
    rest by a corrected p-value below 0.05, hollow ones the others. The number of images stands at
    the right, in gray where there are too few, or of too few classes, for the score.

    Parameters
    ----------
    report : pandas.DataFrame
        Rows of one score of what `subgroup_report` returned.

    Attributes
    ----------
    dots_ : matplotlib.collections.PathCollection
        The scores.
    intervals_ : matplotlib.collections.LineCollection
        Their intervals.
    line_ : matplotlib.lines.Line2D
        The score of all images.
    ax_ : matplotlib.axes.Axes
        Axes with the plot.
    figure_ : matplotlib.figure.Figure
        Figure containing the plot.

    See Also
    --------
    subgroup_report : The figures behind the plot.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyClassifier
    >>> from skkd.metrics import SubgroupDisplay
    >>> X, y = np.zeros((40, 1)), np.repeat(["a", "b"], [30, 10])
    >>> display = SubgroupDisplay.from_estimator(
    ...     DummyClassifier().fit(X, y), X, y, {"sex": np.tile(["F", "M"], 20)}, random_state=0
    ... )
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['all', 'sex', 'F', 'M']
    """

    def __init__(self, report):
        self.report = report

    def plot(self, ax=None, *, dot_kwargs=None):
        """Draw the plot.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None makes a new figure, as high as the report is long.
        dot_kwargs : dict, default=None
            Arguments of ``Axes.scatter`` of matplotlib.

        Returns
        -------
        display : SubgroupDisplay
            The display itself, with what was drawn as attributes.
        """
        is_new = ax is None
        ax = take_axes(self, ax)
        report = self.report
        labels, places = _lines(report)
        if is_new:
            self.figure_.set_size_inches(6.4, max(2.4, _LINE * len(labels) + 1.2))
        color = ink(ax)
        self.intervals_ = ax.hlines(places, report["low"], report["high"], color=color, lw=1.2)
        differs = (report["p_adjusted"] < 0.05).to_numpy()
        style = {
            "s": 36,
            "zorder": 3,
            "linewidths": 1.2,
            "facecolors": ["C3" if one else ax.get_facecolor() for one in differs],
            "edgecolors": ["C3" if one else color for one in differs],
        }
        self.dots_ = ax.scatter(report["estimate"], places, **{**style, **(dot_kwargs or {})})
        whole = report[(report["column"] == ALL) & (report["set"] == INTERNAL)]
        self.line_ = ax.axvline(whole["estimate"].iloc[0], ls=":", color=color, zorder=0)
        ax.set_yticks(range(len(labels)), labels, **AS_IT_IS)
        for line, text in enumerate(ax.get_yticklabels()):
            if line not in places:
                text.set_fontweight("bold")
        ax.tick_params("y", length=0)
        ax.set_ylim(len(labels) - 0.5, -0.5)
        for place, n, known in zip(places, report["n"], report["estimate"].notna(), strict=True):
            ax.annotate(
                f"{n:,}",
                (1, place),
                xycoords=ax.get_yaxis_transform(),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize="small",
                color=color if known else "0.6",
            )
        ax.annotate(
            "images",
            (1, 1),
            xycoords="axes fraction",
            xytext=(4, 4),
            textcoords="offset points",
            fontsize="small",
            color=color,
        )
        ax.set_xlabel(as_text(report["score"].iloc[0]), **AS_IT_IS)
        return self

    @classmethod
    def from_report(cls, report, *, score=None, ax=None, dot_kwargs=None):
        """Draw a report made before.

        Parameters
        ----------
        report : pandas.DataFrame
            What `subgroup_report` returned.
        score : str, default=None
            Which of the scores in it. None takes the first.
        ax, dot_kwargs : see `plot`
            Where and how to draw.

        Returns
        -------
        display : SubgroupDisplay
            The display, drawn.
        """
        if not isinstance(report, pd.DataFrame) or not {"score", "p_adjusted"} <= set(report):
            raise TypeError(f"report must be what subgroup_report returns; got {report!r}")
        names = report["score"].unique().tolist()
        if score is not None and score not in names:
            raise ValueError(f"score must be one of those in the report, {names}; got {score!r}")
        wanted = report[report["score"] == (names[0] if score is None else score)]
        return cls(wanted.reset_index(drop=True)).plot(ax, dot_kwargs=dot_kwargs)

    @classmethod
    def from_estimator(
        cls, estimator, X, y, metadata, *, score=None, ax=None, dot_kwargs=None, **params
    ):
        """Score subgroups and draw them.

        Parameters
        ----------
        estimator, X, y, metadata : see `subgroup_report`
            A classifier, images, their true labels, and what is known of them.
        score : see `from_report`
            Which of several scores is drawn.
        ax, dot_kwargs : see `plot`
            Where and how to draw.
        **params : dict
            Further parameters of `subgroup_report`.

        Returns
        -------
        display : SubgroupDisplay
            The display, drawn.
        """
        report = subgroup_report(estimator, X, y, metadata, **params)
        return cls.from_report(report, score=score, ax=ax, dot_kwargs=dot_kwargs)


def _lines(report):
    """Return the labels of all lines, and the line of each row: columns have lines of their own."""
    labels, places = [], []
    several = report["set"].nunique() > 1
    before = None
    for row in report.itertuples():
        here = row.set, row.column
        if row.column == ALL:
            labels.append(f"{ALL} of {row.set}" if several else ALL)
        else:
            if here != before:
                labels.append(row.column if row.set == INTERNAL else f"{row.column} of {row.set}")
            labels.append(row.value)
        before = here
        places.append(len(labels) - 1)
    return [as_text(label) for label in labels], places
