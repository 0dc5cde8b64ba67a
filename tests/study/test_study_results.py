from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from skkd.study._data import Images
from skkd.study._models import PLAIN, Kind, draw_of_each
from skkd.study._results import Models, rank, table_of_comparisons, table_of_leaks
from skkd.study._tables import shown
from skkd.study._words import verdict

TAUGHT = Kind(0.5, 4.0, "kl")
SETTINGS = SimpleNamespace(confidence=0.95, n_resamples=200, random_state=0)


def answers(y, right):
    """Return probabilities that are right about some of the images."""
    wrong = np.where(y == "a", "b", "a")
    said = np.where(right, y, wrong)
    return np.where(said[:, None] == ["a", "b"], 0.9, 0.1)


def models(right, groups=None, leaked=None):
    """Return models of 40 images, by which of these each seed of each kind is right about."""
    n = 40
    y = np.array(["a", "b"] * (n // 2))
    table = pd.DataFrame(
        {
            "name": np.arange(n),
            "path": "",
            "label": y,
            "part": "test",
            "group": np.arange(n) if groups is None else groups,
            "leaked": False if leaked is None else leaked,
        }
    )
    images = Images(np.zeros((n, 1)), table)
    students = {
        kind: {seed: answers(y, r) for seed, r in enumerate(seeds) if r is not None}
        for kind, seeds in right.items()
    }
    teacher = students.pop("teacher")[0]
    return Models(images, "test", teacher, students, SETTINGS)


def first(n):
    return np.arange(40) < n


def test_differences_are_of_the_mean_over_seeds_and_named_by_seed():
    found = models({"teacher": [first(38)], PLAIN: [first(20), first(24)], TAUGHT: [first(30)] * 2})
    row = found.compare(TAUGHT, PLAIN)
    assert row["difference"] == pytest.approx(30 / 40 - 22 / 40)
    assert (row["lowest of seeds"], row["highest of seeds"]) == pytest.approx((6 / 40, 10 / 40))
    assert row["seeds"] == 2
    # McNemar's exact test of the first seeds: ten images that one alone is right about.
    assert row["McNemar p (first seed)"] == pytest.approx(binomtest(10, 10, 0.5).pvalue)
    of_teacher = found.compare(TAUGHT, "teacher")
    assert of_teacher["difference"] == pytest.approx(-8 / 40)


def test_kinds_are_compared_by_the_seeds_that_both_have():
    plain = [first(20), first(24), first(36)]
    found = models({"teacher": [first(38)], PLAIN: plain, TAUGHT: [first(28), None, first(30)]})
    row = found.compare(TAUGHT, PLAIN)
    assert row["seeds"] == 2
    # Of the second seed there is a plain student only.
    assert (row["lowest of seeds"], row["highest of seeds"]) == pytest.approx((-6 / 40, 8 / 40))
    assert row["difference"] == pytest.approx((8 - 6) / 2 / 40)


def test_intervals_are_over_patients():
    groups = np.repeat(np.arange(4), 10)
    right = {"teacher": [first(40)], PLAIN: [first(20)], TAUGHT: [first(30)]}
    wide = models(right, groups).compare(TAUGHT, PLAIN)
    narrow = models(right).compare(TAUGHT, PLAIN)
    assert wide["groups"] == 4
    assert wide["high"] - wide["low"] > 1.5 * (narrow["high"] - narrow["low"])
    # Images of one patient are no pairs of their own for McNemar's test.
    assert "McNemar p (first seed)" not in wide


def test_the_best_is_right_oftenest_and_then_surest():
    other = Kind(0.5, 10.0, "kl")
    found = models({"teacher": [first(40)], PLAIN: [first(30)], TAUGHT: [first(32)]})
    unsure = (found.students[TAUGHT][0] - 0.5) / 2 + 0.5
    found.students[other] = {0: unsure}
    # Both are right about the same images; a wrong answer at 0.7 costs less than one at 0.9.
    losses = {
        kind: -np.log(found.students[kind][0][np.arange(40), (found.y == "b").astype(int)]).mean()
        for kind in (TAUGHT, other)
    }
    surer = min(losses, key=losses.get)
    assert rank(found)[0] == surer
    assert rank(found)[-1] == PLAIN


def test_leaked_images_are_left_out():
    found = models(
        {"teacher": [first(40)], PLAIN: [first(20)], TAUGHT: [first(20)]}, leaked=first(10)
    )
    leaks = table_of_leaks({"student": TAUGHT}, found).iloc[0]
    assert leaks["all"] == pytest.approx(20 / 40)
    assert leaks["without leaked"] == pytest.approx(10 / 30)
    named = {"one": TAUGHT, "other": PLAIN}
    both = table_of_comparisons(named, [("one", "other")], found)
    assert both["n"].tolist() == [40, 30]


def test_where_too_few_images_are_left_without_leaked_ones_nothing_is_said_of_them():
    right = {"teacher": [first(40)], PLAIN: [first(20)], TAUGHT: [first(20)]}
    found = models(right, groups=np.repeat([0, 1], 20), leaked=first(20))
    assert np.isnan(table_of_leaks({"student": TAUGHT}, found).iloc[0]["without leaked"])
    both = table_of_comparisons({"one": TAUGHT, "other": PLAIN}, [("one", "other")], found)
    assert both["measured on"].tolist() == ["all test images"]


@pytest.mark.parametrize(
    ("low", "high", "lowest", "highest", "said"),
    [
        (0.01, 0.05, 0.01, 0.04, "better"),
        (0.01, 0.05, -0.01, 0.06, "open"),
        (-0.01, 0.05, 0.01, 0.04, "open"),
        (-0.05, -0.01, -0.06, -0.01, "worse"),
        (-0.05, -0.01, -0.06, 0.01, "open"),
        (0.0, 0.05, 0.01, 0.04, "open"),
    ],
)
def test_a_verdict_needs_the_interval_and_every_seed(low, high, lowest, highest, said):
    row = {"low": low, "high": high, "lowest of seeds": lowest, "highest of seeds": highest}
    assert verdict(row | {"groups": 10}, "better", "worse", "open") == said
    # An interval over nine patients says little, however narrow it is.
    assert verdict(row | {"groups": 9}, "better", "worse", "open") == "open"


def test_few_labels_are_as_many_of_each_class():
    y = np.array(["a"] * 50 + ["b"] * 30 + ["c"] * 3)
    rows = draw_of_each(y, 12, 0)
    assert pd.Series(y[rows]).value_counts().to_dict() == {"a": 4, "b": 4, "c": 3}
    assert not np.array_equal(rows, draw_of_each(y, 12, 1))


def test_tables_show_an_estimate_and_its_interval_in_one_cell():
    table = pd.DataFrame({"model": ["m"], "ECE": [0.25], "ECE low": [0.1], "ECE high": [0.5]})
    empty = pd.DataFrame({"model": ["m"], "measured on": ["test"]})
    names = ("models", "comparisons", "leaks", "fidelity", "timing", "subgroups", "shortcuts")
    caption, columns, rows = shown(dict.fromkeys(names, empty) | {"calibration": table})[
        "calibration"
    ]
    assert caption.startswith("Expected calibration error")
    assert columns == ["model", "ECE"]
    assert rows == [["m", "0.250 (0.100 to 0.500)"]]
