import json
import signal
import subprocess

import keras
import pandas as pd
import pytest

from skkd.__main__ import main


def tables(out):
    # What takes how long is another each time.
    return {
        path.stem: pd.read_csv(path)
        for path in sorted((out / "tables").iterdir())
        if path.stem != "timing"
    }


def test_what_is_wrong_is_said_in_one_line(tmp_path, capsys):
    out = str(tmp_path / "out")
    for given, message in [
        (["--data", str(tmp_path / "none")], "none"),
        (["--data", str(tmp_path)], "skkd study: "),
        (["--alphas", "2"], "alphas must be numbers in [0, 1]"),
        (["--teacher", str(tmp_path)], "skkd study: "),
        (["--config", str(tmp_path / "none.toml")], "none.toml"),
        (["--manifest", "a.csv"], "pass data, a folder"),
    ]:
        assert main(["study", "--out", out, *given]) == 2
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1
        assert said[0].startswith("skkd study: ")
        assert message in said[0]
    assert not (tmp_path / "out").exists()


def test_a_dry_run_says_how_long(data, arguments, tmp_path, capsys):
    code = main(["study", "--data", str(data), "--dry-run", *arguments(out=tmp_path / "o")])
    said = capsys.readouterr().out
    assert code == 0
    assert "train a student" in said
    assert "minutes in all on this machine" in said


def test_settings_come_from_a_file_and_what_is_written_has_precedence(data, tmp_path, capsys):
    config = tmp_path / "study.toml"
    config.write_text(
        f"[study]\ndata = '{data.as_posix()}'\nepochs = 1\nalphas = [0.1, 0.2, 0.3]\n"
        "temperatures = [4]\nimage_size = 16\n",
        encoding="utf-8",
    )
    given = ["study", "--config", str(config), "--dry-run", "--out", str(tmp_path / "out")]
    assert main(given) == 0
    # A plain one, three of the grid, and the literal one, from one seed.
    assert "train a student      5" in capsys.readouterr().out
    assert main([*given, "--alphas", "0.1"]) == 0
    assert "train a student      3" in capsys.readouterr().out
    config.write_text("epoch = 3\n", encoding="utf-8")
    assert main(given) == 2
    assert "has the setting 'epoch', which a study has not" in capsys.readouterr().err
    config.write_text("epochs = 3\n[study]\nseeds = 2\n", encoding="utf-8")
    assert main(given) == 2
    assert "has 'epochs' outside of its table [study]" in capsys.readouterr().err


def test_another_file_in_place_of_the_folder_is_refused(tmp_path, capsys):
    (tmp_path / "out").write_text("", encoding="utf-8")
    assert main(["study", "--out", str(tmp_path / "out")]) == 2
    assert "is not a folder" in capsys.readouterr().err


@pytest.mark.slow
def test_a_study_killed_in_each_stage_ends_in_the_same_tables(command, commanded, tmp_path):
    out = tmp_path / "out"
    stages = [
        *("split", "teacher", "teacher-says", "student-plain", "student-kl", "student-literal"),
        *("explanations", "fidelity", "cost", "audit", "intervals"),
    ]
    for stage in stages:
        with subprocess.Popen(command(out), stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                if line.split("] ")[1].startswith(stage) and "begun" in line:
                    process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
    assert subprocess.run(command(out), check=False, capture_output=True).returncode == 0
    before, after = tables(commanded), tables(out)
    assert set(before) == set(after)
    for name, table in after.items():
        pd.testing.assert_frame_equal(table, before[name], check_exact=True)
    # Whatever was left unfinished has been finished.
    assert not list((out / "stages").glob("*.part"))


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished(command, tmp_path):
    out = tmp_path / "out"
    with subprocess.Popen(
        command(out),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Shells start what runs in the background without Ctrl-C, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        for line in process.stdout:
            if b"teacher-says: begun" in line:
                process.send_signal(signal.SIGINT)
        assert process.stderr.read().splitlines()[-1] == (
            b"skkd study: interrupted; what is finished is kept, run the same command to go on"
        )
        assert process.wait() == 130
    assert list((out / "stages").glob("teacher-*/teacher.keras"))


@pytest.mark.slow
def test_without_space_what_is_finished_is_kept(command, commanded, tmp_path):
    resource = pytest.importorskip("resource", reason="limits of files are POSIX's")
    out = tmp_path / "out"

    def small_files_only():
        # What is known of the images is smaller than this, a network is not.
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))

    full = subprocess.run(
        command(out), check=False, capture_output=True, text=True, preexec_fn=small_files_only
    )
    assert full.returncode == 2, full.stderr
    assert full.stderr.splitlines()[-1].startswith("skkd study: ")
    assert [path.parent.name[:5] for path in (out / "stages").glob("*/stage.json")] == ["split"]
    again = subprocess.run(command(out), check=False, capture_output=True, text=True)
    assert again.returncode == 0
    assert "split: done before" in again.stdout
    for name, table in tables(out).items():
        pd.testing.assert_frame_equal(table, tables(commanded)[name], check_exact=True)


@pytest.mark.slow
def test_a_teacher_can_be_a_file(study, arguments, tmp_path):
    teacher = study.out / "models" / "teacher.keras"
    before = teacher.read_bytes()
    out = tmp_path / "out"
    code = main(
        [
            *("study", "--data", str(study.data), "--teacher", str(teacher)),
            *arguments(out=out, few_labels=4, temperatures=[4], seeds=1),
        ]
    )
    assert code == 0
    assert teacher.read_bytes() == before
    assert not list((out / "stages").glob("teacher-[!s]*"))
    rows = tables(out)["models"].set_index(["model", "measured on"])["accuracy"]
    same = tables(study.out)["models"].set_index(["model", "measured on"])["accuracy"]
    assert rows["teacher", "test"] == same["teacher", "test"]
    assert "what it was trained on is not known" in (out / "report.html").read_text("utf-8")
    assert keras.saving.load_model(out / "models" / "teacher.keras").count_params() > 0
    assert json.loads((out / "study.json").read_text("utf-8"))["identity"]["teacher"]
