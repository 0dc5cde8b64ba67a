"""Drawing of decision curves in the manner of scikit-learn's displays."""

import numpy as np

from skkd._text import AS_IT_IS, as_text, draw_legend, fit_text, ink, legend_label
from skkd.metrics._axes import take_axes
from skkd.metrics._predictions import check_labels, label_codes
from skkd.metrics.usefulness._decision_curve import decision_curve


class DecisionCurveDisplay:
    """Decision curves of a classifier, beside treating all and treating none.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`. A model is useful at the
    thresholds where its line is above both its treat-all line and the treat-none line.

    Parameters
    ----------
    thresholds : ndarray of shape (n_thresholds,)
        Threshold probabilities, in (0, 1).
    net_benefit : ndarray of shape (n_classes, n_thresholds)
        Net benefit of the model for each class against the rest.
    net_benefit_treat_all : ndarray of shape (n_classes, n_thresholds)
        Net benefit of treating all, for each class.
    classes : sequence of length n_classes
        The classes treated: the positive one of two, or all of more.
    standardized : bool, default=False
        Whether the net benefits are divided by the prevalence.
    name : str, default=None
        Name of the model in the legend.
    net_benefit_interval : ndarray of shape (2, n_classes, n_thresholds), default=None
        Lower and upper ends of the model's net benefit, drawn as a band around its line.

    Attributes
    ----------
    bands_ : list of matplotlib.collections.PolyCollection
        The band around the model's line for each class, or an empty list without intervals.
    lines_ : list of matplotlib.lines.Line2D
        The model's line for each class.
    treat_all_lines_ : list of matplotlib.lines.Line2D
        The treat-all line for each class, or an empty list without reference lines.
    treat_none_line_ : matplotlib.lines.Line2D or None
        The treat-none line, or None without reference lines.
    ax_ : matplotlib.axes.Axes
        Axes with the curves.
    figure_ : matplotlib.figure.Figure
        Figure containing the curves.

    See Also
    --------
    decision_curve : The figures behind the curves, in a table.

    References
    ----------
    .. [1] Vickers AJ, Elkin EB. Decision curve analysis: a novel method for evaluating
       prediction models. Medical Decision Making 26(6):565-574, 2006.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skkd.metrics import DecisionCurveDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = LogisticRegression(max_iter=500).fit(X[::2], y[::2])
    >>> display = DecisionCurveDisplay.from_estimator(classifier, X[1::2], y[1::2])
    >>> len(display.lines_), display.net_benefit.shape
    (3, (3, 99))
    """

    def __init__(
        self,
        thresholds,
        net_benefit,
        net_benefit_treat_all,
        classes,
        *,
        standardized=False,
        name=None,
        net_benefit_interval=None,
    ):
        self.thresholds = thresholds
        self.net_benefit = net_benefit
        self.net_benefit_treat_all = net_benefit_treat_all
        self.classes = classes
        self.standardized = standardized
        self.name = name
        self.net_benefit_interval = net_benefit_interval

    def plot(self, ax=None, *, name=None, ref_lines=True, curve_kwargs=None):
        """Draw the curves.

        The axes end a quarter of the highest value below zero: treating all falls without
        bound as the threshold nears 1, and would flatten the part where strategies compete. A
        line that leaves them at the bottom does more harm than treating nobody.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None makes a new figure.
        name : str, default=None
            Name of the model in the legend. None means the `name` of the display.
        ref_lines : bool, default=True
            Draw the treat-all and treat-none lines. Pass False when adding a second model on
            the same rows to axes that already have them.
        curve_kwargs : dict or list of dict, default=None
            Arguments of :meth:`matplotlib.axes.Axes.plot` for the model's lines: one for all
            classes, or one a class.

        Returns
        -------
        display : DecisionCurveDisplay
            The display itself, with the drawn lines as attributes.
        """
        from matplotlib.cbook import normalize_kwargs
        from matplotlib.lines import Line2D

        n_classes = len(self.classes)
        if curve_kwargs is None or isinstance(curve_kwargs, dict):
            curve_kwargs = [curve_kwargs or {}] * n_classes
        if len(curve_kwargs) != n_classes:
            raise ValueError(
                f"curve_kwargs must be a dict or a list of one for each of the {n_classes} "
                f"curves; got {len(curve_kwargs)}"
            )
        ax = take_axes(self, ax)
        name = self.name if name is None else name
        drawn_before = ax.get_ylim() if ax.has_data() else None

        self.lines_, self.treat_all_lines_, self.treat_none_line_ = [], [], None
        self.bands_ = []
        for label, values, options in zip(
            self.classes, self.net_benefit, curve_kwargs, strict=True
        ):
            text = legend_label(self._line_label(label, name))
            style = {"label": text, **normalize_kwargs(options, Line2D)}
            self.lines_ += ax.plot(self.thresholds, values, **style)
        if self.net_benefit_interval is not None:
            for line, low, high in zip(self.lines_, *self.net_benefit_interval, strict=True):
                style = {"color": line.get_color(), "alpha": 0.2, "linewidth": 0}
                self.bands_.append(ax.fill_between(self.thresholds, low, high, **style))
        if ref_lines:
            self._plot_references()

        ax.set_ylim(*self._y_limits(drawn_before))
        of_class = f" of class {self.classes[0]}" if n_classes == 1 else ""
        unit = (
            "Standardized net benefit (share of the best possible)"
            if self.standardized
            else "Net benefit (net true positives per patient)"
        )
        ax.set_ylabel(unit)
        xlabel = ax.set_xlabel(as_text(f"Threshold probability{of_class}"), **AS_IT_IS)
        fit_text(xlabel, ax.get_window_extent().width)
        draw_legend(ax)
        return self

    def _line_label(self, label, name):
        """Return the legend entry of a model's line."""
        if len(self.classes) == 1:
            return "Model" if name is None else name
        return str(label) if name is None else f"{name}: {label}"

    def _plot_references(self):
        """Draw a dashed treat-all line for each class and the common treat-none line."""
        several = len(self.classes) > 1
        for line, values in zip(self.lines_, self.net_benefit_treat_all, strict=True):
            self.treat_all_lines_ += self.ax_.plot(
                self.thresholds,
                values,
                linestyle="--",
                linewidth=1,
                color=line.get_color() if several else ink(self.ax_),
                label=None if several else "Treat all",
            )
        if several:
            # One entry stands for all the dashed lines: their colors already tell the class.
            style = {"linestyle": "--", "linewidth": 1, "color": ink(self.ax_)}
            self.ax_.plot([], [], label="Treat all", **style)
        self.treat_none_line_ = self.ax_.axhline(
            0, linestyle=":", linewidth=1, color=ink(self.ax_), label="Treat none"
        )

    def _y_limits(self, drawn_before):
        """Return limits that hold the useful range, however deep treating all falls."""
        lowest = min(self.net_benefit.min(), 0)
        highest = max(self.net_benefit.max(), self.net_benefit_treat_all.max(), 0)
        if self.net_benefit_interval is not None:
            lowest = min(lowest, np.nanmin(self.net_benefit_interval))
            highest = max(highest, np.nanmax(self.net_benefit_interval))
        if highest > 0:
            lowest = max(lowest, -highest / 4)
        margin = 0.05 * (highest - lowest) or 0.05
        low, high = lowest - margin, highest + margin
        if drawn_before is not None:
            low, high = min(low, drawn_before[0]), max(high, drawn_before[1])
        return low, high

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        thresholds=None,
        pos_label=None,
        prevalence=None,
        standardized=False,
        sample_weight=None,
        test_harm=0.0,
        confidence=None,
        groups=None,
        n_resamples=2000,
        random_state=None,
        name=None,
        ax=None,
        ref_lines=True,
        curve_kwargs=None,
    ):
        """Draw the decision curves of a fitted classifier.

        Parameters
        ----------
        estimator : estimator instance
            Fitted classifier, or Pipeline ending in one, with `predict_proba` and `classes_`.
        X : array-like of shape (n_samples, ...)
            Samples, in whatever form `estimator` takes.
        y : array-like of shape (n_samples,)
            True labels.
        thresholds : array-like of shape (n_thresholds,), default=None
            Threshold probabilities, in (0, 1). None means 0.01, 0.02, ..., 0.99.
        pos_label : int, float, bool or str, default=None
            For two classes, the class to treat. None means ``estimator.classes_[1]``.
        prevalence, standardized : see `decision_curve`
            Shares of the classes in the population, and whether to divide by them.
        sample_weight, test_harm : see `decision_curve`
            Weights of the rows, and the harm of the test itself.
        confidence, groups, n_resamples, random_state : see `decision_curve`
            Of the intervals, drawn as a band around each of the model's lines.
        name : str, default=None
            Name of the model in the legend. None means the name of its class.
        ax, ref_lines, curve_kwargs : see `plot`
            Where and how to draw.

        Returns
        -------
        display : DecisionCurveDisplay
            The display, drawn.
        """
        if not hasattr(estimator, "predict_proba"):
            raise TypeError(
                f"estimator must have predict_proba; got {type(estimator).__name__}: wrap it in "
                "sklearn.calibration.CalibratedClassifierCV"
            )
        y = check_labels(y, "y")
        y_proba = estimator.predict_proba(X)
        labels = estimator.classes_
        if len(y) != len(y_proba):
            raise ValueError(f"y must have a label for each of the {len(y_proba)} rows of X")
        label_codes(y, labels, "y")
        if pos_label is None and len(labels) == 2:
            pos_label = labels[1]
        return cls.from_predictions(
            y,
            y_proba,
            thresholds=thresholds,
            labels=labels,
            pos_label=pos_label,
            prevalence=prevalence,
            standardized=standardized,
            sample_weight=sample_weight,
            test_harm=test_harm,
            confidence=confidence,
            groups=groups,
            n_resamples=n_resamples,
            random_state=random_state,
            name=type(estimator).__name__ if name is None else name,
            ax=ax,
            ref_lines=ref_lines,
            curve_kwargs=curve_kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_proba,
        *,
        thresholds=None,
        labels=None,
        pos_label=None,
        prevalence=None,
        standardized=False,
        sample_weight=None,
        test_harm=0.0,
        confidence=None,
        groups=None,
        n_resamples=2000,
        random_state=None,
        name=None,
        ax=None,
        ref_lines=True,
        curve_kwargs=None,
    ):
        """Draw the decision curves of predicted probabilities.

        Parameters
        ----------
        y_true, y_proba, thresholds, labels, pos_label : see `decision_curve`
            Labels, probabilities of them, where to compare, and which class is treated.
        prevalence, standardized : see `decision_curve`
            Shares of the classes in the population, and whether to divide by them.
        sample_weight, test_harm : see `decision_curve`
            Weights of the rows, and the harm of the test itself.
        confidence, groups, n_resamples, random_state : see `decision_curve`
            Of the intervals, drawn as a band around each of the model's lines.
        name : str, default=None
            Name of the model in the legend.
        ax, ref_lines, curve_kwargs : see `plot`
            Where and how to draw.

        Returns
        -------
        display : DecisionCurveDisplay
            The display, drawn.

        Examples
        --------
        >>> from skkd.metrics import DecisionCurveDisplay
        >>> display = DecisionCurveDisplay.from_predictions([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.8])
        >>> display.ax_.get_xlabel()
        'Threshold probability of class 1'
        """
        curve = decision_curve(
            y_true,
            y_proba,
            thresholds=thresholds,
            labels=labels,
            pos_label=pos_label,
            prevalence=prevalence,
            standardized=standardized,
            sample_weight=sample_weight,
            test_harm=test_harm,
            confidence=confidence,
            groups=groups,
            n_resamples=n_resamples,
            random_state=random_state,
        )
        classes = curve["class"].unique().tolist()
        model, treat_all = (
            curve.loc[curve["strategy"] == strategy, "net_benefit"].to_numpy()
            for strategy in ("model", "treat all")
        )
        interval = None
        if confidence is not None:
            ends = curve.loc[curve["strategy"] == "model", ["net_benefit_low", "net_benefit_high"]]
            interval = ends.to_numpy().T.reshape(2, len(classes), -1)
        display = cls(
            thresholds=curve["threshold"].unique(),
            net_benefit=model.reshape(len(classes), -1),
            net_benefit_treat_all=treat_all.reshape(len(classes), -1),
            classes=classes,
            standardized=standardized,
            name=name,
            net_benefit_interval=interval,
        )
        return display.plot(ax, ref_lines=ref_lines, curve_kwargs=curve_kwargs)
