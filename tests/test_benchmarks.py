import subprocess
import sys

import pytest

from benchmarks.__main__ import as_csv
from benchmarks._timing import Row, in_turn, row
from benchmarks.soak import growth


def test_ways_take_turns_after_a_first_run_that_is_not_timed():
    calls, now = [], iter(range(100))
    ways = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    seconds = in_turn(ways, 2, lambda: next(now) ** 2)
    assert calls == ["a", "b", "a", "b", "a", "b"]
    assert seconds == {"a": [1, 9], "b": [5, 13]}


def test_the_table_says_the_median_and_whether_it_was_met():
    met = row("fit", [1.0, 3.0, 2.0], "plain Keras", [2.0, 2.0, 2.0], 1.0)
    missed = Row("maps, 8 images", "predict", [2.0], 0.9, 0.5)
    assert as_csv([met, missed]).splitlines() == [
        "What,Seconds,Against,Ratio,Range,Target,",
        "fit,2.00,plain Keras,1.00,0.50 to 1.50,1.00,met",
        '"maps, 8 images",0.50,predict,2.00,2.00 to 2.00,0.90,missed',
    ]


def test_an_unknown_name_is_refused_with_those_there_are():
    command = [sys.executable, "-m", "benchmarks", "speed"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "fit_speed" in done.stderr


def test_a_process_has_grown_where_memory_files_or_threads_have():
    fits = [("fits", number, (800 + number, 8, 12)) for number in range(1, 6)]
    rows = [*fits, ("predictions", 120, (900, 8, 13)), ("predictions", 1000, (903, 8, 13))]
    assert growth(rows, 100) == []
    assert growth(rows, 99) == ["memory in predictions: 903 MB, 803 after the third fit"]
    rows += [("explanations", 120, (800, 8, 13)), ("explanations", 1000, (800, 9, 14))]
    assert growth([*rows, ("fits", 6, (800, 9, 12))], 100) == [
        "files in fits: 9 after 8",
        "files in explanations: 9 after 8",
        "threads in explanations: 14 after 13",
    ]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells of open files and threads")
def test_a_process_that_fits_predicts_and_explains_again_and_again_does_not_grow():
    sizes = ["--fits", "6", "--predicts", "240", "--explanations", "360"]
    command = [sys.executable, "-m", "benchmarks.soak", *sizes]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "flat"
