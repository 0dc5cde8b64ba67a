import os
import subprocess
import sys
from pathlib import Path

import ml_dtypes  # noqa: F401, gives numpy the name bfloat16
import numpy as np
import pandas as pd
import pytest

from skkd.metrics import decision_curve, net_benefit

# dcurves 1.1.7 (Python) and the tests of its R twin, on their simulated cancer data.
PUBLISHED = {
    "cancerpredmarker": {
        0.05: 0.1055438596,
        0.10: 0.0874074074,
        0.15: 0.0792156863,
        0.20: 0.0673333333,
        0.25: 0.0640000000,
        0.30: 0.0546666667,
        0.50: 0.0213333333,
    },
    "famhistory": {
        0.05: 0.025614,
        0.10: 0.018519,
        0.15: 0.010588,
        0.20: 0.001667,
        0.30: -0.020000,
        0.50: -0.089333,
    },
    "all": {
        0.05: 0.094737,
        0.10: 0.044444,
        0.15: -0.011765,
        0.20: -0.075000,
        0.25: -0.1466667,
        0.30: -0.228571,
        0.50: -0.720000,
    },
}
TOLERANCE = {"cancerpredmarker": 1e-8, "famhistory": 5.1e-7, "all": 5.1e-7}


def oracle_folder():
    if "SKKD_ORACLES" in os.environ:
        return Path(os.environ["SKKD_ORACLES"])
    if "SKKD_DATA" in os.environ:
        return Path(os.environ["SKKD_DATA"]).parent / "oracles"
    return None


@pytest.fixture(scope="module")
def cancer():
    folder = oracle_folder()
    if folder is None or not (folder / "dcurves_df_binary.csv").exists():
        pytest.skip("dcurves_df_binary.csv not found: set SKKD_ORACLES to its folder")
    return pd.read_csv(folder / "dcurves_df_binary.csv")


def from_counts(*groups):
    """Rows for (label, probability, count)."""
    labels, proba, counts = zip(*groups, strict=True)
    return np.repeat(labels, counts), np.repeat(proba, counts)


@pytest.fixture
def three_classes():
    y = np.array(["a", "a", "b", "b", "b", "c", "c", "c", "c", "c"])
    proba = np.array(
        [
            [0.7, 0.2, 0.1],
            [0.3, 0.6, 0.1],
            [0.2, 0.7, 0.1],
            [0.5, 0.3, 0.2],
            [0.1, 0.4, 0.5],
            [0.1, 0.1, 0.8],
            [0.2, 0.2, 0.6],
            [0.4, 0.3, 0.3],
            [0.1, 0.5, 0.4],
            [0.0, 0.0, 1.0],
        ]
    )
    return y, proba


@pytest.mark.parametrize("predictor", ["cancerpredmarker", "famhistory"])
def test_net_benefit_agrees_with_dcurves_on_its_own_data(cancer, predictor):
    thresholds, expected = zip(*PUBLISHED[predictor].items(), strict=True)

    result = net_benefit(cancer["cancer"], cancer[predictor], thresholds)

    np.testing.assert_allclose(result, expected, rtol=0, atol=TOLERANCE[predictor])


def test_published_values_are_those_of_the_oracle_file(cancer):
    oracle = pd.read_csv(oracle_folder() / "decision_curve.csv")

    for row in oracle.itertuples():
        assert PUBLISHED[row.predictor][row.threshold] == row.net_benefit
    assert len(oracle) == sum(map(len, PUBLISHED.values()))


def test_treat_all_depends_on_the_prevalence_alone_and_agrees_with_dcurves():
    # 105 events in 750 rows, as in the published data; the probabilities play no part.
    y_true = np.repeat([True, False], [105, 645])
    thresholds, expected = zip(*PUBLISHED["all"].items(), strict=True)

    curve = decision_curve(y_true, np.full(750, 0.5), thresholds=thresholds)

    treat_all = curve.loc[curve["strategy"] == "treat all", "net_benefit"]
    np.testing.assert_allclose(treat_all, expected, rtol=0, atol=TOLERANCE["all"])


