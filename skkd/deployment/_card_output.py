"""What the outputs of a classifier's network are."""

import keras
import numpy as np

from skkd.deployment._card_markdown import as_text


def describe_output(model, head, classes, reader):
    """Return what a network gives, in words.

    Parameters
    ----------
    model : keras.Model
        The network.
    head : Head
        How its outputs are to be read.
    classes : ndarray of shape (n_classes,)
        Labels of its classes.
    reader : NetworkClassifier or None
        Which knows whether it was calibrated.
    """
    temperature = getattr(reader, "calibration_temperature_", None)
    if temperature is None:
        return _meaning(model, head, classes)
    return (
        f"{_meaning(model, head, classes)} They are calibrated: since training, logits are divided "
        f"by a temperature of {temperature:.4g}, which is part of the network."
    )


def _meaning(model, head, classes):
    if head.single:
        return (
            f"One number: the higher it is, the more probable is {as_text(classes[1])}, and the "
            f"less {as_text(classes[0])}."
        )
    if head.activation == "sigmoid":
        return (
            f"A number for each of {len(classes)} labels by itself, which do not exclude each "
            "other and sum to no 1."
        )
    if not _gives_probabilities(model, head):
        return (
            f"A logit, or logarithm of a probability, for each of {len(classes)} classes; their "
            "softmax is the probabilities, which sum to 1."
        )
    return f"A probability for each of {len(classes)} classes, which sum to 1."


def _gives_probabilities(model, head):
    """Return whether a network itself gives the probabilities that its scores stand for."""
    rng = np.random.default_rng(0)
    noise = [
        keras.ops.cast(
            rng.random((2, *(64 if side is None else side for side in tensor.shape[1:]))),
            tensor.dtype,
        )
        for tensor in head.network.inputs
    ]
    noise = keras.tree.pack_sequence_as(head.network.input, noise)
    given, probabilities = (
        keras.ops.convert_to_numpy(keras.ops.cast(network(noise, training=False), "float32"))
        for network in (model, head.probability_model())
    )
    # As precise as 16 bits are.
    return np.allclose(given, probabilities, atol=2e-2)
