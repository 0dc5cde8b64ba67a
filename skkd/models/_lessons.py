"""What a network is trained on, and how well it does on it."""

from dataclasses import dataclass, field, replace

import keras
import numpy as np

from skkd.images._stores import JoinedImages
from skkd.models._batches import Batches


@keras.saving.register_keras_serializable("skkd")
class Accuracy(keras.metrics.MeanMetricWrapper):
    """Share of labeled images whose largest logit is their class.

    Parameters
    ----------
    n_classes : int
        The first columns of target and prediction, one for each class; more may follow. A row of
        zeros is an image without a label, which does not count.
    name : str, default="accuracy"
        Name of the metric.
    """

    def __init__(self, n_classes, name="accuracy", dtype=None):
        super().__init__(keras.metrics.categorical_accuracy, name=name, dtype=dtype)
        self.n_classes = n_classes

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Take in a batch."""
        y_true, y_pred = y_true[:, : self.n_classes], y_pred[:, : self.n_classes]
        super().update_state(y_true, y_pred, sample_weight=keras.ops.sum(y_true, axis=-1))

    def get_config(self):
        """Return what ``from_config`` needs."""
        return {"n_classes": self.n_classes, "name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config):
        """Make the metric again."""
        return cls(**config)


@dataclass
class Lessons:
    """What a network is trained on, and how.

    Attributes
    ----------
    images : array-like of shape (n, ...)
        Images or rows of a table.
    targets : ndarray of shape (n, n_targets), float32
        The labels, one-hot, and after them whatever else the loss looks at.
    sample_weight : ndarray of shape (n,), float32
        Weights in the loss.
    loss : keras.losses.Loss
        Compares the network's output with the targets.
    network : callable or None
        Makes the network that is trained, where there is none yet.
    mixing : dict
        Options of the training batches.
    """

    images: object
    targets: np.ndarray
    sample_weight: np.ndarray
    loss: keras.losses.Loss
    network: object
    mixing: dict = field(default_factory=dict)

    def with_views(self, views, targets=None):
        """Add augmented views after the images, with targets of their own or the images'."""
        n_views = len(views) // len(self.images)
        if targets is None:
            targets = np.tile(self.targets, (n_views, 1))
        return replace(
            self,
            images=JoinedImages(self.images, views),
            targets=np.concatenate([self.targets, targets]),
            sample_weight=np.tile(self.sample_weight, 1 + n_views),
            mixing={**self.mixing, "n_views": n_views},
        )

    def batches(self, rows, batch_size, **options):
        """Return some rows as batches."""
        return Batches(
            self.images,
            self.targets,
            self.sample_weight,
            rows=rows,
            batch_size=batch_size,
            **options,
        )