def test_interventions_avoided_per_100_agree_with_dcurves():
    # dcurves' published benchmark of its marker: the rates of true and false positives at
    # thresholds 0.1, 0.2 and 0.35 are these counts out of 750.
    y_true, proba = from_counts(
        (1, 0.40, 18),
        (1, 0.30, 41 - 18),
        (1, 0.15, 78 - 41),
        (1, 0.05, 105 - 78),
        (0, 0.40, 24),
        (0, 0.30, 77 - 24),
        (0, 0.15, 281 - 77),
        (0, 0.05, 645 - 281),
    )

    curve = decision_curve(y_true, proba, thresholds=[0.1, 0.2, 0.35])

    model = curve[curve["strategy"] == "model"]
    np.testing.assert_allclose(
        model["net_benefit"], [0.06237037037037038, 0.029, 0.006769230769230774], atol=1e-12
    )
    np.testing.assert_allclose(
        model["net_interventions_avoided"],
        [16.133333333333336, 41.599999999999994, 61.25714285714285],
        atol=1e-9,
    )
    none = curve[curve["strategy"] == "treat none"]
    np.testing.assert_allclose(
        none["net_interventions_avoided"], [-40, 29.999999999999993, 60], atol=1e-9
    )
    everyone = curve[curve["strategy"] == "treat all"]
    assert (everyone["net_interventions_avoided"] == 0).all()
    assert (curve["n"] == 750).all()


def test_case_control_net_benefit_agrees_with_dcurves():
    # dcurves' case-control data: at a threshold of 0.25 its model treats 114 of 420 cases and
    # 30 of 330 controls; prevalence 0.15 was published as 0.01495671, and treat all -0.13333333.
    y_true, proba = from_counts((1, 0.3, 114), (1, 0.2, 306), (0, 0.3, 30), (0, 0.2, 300))

    curve = decision_curve(y_true, proba, thresholds=[0.25], prevalence=0.15)

    np.testing.assert_allclose(
        curve["net_benefit"], [0.01495671, -0.13333333, 0], rtol=0, atol=1e-8
    )
    assert net_benefit(y_true, proba, 0.25, prevalence=0.15) == curve["net_benefit"][0]


def test_prevalence_of_the_sample_changes_nothing():
    y_true, proba = from_counts((1, 0.6, 7), (1, 0.2, 3), (0, 0.7, 5), (0, 0.1, 25))
    thresholds = [0.15, 0.5, 0.65]

    given = net_benefit(y_true, proba, thresholds, prevalence=0.25)

    np.testing.assert_allclose(given, net_benefit(y_true, proba, thresholds), atol=1e-15)


def test_net_benefit_equals_a_count_row_by_row():
    rng = np.random.default_rng(0)
    proba = rng.integers(0, 21, 200) / 20
    y_true = rng.random(200) < proba
    thresholds = np.array([0.9, 0.05, 0.5, 0.35])

    expected = []
    for t in thresholds:
        true_positives = sum(p >= t and y for p, y in zip(proba, y_true, strict=True))
        false_positives = sum(p >= t and not y for p, y in zip(proba, y_true, strict=True))
        expected.append(true_positives / 200 - false_positives / 200 * t / (1 - t))

    np.testing.assert_allclose(net_benefit(y_true, proba, thresholds), expected, atol=1e-14)


def test_a_probability_equal_to_the_threshold_is_treated():
    assert net_benefit([1, 0], [0.3, 0.1], 0.3) == 0.5


def test_a_model_that_treats_all_or_none_meets_their_lines():
    y_true = [0, 0, 0, 1]

    curve = decision_curve(y_true, [0.5, 0.6, 0.5, 0.6], thresholds=[0.2, 0.4, 0.7, 0.9])

    lines = curve.pivot(index="threshold", columns="strategy", values="net_benefit")
    np.testing.assert_allclose(lines["model"][:0.5], lines["treat all"][:0.5], atol=1e-15)
    assert (lines["model"][0.5:] == 0).all()
    assert (lines["treat none"] == 0).all()


def test_standardizing_gives_a_perfect_model_1_at_every_threshold():
    y_true = [0, 0, 0, 0, 1]

    result = net_benefit(y_true, y_true, [0.1, 0.5, 0.9], standardized=True)

    np.testing.assert_allclose(result, 1, atol=1e-15)


def test_standardizing_leaves_the_interventions_avoided_alone(three_classes):
    plain = decision_curve(*three_classes, thresholds=[0.25, 0.45])
    standardized = decision_curve(*three_classes, thresholds=[0.25, 0.45], standardized=True)

    prevalence = plain["class"].map({"a": 0.2, "b": 0.3, "c": 0.5})
    np.testing.assert_allclose(
        standardized["net_benefit"], plain["net_benefit"] / prevalence, atol=1e-15
    )
    assert standardized["net_interventions_avoided"].equals(plain["net_interventions_avoided"])


