import json
import re
import shutil

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score, log_loss

import skkd.study._study
from skkd.images import ImagePaths
from skkd.study import run_study
from skkd.study._stages import alone_in

TABLES = {
    *("models", "comparisons", "leaks", "calibration"),
    *("fidelity", "timing", "subgroups", "shortcuts"),
}


def dealt(study):
    split = next((study.out / "stages").glob("split-*"))
    return pd.read_csv(split / "images.csv", keep_default_na=False)


def images_of(folder, names):
    paths = [str(folder / name) for name in names]
    return ImagePaths(paths, image_size=(16, 16), color_mode="rgb")[:]


@pytest.mark.slow
def test_a_folder_becomes_tables_figures_models_and_a_report(study):
    found, out = study.found, study.out
    assert set(found.tables) == TABLES
    assert {path.stem for path in (out / "tables").iterdir()} == TABLES
    endings = {}
    for path in (out / "figures").iterdir():
        endings.setdefault(path.stem, set()).add(path.suffix)
    assert {"confusion", "explanations", "explanations_of_the_student"} < set(endings)
    assert all(of_one == {".png", ".pdf"} for of_one in endings.values())
    assert {"teacher.keras", "student.keras"} <= {p.name for p in (out / "models").iterdir()}
    assert found.report == out / "report.html"
    assert found.report.stat().st_size < 5e6
    assert found.left_out == []


@pytest.mark.slow
def test_names_of_classes_are_shown_and_not_run(study):
    page = study.found.report.read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    # Nothing is fetched from elsewhere.
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]+"', page)


@pytest.mark.slow
def test_a_class_that_is_called_as_nothing_keeps_its_name(study):
    assert "NA" in set(study.found.tables["subgroups"]["value"])
    assert "NA" in study.found.tables["fidelity"]


@pytest.mark.slow
def test_figures_are_those_of_the_saved_student(study):
    images = dealt(study)
    test = images[images["part"] == "test"]
    student = keras.saving.load_model(study.out / "models" / "student.keras")
    proba = student.predict(images_of(study.data, test["name"]), verbose=0).astype(np.float64)
    proba /= proba.sum(axis=1, keepdims=True)
    classes = np.unique(images["label"].astype(str))
    y, predicted = test["label"].to_numpy(), classes[proba.argmax(axis=1)]
    models = study.found.tables["models"].set_index(["model", "measured on"])
    row = models.loc[("distilled student", "test")]
    assert row["n"] == len(test)
    assert row["accuracy"] == pytest.approx(accuracy_score(y, predicted))
    assert row["average F1"] == pytest.approx(
        f1_score(y, predicted, average="macro", zero_division=0)
    )
    assert row["loss"] == pytest.approx(log_loss(y, proba, labels=classes), rel=1e-4)


@pytest.mark.slow
def test_students_are_compared_image_by_image(study):
    row = study.found.tables["comparisons"].iloc[0]
    assert (row["model"], row["against"]) == ("distilled student", "plain student")
    models = study.found.tables["models"].set_index(["model", "measured on"])["accuracy"]
    of_first = models["distilled student", "test"] - models["plain student", "test"]
    ends = row["lowest of seeds"], row["highest of seeds"]
    assert row["seeds"] == 2
    assert np.isclose(ends, of_first).any()
    assert row["difference"] == pytest.approx(np.mean(ends))
    assert row["low"] <= row["difference"] <= row["high"]


@pytest.mark.slow
def test_the_search_chooses_by_validation_images_alone(study):
    models = study.found.tables["models"]
    searched = models[(models["measured on"] == "validation") & models["labels"].isna()]
    taught = searched[searched["soft loss"] == "kl"].set_index("model")["accuracy mean of seeds"]
    assert len(taught) == 2
    assert taught["distilled student"] == taught.max()


@pytest.mark.slow
def test_patients_are_on_one_side(study):
    images = dealt(study)
    patient = images["name"].str.extract(r"(patient\d+)")[0]
    assert (images.groupby(patient)["part"].nunique() == 1).all()
    assert set(images["part"]) == {"train", "validation", "test"}
    assert not images["leaked"].any()


@pytest.mark.slow
def test_few_labels_leave_the_others_to_the_teacher(study):
    models = study.found.tables["models"]
    # Of 14 that were asked for, three of each of four classes.
    of_few = models[models["labels"] == 12]
    assert set(of_few["model"]) == {"plain student, 12 labels", "distilled student, 12 labels"}
    page = study.found.report.read_text(encoding="utf-8")
    assert "Where the student has 12 labels only" in page
    assert "The teacher had all labels" in page
    # Steps are what they have in common: 12 images are one batch, all are two.
    stages = study.out / "stages"
    histories = [
        json.loads(
            (next(stages.glob(f"student-{kind}*12labels-seed0-*")) / "history.json").read_text()
        )
        for kind in ("plain", "kl")
    ]
    assert [len(history["loss"]) for history in histories] == [2, 1]


