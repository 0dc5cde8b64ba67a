import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skkd.study import _data


def settings(data, **more):
    given = {"manifest": None, "patients": None, "image_size": 16, "limit": None, "random_state": 0}
    return SimpleNamespace(data=str(data), **given | more)


def write(folder, counts, seed=0):
    """Write images of noise: so many into each folder."""
    rng = np.random.default_rng(seed)
    for name, n in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(n):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"case{number:02d}.png")
    return folder


def dealt(X, table, tmp_path):
    folder = tmp_path / "split"
    folder.mkdir()
    _data.split(X, table, SimpleNamespace(random_state=0), folder)
    return _data.read_split(X, table, folder)


def test_only_patients_that_are_named_are_known(tmp_path):
    folder = write(tmp_path / "data", {"a": 20, **{f"b/p{n}": 4 for n in range(6)}})
    X, table = _data.find_images(settings(folder))
    assert table["patient"].isna().tolist() == (table["label"] == "a").tolist()
    assert table["patient"].nunique() == 6
    images, leaks = dealt(X, table, tmp_path)
    assert (leaks["n_with_patient"], leaks["n_images"]) == (24, 44)
    assert (images.table.groupby(table["patient"])["part"].nunique() == 1).all()


def test_a_moved_folder_is_the_same_data(tmp_path):
    folder = write(tmp_path / "data", {"a": 12, **{f"b/p{n}": 4 for n in range(4)}})
    before = _data.digest(*_data.find_images(settings(folder)))
    moved = shutil.move(folder, tmp_path / "moved")
    X, table = _data.find_images(settings(moved))
    assert _data.digest(X, table) == before
    assert table["name"][0] == "a/case00.png"
    changed = table.assign(label=table["label"].iloc[::-1].to_numpy())
    assert _data.digest(X, changed) != before


def test_a_pattern_may_have_alternatives(tmp_path):
    folder = write(tmp_path / "data", {"a": 12, "b": 12})
    _, table = _data.find_images(settings(folder, patients=r"sub-(\d)|case(\d)"))
    assert sorted(table["patient"].unique()) == ["0", "1"]
    with pytest.raises(ValueError, match=r"finds no patient in .*though it matches"):
        _data.find_images(settings(folder, patients=r"case(x?)"))


def test_parts_that_somebody_made_are_kept(tmp_path):
    data = tmp_path / "data"
    for part, n in {"Training": 20, "Validation": 6, "Testing": 8}.items():
        write(data / part, {"a": n, "b": n}, seed=n)
    images, _ = dealt(*_data.find_images(settings(data)), tmp_path)
    given = images.table["path"].str.extract("(Training|Validation|Testing)")[0]
    named = {"Training": "train", "Validation": "validation", "Testing": "test"}
    assert given.map(named).tolist() == images.table["part"].tolist()


def test_an_image_that_is_in_both_parts_is_counted_as_leaked(tmp_path):
    data = tmp_path / "data"
    write(data / "Training", {"a": 20, "b": 20})
    write(data / "Testing", {"a": 8, "b": 8}, seed=1)
    shutil.copy(data / "Training" / "a" / "case03.png", data / "Testing" / "a" / "copy.png")
    images, leaks = dealt(*_data.find_images(settings(data)), tmp_path)
    leaked = images.table[images.table["leaked"]]
    assert leaked["name"].tolist() == ["Testing/a/copy.png"]
    assert (leaks["n_leaked"], leaks["n_test"], leaks["n_exact_copies"]) == (1, 17, 1)


@pytest.mark.parametrize(
    ("patients", "message"),
    [
        # One patient each of b, so that no part can have b and others too.
        ({"a": None, "b": 1}, "no image of 'b' is left"),
        ({"a": 2, "b": 2}, "cannot be divided by patients"),
    ],
)
def test_what_cannot_be_divided_is_refused_before_anything_is_trained(tmp_path, patients, message):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"label": np.repeat(["a", "b"], 20), "given": "", "name": "", "path": ""})
    table["patient"] = [
        None if patients[label] is None else f"{label}{row % patients[label]}"
        for row, label in enumerate(table["label"])
    ]
    X = rng.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match=message):
        dealt(X, table, tmp_path)


def test_a_test_part_of_one_patient_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"label": ["a", "b"] * 30, "name": "", "path": ""})
    table["given"] = ["test"] * 10 + [""] * 50
    table["patient"] = ["one"] * 10 + [f"p{row // 2}" for row in range(50)]
    X = rng.integers(0, 256, (60, 16, 16, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="all images of the test part are of one patient"):
        dealt(X, table, tmp_path)