def test_each_class_is_set_against_the_rest_with_its_own_treat_all_line(three_classes):
    # At 0.45 the odds are 9/11. Treated: a {7, 5 of b}, b {6 of a, 7 of b, 5 of c},
    # c {5 of b, 8, 6, 10 of c}, read off the table of ten rows.
    curve = decision_curve(*three_classes, thresholds=[0.45])

    net = curve.pivot(index="class", columns="strategy", values="net_benefit")
    odds = 9 / 11
    np.testing.assert_allclose(
        net["model"], [0.1 - 0.1 * odds, 0.1 - 0.2 * odds, 0.3 - 0.1 * odds], atol=1e-14
    )
    np.testing.assert_allclose(
        net["treat all"], [0.2 - 0.8 * odds, 0.3 - 0.7 * odds, 0.5 - 0.5 * odds], atol=1e-14
    )
    assert (net["treat none"] == 0).all()


def test_each_class_has_the_net_benefit_of_its_own_column(three_classes):
    y_true, proba = three_classes
    thresholds = [0.15, 0.35, 0.55]

    curve = decision_curve(y_true, proba, thresholds=thresholds)

    model = curve[curve["strategy"] == "model"]
    for k, label in enumerate("abc"):
        np.testing.assert_allclose(
            model.loc[model["class"] == label, "net_benefit"],
            net_benefit(y_true, proba[:, k], thresholds, pos_label=label),
            atol=1e-14,
        )


def test_a_prevalence_for_each_class_weighs_the_rest_as_in_the_population(three_classes):
    # Class a at 0.45: 1 of 2 a, 1 of 3 b and 0 of 5 c are treated.
    prevalence = {"c": 0.1, "a": 0.6, "b": 0.3}

    curve = decision_curve(*three_classes, thresholds=[0.45], prevalence=prevalence)

    net = curve[curve["class"] == "a"].set_index("strategy")["net_benefit"]
    assert net["model"] == pytest.approx(0.6 / 2 - 0.3 / 3 * 9 / 11, abs=1e-14)
    assert net["treat all"] == pytest.approx(0.6 - 0.4 * 9 / 11, abs=1e-14)


def test_two_columns_give_the_curve_of_the_positive_column():
    y_true = np.array(["ill", "well", "well", "ill"])
    ill = np.array([0.9, 0.2, 0.6, 0.4])
    proba = np.column_stack([ill, 1 - ill])

    both = decision_curve(y_true, proba, pos_label="ill")

    pd.testing.assert_frame_equal(both, decision_curve(y_true, ill, pos_label="ill"))
    assert set(both["class"]) == {"ill"}
    assert len(both) == 3 * 99


def test_labels_name_the_columns_in_any_order(three_classes):
    y_true, proba = three_classes

    curve = decision_curve(y_true, proba[:, [2, 0, 1]], labels=["c", "a", "b"])

    expected = decision_curve(y_true, proba)
    assert curve["class"].unique().tolist() == ["c", "a", "b"]
    key = ["class", "strategy", "threshold"]
    pd.testing.assert_frame_equal(
        curve.sort_values(key, ignore_index=True), expected.sort_values(key, ignore_index=True)
    )


def test_a_class_without_rows_leaves_the_other_curves_alone(three_classes):
    y_true, proba = three_classes
    keep = y_true != "a"

    curve = decision_curve(y_true[keep], proba[keep], labels=["a", "b", "c"], thresholds=[0.45])

    net = curve.pivot(index="class", columns="strategy", values="net_benefit")
    # One of the eight rows left, a b, is treated as an a.
    assert net.loc["a", "model"] == pytest.approx(-1 / 8 * 9 / 11, abs=1e-14)
    assert net.loc["a", "treat all"] == pytest.approx(-9 / 11, abs=1e-14)
    assert net.loc["c", "model"] == pytest.approx(3 / 8 - 1 / 8 * 9 / 11, abs=1e-14)


def test_thresholds_come_back_sorted_and_once_in_a_curve():
    curve = decision_curve([0, 1], [0.2, 0.8], thresholds=[0.5, 0.1, 0.5])

    assert curve.loc[curve["strategy"] == "model", "threshold"].tolist() == [0.1, 0.5]


