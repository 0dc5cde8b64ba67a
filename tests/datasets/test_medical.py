import os
import shutil
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skkd.datasets import (
    _medical,
    check_split,
    fetch_alzheimer,
    fetch_brain_tumor,
    fetch_eye_disease,
    find_duplicates,
)
from skkd.images import as_images

BRAIN = ("glioma", "meningioma", "notumor", "pituitary")
EYE = ("cataract", "diabetic_retinopathy", "glaucoma", "normal")
ALZHEIMER = ("MildDemented", "ModerateDemented", "NonDemented", "VeryMildDemented")

# Each set as Kaggle hands it out: handle, folder by our name, and images a class by folder.
SETS = {
    fetch_brain_tumor: (
        "masoudnickparvar/brain-tumor-mri-dataset",
        "brain_tumor",
        {"Training": (BRAIN, 20), "Testing": (BRAIN, 6)},
    ),
    fetch_eye_disease: (
        "gunavenkatdoddi/eye-diseases-classification",
        "eye_disease",
        {"dataset": (EYE, 40)},
    ),
    fetch_alzheimer: (
        "uraninjo/augmented-alzheimer-mri-dataset",
        "alzheimer",
        {"OriginalDataset": (ALZHEIMER, 40), "AugmentedAlzheimerDataset": (ALZHEIMER, 50)},
    ),
}
each_set = pytest.mark.parametrize("fetch", SETS, ids=lambda fetch: fetch.__name__)


