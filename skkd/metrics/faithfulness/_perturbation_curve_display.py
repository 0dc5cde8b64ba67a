"""Drawing of deletion and insertion curves."""

import numpy as np

from skkd._text import draw_legend, legend_label
from skkd.metrics._axes import take_axes
from skkd.metrics._names import name_by_class
from skkd.metrics.faithfulness._perturbation_curve import deletion_curve, insertion_curve

_CURVES = {"deletion": deletion_curve, "insertion": insertion_curve}


class PerturbationCurveDisplay:
    """Mean deletion or insertion curves of several explainers, with their spread over images.

    Make one with :meth:`from_estimator` or :meth:`from_curves`. The band around each mean is a
    standard deviation over images to either side; the legend has the mean area under the curve,
    of which lower is better for deletion and higher for insertion.

    Parameters
    ----------
    curves : dict of str to Bunch
        By name, what `deletion_curve` or `insertion_curve` returned.
    kind : {"deletion", "insertion"}
        Which of them.

    Attributes
    ----------
    lines_ : list of matplotlib.lines.Line2D
        The mean curves.
    bands_ : list of matplotlib.collections.PolyCollection
        The bands around them.
    ax_ : matplotlib.axes.Axes
        Axes with the curves.
    figure_ : matplotlib.figure.Figure
        Figure containing the curves.

    See Also
    --------
    deletion_curve : The figures behind the curves.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyClassifier
    >>> from skkd.metrics import PerturbationCurveDisplay
    >>> X, y = np.zeros((4, 2, 2, 1)), np.array([0, 1, 1, 1])
    >>> classifier = DummyClassifier().fit(X[:, 0, 0], y)
    >>> maps = {"flat": np.ones((4, 2, 2))}
    >>> display = PerturbationCurveDisplay.from_estimator(
    ...     classifier, X, y, maps, kind="deletion", n_steps=4
    ... )
    >>> display.lines_[0].get_label()
    'flat (AUC 0.625)'
    """

    def __init__(self, curves, kind):
        self.curves = curves
        self.kind = kind

    def plot(self, ax=None, *, curve_kwargs=None):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None makes a new figure.
        curve_kwargs : dict, default=None
            Arguments of :meth:`matplotlib.axes.Axes.plot` for all lines.

        Returns
        -------
        display : PerturbationCurveDisplay
            The display itself, with what was drawn as attributes.
        """
        ax = take_axes(self, ax)
        self.lines_, self.bands_ = [], []
        for name, curve in self.curves.items():
            mean, spread = curve.confidence.mean(axis=0), curve.confidence.std(axis=0)
            label = legend_label(f"{name} (AUC {curve.auc.mean():.3f})")
            style = {"label": label, **(curve_kwargs or {})}
            (line,) = ax.plot(curve.fractions, mean, **style)
            # Around a mean, a standard deviation may leave the range of probabilities.
            low, high = np.clip(mean - spread, 0, 1), np.clip(mean + spread, 0, 1)
            self.lines_.append(line)
            self.bands_.append(
                ax.fill_between(
                    curve.fractions, low, high, color=line.get_color(), alpha=0.15, linewidth=0
                )
            )
        done = "replaced" if self.kind == "deletion" else "put in"
        ax.set(
            xlabel=f"Share of pixels {done}, most important first",
            ylabel="Probability of the true class",
            xlim=(0, 1),
            ylim=(0, 1.02),
        )
        draw_legend(ax)
        return self

    @classmethod
    def from_curves(cls, curves, *, kind, ax=None, curve_kwargs=None):
        """Draw curves computed before.

        Parameters
        ----------
        curves : dict of str to Bunch
            By name, what `deletion_curve` or `insertion_curve` returned.
        kind : {"deletion", "insertion"}
            Which of them.
        ax, curve_kwargs : see `plot`
            Where and how to draw.

        Returns
        -------
        display : PerturbationCurveDisplay
            The display, drawn.
        """
        _check_kind(kind)
        return cls(dict(curves), kind).plot(ax, curve_kwargs=curve_kwargs)

    @classmethod
    def from_estimator(
        cls, estimator, X, y, explainers, *, kind, ax=None, curve_kwargs=None, **params
    ):
        """Compute curves and draw them.

        Parameters
        ----------
        estimator, X, y, explainers : see `fidelity_report`
            A classifier, its images, their true labels, and explanations by name.
        kind : {"deletion", "insertion"}
            Which curves.
        ax, curve_kwargs : see `plot`
            Where and how to draw.
        **params : dict
            Further parameters of `deletion_curve` or `insertion_curve`.

        Returns
        -------
        display : PerturbationCurveDisplay
            The display, drawn.
        """
        curve = _check_kind(kind)
        curves = {
            name: curve(estimator, X, y, explainer, **params)
            for name, explainer in name_by_class(explainers, "explainers").items()
        }
        return cls.from_curves(curves, kind=kind, ax=ax, curve_kwargs=curve_kwargs)


def _check_kind(kind):
    """Return the function that computes a kind of curve."""
    if not isinstance(kind, str) or kind not in _CURVES:
        raise ValueError(f"kind must be 'deletion' or 'insertion'; got {kind!r}")
    return _CURVES[kind]