def test_inputs_are_not_changed(three_classes):
    y_true, proba = three_classes
    thresholds = np.array([0.5, 0.2])
    copies = y_true.copy(), proba.copy(), thresholds.copy()

    decision_curve(y_true, proba, thresholds=thresholds)
    net_benefit(y_true, proba[:, 0], thresholds, pos_label="a")

    for now, before in zip((y_true, proba, thresholds), copies, strict=True):
        np.testing.assert_array_equal(now, before)


@pytest.mark.parametrize("bad", [0.0, 1.0, -0.1, 1.5, np.nan])
def test_thresholds_outside_the_open_unit_interval_are_refused(bad):
    with pytest.raises(ValueError, match=r"thresholds must lie strictly between 0 and 1.*got "):
        net_benefit([0, 1], [0.2, 0.8], [0.5, bad])
    with pytest.raises(ValueError, match="thresholds must lie strictly between 0 and 1"):
        decision_curve([0, 1], [0.2, 0.8], thresholds=[0.5, bad])


@pytest.mark.parametrize("bad", [[], [[0.1, 0.2]]])
def test_thresholds_of_a_wrong_shape_are_refused(bad):
    with pytest.raises(ValueError, match="thresholds must be a number or 1-D"):
        net_benefit([0, 1], [0.2, 0.8], bad)


@pytest.mark.parametrize("function", [net_benefit, decision_curve])
@pytest.mark.parametrize(
    ("y_true", "y_proba", "options", "message"),
    [
        ([0, 1], [0.2, 1.2], {}, r"y_proba must lie in \[0, 1\]; got 1.2"),
        ([0, 1], [-0.1, 0.2], {}, r"y_proba must lie in \[0, 1\]; got -0.1"),
        ([0, 1], [np.nan, 0.2], {}, "y_proba contains NaN"),
        ([0, 1], [0.2, 0.3, 0.4], {}, "got 3 rows and 2 labels"),
        ([0.0, np.nan], [0.2, 0.3], {}, "y_true must have a label for every row; 1 are missing"),
        (["a", None], [0.2, 0.3], {}, "y_true must have a label for every row; 1 are missing"),
        ([[0, 1], [1, 0]], [0.2, 0.3], {}, r"y_true must be 1-D labels.*got shape \(2, 2\)"),
        ([], [], {}, "y_true must be 1-D labels, at least one"),
        (["a", "b"], [0.2, 0.3], {}, "pos_label must name the class to treat"),
        ([1, 2], [0.2, 0.3], {}, r"pos_label must name.*got None and the labels \[1, 2\]"),
        (["a", "b"], [0.2, 0.3], {"pos_label": "z"}, r"pos_label must be one of.*got 'z'"),
        ([0, 1], [0.2, 0.3], {"pos_label": 2}, "pos_label must be one of"),
        ([0, 1], [0.2, 0.3], {"prevalence": 0.0}, r"prevalence must be a number in \(0, 1\)"),
        ([0, 1], [0.2, 0.3], {"prevalence": 1.3}, "got 1.3"),
        ([0, 1], [0.2, 0.3], {"prevalence": {1: 0.3}}, "prevalence must be a number"),
        ([0, 0], [0.2, 0.3], {"prevalence": 0.3}, r"rows of every class.*got \[2, 0\] rows"),
        ([0, 0], [0.2, 0.3], {"standardized": True}, "y_true has no row of class 1"),
    ],
)
def test_bad_input_is_refused_by_name(function, y_true, y_proba, options, message):
    arguments = (y_true, y_proba, [0.5]) if function is net_benefit else (y_true, y_proba)

    with pytest.raises(ValueError, match=message):
        function(*arguments, **options)


