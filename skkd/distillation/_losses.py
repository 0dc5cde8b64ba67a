"""What a student is trained to minimize."""

import importlib
import operator

import keras
from keras import ops

from skkd.models._lessons import Columns


def kl(one_hot, teacher_logits, student_logits, temperature, sample_weight):
    r"""Kullback-Leibler divergence of softened probabilities, times the squared temperature.

    .. math:: T^2 \sum_k p_k (\log p_k - \log q_k), \quad
              p = softmax(z_t / T), \quad q = softmax(z_s / T)

    Like every soft loss it takes the arguments below; a function of your own does too.

    Parameters
    ----------
    one_hot : tensor of shape (n, n_classes)
        The labels; rows of zeros for images nobody labeled. Not used by this loss.
    teacher_logits, student_logits : tensor of shape (n, n_classes)
        Outputs before the softmax.
    temperature : float
        Greater than 0; the higher, the softer the probabilities.
    sample_weight : tensor of shape (n,)
        Weights of the images, for losses that compare whole batches. Each image's own value is
        weighted later. Not used by this loss.

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
    return temperature**2 * _divergence(log_p, log_q)


def standardized(one_hot, teacher_logits, student_logits, temperature, sample_weight):
    r"""`kl` of logits that are first brought to mean 0 and standard deviation 1 per image.

    .. math:: T^2 KL(softmax(\tilde z_t / T) || softmax(\tilde z_s / T)), \quad
              \tilde z = (z - mean(z)) / std(z)

    The student has to match the relations among the teacher's logits, not their size, which a
    small network can hardly reach. The paper weighs soft and hard loss 9 to 1 (alpha=0.1) with a
    temperature of 2.

    References
    ----------
    .. [1] S. Sun et al., "Logit standardization in knowledge distillation", CVPR 2024.
    """
    return kl(
        one_hot,
        _standardize(teacher_logits),
        _standardize(student_logits),
        temperature,
        sample_weight,
    )


def dkd(one_hot, teacher_logits, student_logits, temperature, sample_weight):
    r"""Decoupled knowledge distillation: target class and other classes apart.

    .. math:: T^2 [KL(b_t || b_s) + 8 \, KL(\hat p || \hat q)]

    where b holds the softened probability of the true class and of all others together, and
    :math:`\hat p`, :math:`\hat q` are the softened probabilities among the others. The weights 1
    and 8 are the paper's for CIFAR-100. It needs labels, and at least three classes.

    References
    ----------
    .. [1] B. Zhao et al., "Decoupled knowledge distillation", CVPR 2022.
    """
    log_p = ops.log_softmax(teacher_logits / temperature, axis=-1)
    log_q = ops.log_softmax(student_logits / temperature, axis=-1)
    target = _divergence(_target_and_rest(log_p, one_hot), _target_and_rest(log_q, one_hot))
    others = _divergence(_among_others(log_p, one_hot), _among_others(log_q, one_hot))
    return temperature**2 * (target + 8.0 * others)


def dist(one_hot, teacher_logits, student_logits, temperature, sample_weight):
    r"""One minus the correlation of softened probabilities, within images and within classes.

    .. math:: T^2 [1 - \rho(p_i, q_i)] + T^2 [1 - mean_k \rho(p_{\cdot k}, q_{\cdot k})]

    The first term compares the classes of one image; the second one class over the images of a
    batch, weighted by their sample weights, and is the same for all of them.

    References
    ----------
    .. [1] T. Huang et al., "Knowledge distillation from a stronger teacher", NeurIPS 2022.
    """
    p = ops.softmax(teacher_logits / temperature, axis=-1)
    q = ops.softmax(student_logits / temperature, axis=-1)
    within_images = 1.0 - _correlation(p, q, ops.ones_like(p), axis=-1)
    weights = sample_weight[:, None] * ops.ones_like(p)
    within_classes = 1.0 - ops.mean(_correlation(p, q, weights, axis=0))
    return temperature**2 * (within_images + within_classes)


def literal(one_hot, teacher_logits, student_logits, temperature, sample_weight):
    r"""Compute the soft loss of KD-FMV's Eq. 2 as printed, in which no student stands.

    .. math:: - \sum_k softmax(y / T)_k \log softmax(z_t / T)_k

    Its gradient is zero, so training reduces to cross-entropy with the labels times alpha. It is
    here to reproduce the paper, not to distill.

    References
    ----------
    .. [1] A. Chaddad et al., "Knowledge distillation and feature map visualization for medical
       image analysis", 2025, Eq. 2.
    """
    softened = ops.softmax(one_hot / temperature, axis=-1)
    log_p = ops.log_softmax(teacher_logits / temperature, axis=-1)
    # The student enters with a factor of zero so that a gradient, of zero, exists for alpha=0.
    return -ops.sum(softened * log_p, axis=-1) + 0.0 * ops.sum(student_logits, axis=-1)


SOFT_LOSSES = {
    "kl": kl,
    "standardized": standardized,
    "dkd": dkd,
    "dist": dist,
    "literal": literal,
}


def hard_loss(one_hot, logits):
    """Return the cross-entropy of labels and student, one value an image."""
    return keras.losses.categorical_crossentropy(one_hot, logits, from_logits=True)


@keras.saving.register_keras_serializable("skkd")
class DistillationLoss(keras.losses.Loss):
    """The sum of the hard loss and the soft loss, ``alpha * hard + (1 - alpha) * soft``.

    Targets and predictions come side by side in one tensor each, so that plain ``Model.fit``
    serves: the target holds the class (one-hot; zeros for an image nobody labeled), the
    teacher's logits, the image's weight, the numbers of the loss and the teacher's features, if
    any; the prediction holds the student's logits and its features. The numbers travel with every
    image, so that a training step that was traced for one alpha and temperature serves others.

    Parameters
    ----------
    n_classes : int
        Number of classes.
    alpha : float
        Weight of the hard loss, in [0, 1].
    temperature : float
        Divides both sides' logits in the soft loss.
    soft_loss : str or callable, default="kl"
        Name or function of the soft loss.
    hint_sizes : sequence of int, default=()
        Number of values of each pair of features.
    hint_weight : float, default=0.0
        Weight of the mean squared differences of features.
    name : str, default="distillation"
        Name of the loss.
    reduction : str, default="mean_with_sample_weight"
        How images are averaged; the default divides by the sum of their weights.
    """

    def __init__(
        self,
        n_classes,
        alpha,
        temperature,
        soft_loss="kl",
        hint_sizes=(),
        hint_weight=0.0,
        name="distillation",
        reduction="mean_with_sample_weight",
        **kwargs,
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)
        self.n_classes = n_classes
        self.alpha = alpha
        self.temperature = temperature
        self.soft_loss = soft_loss
        self.hint_sizes = tuple(hint_sizes)
        self.hint_weight = hint_weight
        hints = {"hints": sum(self.hint_sizes)} if self.hint_sizes else {}
        self.target_columns = Columns(
            labels=n_classes, logits=n_classes, weight=1, numbers=len(self.numbers), **hints
        )
        self.prediction_columns = Columns(logits=n_classes, **hints)

    @property
    def numbers(self):
        """What the target says in every image's row, a list of floats.

        The weights of hard loss, soft loss and hints, and the temperature.
        """
        return [self.alpha, 1 - self.alpha, self.hint_weight, self.temperature]

    @property
    def structure(self):
        """What two losses have in common that compute alike, but for their numbers.

        None for a function of a user, as nobody can see what it reads.
        """
        if not isinstance(self.soft_loss, str):
            return None
        return (
            *(self.n_classes, self.soft_loss, self.hint_sizes, self.reduction, self.dtype),
            # Either side may be left out.
            *(self.alpha == 0, self.alpha == 1),
        )

    def call(self, y_true, y_pred):
        """Return the loss of each image."""
        wanted = self.target_columns.split(ops.convert_to_tensor(y_true))
        given = self.prediction_columns.split(ops.convert_to_tensor(y_pred))
        loss = self._label_loss(wanted, given["logits"])
        if self.hint_sizes:
            pairs = Columns(**{f"pair{i}": size for i, size in enumerate(self.hint_sizes)})
            theirs, ours = (pairs.split(side["hints"]) for side in (wanted, given))
            for pair in pairs.widths:
                squares = ops.square(theirs[pair] - ours[pair])
                loss = loss + wanted["numbers"][:, 2] * ops.mean(squares, axis=-1)
        return loss

    def _label_loss(self, wanted, student_logits):
        one_hot, numbers = wanted["labels"], wanted["numbers"]
        # At either end the other side is left out altogether, so that alpha=1 is plain training
        # to the bit and alpha=0 never looks at the labels.
        if self.alpha == 1:
            return hard_loss(one_hot, student_logits)
        if isinstance(self.soft_loss, str):
            function, temperature = SOFT_LOSSES[self.soft_loss], ops.max(numbers[:, 3])
        else:
            function, temperature = self.soft_loss, self.temperature
        soft = function(
            one_hot, wanted["logits"], student_logits, temperature, wanted["weight"][:, 0]
        )
        if self.alpha == 0:
            return soft
        return numbers[:, 0] * hard_loss(one_hot, student_logits) + numbers[:, 1] * soft

    def get_config(self):
        """Return what ``from_config`` needs."""
        return {
            **super().get_config(),
            "n_classes": self.n_classes,
            "alpha": self.alpha,
            "temperature": self.temperature,
            "soft_loss": self._soft_loss_name(),
            "hint_sizes": list(self.hint_sizes),
            "hint_weight": self.hint_weight,
        }

    def _soft_loss_name(self):
        # Keras writes down a function's bare name only; like pickle we add where it lives.
        if isinstance(self.soft_loss, str):
            return self.soft_loss
        return f"{self.soft_loss.__module__}:{self.soft_loss.__qualname__}"

    @classmethod
    def from_config(cls, config):
        """Make the loss again."""
        module, found, name = config["soft_loss"].partition(":")
        if found:
            function = operator.attrgetter(name)(importlib.import_module(module))
            config = {**config, "soft_loss": function}
        return cls(**config)


def _divergence(log_p, log_q):
    # A class of probability zero has log(p) = -inf; it adds nothing.
    p = ops.exp(log_p)
    return ops.sum(ops.where(p > 0, p * (log_p - log_q), 0.0), axis=-1)


def _standardize(logits):
    centered = logits - ops.mean(logits, axis=-1, keepdims=True)
    # Inside the root, so that the gradient of equal logits is finite.
    variance = ops.mean(ops.square(centered), axis=-1, keepdims=True)
    return centered / ops.sqrt(variance + keras.config.epsilon() ** 2)


def _target_and_rest(log_p, one_hot):
    target = ops.logsumexp(log_p + _log_of_mask(one_hot), axis=-1)
    rest = ops.logsumexp(log_p + _log_of_mask(1.0 - one_hot), axis=-1)
    return ops.stack([target, rest], axis=-1)


def _among_others(log_p, one_hot):
    return ops.log_softmax(log_p + _log_of_mask(1.0 - one_hot), axis=-1)


def _log_of_mask(mask):
    # Far below any log-probability, yet finite, so that differences and gradients are.
    return (mask - 1.0) * 1e5


def _correlation(p, q, weights, axis):
    total = ops.sum(weights, axis=axis, keepdims=True)
    p = p - ops.sum(weights * p, axis=axis, keepdims=True) / total
    q = q - ops.sum(weights * q, axis=axis, keepdims=True) / total
    covariance = ops.sum(weights * p * q, axis=axis)
    scale = ops.sum(weights * p * p, axis=axis) * ops.sum(weights * q * q, axis=axis)
    return covariance / ops.sqrt(scale + keras.config.epsilon() ** 2)