def write_set(folder, layout):
    rng = np.random.RandomState(0)
    for part, (classes, count) in layout.items():
        for name in classes:
            (folder / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.randint(0, 256, (8, 8)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{i}.png")


@pytest.fixture(autouse=True)
def _forget_warnings(monkeypatch):
    monkeypatch.setattr(_medical, "_WARNED_OF", set())


@pytest.fixture
def home(tmp_path):
    for _, name, layout in SETS.values():
        write_set(tmp_path / name, layout)
    return tmp_path


@pytest.fixture
def kagglehub(tmp_path_factory, monkeypatch):
    """Stand in for the package: hands out the set of a handle from a cache of its own."""
    hub = types.ModuleType("kagglehub")
    hub.calls, hub.fail_with, hub.lose = [], None, None

    def dataset_download(handle):
        hub.calls.append(handle)
        if hub.fail_with is not None:
            raise hub.fail_with
        cache = tmp_path_factory.mktemp("cache") / "versions" / "1"
        (layout,) = (layout for known, _, layout in SETS.values() if known == handle)
        write_set(cache, layout)
        if hub.lose is not None:
            shutil.rmtree(cache / hub.lose)
        return str(cache)

    hub.dataset_download = dataset_download
    monkeypatch.setitem(sys.modules, "kagglehub", hub)
    return hub


@pytest.fixture
def no_kagglehub(monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)


@each_set
def test_a_set_on_disk_is_loaded_without_kagglehub(fetch, home, no_kagglehub):
    images = fetch(home, subset="all")
    _, name, layout = SETS[fetch]
    folders = ["Training", "Testing"] if name == "brain_tumor" else [next(iter(layout))]
    classes = layout[folders[0]][0]
    expected = 4 * sum(layout[folder][1] for folder in folders)
    assert images.data.shape == (expected, 8, 8, 1)
    assert images.target_names.tolist() == list(classes)
    np.testing.assert_array_equal(as_images(images.filenames)[:], images.data)
    assert images.target.tolist() == [Path(path).parent.name for path in images.filenames]
    for word in ("Source:", "License:", "Citation:", "Known problems", f"{expected} images"):
        assert word in images.DESCR


@each_set
def test_the_environment_variable_names_the_home_of_the_sets(fetch, home, monkeypatch):
    monkeypatch.setenv("SKKD_DATA", str(home))
    assert str(home) in fetch(as_paths=True).data[0]


@each_set
def test_without_the_variable_sets_lie_in_the_home_of_the_user(fetch, tmp_path, monkeypatch):
    monkeypatch.delenv("SKKD_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    with pytest.raises(OSError, match="skkd_data"):
        fetch(download_if_missing=False)


@pytest.mark.parametrize("fetch", [fetch_eye_disease, fetch_alzheimer])
def test_sets_without_a_published_split_are_dealt_7_2_1_by_class(fetch, home):
    counts = {"train": 28, "validation": 8, "test": 4}
    seen = []
    for subset, count in counts.items():
        images = fetch(home, subset=subset, as_paths=True)
        assert np.unique(images.target, return_counts=True)[1].tolist() == [count] * 4
        seen += images.data.tolist()
    assert sorted(seen) == sorted(fetch(home, subset="all", as_paths=True).data)
    again = fetch(home, subset="test", as_paths=True).data
    np.testing.assert_array_equal(again, images.data)
    other = fetch(home, subset="test", as_paths=True, random_state=1).data
    assert set(other) != set(again)


def test_the_brain_set_keeps_its_published_test_set_and_deals_the_rest_8_2(home):
    subsets = {
        subset: fetch_brain_tumor(home, subset=subset, as_paths=True).data
        for subset in ("train", "validation", "test")
    }
    assert {subset: len(paths) for subset, paths in subsets.items()} == {
        "train": 64,
        "validation": 16,
        "test": 24,
    }
    assert all("Testing" in path for path in subsets["test"])
    assert not any("Testing" in path for path in [*subsets["train"], *subsets["validation"]])
    assert not set(subsets["train"]) & set(subsets["validation"])


@each_set
def test_identical_files_lie_on_one_side(fetch, home):
    _, name, layout = SETS[fetch]
    part, (classes, _) = next(iter(layout.items()))
    folder = home / name / part / classes[0]
    for i in range(8):
        for copy in ("b", "c"):
            shutil.copy(folder / f"{i}.png", folder / f"{i}{copy}.png")
    for seed in range(3):
        sides = [
            {Path(path).stem.rstrip("bc") for path in images.data[images.target == classes[0]]}
            for images in (
                fetch(home, subset=subset, as_paths=True, random_state=seed)
                for subset in ("train", "validation")
            )
        ]
        assert not sides[0] & sides[1]


def test_test_images_that_are_also_training_images_are_counted_in_one_warning(home):
    root = home / "brain_tumor"
    for i in range(3):
        shutil.copy(
            root / "Training" / "glioma" / f"{i}.png", root / "Testing" / "glioma" / f"copy{i}.png"
        )
    with pytest.warns(UserWarning, match="3 of the 27 test images of brain_tumor") as caught:
        fetch_brain_tumor(home, subset="train", as_paths=True)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fetch_brain_tumor(home, subset="test", as_paths=True)


def test_the_augmented_alzheimer_images_come_with_a_warning(home):
    with pytest.warns(UserWarning, match="augmented before the split"):
        images = fetch_alzheimer(home, subset="all", augmented=True, as_paths=True)
    assert len(images.data) == 200
    assert all("AugmentedAlzheimerDataset" in path for path in images.data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fetch_alzheimer(home, subset="all", as_paths=True)


@each_set
def test_reading_options_reach_the_images(fetch, home):
    data, target = fetch(
        home, subset="test", image_size=(4, 6), color_mode="rgb", return_X_y=True, verbose=False
    )
    assert data.shape == (len(target), 4, 6, 3)


@each_set
def test_a_missing_set_is_downloaded_once_and_whole(fetch, tmp_path, kagglehub):
    handle, name, layout = SETS[fetch]
    first = fetch(tmp_path / "new" / "home", subset="test")
    second = fetch(tmp_path / "new" / "home", subset="test")
    assert kagglehub.calls == [handle]
    np.testing.assert_array_equal(first.data, second.data)
    assert os.listdir(tmp_path / "new" / "home") == [name]
    assert set(os.listdir(tmp_path / "new" / "home" / name)) == set(layout)


@each_set
@pytest.mark.parametrize("failure", [RuntimeError("no route to host"), KeyboardInterrupt()])
def test_a_failed_or_interrupted_download_leaves_nothing(fetch, tmp_path, kagglehub, failure):
    kagglehub.fail_with = failure
    with pytest.raises((OSError, KeyboardInterrupt)) as caught:
        fetch(tmp_path)
    if isinstance(failure, RuntimeError):
        assert "no route to host" in str(caught.value)
        assert SETS[fetch][0] in str(caught.value)
    assert os.listdir(tmp_path) == []
    kagglehub.fail_with = None
    assert len(fetch(tmp_path).data)


@pytest.mark.parametrize("failure", [OSError("no space left"), KeyboardInterrupt()])
def test_a_copy_that_breaks_off_leaves_nothing_that_looks_complete(
    tmp_path, kagglehub, monkeypatch, failure
):
    def copy_in_part(source, target):
        write_set(Path(target), {"Training": (BRAIN, 2), "Testing": (BRAIN[:2], 1)})
        raise failure

    monkeypatch.setattr(shutil, "copytree", copy_in_part)
    with pytest.raises((OSError, KeyboardInterrupt)):
        fetch_brain_tumor(tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_set_that_another_process_downloads_meanwhile_is_used(tmp_path, kagglehub, monkeypatch):
    download = kagglehub.dataset_download

    def download_twice(handle):
        whole = download(handle)
        shutil.copytree(whole, tmp_path / "brain_tumor")
        return whole

    monkeypatch.setattr(kagglehub, "dataset_download", download_twice)
    assert len(fetch_brain_tumor(tmp_path, subset="test").data) == 24
    assert os.listdir(tmp_path) == ["brain_tumor"]


def test_a_download_of_another_layout_is_refused(tmp_path, kagglehub):
    kagglehub.lose = "Testing"
    with pytest.raises(OSError, match=r"has no folder Testing; unpack https://www\.kaggle\.com"):
        fetch_brain_tumor(tmp_path)
    assert os.listdir(tmp_path) == []


@each_set
def test_without_kagglehub_the_error_says_what_to_install_or_where_to_put_the_files(
    fetch, tmp_path, no_kagglehub
):
    handle, name, _ = SETS[fetch]
    with pytest.raises(ImportError, match=r"pip install skkd\[datasets\]") as caught:
        fetch(tmp_path)
    assert handle in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
    with pytest.raises(OSError, match="download_if_missing is False; unpack .*" + handle):
        fetch(tmp_path, download_if_missing=False)


def test_a_set_put_there_by_hand_in_part_is_not_overwritten(tmp_path, kagglehub):
    write_set(tmp_path / "brain_tumor", {"Training": (BRAIN, 2)})
    with pytest.raises(OSError, match="brain_tumor has no folder Testing; remove it, or unpack"):
        fetch_brain_tumor(tmp_path)
    assert kagglehub.calls == []


def test_bad_parameters_are_named(home):
    with pytest.raises(ValueError, match=r"subset must be .* got 'evaluation'"):
        fetch_eye_disease(home, subset="evaluation")
    for seed in (None, np.random.RandomState(0)):
        with pytest.raises(ValueError, match="random_state must be an integer"):
            fetch_eye_disease(home, random_state=seed)


real_data = pytest.mark.skipif(
    not os.environ.get("SKKD_DATA"), reason="SKKD_DATA does not name the folder of the real sets"
)


@real_data
@each_set
def test_real_sets_are_dealt_by_class_with_no_file_on_two_sides(fetch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = {
            subset: fetch(subset=subset, as_paths=True, verbose=False)
            for subset in ("all", "train", "validation", "test")
        }
    everything = parts.pop("all")
    assert sum(len(part.data) for part in parts.values()) == len(everything.data)
    whole = np.unique(everything.target, return_counts=True)[1]
    if fetch is not fetch_brain_tumor:
        shares = {"train": 0.7, "validation": 0.2, "test": 0.1}
        for subset, share in shares.items():
            counts = np.unique(parts[subset].target, return_counts=True)[1]
            np.testing.assert_allclose(counts, share * whole, atol=0.01 * len(everything.data))
        assert len(check_split(parts["train"], parts["test"], verbose=False).shared) == 0
    assert len(check_split(parts["train"], parts["validation"], verbose=False).shared) == 0


@real_data
def test_the_real_brain_set_warns_of_the_test_images_it_trains_on():
    with pytest.warns(UserWarning, match="test images of brain_tumor are also") as caught:
        everything = fetch_brain_tumor(subset="all", as_paths=True)
    told = int(str(caught[0].message).split()[0])
    in_test = np.array(["Testing" in path for path in everything.data])
    groups = find_duplicates(everything.data, verbose=False)
    found = sum(in_test[rows].sum() for rows in groups if 0 < in_test[rows].sum() < len(rows))
    assert told == found > 0


@real_data
def test_real_eye_images_decode_to_one_size():
    images = fetch_eye_disease(subset="test", image_size=(32, 32), verbose=False)
    assert images.data.shape == (len(images.target), 32, 32, 3)
    assert images.data.std() > 10