def test_net_benefit_refuses_several_columns():
    with pytest.raises(ValueError, match=r"y_proba must be 1-D.*got shape \(2, 2\)"):
        net_benefit([0, 1], [[0.2, 0.8], [0.1, 0.9]], 0.5)


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ([0, 1], {}, r"one column for each of the 3 classes .*; got 2 columns"),
        ([0], {}, r"one column a class for 3 classes"),
        ([0, 1, 2], {"labels": ["a", "b"]}, r"only the classes \['a', 'b'\]; got \['c'\] as well"),
        ([0, 1, 2], {"labels": [0, 1, 2]}, r"only the classes \[0, 1, 2\]; got \['a', 'b', 'c'\]"),
        ([0, 1, 2], {"labels": ["a", "b", "b"]}, "labels must be unique"),
        ([0, 1, 2], {"labels": ["a", "b", "c", "d"]}, "4 classes .*; got 3 columns"),
        ([0, 1, 2], {"pos_label": "a"}, "pos_label must be None for 3 classes"),
        ([0, 1, 2], {"prevalence": 0.2}, "prevalence must map each of the classes"),
        ([0, 1, 2], {"prevalence": {"a": 0.2, "b": 0.8}}, "prevalence must map each"),
        ([0, 1, 2], {"prevalence": {"a": 0.2, "b": 0.3, "c": 0.4}}, "sum to 1"),
        ([0, 1, 2], {"prevalence": {"a": 0.0, "b": 0.3, "c": 0.7}}, "above 0"),
    ],
)
def test_columns_and_classes_that_do_not_match_are_refused(
    three_classes, columns, options, message
):
    y_true, proba = three_classes

    with pytest.raises(ValueError, match=message):
        decision_curve(y_true, proba[:, columns], **options)


def test_rows_that_do_not_sum_to_1_are_refused(three_classes):
    y_true, proba = three_classes
    proba[4] = [0.1, 0.4, 0.6]

    with pytest.raises(ValueError, match=r"y_proba must sum to 1 in every row; row 4 sums to 1.1"):
        decision_curve(y_true, proba)


def test_single_precision_softmax_rows_are_accepted(three_classes):
    y_true, proba = three_classes

    curve = decision_curve(y_true, proba.astype(np.float32), thresholds=[0.45])

    expected = decision_curve(y_true, proba, thresholds=[0.45])
    pd.testing.assert_frame_equal(curve, expected)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_a_probability_reaches_the_threshold_that_it_equals_in_its_own_precision(dtype):
    for threshold in np.arange(1, 100) / 100:
        proba = np.array([threshold, threshold]).astype(dtype)
        assert net_benefit([1, 1], proba, threshold) == 1, threshold
        # A hundredth less does not, even in 16 bits.
        less = np.array([threshold - 0.01] * 2).astype(dtype)
        assert net_benefit([1, 1], less, threshold) == 0, threshold


@pytest.mark.parametrize(
    ("proba", "threshold"),
    [
        (np.float32(0.7), 0.7),
        (float(np.float32(0.7)), 0.7),
        (0.3, np.float32(0.3)),
        (np.mean([0.0] * 3 + [1.0] * 7), 0.7),
        (0.6999999999999999, 0.7),
        (0.7000000000000001, 0.7),
        (sum([0.1] * 8), 0.8),
        (1 - 0.9, 0.1),
        (np.float32(1) - np.float32(0.9), np.float32(0.1)),
        (np.mean(np.array([0, 1, 1] * 100, np.float32), dtype=np.float32), 2 / 3),
        (np.add.reduce(np.full(70, 0.01)), 0.7),
    ],
)
def test_a_tie_but_for_rounding_is_treated_in_every_measure(proba, threshold):
    assert net_benefit([1, 1], np.array([proba, proba]), threshold) == 1
    curve = decision_curve([1, 1], np.array([proba, proba]), thresholds=[threshold])
    assert curve["net_benefit"][0] == 1


@pytest.mark.parametrize(
    ("proba", "threshold"),
    [(0.7 - 1e-12, 0.7), (np.float32(0.7 - 1e-5), 0.7), (np.float16(0.697), 0.7)],
)
def test_what_lies_below_a_threshold_by_more_than_rounding_is_not_treated(proba, threshold):
    assert net_benefit([1, 1], np.array([proba, 0.1], np.asarray(proba).dtype), threshold) == 0


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_a_healthy_row_at_the_threshold_is_treated_too(dtype):
    proba, threshold = np.array([0.5, 0.9]).astype(dtype), np.array([0.5]).astype(dtype)
    # One of two rightly, one wrongly, at odds of 1.
    assert net_benefit([0, 1], proba, threshold) == 0
    assert net_benefit([0, 1], proba, threshold, sample_weight=[2, 1]) == pytest.approx(-1 / 3)


def test_a_probability_of_zero_reaches_no_threshold():
    # Which 16 bits would round to 0.
    assert net_benefit([1, 0], np.array([0, 0.5], "float16"), 1e-9) == -0.5 * 1e-9 / (1 - 1e-9)
    assert net_benefit([0, 1], np.array([0, 0.5], "float16"), 1e-9) == 0.5


