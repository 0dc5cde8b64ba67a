"""What an explainer says about some images."""

from dataclasses import dataclass

import numpy as np


@dataclass
class Explanation:
    """Maps of what a network looks at, with what they are about.

    Parameters
    ----------
    values : ndarray of shape (n, height, width), (n, n_layers, height, width) or \
            (n, height, width, channels)
        One map an image; one for each layer; or signed values for each channel. float32.
    images : array-like of shape (n, height, width, channels)
        The images explained: those passed in, not a copy; files are read when rows are asked for.
    targets : ndarray of shape (n,)
        Label, or index where labels are unknown, of the class explained.
    probabilities : ndarray of shape (n,)
        The network's probability of that class, in [0, 1].
    labels : ndarray of shape (n,), default=None
        True class labels, where they are known.
    layer_names : list of str, default=None
        Names of the layers along the second axis of ``values``.
    method : str, default=""
        Name of the explanation, for titles.
    """

    values: np.ndarray
    images: np.ndarray
    targets: np.ndarray
    probabilities: np.ndarray
    labels: np.ndarray | None = None
    layer_names: list | None = None
    method: str = ""

    def __len__(self):
        return len(self.values)

    @property
    def n_empty(self):
        """Number of maps that are zero everywhere."""
        per_layer = self.layer_names is not None
        maps = self.values.reshape(*self.values.shape[: 1 + per_layer], -1)
        return int((~maps.any(axis=-1)).sum())

    def plot(self, **kwargs):
        """Draw every image beside its maps.

        Parameters
        ----------
        **kwargs : dict
            Passed to `ExplanationDisplay.plot`.

        Returns
        -------
        display : ExplanationDisplay
            With ``figure_`` and ``axes_``.
        """
        from skkd.explanation._display import ExplanationDisplay

        return ExplanationDisplay.from_explanations([self], **kwargs)
