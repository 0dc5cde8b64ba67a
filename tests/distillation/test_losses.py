import keras
import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from scipy.stats import entropy

from skkd.distillation._losses import DistillationLoss, hard_loss, kl_loss


@pytest.fixture
def logits(rng):
    """Teacher's and student's logits of seven images and four classes."""
    return rng.normal(0, 3, (2, 7, 4)).astype("float32")


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_kl_is_the_divergence_of_softened_probabilities_times_squared_temperature(
    logits, temperature
):
    teacher, student = logits.astype(float)
    p, q = softmax(teacher / temperature, axis=1), softmax(student / temperature, axis=1)
    expected = temperature**2 * entropy(p, q, axis=1)
    np.testing.assert_allclose(kl_loss(*logits, temperature), expected, rtol=2e-4)


def test_kl_is_zero_for_equal_logits_and_ignores_their_shift(logits):
    teacher, student = logits
    np.testing.assert_allclose(kl_loss(teacher, teacher + 5, 4.0), 0, atol=1e-5)
    np.testing.assert_allclose(
        kl_loss(teacher, student, 4.0), kl_loss(teacher - 9, student + 3, 4.0), rtol=1e-4
    )


def test_kl_sees_a_difference_between_logits_that_are_all_negative(logits):
    teacher, student = -10 - np.abs(logits)
    assert (np.asarray(kl_loss(teacher, student, 4.0)) > 0).all()


def test_the_gradient_of_kl_keeps_its_size_at_high_temperature(logits):
    # Hinton et al.: as T grows, T^2 KL tends to the mean squared difference of centred logits
    # over 2, whatever T is.
    teacher, student = logits.astype(float)
    difference = (teacher - teacher.mean(1, keepdims=True)) - (
        student - student.mean(1, keepdims=True)
    )
    limit = np.square(difference).mean(axis=1) / 2
    np.testing.assert_allclose(kl_loss(teacher, student, 300.0), limit, rtol=0.05)


def test_the_loss_weighs_hard_and_soft_by_alpha_and_images_by_their_weights(logits, rng):
    teacher, student = logits
    labels = np.eye(4, dtype="float32")[[0, 1, 2, 3, 0, 1, 2]]
    weights = rng.random(7)
    hard = -(labels * log_softmax(student.astype(float), axis=1)).sum(axis=1)
    p, q = softmax(teacher.astype(float) / 3, axis=1), softmax(student.astype(float) / 3, axis=1)
    each = 0.3 * hard + 0.7 * 9 * entropy(p, q, axis=1)
    loss = DistillationLoss(alpha=0.3, temperature=3.0)
    value = loss(np.concatenate([labels, teacher], axis=1), student, sample_weight=weights)
    np.testing.assert_allclose(value, np.average(each, weights=weights), rtol=1e-4)


def test_at_its_ends_alpha_leaves_the_other_side_out_even_where_it_is_nan(logits):
    teacher, student = logits
    labels = np.eye(4, dtype="float32")[[0, 1, 2, 3, 0, 1, 2]]
    no_teacher = np.concatenate([labels, np.full((7, 4), np.nan, "float32")], axis=1)
    no_labels = np.concatenate([np.full((7, 4), np.nan, "float32"), teacher], axis=1)
    np.testing.assert_array_equal(
        DistillationLoss(1.0, 4.0).call(no_teacher, student), hard_loss(labels, student)
    )
    np.testing.assert_array_equal(
        DistillationLoss(0.0, 4.0).call(no_labels, student), kl_loss(teacher, student, 4.0)
    )


def test_the_loss_can_be_saved_and_read():
    loss = keras.losses.deserialize(keras.losses.serialize(DistillationLoss(0.2, 7.0)))
    assert (loss.alpha, loss.temperature, loss.reduction) == (0.2, 7.0, "mean_with_sample_weight")
