import keras
import numpy as np
import pytest
from keras import ops
from scipy.special import log_softmax, softmax
from scipy.stats import entropy, pearsonr

from skkd.distillation._losses import SOFT_LOSSES, DistillationLoss, hard_loss, kl

LABELS = np.eye(4, dtype="float32")[[0, 1, 2, 3, 0, 1, 2]]


@pytest.fixture
def logits(rng):
    """Teacher's and student's logits of seven images and four classes."""
    return rng.normal(0, 3, (2, 7, 4)).astype("float32")


@pytest.fixture
def weights(rng):
    return rng.random(7).astype("float32") + 0.1


def value(name, teacher, student, temperature=4.0, weights=None):
    weights = np.ones(len(teacher), "float32") if weights is None else weights
    one_hot, teacher, student, weights = map(
        ops.convert_to_tensor, (LABELS, teacher, student, weights)
    )
    loss = SOFT_LOSSES[name](one_hot, teacher, student, temperature, weights)
    return ops.convert_to_numpy(loss)


def divergence(teacher, student, temperature):
    """T^2 KL by SciPy, in float64."""
    p = softmax(teacher.astype(float) / temperature, axis=1)
    q = softmax(student.astype(float) / temperature, axis=1)
    return temperature**2 * entropy(p, q, axis=1)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_kl_is_the_divergence_of_softened_probabilities_times_squared_temperature(
    logits, temperature
):
    expected = divergence(*logits, temperature)
    np.testing.assert_allclose(value("kl", *logits, temperature), expected, rtol=1e-3)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_standardized_is_kl_of_z_scores(logits, temperature):
    teacher, student = (
        (z - z.mean(axis=1, keepdims=True)) / z.std(axis=1, keepdims=True) for z in logits
    )
    expected = divergence(teacher, student, temperature)
    np.testing.assert_allclose(value("standardized", *logits, temperature), expected, rtol=1e-3)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_dkd_is_the_divergence_of_the_target_and_8_times_that_among_the_others(logits, temperature):
    expected = []
    for one_hot, teacher, student in zip(LABELS, *logits.astype(float), strict=True):
        target = int(one_hot.argmax())
        p, q = softmax(teacher / temperature), softmax(student / temperature)
        of_target = entropy([p[target], 1 - p[target]], [q[target], 1 - q[target]])
        among_others = entropy(
            softmax(np.delete(teacher, target) / temperature),
            softmax(np.delete(student, target) / temperature),
        )
        expected.append(temperature**2 * (of_target + 8 * among_others))
    np.testing.assert_allclose(value("dkd", *logits, temperature), expected, rtol=1e-3)


def test_dist_is_one_minus_the_correlation_within_images_and_within_classes(logits):
    p, q = softmax(logits.astype(float) / 2, axis=2)
    within_images = [1 - pearsonr(a, b).statistic for a, b in zip(p, q, strict=True)]
    within_classes = np.mean([1 - pearsonr(a, b).statistic for a, b in zip(p.T, q.T, strict=True)])
    expected = 4 * (np.array(within_images) + within_classes)
    np.testing.assert_allclose(value("dist", *logits, 2.0), expected, rtol=1e-3)


def test_dist_weighs_the_images_of_a_batch(logits):
    counts = np.array([1, 2, 0, 1, 3, 1, 1])
    repeated = np.repeat(np.arange(7), counts)
    p, q = softmax(logits[:, repeated].astype(float) / 2, axis=2)
    within_classes = np.mean([1 - pearsonr(a, b).statistic for a, b in zip(p.T, q.T, strict=True)])
    p, q = softmax(logits.astype(float) / 2, axis=2)
    within_images = [1 - pearsonr(a, b).statistic for a, b in zip(p, q, strict=True)]
    expected = 4 * (np.array(within_images) + within_classes)
    got = value("dist", *logits, 2.0, counts.astype("float32"))
    np.testing.assert_allclose(got, expected, rtol=1e-3)


def test_literal_is_eq_2_as_printed(logits):
    teacher = logits[0].astype(float)
    expected = -(softmax(LABELS / 4.0, axis=1) * log_softmax(teacher / 4, axis=1)).sum(axis=1)
    np.testing.assert_allclose(value("literal", *logits), expected, rtol=1e-4)


def gradient(name, teacher, student, temperature=4.0):
    """Central differences with respect to the student's logits, of the summed loss."""
    step = 1e-2
    result = np.empty_like(student)
    for index in np.ndindex(*student.shape):
        ends = []
        for sign in (1, -1):
            moved = student.copy()
            moved[index] += sign * step
            ends.append(value(name, teacher, moved, temperature).astype(float).sum())
        result[index] = (ends[0] - ends[1]) / (2 * step)
    return result


def test_the_gradient_of_literal_is_zero_whatever_the_student_says(logits):
    assert (gradient("literal", *logits) == 0).all()
    assert np.abs(gradient("kl", *logits)).max() > 0.1


