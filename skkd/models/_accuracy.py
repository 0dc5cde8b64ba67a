"""How well a network does on what it is trained on."""

import keras

from skkd.models._columns import Columns


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
        self._columns = Columns(classes=n_classes)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Take in a batch."""
        labels, logits = (self._columns.split(packed)["classes"] for packed in (y_true, y_pred))
        super().update_state(labels, logits, sample_weight=keras.ops.sum(labels, axis=-1))

    def get_config(self):
        """Return what ``from_config`` needs."""
        return {"n_classes": self.n_classes, "name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config):
        """Make the metric again."""
        return cls(**config)