@pytest.mark.parametrize(
    ("over", "dtype"),
    [
        (1.0000001, "float64"),
        (1.0000001, "float32"),
        (1.000009, "float32"),
        (1.001, "float16"),
        (1.0078125, "bfloat16"),
    ],
)
def test_a_probability_over_1_by_rounding_is_clipped(over, dtype):
    proba = np.array([0.2, over, 1 - over]).astype(dtype)
    assert proba[1] > 1 > 0 > proba[2]
    # Treated: the first row, wrongly, and the second.
    assert net_benefit([0, 1, 0], proba, 0.15) == pytest.approx(1 / 3 - 1 / 3 * 0.15 / 0.85)
    assert net_benefit([0, 1, 0], proba, 0.9999) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("over", "dtype"),
    [(1.001, "float64"), (1.001, "float32"), (1.01, "float16"), (1.1, "bfloat16")],
)
def test_a_probability_over_1_by_more_than_rounding_is_refused(over, dtype):
    with pytest.raises(ValueError, match=r"y_proba must lie in \[0, 1\]; got 1"):
        net_benefit([0, 1], np.array([0.2, over]).astype(dtype), 0.2)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_rows_of_sixteen_bits_sum_to_1_as_well_as_they_can(dtype):
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(7), size=200).astype(dtype)
    y_true = np.arange(200) % 7
    curve = decision_curve(y_true, proba, thresholds=[0.3])
    wide = proba.astype(np.float64)
    model = curve.loc[curve["strategy"] == "model", "net_benefit"]
    for k, value in enumerate(model):
        treated = wide[:, k] >= float(np.array(0.3).astype(dtype))
        expected = (treated & (y_true == k)).mean() - (treated & (y_true != k)).mean() * 3 / 7
        assert value == pytest.approx(expected, abs=1e-14)
    with pytest.raises(ValueError, match="y_proba must sum to 1"):
        decision_curve(y_true, (wide * 0.95).astype(dtype), thresholds=[0.3])


def test_weights_are_the_true_and_false_positives_they_say():
    # Treated at 0.5: weights 3 (ill) and 0.5 (well) of 3 + 1 + 2 + 0.5 = 6.5.
    result = net_benefit(
        [1, 1, 0, 0], [0.9, 0.2, 0.1, 0.6], 0.5, sample_weight=[3.0, 1.0, 2.0, 0.5]
    )
    assert result == pytest.approx((3 - 0.5) / 6.5, abs=1e-15)


@pytest.mark.parametrize(
    "options", [{}, {"standardized": True}, {"prevalence": {"a": 0.1, "b": 0.3, "c": 0.6}}]
)
def test_whole_weights_count_as_rows_that_are_repeated(three_classes, options):
    y_true, proba = three_classes
    weights = np.array([2, 1, 0, 3, 1, 1, 4, 0, 2, 1])
    repeated = np.repeat(y_true, weights), np.repeat(proba, weights, axis=0)

    weighted = decision_curve(y_true, proba, sample_weight=weights, **options)
    expected = decision_curve(*repeated, **options)

    assert (weighted.pop("n") == 10).all()
    assert (expected.pop("n") == 15).all()
    pd.testing.assert_frame_equal(weighted, expected, atol=1e-14)
    one = net_benefit(y_true, proba[:, 2], [0.3, 0.5], pos_label="c", sample_weight=weights)
    other = net_benefit(repeated[0], repeated[1][:, 2], [0.3, 0.5], pos_label="c")
    np.testing.assert_allclose(one, other, atol=1e-14)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], r"one weight for each of the 2 labels; got shape \(1,\)"),
        ([[1.0], [1.0]], r"got shape \(2, 1\)"),
        ([1.0, -2.0], "got -2.0 in row 1"),
        ([np.nan, 1.0], "got nan in row 0"),
        ([0.0, 0.0], "got zeros alone"),
    ],
)
def test_weights_that_are_none_are_refused(weights, message):
    with pytest.raises(ValueError, match=f"sample_weight must be .*{message}"):
        net_benefit([0, 1], [0.2, 0.8], 0.5, sample_weight=weights)