@pytest.mark.parametrize("name", ["kl", "standardized", "dkd", "dist"])
def test_a_soft_loss_is_zero_for_equal_sides_and_ignores_a_shift_of_logits(name, logits):
    teacher, student = logits
    np.testing.assert_allclose(value(name, teacher, teacher + 5), 0, atol=1e-3)
    shifted = value(name, teacher - 9, student + 3)
    np.testing.assert_allclose(shifted, value(name, teacher, student), rtol=1e-3, atol=1e-4)


def test_standardized_ignores_the_scale_of_logits_too(logits):
    teacher, student = logits
    np.testing.assert_allclose(
        value("standardized", teacher, student),
        value("standardized", 7 * teacher, student),
        rtol=1e-3,
    )


def test_kl_sees_a_difference_between_logits_that_are_all_negative(logits):
    assert (value("kl", *(-10 - np.abs(logits))) > 0.01).all()


def test_the_size_of_kl_stays_at_high_temperature(logits):
    # Hinton et al.: as T grows, T^2 KL tends to the mean squared difference of centered logits
    # over 2, whatever T is.
    teacher, student = logits.astype(float)
    difference = (teacher - teacher.mean(1, keepdims=True)) - (
        student - student.mean(1, keepdims=True)
    )
    limit = np.square(difference).mean(axis=1) / 2
    np.testing.assert_allclose(value("kl", *logits, 100.0), limit, rtol=0.15)


@pytest.mark.parametrize("name", sorted(SOFT_LOSSES))
def test_extreme_and_equal_logits_give_finite_losses(name):
    extreme = np.array([[1e4, -1e4, 0, 3]] * 7, "float32")
    equal = np.zeros((7, 4), "float32")
    for teacher, student in [(extreme, extreme[:, ::-1]), (extreme, equal), (equal, extreme)]:
        assert np.isfinite(value(name, teacher, student)).all()


def packed(loss, logits, *, labels=LABELS, weights=None, **hints):
    """Return the target that a distillation loss takes."""
    weights = np.ones(7) if weights is None else weights
    numbers = np.tile(loss.numbers, (7, 1))
    parts = {"labels": labels, "logits": logits, "weight": weights[:, None], "numbers": numbers}
    return loss.target_columns.pack(**parts, **hints).astype("float32")


def test_the_loss_weighs_hard_and_soft_by_alpha_and_images_by_their_weights(logits, weights):
    teacher, student = logits
    hard = -(LABELS * log_softmax(student.astype(float), axis=1)).sum(axis=1)
    each = 0.3 * hard + 0.7 * divergence(teacher, student, 3.0)
    loss = DistillationLoss(4, alpha=0.3, temperature=3.0)
    target = packed(loss, teacher, weights=weights)
    got = loss(target, student, sample_weight=weights)
    np.testing.assert_allclose(got, np.average(each, weights=weights), rtol=1e-4)


def test_hints_add_the_mean_squared_difference_of_each_pair_of_features(logits, rng):
    teacher, student = logits
    wanted, given = rng.normal(size=(2, 7, 5)).astype("float32")
    prediction = np.concatenate([student, given], axis=1)
    loss = DistillationLoss(4, 0.5, 4.0, hint_sizes=(2, 3), hint_weight=0.7)
    target = packed(loss, teacher, hints=wanted)
    plain = DistillationLoss(4, 0.5, 4.0).call(target, student)
    squares = np.square(wanted - given)
    expected = plain + 0.7 * (squares[:, :2].mean(axis=1) + squares[:, 2:].mean(axis=1))
    np.testing.assert_allclose(loss.call(target, prediction), expected, rtol=1e-5)


def test_at_its_ends_alpha_leaves_the_other_side_out_even_where_it_is_nan(logits):
    teacher, student = logits
    nan = np.full((7, 4), np.nan, "float32")
    hard, soft = DistillationLoss(4, 1.0, 4.0), DistillationLoss(4, 0.0, 4.0)
    np.testing.assert_array_equal(hard.call(packed(hard, nan), student), hard_loss(LABELS, student))
    np.testing.assert_array_equal(
        soft.call(packed(soft, teacher, labels=nan), student), value("kl", teacher, student)
    )


@pytest.mark.parametrize("soft_loss", ["dist", kl])
def test_the_loss_can_be_saved_and_read(soft_loss):
    saved = keras.losses.serialize(DistillationLoss(3, 0.2, 7.0, soft_loss, (2,), 0.5))
    loss = keras.losses.deserialize(saved)
    assert (loss.n_classes, loss.alpha, loss.temperature) == (3, 0.2, 7.0)
    assert (loss.soft_loss, loss.hint_sizes, loss.hint_weight) == (soft_loss, (2,), 0.5)
    assert loss.reduction == "mean_with_sample_weight"
