from functools import partial

import numpy as np
import pytest
from scipy.stats import norm

from skkd.metrics import bootstrap_scores, expected_calibration_error


@pytest.fixture
def predicted(rng):
    proba = rng.dirichlet(np.ones(3), 200)
    return rng.integers(0, 3, 200), proba


def by_hand(y_true, proba, n_bins):
    """Return the error as Guo et al. define it, bin by bin."""
    total = 0.0
    for number in range(n_bins):
        rows = [
            row
            for row, p in enumerate(proba.max(axis=1))
            if number / n_bins < p <= (number + 1) / n_bins
        ]
        if rows:
            right = np.mean([proba[row].argmax() == y_true[row] for row in rows])
            total += len(rows) / len(y_true) * abs(right - proba[rows].max(axis=1).mean())
    return total


@pytest.mark.parametrize("n_bins", [1, 7, 15])
def test_it_is_the_mean_gap_of_bins_of_equal_width(predicted, n_bins):
    error = expected_calibration_error(*predicted, n_bins=n_bins)
    assert error == pytest.approx(by_hand(*predicted, n_bins), abs=1e-12)


def test_bins_of_equal_numbers_hold_as_many_rows_each():
    confidence = np.array([0.55, 0.6, 0.65, 0.7, 0.9, 0.95])
    right = np.array([1, 0, 1, 1, 1, 0])
    error = expected_calibration_error(right, confidence, n_bins=3, strategy="quantile")
    gaps = [abs(0.5 - 0.575), abs(1 - 0.675), abs(0.5 - 0.925)]
    assert error == pytest.approx(np.mean(gaps))


def test_an_upper_edge_belongs_to_its_bin():
    # Two of .75 that are right and one of 1 that is wrong: in one bin their gaps would cancel.
    error = expected_calibration_error([1, 1, 1], [0.75, 0.75, 0.0], labels=[0, 1], n_bins=4)
    assert error == pytest.approx(2 / 3 * 0.25 + 1 / 3)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("columns", [1, 2])
def test_edges_are_where_they_are_whatever_the_type(dtype, columns):
    # .6 is the upper edge of the ninth of 15 bins, so that .6 and .65 are in two.
    right = np.array([1] * 5 + [0] * 5)
    proba = np.array([0.6] * 5 + [0.65] * 5, dtype=dtype)
    given = proba if columns == 1 else np.stack([1 - proba, proba], axis=1)
    error = expected_calibration_error(right, given)
    assert error == pytest.approx(0.5 * 0.4 + 0.5 * 0.65, abs=1e-3)
    # The same of the other class, whose probability is what is left to 1.
    error = expected_calibration_error(1 - right, (1 - proba).astype(dtype))
    assert error == pytest.approx(0.5 * 0.4 + 0.5 * 0.65, abs=1e-3)


def test_debiasing_subtracts_what_normal_noise_adds_to_the_mean_absolute_gap(rng):
    proba = np.repeat(0.8, 50)
    right = np.arange(50) < 36
    gap, deviation = abs(0.72 - 0.8), np.sqrt(0.72 * 0.28 / 50)
    mean_absolute = abs(norm(gap, deviation).rvs(400_000, random_state=rng)).mean()
    plain = expected_calibration_error(right, proba)
    debiased = expected_calibration_error(right, proba, debiased=True)
    assert plain == pytest.approx(gap)
    assert debiased == pytest.approx(2 * gap - mean_absolute, abs=5e-4)


def test_debiasing_leaves_bins_without_chance_as_they_are():
    assert expected_calibration_error([1] * 4 + [0], [0.9] * 4 + [0.2], debiased=True) == (
        pytest.approx(4 / 5 * 0.1 + 1 / 5 * 0.2)
    )


def test_debiasing_takes_two_fifths_of_the_error_of_a_calibrated_model(rng):
    plain, debiased = [], []
    for _ in range(200):
        proba = rng.dirichlet(np.ones(2) * 0.5, 300)[:, 1]
        y = rng.random(300) < proba
        plain.append(expected_calibration_error(y, proba))
        debiased.append(expected_calibration_error(y, proba, debiased=True))
    assert 0.5 < np.mean(debiased) / np.mean(plain) < 0.7


def test_a_bootstrap_takes_it_with_its_parameters_set(predicted):
    score = partial(expected_calibration_error, labels=[0, 1, 2], n_bins=5)
    table = bootstrap_scores({"ECE": score}, *predicted, n_resamples=50, random_state=0)
    row = table.loc["ECE"]
    assert row["estimate"] == pytest.approx(by_hand(*predicted, 5))
    assert row["low"] < row["high"]


@pytest.mark.parametrize(
    "labels", [["b", "a", "c"], [False, True], [7, 3, 5]], ids=["texts", "booleans", "numbers"]
)
def test_columns_go_by_labels_in_any_order(rng, labels):
    proba = rng.dirichlet(np.ones(len(labels)), 30)
    codes = rng.integers(0, len(labels), 30)
    expected = expected_calibration_error(codes, proba, labels=range(len(labels)))
    assert expected_calibration_error(np.array(labels)[codes], proba, labels=labels) == expected


@pytest.mark.parametrize(
    ("y", "proba", "options", "message"),
    [
        ([0, 1], [[0.5, 0.5], [np.nan, 1]], {}, "y_proba contains NaN"),
        ([0, 1], [[0.5, 0.6], [0, 1]], {}, "must sum to 1"),
        ([0, 1], [0.5, 2.0], {}, r"in \[0, 1\]; got 2.0"),
        ([0, 2], [[0.5, 0.5, 0], [0, 1, 0]], {}, "pass labels"),
        ([0, 3], [[0.5, 0.5], [0, 1]], {"labels": [0, 1]}, r"got \[3\] as well"),
        ([0, 1, 2], [0.1, 0.2, 0.3], {}, "one column for each of the 3 classes"),
        ([0, 1], [0.1, 0.2], {"n_bins": 0}, "n_bins"),
        ([0, 1], [0.1, 0.2], {"strategy": "kmeans"}, "strategy"),
        ([], [], {}, "at least one"),
    ],
)
def test_what_it_cannot_measure_is_refused(y, proba, options, message):
    with pytest.raises(ValueError, match=message):
        expected_calibration_error(y, proba, **options)