def test_the_harm_of_the_test_is_subtracted_from_the_model_alone(cancer):
    # dcurves: net_benefit = test_pos_rate_of_cases - odds * that_of_others - harm.
    y_true, proba = cancer["cancer"], cancer["cancerpredmarker"]
    harm, t = 0.0333, 0.2
    plain = decision_curve(y_true, proba, thresholds=[t]).set_index("strategy")
    harmed = decision_curve(y_true, proba, thresholds=[t], test_harm=harm).set_index("strategy")
    treated = proba >= t
    expected = (treated & (y_true == 1)).mean() - (treated & (y_true == 0)).mean() * 0.25 - harm
    assert harmed.loc["model", "net_benefit"] == pytest.approx(expected, abs=1e-14)
    assert net_benefit(y_true, proba, t, test_harm=harm) == pytest.approx(expected, abs=1e-14)
    others = ["treat all", "treat none"]
    pd.testing.assert_frame_equal(harmed.loc[others], plain.loc[others])
    # A harm of 0.0333 at odds of 1 to 4 takes away 13.32 of 100 avoided interventions.
    difference = plain["net_interventions_avoided"] - harmed["net_interventions_avoided"]
    assert difference["model"] == pytest.approx(100 * harm / 0.25)
    share = net_benefit(y_true, proba, t, test_harm=harm, standardized=True)
    assert share == pytest.approx(expected / y_true.mean())


@pytest.mark.parametrize("harm", [-0.1, np.nan, np.inf, "0.1", None])
def test_a_harm_that_is_none_is_refused(harm):
    with pytest.raises(ValueError, match="test_harm must be a finite number"):
        net_benefit([0, 1], [0.2, 0.8], 0.5, test_harm=harm)


def test_importing_the_metrics_opens_neither_keras_nor_matplotlib():
    heavy = {"keras", "tensorflow", "matplotlib"}
    code = f"import sys, skkd.metrics; print(sorted({heavy!r} & set(sys.modules)))"

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("standardized", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_intervals_are_quantiles_of_the_curves_of_each_resample(n_classes, standardized, known):
    rng = np.random.default_rng(0)
    y = rng.integers(0, n_classes, 40)
    proba = rng.dirichlet(np.ones(n_classes), 40)
    weights = rng.random(40)
    shares = {2: 0.3, 3: {0: 0.2, 1: 0.3, 2: 0.5}}[n_classes]
    given = {
        "thresholds": [0.1, 0.3, 0.5],
        "labels": range(n_classes),
        "standardized": standardized,
        "prevalence": shares if known else None,
        "test_harm": 0.01,
    }
    curve = decision_curve(
        y,
        proba,
        sample_weight=weights,
        confidence=0.8,
        n_resamples=25,
        random_state=3,
        **given,
    )
    seed = np.random.RandomState(3).randint(2**31 - 1)
    drawn = np.random.RandomState(seed).randint(40, size=(25, 40))
    curves = [
        decision_curve(y[rows], proba[rows], sample_weight=weights[rows], **given) for rows in drawn
    ]
    ends = np.quantile([of_rows["net_benefit"] for of_rows in curves], [0.1, 0.9], axis=0)
    columns = ["net_benefit_low", "net_benefit_high"]
    np.testing.assert_allclose(curve[columns].to_numpy().T, ends, atol=1e-12)
    plain = decision_curve(y, proba, sample_weight=weights, **given)
    pd.testing.assert_frame_equal(
        plain, curve.drop(columns=["net_benefit_low", "net_benefit_high"])
    )


def test_intervals_by_patient_are_wider_where_their_images_are_alike():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60).repeat(5)
    proba = np.clip(y + rng.normal(0, 0.4, 60).repeat(5), 0, 1)
    width = []
    for groups in (None, np.arange(60).repeat(5)):
        curve = decision_curve(
            y, proba, thresholds=[0.3], confidence=0.95, groups=groups, random_state=0
        )
        row = curve.iloc[0]
        width.append(row.net_benefit_high - row.net_benefit_low)
    assert width[1] / width[0] == pytest.approx(np.sqrt(5), rel=0.15)


def test_groups_without_intervals_are_refused():
    with pytest.raises(ValueError, match=r"confidence=None makes none: pass confidence=0\.95"):
        decision_curve([0, 1], [0.2, 0.8], groups=["a", "b"])


def test_draws_in_which_no_row_weighs_anything_are_left_out():
    curve = decision_curve(
        [1, 0, 0, 0],
        [0.9, 0.1, 0.1, 0.1],
        thresholds=[0.5],
        sample_weight=[1, 0, 0, 0],
        confidence=0.9,
        random_state=0,
    )
    model = curve[curve["strategy"] == "model"].iloc[0]
    assert (model.net_benefit_low, model.net_benefit_high) == (1, 1)
