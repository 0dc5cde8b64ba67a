"""What teachers answer: logits, brought into the student's order and averaged."""

import numpy as np
from scipy.special import log_softmax, logsumexp

from skkd.models._layers import TINY


def as_logits(values, outputs, name):
    """Return what a teacher gives as logits.

    Parameters
    ----------
    values : ndarray of shape (n, n_outputs), (n, 1) or (n,)
        Its outputs; a single one is that of the second of two classes.
    outputs : {"auto", "logits", "probabilities"}
        What they are; "auto" takes them for logits, and refuses what looks like probabilities.
    name : str
        Whose they are, for errors.

    Returns
    -------
    logits : ndarray of shape (n, n_outputs), float32
        Of probabilities their logarithms.
    """
    values = np.asarray(values)
    single = values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1)
    if single:
        values = values.reshape(-1, 1)
    if outputs == "probabilities":
        if single:
            values = np.concatenate([1 - values, values], axis=1)
        return log_of(check_probabilities(values, name))
    if single:
        # One sigmoid unit: softmax of (0, z) is (1 - sigmoid(z), sigmoid(z)).
        return np.concatenate([np.zeros_like(values), values], axis=1)
    if outputs == "auto" and (values >= 0).all() and np.allclose(values.sum(axis=-1), 1, atol=1e-3):
        raise ValueError(
            f"{name} look like probabilities; say so: Teacher(..., outputs='probabilities'), or "
            "'logits' if they are not"
        )
    return values


def match_classes(logits, labels, classes):
    """Bring a teacher's logits into the order of the student's classes.

    Parameters
    ----------
    logits : ndarray of shape (n, n_outputs)
        The teacher's logits.
    labels : array-like of shape (n_outputs,) or None
        Class label of each output; None: they are the student's classes.
    classes : ndarray of shape (n_classes,)
        The student's class labels.

    Returns
    -------
    logits : ndarray of shape (n, n_classes), float32
        Outputs for classes that the student does not know are left out.
    """
    if logits.ndim != 2 or logits.shape[1] != len(classes if labels is None else labels):
        expected = f"y has {len(classes)} classes" if labels is None else f"{len(labels)} labels"
        raise ValueError(
            f"the teacher's outputs have shape {logits.shape}, but {expected}: "
            f"{np.asarray(classes if labels is None else labels).tolist()}; name the label "
            "of each output, in their order: Teacher(..., classes=[...])"
        )
    if not np.isfinite(logits).all():
        bad = int(np.count_nonzero(~np.isfinite(logits).all(axis=1)))
        raise ValueError(
            f"the teacher's output is NaN or infinite for {bad} of {len(logits)} images"
        )
    if labels is not None:
        position = {label: number for number, label in enumerate(np.asarray(labels).tolist())}
        if len(position) < len(labels):
            raise ValueError(
                "classes of a Teacher must name another class for each output; got "
                f"{np.asarray(labels).tolist()}"
            )
        missing = [label for label in classes.tolist() if label not in position]
        if missing:
            raise ValueError(
                f"the teacher does not know the classes {missing}; it knows {list(position)}"
            )
        logits = logits[:, [position[label] for label in classes.tolist()]]
    return logits.astype(np.float32)


def average_logits(members, weights, temperature):
    """Average several teachers' softened probabilities.

    Parameters
    ----------
    members : list of ndarray of shape (n, n_classes)
        Each teacher's logits, classes matched.
    weights : array-like of shape (n_teachers,)
        Their weights, not all zero.
    temperature : float
        The temperature at which probabilities are averaged.

    Returns
    -------
    logits : ndarray of shape (n, n_classes), float32
        ``T log(p)`` for the averaged p, so that softmax(logits / T) is p.
    """
    if len(members) == 1:
        return members[0]
    log_p = log_softmax(np.stack(members).astype(float) / temperature, axis=2)
    shares = (np.asarray(weights) / np.sum(weights))[:, None, None]
    return (temperature * logsumexp(log_p, axis=0, b=shares)).astype(np.float32)


def check_probabilities(values, name):
    """Return probabilities, one row an image; raise a ValueError if they are something else."""
    if values.ndim != 2:
        return values
    finite = values[np.isfinite(values).all(axis=1)]
    if (finite < 0).any() or not np.allclose(finite.sum(axis=1), 1, atol=1e-2):
        raise ValueError(
            f"{name} must be probabilities, none negative and of sum 1 for each image; got values "
            f"from {finite.min():g} to {finite.max():g} and sums from "
            f"{finite.sum(axis=1).min():g} to {finite.sum(axis=1).max():g}. If they are logits, "
            "say so: Teacher(..., outputs='logits'), or teacher_logits instead of teacher_proba"
        )
    return values


def log_of(probabilities):
    """Return finite logarithms: equal to logits up to a constant that softmax ignores."""
    return np.log(np.maximum(probabilities, TINY)).astype(np.float32)
