import numpy as np
import pytest
from scipy import special

from skkd.metrics import delong_test, mcnemar_test

# aSAH of R's package pROC (Turck et al. 2010): outcome (Good, Poor), wfns, s100b and ndka of 113
# patients with aneurysmal subarachnoid hemorrhage.
ASAH = """
G,1,0.13,3.01 G,1,0.14,8.54 G,1,0.1,8.09 G,1,0.04,10.42 P,3,0.13,17.4
P,2,0.1,12.75 G,5,0.47,6.0 P,4,0.16,13.2 G,1,0.18,15.54 G,2,0.1,6.01
P,5,0.12,15.96 G,2,0.1,17.86 P,5,0.44,5.18 P,5,0.71,8.9 G,1,0.04,13.41
G,2,0.08,20.75 P,5,0.49,11.6 G,2,0.04,16.11 P,2,0.07,32.37 P,5,0.33,54.82
P,2,0.09,32.41 G,1,0.09,49.94 P,1,0.07,40.34 G,1,0.11,9.47 G,1,0.07,6.29
G,2,0.17,12.53 G,1,0.07,6.54 G,2,0.11,6.3 G,1,0.13,80.3 G,1,0.19,12.8
G,3,0.05,9.8 G,4,0.16,9.81 P,2,0.41,9.85 G,1,0.14,18.21 G,4,0.34,5.03
P,5,0.35,14.04 P,4,0.48,21.93 G,1,0.09,8.02 P,4,0.96,7.42 P,2,0.25,8.38
G,5,0.5,6.59 G,5,0.46,9.63 G,1,0.16,13.12 G,1,0.07,7.96 G,2,0.43,14.34
G,4,0.45,41.43 G,1,0.11,7.63 G,1,0.08,7.06 G,2,0.09,12.59 P,5,0.86,13.56
P,5,0.52,3.87 G,2,0.08,9.44 G,1,0.06,7.66 G,2,0.13,12.98 P,5,2.07,419.19
G,1,0.1,27.19 G,2,0.14,22.27 G,2,0.15,9.95 P,2,0.07,21.22 G,1,0.06,11.73
P,5,0.77,10.4 G,1,0.05,58.83 G,1,0.09,6.39 P,2,0.3,11.09 P,5,0.03,12.22
P,2,0.09,13.67 G,1,0.04,17.21 P,4,0.23,22.63 P,5,0.7,12.9 G,2,0.09,9.7
P,4,0.27,21.57 P,4,0.71,8.23 P,1,0.08,72.57 P,4,0.26,15.54 G,1,0.08,10.51
G,2,0.16,10.6 G,1,0.09,14.57 P,4,0.13,5.19 P,2,0.1,9.63 G,1,0.08,4.61
P,2,0.11,21.48 G,3,0.33,17.3 G,2,0.11,12.71 G,4,0.28,9.44 G,2,0.07,11.07
G,1,0.1,19.46 G,4,0.32,10.83 P,5,0.22,5.37 G,1,0.07,11.97 G,1,0.05,7.75
G,5,0.24,9.83 G,4,0.38,10.55 G,2,0.1,28.49 G,2,0.15,8.53 G,1,0.08,12.57
G,1,0.14,12.9 G,1,0.1,46.83 G,3,0.07,11.68 G,1,0.04,12.67 G,2,0.19,9.01
P,5,0.56,9.57 P,2,0.14,34.06 P,2,0.58,11.72 P,5,0.32,14.26 P,5,0.82,47.61
P,5,0.74,11.67 G,2,0.15,24.58 G,4,0.47,10.33 G,4,0.17,13.87 P,5,0.44,15.89
G,1,0.15,22.43 G,1,0.5,6.79 G,1,0.48,13.45
"""
ROWS = [row.split(",") for row in ASAH.split()]
OUTCOME = np.array([{"G": "Good", "P": "Poor"}[row[0]] for row in ROWS])
MARKERS = {
    name: np.array([float(row[k]) for row in ROWS])
    for k, name in enumerate(("wfns", "s100b", "ndka"), start=1)
}


