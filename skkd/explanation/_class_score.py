"""The class that an explanation is about, and its score, inside a function to differentiate."""

import numpy as np
from keras import ops


def explained_class(head, logits, targets):
    """Say which class each image's explanation is about.

    Parameters
    ----------
    head : Head
        How the network's outputs are to be read.
    logits : tensor of shape (n, n_classes)
        The network's outputs.
    targets : tensor of shape (n,)
        Index of each image's class, -1 for the predicted one.

    Returns
    -------
    targets, probabilities : tensor of shape (n,)
        Index of the class and its probability.
    """
    targets = _resolve(logits, targets)
    return targets, _pick(head.probabilities(logits), targets)


def class_scores(head, logits, output):
    """Return the scores of all classes: "logits", or each one's "probability"."""
    return head.probabilities(logits) if output == "probability" else ops.cast(logits, "float32")


def class_score(head, logits, targets, output):
    """Return the sum over images of the scores of the classes asked for, to differentiate."""
    targets = _resolve(logits, targets)
    scores = ops.cast(logits, "float32")
    chosen = _pick(scores, targets)
    if output == "probability":
        # The same probability, from its log odds: those of a softmax in float32 sum to 1 but for
        # a rounding, which would be all of the gradient where a class is sure.
        if head.activation == "softmax":
            is_chosen = ops.one_hot(targets, scores.shape[-1]) > 0
            chosen = chosen - ops.logsumexp(ops.where(is_chosen, -np.inf, scores), axis=-1)
        chosen = ops.exp(-ops.softplus(-chosen))
    return ops.sum(chosen)


def _resolve(logits, targets):
    return ops.where(targets < 0, ops.cast(ops.argmax(logits, axis=-1), "int32"), targets)


def _pick(values, targets):
    return ops.take_along_axis(values, targets[:, None], axis=-1)[:, 0]
