"""A function as a teacher."""

import inspect

import numpy as np

from skkd.distillation._answers import as_logits
from skkd.models._batches import Batches


class CallableTeacher:
    """A function from images to logits or probabilities.

    Parameters
    ----------
    function : callable
        ``(images) -> array of shape (n, n_outputs)``. With an attribute ``fingerprint``, a text
        that another teacher does not have, its outputs can be kept on disk.
    labels : array-like of shape (n_outputs,), default=None
        Class label of each output. None: the class labels in sorted order.
    outputs : {"auto", "logits", "probabilities"}, default="auto"
        What it returns; "auto" takes it for logits, and refuses what looks like probabilities.
    """

    def __init__(self, function, labels=None, outputs="auto"):
        self.source = function
        self.labels = labels
        self.outputs = outputs

    def made_of(self):
        """Return the arguments that make another one like it."""
        return self.source, self.labels, self.outputs

    @property
    def identity(self):
        """What is recognized while it lives, without a fingerprint."""
        return self.source

    def fingerprint(self):
        """Return the function's own fingerprint, or None."""
        own = getattr(self.source, "fingerprint", None)
        return None if own is None else f"{own}-{self.outputs}"

    def logits(self, images, batch_size):
        """Return the logits of images, of shape (n, n_outputs)."""
        batches = Batches(images, batch_size=batch_size)
        values = [self._ask(batches[i][0]) for i in range(len(batches))]
        return as_logits(np.concatenate(values), self.outputs, "teacher: the function's outputs")

    def _ask(self, images):
        try:
            return np.asarray(self.source(images))
        # Models of other libraries fail on arrays with whatever they trip over.
        except (TypeError, AttributeError, RuntimeError) as error:
            if inspect.isroutine(self.source):
                raise
            raise ValueError(
                f"teacher {type(self.source).__name__} failed on an array of images of shape "
                f"{images.shape}: {error}. Pass a function that gives it the images as it takes "
                "them, and returns its logits as an array"
            ) from error
