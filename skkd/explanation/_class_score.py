"""The score of the class that an explanation is about, inside a function to differentiate."""

from keras import ops


def class_score(logits, targets, output, further):
    """Sum the scores of the classes asked for.

    Parameters
    ----------
    logits : tensor of shape (n, n_classes)
        The network's outputs.
    targets : tensor of shape (n,)
        Index of each image's class, -1 for the predicted one.
    output : {"logits", "probability"}
        The score.
    further : object
        Handed on.

    Returns
    -------
    score : scalar tensor
        The sum over images.
    results : tuple
        Indices of the classes, their probabilities, and ``further``.
    """
    logits = ops.cast(logits, "float32")
    targets = ops.where(targets < 0, ops.cast(ops.argmax(logits, axis=-1), "int32"), targets)
    probabilities = _pick(ops.softmax(logits), targets)
    scores = probabilities if output == "probability" else _pick(logits, targets)
    return ops.sum(scores), (targets, probabilities, further)


def _pick(values, targets):
    return ops.take_along_axis(values, targets[:, None], axis=-1)[:, 0]
