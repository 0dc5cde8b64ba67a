import pytest

from skkd.models import _progress
from skkd.models._progress import EpochLines, in_words


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    now = [100.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (7200, "2.0 h")],
)
def test_times_are_said_as_people_do(seconds, words):
    assert in_words(seconds) == words


def test_epochs_are_counted_without_the_first_which_compiles(clock):
    lines = []
    callback = EpochLines(lines.append, "teacher")
    callback.set_params({"epochs": 6})
    callback.on_train_begin()
    for epoch, seconds in enumerate([60, 2, 10, 10, 10, 10]):
        clock[0] += seconds
        callback.on_epoch_end(epoch)
    # The second comes soon after the first; the last needs no line.
    assert lines == [
        "teacher: epoch 2 of 6, at most 8 s left",
        "teacher: epoch 3 of 6, at most 18 s left",
        "teacher: epoch 4 of 6, at most 15 s left",
        "teacher: epoch 5 of 6, at most 8 s left",
    ]