@pytest.mark.slow
def test_a_study_that_is_there_is_not_done_again(study, small, monkeypatch):
    before = {path: path.read_bytes() for path in (study.out / "tables").iterdir()}
    for name in ("train_teacher", "train_student"):
        monkeypatch.setattr(skkd.study._study._models, name, None)
    again = run_study(study.data, study.out, **small)
    assert {path: path.read_bytes() for path in (study.out / "tables").iterdir()} == before
    assert again.report == study.found.report


@pytest.mark.slow
def test_a_folder_that_moved_is_the_same_study(study, small, tmp_path, monkeypatch):
    for name in ("train_teacher", "train_student"):
        monkeypatch.setattr(skkd.study._study._models, name, None)
    data = shutil.copytree(study.data, tmp_path / "data")
    out = shutil.copytree(study.out, tmp_path / "out")
    again = run_study(data, out, **small)
    pd.testing.assert_frame_equal(again.tables["models"], study.found.tables["models"])


@pytest.mark.slow
def test_another_study_in_the_folder_is_kept(study, small):
    before = (study.out / "study.json").read_bytes()
    with pytest.raises(ValueError, match="holds a study with epochs=1, not 2; choose another"):
        run_study(study.data, study.out, **small | {"epochs": 2})
    assert (study.out / "study.json").read_bytes() == before


def test_other_files_in_the_folder_are_kept(data, small, tmp_path):
    (tmp_path / "thesis.txt").write_text("chapter 1", encoding="utf-8")
    with pytest.raises(ValueError, match="holds other files and no study"):
        run_study(data, tmp_path, **small)


@pytest.mark.slow
def test_data_that_changed_are_noticed(study, small, tmp_path):
    out = shutil.copytree(study.out, tmp_path / "out")
    data = shutil.copytree(study.data, tmp_path / "data")
    changed = next(data.rglob("*.png"))
    Image.fromarray(255 - np.asarray(Image.open(changed))).save(changed)
    with pytest.raises(ValueError, match="other data, or of these before they were changed"):
        run_study(data, out, **small)


@pytest.mark.slow
def test_a_damaged_record_is_named_and_can_be_removed(study, small, tmp_path, monkeypatch):
    out = shutil.copytree(study.out, tmp_path / "out")
    for text in ("{", "{}", '{"identity": 3}'):
        (out / "study.json").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=r"is damaged .*remove it, the stages beside it are k"):
            run_study(study.data, out, **small)
    (out / "study.json").unlink()
    for name in ("train_teacher", "train_student"):
        monkeypatch.setattr(skkd.study._study._models, name, None)
    assert run_study(study.data, out, **small).left_out == []


def test_a_plan_says_how_long_and_leaves_nothing(data, small, tmp_path):
    out = tmp_path / "out"
    planned = run_study(data, out, dry_run=True, **small)
    assert planned.seconds == pytest.approx(planned.plan["seconds"].sum())
    assert planned.seconds > 0
    # A plain one, two of the grid, the literal one, and two of few labels, from two seeds each.
    assert planned.plan.set_index("what").loc["train a student", "times"] == 12
    assert not out.exists()


