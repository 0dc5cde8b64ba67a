from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, hypergeom
from sklearn import config_context
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.utils import Bunch

from skkd.metrics import subgroup_report
from skkd.metrics.audit._columns import read_columns
from skkd.metrics.audit._samples import permuted
from skkd.metrics.audit._subgroups import _adjust


class Given:
    """A classifier that is asked about its own probabilities, and counts how often."""

    classes_ = np.array(["a", "b"])

    def __init__(self):
        self.n_calls = 0

    def predict_proba(self, X):
        self.n_calls += 1
        return np.asarray(X)


@pytest.fixture(scope="module")
def answers():
    """Labels of 240 images, and probabilities that are better at one site than the other."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 240)
    site = np.where(rng.random(240) < 0.4, "north", "south")
    score = y + np.where(site == "north", 1.5, 0.4) * rng.normal(size=240)
    proba = 1 / (1 + np.exp(-4 * (score - 0.5)))
    return np.column_stack([1 - proba, proba]), np.array(["a", "b"])[y], site


def report_on(X, y, metadata, **params):
    params = {"random_state": 0, "n_resamples": 200, **params}
    return subgroup_report(Given(), X, y, metadata, **params)


def row(report, value, column=None, score=None):
    found = report[report["value"] == value]
    if score is not None:
        found = found[found["score"] == score]
    (one,) = (found if column is None else found[found["column"] == column]).to_dict("records")
    return one


def test_scores_and_counts_are_those_of_the_images_of_each_value(answers):
    X, y, site = answers
    patients = np.arange(240) // 3
    report = report_on(X, y, {"site": site}, scores=["accuracy", "roc_auc"], groups=patients)
    assert report[["column", "value"]].drop_duplicates().to_numpy().tolist() == [
        ["all", "all"],
        ["site", "north"],
        ["site", "south"],
    ]
    assert set(report["set"]) == {"internal"}
    for value in ("all", "north", "south"):
        inside = np.ones(240, bool) if value == "all" else site == value
        found = row(report, value, score="accuracy")
        predicted = np.where(X[:, 1] > 0.5, "b", "a")
        assert found["n"] == inside.sum()
        assert found["n_patients"] == len(set(patients[inside]))
        assert found["estimate"] == pytest.approx(accuracy_score(y[inside], predicted[inside]))
        found = row(report, value, score="roc_auc")
        assert found["estimate"] == pytest.approx(roc_auc_score(y[inside] == "b", X[inside, 1]))
        assert found["low"] < found["estimate"] < found["high"]
    north, south = (row(report, value, score="accuracy") for value in ("north", "south"))
    assert north["difference"] == pytest.approx(north["estimate"] - south["estimate"])
    # Each is the rest of the other: one comparison.
    assert north["difference_low"] == pytest.approx(-south["difference_high"])
    assert north["p_value"] == south["p_value"]
    assert north["p_adjusted"] == pytest.approx(min(1, 2 * north["p_value"]), abs=0.02)


def right_or_wrong(right):
    """Return probabilities and labels of images that are classified rightly or wrongly."""
    right = np.asarray(right)
    return np.column_stack([right, 1 - right]).astype(float), np.full(len(right), "a")


def test_intervals_are_those_of_proportions():
    X, y = right_or_wrong(np.arange(400) % 5 > 0)
    inside = np.arange(400) // 5 % 4 == 0
    found = row(report_on(X, y, {"x": inside}, n_resamples=4000), "True")
    width = 2 * 1.96 * np.sqrt(0.8 * 0.2 / 100)
    assert found["high"] - found["low"] == pytest.approx(width, rel=0.07)
    width = 2 * 1.96 * np.sqrt(0.8 * 0.2 * (1 / 100 + 1 / 300))
    assert found["difference_high"] - found["difference_low"] == pytest.approx(width, rel=0.07)
    # Of four images of each patient three say nothing new.
    times = np.repeat(np.arange(400), 4)
    many = report_on(X[times], y[times], {"x": inside[times]}, groups=times, n_resamples=4000)
    again = row(many, "True")
    assert again["n"] == 400
    assert again["n_patients"] == 100
    assert again["high"] - again["low"] == pytest.approx(found["high"] - found["low"], rel=0.07)
    assert again["p_value"] == pytest.approx(found["p_value"], abs=0.05)


def test_the_p_value_of_an_accuracy_is_that_of_a_hypergeometric_distribution():
    right = np.repeat([True, False, True, False], [19, 1, 42, 18])
    inside = np.repeat(["in", "out"], [20, 60])
    report = report_on(*right_or_wrong(right), {"x": inside}, n_resamples=20_000)
    counts = np.arange(21)
    differences = counts / 20 - (61 - counts) / 60
    as_far = np.abs(differences) >= abs(19 / 20 - 42 / 60) - 1e-9
    expected = hypergeom(80, 61, 20).pmf(counts)[as_far].sum()
    assert 0.01 < expected < 0.06
    assert row(report, "in")["p_value"] == pytest.approx(expected, abs=0.005)


def test_a_subgroup_without_an_error_is_not_taken_for_better_by_that_alone():
    # All resamples of 12 right answers are right, but 12 of 90 % are so by chance often enough.
    right = np.concatenate([np.ones(12), np.arange(120) % 10 > 0])
    metadata = {"x": np.repeat(["few", "many"], [12, 120])}
    found = row(report_on(*right_or_wrong(right), metadata), "few")
    assert found["difference_low"] > 0
    assert found["p_value"] > 0.2


def test_the_p_value_within_patients_is_that_of_pairs():
    # Two images of each of 40 patients, of two scanners: 9 patients right with the first scanner
    # alone, 2 with the second alone.
    first = np.repeat([True, True, False, False], [20, 9, 2, 9])
    second = np.repeat([True, False, True, False], [20, 9, 2, 9])
    X, y = right_or_wrong(np.concatenate([first, second]))
    scanner = np.repeat(["one", "two"], 40)
    patients = np.tile(np.arange(40), 2)
    report = report_on(X, y, {"scanner": scanner}, groups=patients, n_resamples=20_000)
    expected = binomtest(9, 11).pvalue
    assert row(report, "one")["p_value"] == pytest.approx(expected, abs=0.007)


def test_permutations_keep_patients_whole_and_the_shares_of_those_in_both():
    rng = np.random.RandomState(0)
    units = np.array([5, 5, 0, 0, 0, 1, 2, 2, 3, 4, 4, 4])
    inside = np.array([1, 0, 1, 1, 1, 0, 1, 1, 0, 0, 0, 1], dtype=bool)
    drawn = permuted(inside, units, 500, rng)
    assert drawn.shape == (500, 12)
    for unit in range(6):
        of_unit = drawn[:, units == unit].sum(axis=1)
        if unit in (4, 5):  # In both: one image of each is inside, any of them.
            assert (of_unit == 1).all()
            assert (drawn[:, units == unit].any(axis=0)).all()
        else:
            assert set(of_unit) == {0, (units == unit).sum()}
    whole = drawn[:, [2, 5, 6, 8]]
    # Two of the four patients that lie wholly in one part are inside, each as often.
    assert (whole.sum(axis=1) == 2).all()
    np.testing.assert_allclose(whole.mean(axis=0), 0.5, atol=0.1)


def test_corrections_are_those_of_published_procedures():
    p_values = pd.Series([0.01, np.nan, 0.04, 0.03, 0.005, 0.04])
    tests = pd.Series([1, 2, 3, 4, 5, 3])
    # By hand, as p.adjust of R gives them; the test that is in two rows counts once.
    expected = {
        "holm": [0.03, np.nan, 0.06, 0.06, 0.02, 0.06],
        "benjamini-hochberg": [0.02, np.nan, 0.04, 0.04, 0.02, 0.04],
        None: p_values.tolist(),
    }
    for correction, adjusted in expected.items():
        np.testing.assert_allclose(_adjust(p_values, tests, correction), adjusted)


@pytest.mark.parametrize("correction", ["holm", "benjamini-hochberg"])
def test_a_subgroup_that_is_all_wrong_is_found_among_many_comparisons(correction):
    wrong = np.arange(400) < 60
    rng = np.random.default_rng(0)
    metadata = {f"column {i}": rng.permutation(400) % 10 for i in range(10)} | {"x": wrong}
    report = report_on(*right_or_wrong(~wrong), metadata, correction=correction, n_resamples=500)
    assert report["p_value"].count() == 102
    assert row(report, "True")["p_adjusted"] < 0.05
    # What is clear after few permutations takes no more of them.
    alone = report_on(*right_or_wrong(~wrong), metadata, correction=None, n_resamples=500)
    assert alone["p_value"].min() == 1 / 501
    clear = alone["p_value"] > 10.5 / 501
    assert clear.sum() > 80
    pd.testing.assert_series_equal(report["p_value"][clear], alone["p_value"][clear])


def test_p_values_of_many_comparisons_are_small_as_often_as_they_say():
    rng = np.random.default_rng(0)
    values = {"values": rng.normal(size=60)}
    metadata = {f"column {i}": rng.permutation(60) < 24 for i in range(150)}
    report = report_on(*right_or_wrong(np.ones(60)), metadata, scores=values, n_resamples=100)
    p_values = report["p_value"].dropna()[::2]
    assert len(p_values) == 150
    # More are drawn for some of them, and those are no rarer than others.
    assert 0 < p_values.min() < 1 / 101
    for share in (0.05, 0.1, 0.3):
        n = (p_values <= share).sum()
        assert binomtest(int(n), 150, share).pvalue > 0.05


def test_values_of_all_kinds_are_matched_by_position(answers):
    X, y, _ = answers
    north = np.arange(240) % 3 == 0
    unknown = np.arange(240) % 10 == 0
    names = pd.Series(np.where(north, "n", "s")).mask(unknown)
    days = pd.Series(pd.to_datetime(np.where(north, "2020-01-01", "2021-06-05"))).mask(unknown)
    numbers = pd.Series(north.astype(float)).mask(unknown)
    kinds = {
        "objects": (names, ["n", "s"]),
        "list": (names.tolist(), ["n", "s"]),
        "string": (names.astype("string"), ["n", "s"]),
        "category": (names.astype(pd.CategoricalDtype(["s", "unused", "n"])), ["s", "n"]),
        "dates": (days, ["2020-01-01", "2021-06-05"]),
        "of a zone": (days.dt.tz_localize("UTC"), None),
        "floats": (numbers, ["0", "1"]),
        "nullable": (numbers.astype("Int64"), ["0", "1"]),
        "boolean": (numbers.astype("boolean"), ["False", "True"]),
        "none": ([None if u else bool(n) for u, n in zip(unknown, north, strict=True)], None),
        "bool": (north, ["False", "True"]),
        "backward": (names.set_axis(range(239, -1, -1)), ["n", "s"]),
    }
    table = {name: values for name, (values, _) in kinds.items()}
    report = report_on(X, y, table, n_resamples=10)
    for name, (_, values) in kinds.items():
        of_column = report[report["column"] == name].set_index("value")
        if values is not None:
            known = [*values] if name == "bool" else [*values, "missing"]
            assert of_column.index.tolist() == known
        n = of_column["n"].tolist()
        is_north = north if name == "bool" else north & ~unknown
        assert is_north.sum() in n[:2]
        assert sum(n) == 240
        if name != "bool":
            assert n[2] == unknown.sum()
    frame = pd.DataFrame({"x": names.to_numpy()}, index=np.arange(240)[::-1])
    pd.testing.assert_frame_equal(
        report_on(X, y, frame, n_resamples=10), report_on(X, y, {"x": names}, n_resamples=10)
    )


def test_many_numbers_and_dates_become_bands_of_equally_many(answers):
    X, y, _ = answers
    age = np.random.default_rng(0).permutation(240) / 2 + 20
    when = pd.date_range("2020-01-01", periods=240)
    report = report_on(X, y, {"age": age, "when": when}, n_resamples=10)
    bands = report[report["column"] == "age"]
    assert bands["value"].tolist() == ["20 to 49.5", "50 to 79.5", "80 to 109.5", "110 to 139.5"]
    assert bands["n"].tolist() == [60] * 4
    assert row(report, "2020-01-01 to 2020-02-29")["n"] == 60
    bands = report_on(X, y, {"age": age}, n_bands=2, n_resamples=10)
    assert bands["value"].tolist() == ["all", "20 to 79.5", "80 to 139.5"]
    own = pd.cut(age, [0, 50, 200], labels=["young", "old"])
    assert report_on(X, y, {"age": own}, n_resamples=10)["value"].tolist()[1:] == ["young", "old"]


def groups_of(values, **options):
    """Return how many images each group of a column has, by name."""
    options = {"max_values": 10, "n_bands": 4, **options}
    codes, names = read_columns({"x": values}, len(values), **options)["x"]
    return dict(zip(names, np.bincount(codes).tolist(), strict=True))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.r_[np.zeros(180, int), 1:21], {"0": 180, "1 to 20": 20}),
        (np.r_[np.zeros(110), 1:91], {"0": 110, "1 to 45": 45, "46 to 90": 45}),
        (np.r_[1:50, [50] * 61, 51:91], {"1 to 49": 49, "50": 61, "51 to 90": 40}),
        (np.r_[1:13, [50] * 300], {"1 to 12": 12, "50": 300}),
        # Two that fill a band, beside each other.
        (np.r_[[0] * 60, [1] * 60, 2:82], {"0": 60, "1": 60, "2 to 41": 40, "42 to 81": 40}),
    ],
)
def test_a_value_that_fills_a_band_is_one_and_the_others_are_cut_without_it(values, expected):
    shuffled = np.random.default_rng(0).permutation(values)
    assert groups_of(shuffled) == expected
    days = pd.Series(pd.Timestamp("2020-01-01") + pd.to_timedelta(shuffled, "D"))
    assert list(groups_of(days).values()) == list(expected.values())


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (np.arange(1234561, 1234565), ["1234561", "1234562", "1234563", "1234564"]),
        ([20210304.0, 20210305.0, np.nan], ["20210304", "20210305", "missing"]),
        (np.float64([1.0000001, 1.0000002]), ["1.0000001", "1.0000002"]),
        ([0.1, np.nextafter(0.1, 1)], ["0.1", "0.10000000000000002"]),
        (np.float32([0.1, 0.2]), ["0.1", "0.2"]),
        (pd.array([2**63 - 1, 2**63 - 2, None]), [str(2**63 - 2), str(2**63 - 1), "missing"]),
        (np.uint64([2**64 - 1, 2**64 - 2]), [str(2**64 - 2), str(2**64 - 1)]),
        ([2**70, 2**70 + 1, None], [str(2**70), str(2**70 + 1), "missing"]),
        ([1e20, 2e20], ["1e+20", "2e+20"]),
    ],
)
def test_different_numbers_have_different_names(values, names):
    assert list(groups_of(values)) == names


def test_bands_of_numbers_that_differ_late_have_different_names():
    found = groups_of(10.0**6 + np.arange(40) / 1000)
    assert list(found)[:2] == ["1000000 to 1000000.009", "1000000.01 to 1000000.019"]
    serials = groups_of(np.arange(20210300, 20210340))
    assert list(serials)[:2] == ["20210300 to 20210309", "20210310 to 20210319"]


def test_numbers_and_times_in_columns_of_objects_are_such():
    ages = pd.Series([*range(20, 100), None], dtype=object)
    bands = {"20 to 39": 20, "40 to 59": 20, "60 to 79": 20, "80 to 99": 20, "missing": 1}
    assert groups_of(ages) == groups_of(ages.array) == bands
    halves = pd.Series([Decimal(age) / 2 for age in range(80)] + [None], dtype=object)
    assert next(iter(groups_of(halves))) == "0 to 9.5"
    assert list(groups_of(pd.Series([100, 9, None], dtype=object))) == ["9", "100", "missing"]
    days = [date(2020, 1, 1) + timedelta(i) for i in range(40)]
    assert next(iter(groups_of([*days, None]))) == "2020-01-01 to 2020-01-10"
    # Codes of sites are no numbers, nor what stands beside text.
    assert list(groups_of(["02", "2", None])) == ["02", "2", "missing"]
    assert list(groups_of(pd.Series([10, "x", 9], dtype=object))) == ["10", "9", "x"]


def test_equal_columns_come_out_equal_wherever_they_stand(answers):
    X, y, site = answers
    report = report_on(X, y, {"one": site, "other": np.arange(240) % 3, "again": site})
    first, last = (
        report[report["column"] == name].drop(columns=["column"]).reset_index(drop=True)
        for name in ("one", "again")
    )
    assert first["p_value"].notna().all()
    pd.testing.assert_frame_equal(first, last)


def test_small_subgroups_and_undefined_scores_are_counted_and_left_open(answers):
    X, y, _ = answers
    kinds = np.where(np.arange(240) < 9, "few", np.where(y == "a", "only a", "only b"))
    report = report_on(X, y, {"x": kinds}, scores=["accuracy", "roc_auc"])
    few = row(report, "few", score="accuracy")
    assert few["n"] == 9
    open_ones = ["estimate", "low", "high", "difference", "difference_low", "p_value"]
    assert all(np.isnan(few[name]) for name in open_ones)
    one_class = row(report, "only a", score="roc_auc")
    assert one_class["n"] > 100
    assert all(np.isnan(one_class[name]) for name in [*open_ones, "p_adjusted"])
    assert row(report, "only a", score="accuracy")["low"] > 0
    # Many images of few patients are few.
    few = row(report_on(X, y, {"x": np.arange(240) < 40}, groups=np.arange(240) // 10), "True")
    assert (few["n"], few["n_patients"]) == (40, 4)
    assert np.isnan(few["estimate"])
    more = report_on(X, y, {"x": kinds}, min_count=9)
    assert row(more, "few")["estimate"] == np.mean(X[:9].argmax(axis=1) == (y[:9] == "b"))


def test_other_sets_are_held_against_this_one_and_asked_about_once(answers):
    X, y, site = answers
    north = site == "north"
    other = Bunch(data=X[north], target=y[north], groups=np.arange(north.sum()) // 2)
    other.sex = np.resize(["F", "M"], north.sum())
    estimator = Given()
    report = subgroup_report(
        estimator,
        X[~north],
        y[~north],
        {"sex": np.resize(["F", "M"], (~north).sum())},
        external={"north": other, "same": (X[~north], y[~north])},
        n_resamples=500,
        random_state=0,
    )
    assert estimator.n_calls == 3
    assert report[["set", "column", "value"]].to_numpy().tolist() == [
        *(["internal", *names] for names in (["all", "all"], ["sex", "F"], ["sex", "M"])),
        *(["north", *names] for names in (["all", "all"], ["sex", "F"], ["sex", "M"])),
        ["same", "all", "all"],
    ]
    found = report[(report["set"] == "north") & (report["column"] == "all")].iloc[0]
    right = X.argmax(axis=1) == (y == "b")
    assert found["estimate"] == pytest.approx(right[north].mean())
    assert found["difference"] == pytest.approx(right[north].mean() - right[~north].mean())
    assert found["n_patients"] == (north.sum() + 1) // 2
    assert found["p_adjusted"] < 0.05
    assert found["difference_high"] < 0
    same = report.iloc[-1]
    assert same["difference"] == 0
    assert same["p_value"] == 1
    # Rows of one number are of two patients, whose chance does not cancel.
    assert same["difference_low"] < -0.02 < 0.02 < same["difference_high"]
    alone = subgroup_report(Given(), X, y, None, external={"b": (X, y)}, n_resamples=10)
    assert len(alone) == 2


def test_reports_are_the_same_where_scikit_learn_routes_metadata(answers):
    X, y, site = answers
    params = {"groups": np.arange(240) // 3, "scores": ["accuracy", "f1_weighted"]}
    params |= {"n_resamples": 20, "correction": None}
    expected = report_on(X, y, {"site": site}, **params)
    with config_context(enable_metadata_routing=True):
        pd.testing.assert_frame_equal(report_on(X, y, {"site": site}, **params), expected)


def test_the_report_is_repeatable_and_changes_nothing_of_its_user(answers):
    X, y, site = answers
    table = pd.DataFrame({"site": site}, index=np.arange(240) + 7)
    before = X.copy(), y.copy(), table.copy()
    first, second = (report_on(X, y, table) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(y, before[1])
    pd.testing.assert_frame_equal(table, before[2])


@pytest.mark.parametrize(
    ("metadata", "params", "message"),
    [
        ({"x": [f"scanner {i}" for i in range(240)]}, {}, r"metadata\['x'\] has 240 values"),
        ({"x": np.arange(239)}, {}, r"metadata\['x'\] must have one value for each of the 240"),
        ({"x": np.ones((240, 2))}, {}, r"metadata\['x'\] must have one value an image"),
        ({"x": "north"}, {}, r"metadata\['x'\] must have one value an image"),
        ({"x": np.r_[np.inf, np.arange(239)]}, {}, r"metadata\['x'\] must hold finite numbers"),
        ({"all": np.zeros(240)}, {}, "no column 'all'"),
        ({1: np.zeros(240), "1": np.zeros(240)}, {}, "different names; got two '1'"),
        (["north"] * 240, {}, "metadata must be a DataFrame, or a mapping"),
        (None, {}, "metadata must be given, or external"),
        ({}, {"groups": [1, 2]}, "groups must have one group, .* each of the 240"),
        ({}, {"groups": np.r_[np.nan, np.arange(239)]}, "groups .* 1 are missing"),
        ({}, {"correction": "bonferroni"}, 'correction must be "holm"'),
        ({}, {"confidence": 95}, "confidence must be"),
        ({}, {"n_resamples": 0}, "n_resamples must be"),
        ({}, {"min_count": 0}, "min_count must be"),
        ({}, {"min_count": 1}, "min_count must be at least 2"),
        ({}, {"groups": np.zeros(240)}, "groups must hold at least two patients"),
        ({}, {"max_values": 2.5}, "max_values must be"),
        ({}, {"n_bands": "a"}, "n_bands must be"),
        ({}, {"scores": []}, "scores must hold at least one"),
        ({}, {"scores": "exactness"}, r"scores\['exactness'\] must be one of"),
        ({}, {"external": [1]}, "external must be a mapping"),
        ({}, {"external": {"internal": 1}}, "other than 'internal'"),
        (
            *({}, {"scores": {"v": np.ones(240)}, "external": {"b": ([[1, 0]], ["a"])}}),
            r"scores\['v'\] holds values of the images of X, and external has other images",
        ),
        ({}, {"external": {"b": 1}}, r"external\['b'\]: a set must be a Bunch"),
        ({}, {"external": {"b": ([[1, 0]], ["c"])}}, r"external\['b'\]: y must hold only"),
    ],
)
def test_bad_arguments_are_named(answers, metadata, params, message):
    X, y, _ = answers
    with pytest.raises((TypeError, ValueError), match=message):
        report_on(X, y, metadata, **params)


def test_what_gives_no_probabilities_is_refused(answers):
    X, y, _ = answers
    with pytest.raises(TypeError, match="estimator must be a fitted classifier with predict_proba"):
        subgroup_report(object(), X, y, {})
