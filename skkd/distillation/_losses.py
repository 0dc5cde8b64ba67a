"""What a student is trained to minimize."""

import keras
from keras import ops


def kl_loss(teacher_logits, student_logits, temperature):
    r"""Kullback-Leibler divergence of softened probabilities, times the squared temperature.

    .. math:: T^2 \sum_k p_k (\log p_k - \log q_k), \quad
              p = softmax(z_t / T), \quad q = softmax(z_s / T)

    Parameters
    ----------
    teacher_logits, student_logits : tensor of shape (n, n_classes)
        Outputs before the softmax.
    temperature : float
        Greater than 0; the higher, the softer the probabilities.

    Returns
    -------
    loss : tensor of shape (n,)
        One value an image; 0 where both sides' probabilities are equal.

    References
    ----------
    .. [1] G. Hinton, O. Vinyals and J. Dean, "Distilling the knowledge in a neural network", 2015.
    """
    log_p = ops.log_softmax(teacher_logits / temperature, axis=-1)
    log_q = ops.log_softmax(student_logits / temperature, axis=-1)
    return temperature**2 * ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)


@keras.saving.register_keras_serializable("skkd")
class DistillationLoss(keras.losses.Loss):
    """The sum of the hard loss and the soft loss, ``alpha * hard + (1 - alpha) * soft``.

    The target holds the class, one-hot, in its first half, and the teacher's logits in its second.

    Parameters
    ----------
    alpha : float
        Weight of the hard loss, in [0, 1].
    temperature : float
        Divides both sides' logits in the soft loss.
    name : str, default="distillation"
        Name of the loss.
    reduction : str, default="mean_with_sample_weight"
        How images are averaged; the default divides by the sum of their weights.
    """

    def __init__(
        self, alpha, temperature, name="distillation", reduction="mean_with_sample_weight", **kwargs
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)
        self.alpha = alpha
        self.temperature = temperature

    def call(self, y_true, y_pred):
        """Return the loss of each image."""
        hard_target, teacher_logits = ops.split(y_true, 2, axis=-1)
        # At either end the other side is left out altogether, so that alpha=1 is plain training
        # to the bit and alpha=0 never looks at the labels.
        if self.alpha == 1:
            return hard_loss(hard_target, y_pred)
        soft = kl_loss(teacher_logits, y_pred, self.temperature)
        if self.alpha == 0:
            return soft
        return self.alpha * hard_loss(hard_target, y_pred) + (1 - self.alpha) * soft

    def get_config(self):
        """Return what ``from_config`` needs."""
        return {
            **super().get_config(),
            "alpha": self.alpha,
            "temperature": self.temperature,
        }


def hard_loss(one_hot, logits):
    """Return the cross-entropy of labels and student, one value an image."""
    return keras.losses.categorical_crossentropy(one_hot, logits, from_logits=True)
