import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skkd.__main__ import _file_name, main
from skkd.datasets import make_brain_phantoms


def write_images(folder, n_samples=40, seed=0):
    X, y = make_brain_phantoms(n_samples, image_size=(32, 32), random_state=seed)
    for number, (image, label) in enumerate(zip(X, y, strict=True)):
        path = folder / label / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


SMALL = ["--image-size", "32", "--epochs", "1", "--alpha", "0.5", "--temperature", "4"]


@pytest.mark.parametrize("split_folders", [False, True])
def test_a_folder_of_images_becomes_a_table_pictures_and_a_student(tmp_path, capsys, split_folders):
    data = tmp_path / "data"
    if split_folders:
        write_images(data / "Training", 60)
        write_images(data / "Testing", 12, seed=1)
    else:
        write_images(data, 60)
    out = tmp_path / "out"
    assert main(["--data", str(data), "--out", str(out), "--limit", "60", *SMALL]) == 0
    printed = capsys.readouterr().out
    table = pd.read_csv(out / "table.csv")
    assert table["model"].tolist() == ["student", "teacher", "best student"]
    assert table["measured_on"].tolist() == ["validation", "test", "test"]
    assert table[["accuracy", "average F1"]].to_numpy().min() >= 0
    assert "average F1" in printed
    names = {path.name for path in out.iterdir()}
    lesions = {"glioma", "meningioma", "no_tumor", "pituitary"}
    pictures = {"feature_maps.png"} | {f"maps_{label}.png" for label in lesions}
    assert names == {"table.csv", "student.keras"} | pictures
    for name in pictures:
        assert np.asarray(Image.open(out / name)).std() > 10, "the picture is not blank"


def test_the_table_holds_what_the_saved_student_scores(tmp_path, capsys):
    import keras
    from sklearn.metrics import accuracy_score, log_loss

    data = tmp_path / "data"
    write_images(data / "Training", 60)
    write_images(data / "Testing", 20, seed=1)
    assert main(["--data", str(data), "--out", str(tmp_path / "out"), *SMALL]) == 0
    X, y = make_brain_phantoms(20, image_size=(32, 32), random_state=1)
    proba = keras.saving.load_model(tmp_path / "out" / "student.keras").predict(X, verbose=0)
    row = pd.read_csv(tmp_path / "out" / "table.csv").iloc[-1]
    assert row["accuracy"] == pytest.approx(accuracy_score(y, np.unique(y)[proba.argmax(axis=1)]))
    assert row["loss"] == pytest.approx(log_loss(y, proba), rel=1e-4)


def test_labels_are_written_into_names_of_files_that_any_system_can_write():
    assert _file_name("no_tumor 2.a", 3) == "no_tumor 2.a"
    for label in ("../up", "a\nb", "<script>", "x" * 255, "C:\\x"):
        name = _file_name(label, 3)
        assert re.fullmatch(r"[\w .]{1,60}_3", name)
    assert _file_name("a/b", 0) != _file_name("a:b", 1)


def test_help_explains_itself(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    printed = capsys.readouterr().out
    for word in ("--data", "--teacher", "Training/", "feature_maps.png"):
        assert word in printed


def broken(tmp_path, what):
    data = write_images(tmp_path / "data")
    options = ["--data", str(data)]
    if what == "no such folder":
        return ["--data", str(tmp_path / "nowhere")], "there is no folder"
    if what == "empty folder":
        (tmp_path / "empty").mkdir()
        return ["--data", str(tmp_path / "empty")], "empty"
    if what == "unreadable image":
        (data / "glioma" / "bad.png").write_text("not a picture")
        return options, "bad.png is not a readable image"
    if what == "small class":
        for path in sorted((data / "glioma").iterdir())[3:]:
            path.unlink()
        return options, "class 'glioma' has 3 images to learn from; at least 10"
    if what == "no teacher":
        return [*options, "--teacher", "nobody.keras"], "there is no file 'nobody.keras'"
    (tmp_path / "teacher.keras").write_text("not a model")
    return [*options, "--teacher", str(tmp_path / "teacher.keras")], "is not a Keras model"


@pytest.mark.parametrize(
    "what",
    [
        "no such folder",
        "empty folder",
        "unreadable image",
        "small class",
        "no teacher",
        "teacher is no model",
    ],
)
def test_an_error_is_one_line_with_code_2_and_nothing_is_written(tmp_path, capsys, what):
    options, message = broken(tmp_path, what)
    assert main([*options, "--out", str(tmp_path / "out"), *SMALL]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("skkd: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "value"), [("--alpha", "1.5"), ("--temperature", "0"), ("--limit", "-3")]
)
def test_options_out_of_range_are_refused(option, value, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([option, value])
    assert f"argument {option}: must be" in capsys.readouterr().err


def test_real_images_are_read_from_kaggles_layout(real_images, tmp_path, capsys):
    data = real_images / "brain_tumor"
    options = ["--data", str(data), "--out", str(tmp_path), "--limit", "100", *SMALL]
    assert main(options) == 0
    assert "64 training, 16 validation, 20 test images" in capsys.readouterr().out
