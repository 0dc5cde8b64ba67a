"""A heat map of a search over alpha and the temperature."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skkd._text import AS_IT_IS, as_text, fit_text
from skkd.metrics._axes import take_axes
from skkd.metrics.usefulness._distillation_report import searched


class DistillationGridDisplay:
    """Scores of a search, a row an alpha and a column a temperature.

    Use `from_search` to make one.

    Parameters
    ----------
    scores : ndarray of shape (n_alphas, n_temperatures)
        Mean score over the folds; NaN where a pair was not tried.
    alphas : ndarray of shape (n_alphas,)
        Weights of the hard loss, ascending.
    temperatures : ndarray of shape (n_temperatures,)
        Temperatures, ascending.
    score_name : str, default="score"
        What the scores are.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes, after `plot`.
    figure_ : matplotlib.figure.Figure
        Their figure.
    im_ : matplotlib.image.AxesImage
        The heat map.
    text_ : ndarray of matplotlib.text.Text
        The numbers in it.

    See Also
    --------
    distillation_report : The same as a table.

    Examples
    --------
    >>> from skkd import DistillationGridDisplay
    >>> display = DistillationGridDisplay(
    ...     scores=[[0.9, 0.8], [0.7, 0.6]], alphas=[0.4, 0.7], temperatures=[5, 10]
    ... )
    >>> display.plot().ax_.get_xlabel()
    'temperature'
    """

    def __init__(self, *, scores, alphas, temperatures, score_name="score"):
        self.scores = scores
        self.alphas = alphas
        self.temperatures = temperatures
        self.score_name = score_name

    @classmethod
    def from_search(cls, search, *, score=None, ax=None, cmap="viridis"):
        """Draw a fitted search.

        Parameters
        ----------
        search : GridSearchCV or another fitted search over a KDClassifier
            Where other parameters were searched too, each pair shows its best candidate.
        score : str, default=None
            Which of several scorers; None takes the one the search refits by.
        ax, cmap : see `plot`
            Where and how to draw.

        Returns
        -------
        display : DistillationGridDisplay
            The drawn display.
        """
        check_is_fitted(search, "cv_results_")
        results = search.cv_results_
        if score is None:
            score = search.refit if isinstance(search.refit, str) else "score"
        if f"mean_test_{score}" not in results:
            names = [k.removeprefix("mean_test_") for k in results if k.startswith("mean_test_")]
            raise ValueError(f"score must be one of {names}; got {score!r}")
        alphas, rows = np.unique(searched(results, "alpha", search), return_inverse=True)
        temperatures, columns = np.unique(
            searched(results, "temperature", search), return_inverse=True
        )
        scores = np.full((len(alphas), len(temperatures)), np.nan)
        for row, column, value in zip(rows, columns, results[f"mean_test_{score}"], strict=True):
            scores[row, column] = np.fmax(scores[row, column], value)
        display = cls(scores=scores, alphas=alphas, temperatures=temperatures, score_name=score)
        return display.plot(ax=ax, cmap=cmap)

    def plot(self, ax=None, *, cmap="viridis", values_format=".3f"):
        """Draw the heat map.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure.
        cmap : str or matplotlib.colors.Colormap, default="viridis"
            Colors from the lowest to the highest score.
        values_format : str, default=".3f"
            Format of the numbers.

        Returns
        -------
        self : DistillationGridDisplay
            With `ax_`, `figure_`, `im_` and `text_`.
        """
        ax = take_axes(self, ax)
        scores = np.asarray(self.scores, dtype=float)
        self.im_ = ax.imshow(scores, cmap=cmap)
        middle = (np.nanmin(scores) + np.nanmax(scores)) / 2
        self.text_ = np.empty(scores.shape, dtype=object)
        for (row, column), value in np.ndenumerate(scores):
            # The end of the color map that the cell is far from can be read on it.
            color = self.im_.cmap(1.0 if value < middle else 0.0)
            text = "" if np.isnan(value) else format(value, values_format)
            self.text_[row, column] = ax.text(
                column, row, text, ha="center", va="center", color=color
            )
        ax.set(
            xticks=range(len(self.temperatures)),
            xticklabels=[f"{value:g}" for value in self.temperatures],
            yticks=range(len(self.alphas)),
            yticklabels=[f"{value:g}" for value in self.alphas],
            xlabel="temperature",
            ylabel="alpha, weight of the labels",
        )
        bar = self.figure_.colorbar(self.im_, ax=ax)
        label = bar.ax.set_ylabel(as_text(self.score_name.replace("_", " ")), **AS_IT_IS)
        fit_text(label, ax.get_window_extent().height)
        return self