@pytest.mark.parametrize(
    ("marker", "other", "statistic", "pvalue", "low", "high"),
    [
        ("wfns", "s100b", 2.20898359144091, 0.0271757822291882, 0.01040617695648, 0.17421441924948),
        ("wfns", "ndka", 2.79777591868904, 0.0051455797069110, 0.06340117093399, 0.36004056348336),
        (
            *("ndka", "s100b", -1.39077002573558, 0.164295175223054),
            *(-0.28769174463419, 0.04887060642281),
        ),
    ],
)
def test_delong_is_that_of_proc(marker, other, statistic, pvalue, low, high):
    result = delong_test(OUTCOME, MARKERS[marker], MARKERS[other], pos_label="Poor")
    found = [result.statistic, result.pvalue, result.low, result.high]
    np.testing.assert_allclose(found, [statistic, pvalue, low, high], rtol=1e-10)


def test_the_areas_and_their_variances_are_those_of_proc():
    result = delong_test(
        OUTCOME, MARKERS["wfns"], MARKERS["ndka"], pos_label="Poor", confidence=0.95
    )
    np.testing.assert_allclose(
        [result.auc, result.auc_other], [0.823678861788618, 0.611957994579946], rtol=1e-12
    )
    np.testing.assert_allclose(
        result.auc_other_interval, [0.501244999271703, 0.722670989888189], rtol=1e-10
    )
    half = (result.auc_interval[1] - result.auc_interval[0]) / 2
    assert (half / special.ndtri(0.975)) ** 2 == pytest.approx(0.00146991470882363, rel=1e-10)


def test_equal_scores_do_not_differ():
    result = delong_test([0, 0, 1, 1], [1, 3, 2, 4], [10, 30, 20, 40])
    assert (result.difference, result.pvalue) == (0, 1)
    assert np.isnan(result.statistic)


def test_mcnemar_is_the_binomial_test_of_the_rows_that_differ():
    # Agresti, "Categorical Data Analysis", the approval of a prime minister in two surveys.
    both, only_first, only_other, neither = 794, 150, 86, 570
    right = np.repeat([(1, 1), (1, 0), (0, 1), (0, 0)], [both, only_first, only_other, neither], 0)
    result = mcnemar_test(np.ones(len(right), int), right[:, 0], right[:, 1])
    n = only_first + only_other
    tail = sum(special.comb(n, k, exact=True) for k in range(only_other + 1)) / 2**n
    assert result.pvalue == pytest.approx(2 * tail, rel=1e-9)
    assert (result.only_first, result.only_other) == (only_first, only_other)
    assert (result.both, result.neither) == (both, neither)
    assert result.difference == pytest.approx((only_first - only_other) / len(right))


def test_mcnemar_of_models_that_never_differ_is_1():
    assert mcnemar_test(["a", "b"], ["a", "a"], ["a", "a"]).pvalue == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [0, 1], [1]), "y_pred_other must have a label for each of the 2"),
        (([0, 1], ["0", "1"], [0, 1]), "y_pred must hold labels as y_true does"),
        ((["ill"], ["Ill"], ["ill"]), "y_pred must hold labels as y_true does; got 'Ill'"),
        (([0, 1], [0, None], [0, 1]), "y_pred must have a label for every row; 1 are missing"),
    ],
)
def test_mcnemar_refuses_what_is_malformed(arguments, message):
    with pytest.raises(ValueError, match=message):
        mcnemar_test(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 1, 1], [1, 2, 3], [1, 2, 3]), "rows of pos_label and others"),
        (([0, 0, 1], [1, 2, 3], [1, 2, 3]), "at least two rows of pos_label and two others"),
        ((["a", "b"], [1, 2], [1, 2]), "pos_label must name the class"),
        (([0, 0, 1, 1], [1, 2, 3], [1, 2, 3, 4]), "y_score must have a score for each of the 4"),
        (([0, 0, 1, 1], [1, 2, 3, 4], [1, 2, np.nan, 4]), "y_score_other must be finite; got nan"),
    ],
)
def test_delong_refuses_what_is_malformed(arguments, message):
    with pytest.raises(ValueError, match=message):
        delong_test(*arguments)


def test_delong_says_where_it_knows_no_variance():
    with pytest.warns(UserWarning, match="variance of 0"):
        result = delong_test([0, 0, 1, 1], [1, 2, 3, 4], [1, 1, 1, 1])
    assert result.difference == 0.5
    assert np.isnan([result.pvalue, result.low, result.high]).all()
