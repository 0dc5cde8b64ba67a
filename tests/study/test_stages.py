import json

import pytest

from skkd.study import _stages
from skkd.study._stages import Stages, Steps


@pytest.fixture
def stages(tmp_path):
    lines = []
    stages = Stages(tmp_path / "stages", lines.append)
    stages.lines = lines
    return stages


def write(text):
    def work(folder):
        (folder / "text").write_text(text, encoding="utf-8")

    return work


def test_a_stage_is_done_once_for_the_same_inputs(stages):
    first = stages.run("one", {"a": 1}, write("first"))
    again = stages.run("one", {"a": 1}, write("again"))
    other = stages.run("one", {"a": 2}, write("other"))
    assert first == again != other
    assert (first / "text").read_text(encoding="utf-8") == "first"
    assert stages.lines == ["one: begun", "one: 0 s", "one: done before", "one: begun", "one: 0 s"]
    assert json.loads((first / "stage.json").read_text(encoding="utf-8"))["inputs"] == {"a": 1}


def test_what_a_failed_stage_left_is_not_taken_for_its_result(stages):
    def fail(folder):
        (folder / "half").write_text("half", encoding="utf-8")
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        stages.run("one", {}, fail)
    assert not stages.is_done("one", {})

    def go_on(folder):
        # Such as a checkpoint.
        assert (folder / "half").exists()

    stages.run("one", {}, go_on)
    assert stages.is_done("one", {})
    assert [path.name for path in stages.folder.iterdir()] == [stages.folder_of("one", {}).name]


def test_steps_say_what_is_left_and_not_too_often(monkeypatch):
    lines, clock = [], [100.0]
    monkeypatch.setattr(_stages.time, "monotonic", lambda: clock[0])
    steps = Steps(lines.append, "cost", 4)
    for seconds in (10, 1, 10, 10):
        clock[0] += seconds
        steps.step()
    assert lines == [
        "cost: 1 of 4 done, about 30 s left",
        "cost: 3 of 4 done, about 7 s left",
    ]