@pytest.mark.slow
def test_without_time_the_rest_is_left_out(data, small, tmp_path):
    found = run_study(data, tmp_path / "out", **small | {"budget": 1e-6})
    # Of the plain student, one of the grid and what is beside them a first seed is needed.
    assert found.left_out == [
        "alpha 0.5, T 10, seed 0",
        *("labels alone, seed 1", "alpha 0.5, T 4, seed 1", "alpha 0.5, T 10, seed 1"),
        *(f"alpha 0.5, T 4{rest}, seed 1" for rest in (" as printed",)),
        *("labels alone, 12 labels, seed 1", "alpha 0.5, T 4, 12 labels, seed 1"),
    ]
    page = found.report.read_text(encoding="utf-8")
    assert "There was no time for 7 of the students" in page


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"alphas": [1.5]}, r"alphas must be numbers in \[0, 1\]; got \[1.5\]"),
        ({"alphas": [1]}, "alphas must have one below 1"),
        ({"temperatures": [0]}, "temperatures must be numbers above 0"),
        ({"seeds": 0}, "seeds must be an integer of at least 1; got 0"),
        ({"confidence": 95}, r"confidence must be a number in \(0, 1\); got 95"),
        ({"budget": -1}, "budget must be None or a number above 0"),
        ({"student": "resnet"}, "student: network must be 'auto', 'five_block'"),
        ({"weights": "imagenet"}, "pass backbone"),
        ({"teacher": "t.keras", "backbone": "mobilenetv2"}, "trained already"),
        ({"patients": "no such part"}, "is not in 60 of 60 names"),
        ({"patients": r"(\d+)\.png"}, "another patient in each of the 60 names"),
        ({"patients": "("}, "no regular expression"),
        ({"limit": 8}, "at least 10 are needed"),
        ({"seeds": True}, "seeds must be an integer"),
        ({"random_state": 2**32 - 1}, "random_state must be below"),
        ({"verbose": "no"}, "verbose must be 0 or 1"),
        ({"backbone": "mobilnet"}, "backbone: .*Did you mean"),
        ({"data": "eye_disease", "manifest": "a.csv"}, "is a public set"),
        ({"teacher": "no_such.keras"}, "no_such.keras"),
    ],
)
def test_what_a_study_cannot_do_is_said(data, small, tmp_path, given, message):
    with pytest.raises((ValueError, OSError), match=message):
        run_study(**{"data": data, "out": tmp_path / "out"} | small | given)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_teacher_of_other_classes_or_sizes_is_refused(study, data, small, tmp_path):
    teacher = study.out / "models" / "teacher.keras"
    with pytest.raises(ValueError, match=r"takes images of 16 x 16 pixels.*set image_size=16"):
        run_study(data, tmp_path / "out", **small | {"teacher": teacher, "image_size": 24})
    fewer = shutil.copytree(data, tmp_path / "fewer")
    shutil.rmtree(fewer / "NA")
    with pytest.raises(ValueError, match="but the images are of 3 classes"):
        run_study(fewer, tmp_path / "out", **small | {"teacher": teacher})


@pytest.mark.parametrize(
    ("n", "message"),
    [(3, "at least one of each of 4 classes; got 3"), (500, "leave images without")],
)
def test_few_labels_are_neither_all_nor_fewer_than_classes(data, small, tmp_path, n, message):
    with pytest.raises(ValueError, match=message):
        run_study(data, tmp_path / "out", **small | {"few_labels": n})
    # Nothing has been trained for it.
    assert [path.name[:5] for path in (tmp_path / "out" / "stages").iterdir()] == ["split"]


@pytest.mark.slow
def test_a_folder_in_which_another_process_works_is_left_to_it(study, small):
    with (
        alone_in(study.out),
        pytest.raises(ValueError, match="another process works in"),
    ):
        run_study(study.data, study.out, **small)


@pytest.mark.slow
def test_what_is_written_says_how_it_was_made(study, small):
    record = json.loads((study.out / "study.json").read_text(encoding="utf-8"))
    assert record["identity"]["settings"]["epochs"] == small["epochs"]
    assert [made["skkd"] for made in record["versions"]] == [skkd.__version__]
    assert record["versions"][0]["backend"] == keras.backend.backend()
    assert len(record["identity"]["data"]) == 64
    assert {"split", "teacher", "fidelity"} < set(record["seconds"])
    assert record["tables"]["models"][0]["model"] == "teacher"


SMALLEST = {
    "image_size": 16,
    "epochs": 1,
    "alphas": 0.5,
    "temperatures": 4,
    "n_explained": 1,
    "n_fidelity": 4,
    "n_resamples": 20,
    "verbose": 0,
}


def test_a_small_study_of_two_classes(tmp_path):
    rng = np.random.default_rng(0)
    # As dark images as bright ones, each another one.
    for number in range(40):
        folder = tmp_path / "data" / ("0" if number % 2 else "1")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 128, (16, 16)) + 127 * (number % 2)
        Image.fromarray(np.uint8(pixels)).save(folder / f"{number}.png")
    found = run_study(tmp_path / "data", tmp_path / "out", **SMALLEST)
    models = found.tables["models"]
    assert models["model"].unique().tolist() == [
        *("teacher", "plain student", "distilled student", "student of Eq. 2 as printed")
    ]
    assert models["ROC AUC"].between(0, 1).all()
    page = found.report.read_text(encoding="utf-8")
    assert "2 classes apart (0, 1)" in page
    assert "one student of each was trained, and what other seeds would change is not known" in page


@pytest.mark.slow
@pytest.mark.filterwarnings("error::UserWarning")
def test_a_small_study_of_many_classes(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(14 * 10):
        folder = tmp_path / "data" / f"class {number % 14:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 60, (16, 16)) + 14 * (number % 14)
        Image.fromarray(np.uint8(pixels)).save(folder / f"{number}.png")
    found = run_study(tmp_path / "data", tmp_path / "out", **SMALLEST)
    subgroups = found.tables["subgroups"]
    assert subgroups["value"][subgroups["column"] == "class"].nunique() == 14
