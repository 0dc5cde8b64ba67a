"""Drawing of deferral curves in the manner of scikit-learn's displays."""

import numpy as np

from skkd._text import draw_legend, ink, legend_label
from skkd.deployment._deferral_curve import deferral_curve
from skkd.deployment._deferring import DeferringClassifier
from skkd.metrics._axes import take_axes
from skkd.metrics._predictions import check_labels, label_codes

_YLABELS = {
    "accuracy": "Accuracy of student and fallback",
    "accuracy_kept": "Accuracy on what the student keeps",
    "cost": "Mean cost of an image",
}


class DeferralCurveDisplay:
    """Accuracy or cost of a student that hands over, over the share of images it hands over.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    curve : pandas.DataFrame
        What `deferral_curve` returns.
    share_asked : float, default=None
        Share of the images that is handed over at the threshold in use, marked by a dot.
    name : str, default=None
        Name of the student in the legend.

    Attributes
    ----------
    line_ : matplotlib.lines.Line2D
        The curve.
    chance_line_ : matplotlib.lines.Line2D or None
        What handing over images drawn at random would give, or None without reference line, or
        where the curve lacks the student or the fallback alone.
    point_ : matplotlib.lines.Line2D or None
        The threshold in use, or None if none is known.
    ax_ : matplotlib.axes.Axes
        Axes with the curve.
    figure_ : matplotlib.figure.Figure
        Figure containing the curve.

    See Also
    --------
    deferral_curve : The figures behind the curve.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from skkd import DeferralCurveDisplay, DeferringClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> teacher = RandomForestClassifier(random_state=0)
    >>> deferring = DeferringClassifier(GaussianNB(), teacher, threshold=0.9).fit(X[::2], y[::2])
    >>> display = DeferralCurveDisplay.from_estimator(deferring, X[1::2], y[1::2])
    >>> display.ax_.get_xlabel()
    'Share of images handed over'
    """

    def __init__(self, curve, *, share_asked=None, name=None):
        self.curve = curve
        self.share_asked = share_asked
        self.name = name

    def plot(self, ax=None, *, metric="accuracy", name=None, ref_line=True, curve_kwargs=None):
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None makes a new figure.
        metric : {"accuracy", "accuracy_kept", "cost"}, default="accuracy"
            Column of the curve that is drawn.
        name : str, default=None
            Name of the student in the legend. None means the `name` of the display.
        ref_line : bool, default=True
            Draw what handing over images drawn at random would give.
        curve_kwargs : dict, default=None
            Arguments of :meth:`matplotlib.axes.Axes.plot` for the curve.

        Returns
        -------
        display : DeferralCurveDisplay
            The display itself, with the drawn lines as attributes.
        """
        from matplotlib.cbook import normalize_kwargs
        from matplotlib.lines import Line2D

        if metric not in _YLABELS:
            raise ValueError(f"metric must be one of {sorted(_YLABELS)}; got {metric!r}")
        shares = self.curve["share_asked"].to_numpy()
        values = self.curve[metric].to_numpy()
        if np.isnan(values).all():
            raise ValueError(
                f"metric={metric!r} is not known without the answers of the fallback; draw "
                "metric='accuracy_kept', or give them"
            )
        ax = take_axes(self, ax)
        name = self.name if name is None else name
        label = legend_label("Least sure first" if name is None else name)
        style = {"label": label, **normalize_kwargs(curve_kwargs or {}, Line2D)}
        (self.line_,) = ax.plot(shares, values, **style)
        self.chance_line_ = self.point_ = None
        if ref_line and shares.min() == 0 and shares.max() == 1:
            self._plot_chance(shares, values)
        if self.share_asked is not None:
            nearest = np.abs(shares - self.share_asked).argmin()
            self.point_ = ax.plot(
                shares[nearest],
                values[nearest],
                "o",
                color=self.line_.get_color(),
                label=legend_label("Threshold in use"),
            )[0]
        ax.set_xlabel("Share of images handed over")
        ax.set_ylabel(_YLABELS[metric])
        draw_legend(ax)
        return self

    def _plot_chance(self, shares, values):
        """Draw the straight line from the student alone to the fallback alone."""
        alone, everything = values[shares.argmin()], values[shares.argmax()]
        # Of what is kept at random the student gets as much right as of all.
        everything = alone if np.isnan(everything) else everything
        (self.chance_line_,) = self.ax_.plot(
            [0, 1],
            [alone, everything],
            linestyle="--",
            linewidth=1,
            color=ink(self.ax_),
            label="Drawn at random",
        )

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        student_cost=0.0,
        fallback_cost=1.0,
        error_cost=0.0,
        metric="accuracy",
        name=None,
        ax=None,
        ref_line=True,
        curve_kwargs=None,
    ):
        """Draw the curve of a fitted `DeferringClassifier`, whose fallback is asked about all.

        Parameters
        ----------
        estimator : DeferringClassifier
            Fitted.
        X : array-like of shape (n_samples, ...), or paths
            Images.
        y : array-like of shape (n_samples,)
            True labels.
        student_cost, fallback_cost, error_cost : float
            See `deferral_curve`.
        metric : {"accuracy", "accuracy_kept", "cost"}, default="accuracy"
            What to draw. Without a fallback ``"accuracy_kept"`` and the cost of asking are known.
        name : str, default=None
            Name of the student in the legend.
        ax, ref_line, curve_kwargs : see `plot`
            Where and how to draw.

        Returns
        -------
        display : DeferralCurveDisplay
            The display, drawn, with the threshold in use.
        """
        if not isinstance(estimator, DeferringClassifier):
            raise TypeError(
                f"estimator must be a DeferringClassifier; got {type(estimator).__name__}: for "
                "others, DeferralCurveDisplay.from_predictions"
            )
        y = check_labels(y, "y")
        proba, fallback, deferred = estimator._answers(X)
        if len(y) != len(proba):
            raise ValueError(f"y must have a label for each of the {len(proba)} rows of X")
        label_codes(y, estimator.classes_, "y")
        return cls.from_predictions(
            y,
            proba,
            fallback,
            labels=estimator.classes_,
            student_cost=student_cost,
            fallback_cost=fallback_cost,
            error_cost=error_cost,
            share_asked=deferred.mean(),
            metric=metric,
            name=name,
            ax=ax,
            ref_line=ref_line,
            curve_kwargs=curve_kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_proba,
        fallback=None,
        *,
        labels=None,
        student_cost=0.0,
        fallback_cost=1.0,
        error_cost=0.0,
        share_asked=None,
        metric="accuracy",
        name=None,
        ax=None,
        ref_line=True,
        curve_kwargs=None,
    ):
        """Draw the curve of predictions.

        Parameters
        ----------
        y_true, y_proba, fallback, labels : see `deferral_curve`
            Labels, and what student and fallback say.
        student_cost, fallback_cost, error_cost : float
            See `deferral_curve`.
        share_asked : float, default=None
            Share of the images that is handed over at the threshold in use, marked by a dot.
        metric : {"accuracy", "accuracy_kept", "cost"}, default="accuracy"
            What to draw.
        name : str, default=None
            Name of the student in the legend.
        ax, ref_line, curve_kwargs : see `plot`
            Where and how to draw.

        Returns
        -------
        display : DeferralCurveDisplay
            The display, drawn.
        """
        curve = deferral_curve(
            y_true,
            y_proba,
            fallback,
            labels=labels,
            student_cost=student_cost,
            fallback_cost=fallback_cost,
            error_cost=error_cost,
        )
        display = cls(curve, share_asked=share_asked, name=name)
        return display.plot(ax, metric=metric, ref_line=ref_line, curve_kwargs=curve_kwargs)
