"""What teachers answer, as logits."""

import numpy as np

from skkd.models._head import TINY


def as_logits(values, outputs, name):
    """Return what a teacher gives as logits, of shape (n, n_outputs) and float32.

    ``values`` of shape (n,) or (n, 1) are those of the second of two classes. ``outputs`` is as in
    `Teacher`: "auto" takes them for logits, and refuses what looks like probabilities. ``name``
    says whose they are, for errors.
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
        # Few logits may all happen to be in [0, 1].
        if outputs == "auto" and len(values) >= 8 and (values >= 0).all() and (values <= 1).all():
            _refuse_to_guess(name)
        # One sigmoid unit: softmax of (0, z) is (1 - sigmoid(z), sigmoid(z)).
        return np.concatenate([np.zeros_like(values), values], axis=1)
    if outputs == "auto" and (values >= 0).all() and np.allclose(values.sum(axis=-1), 1, atol=1e-3):
        _refuse_to_guess(name)
    return values


def _refuse_to_guess(name):
    raise ValueError(
        f"{name} look like probabilities; say so: Teacher(..., outputs='probabilities'), or "
        "'logits' if they are not"
    )


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
