import os
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skkd.datasets import load_image_folder
from skkd.images import as_images


def fill(folder, names, size=(8, 10), mode="L"):
    """Write images whose every pixel tells the place of the image in the list."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        color = 10 * i if mode == "L" else (10 * i, 0, 5)
        Image.new(mode, (size[1], size[0]), color).save(folder / name)


@pytest.fixture
def root(tmp_path):
    for name in ("cat", "dog"):
        fill(tmp_path / name, ["1.png", "2.png", "10.png"])
    return tmp_path


@pytest.fixture
def split_root(tmp_path):
    fill(tmp_path / "Training" / "cat", ["a.png", "b.png"])
    fill(tmp_path / "Training" / "dog", ["a.png"])
    fill(tmp_path / "Testing" / "cat", ["c.png"])
    fill(tmp_path / "Testing" / "dog", ["c.png", "d.png", "e.png"])
    fill(tmp_path / "val" / "dog", ["v.png"])
    fill(tmp_path / "val" / "cat", ["v.png"])
    return tmp_path


def test_class_folders_give_images_labels_and_names_in_natural_order(root):
    images = load_image_folder(root)
    assert images.data.shape == (6, 8, 10, 1)
    assert images.data.dtype == np.uint8
    assert images.target.tolist() == ["cat"] * 3 + ["dog"] * 3
    assert images.target_names.tolist() == ["cat", "dog"]
    assert [Path(name).name for name in images.filenames] == ["1.png", "2.png", "10.png"] * 2
    assert images.data[:, 0, 0, 0].tolist() == [0, 10, 20] * 2
    assert "cat: 3" in images.DESCR


def test_hidden_files_and_checkpoints_are_passed_over_in_silence(root):
    fill(root / ".ipynb_checkpoints", ["x.png"])
    fill(root / "cat" / ".ipynb_checkpoints", ["x.png"])
    fill(root / "__MACOSX", ["x.png"])
    fill(root / "cat", [".hidden.png"])
    (root / ".DS_Store").touch()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(load_image_folder(root).data) == 6


def test_files_that_are_no_images_by_name_are_skipped_with_a_count(root):
    (root / "readme.md").write_text("hello")
    (root / "dog" / "labels.csv").write_text("hello")
    with pytest.warns(UserWarning, match=r"Skipped 2 files .*readme\.md"):
        assert len(load_image_folder(root).data) == 6


@pytest.mark.parametrize(
    ("subset", "count"), [("train", 3), ("test", 4), ("validation", 2), ("all", 9), (None, 9)]
)
@pytest.mark.parametrize("as_paths", [True, False])
def test_split_folders_are_found_under_their_usual_names(split_root, subset, count, as_paths):
    images = load_image_folder(split_root, subset=subset, as_paths=as_paths)
    assert len(images.data) == len(images.target) == len(images.filenames) == count
    assert images.target_names.tolist() == ["cat", "dog"]


def test_a_subset_of_plain_class_folders_or_a_bad_one_is_refused(root):
    with pytest.raises(ValueError, match=r"subset='test' .* only class folders"):
        load_image_folder(root, subset="test")
    with pytest.raises(ValueError, match=r"subset must be .* got 'evaluation'"):
        load_image_folder(root, subset="evaluation")


def test_a_missing_split_names_those_there(tmp_path):
    for name in ("cat", "dog"):
        fill(tmp_path / "train" / name, ["1.png"])
    with pytest.raises(ValueError, match=r"subset='test' .* which has train"):
        load_image_folder(tmp_path, subset="test")


def test_two_folders_of_one_split_or_other_folders_beside_splits_are_refused(split_root):
    fill(split_root / "masks" / "cat", ["1.png"])
    with pytest.raises(ValueError, match=r"mixes split folders .* \(masks\)"):
        load_image_folder(split_root)
    os.rename(split_root / "masks", split_root / "train")
    with pytest.raises(ValueError, match="more than one train folder"):
        load_image_folder(split_root)


def test_class_folders_may_be_called_train_and_test(tmp_path):
    for name in ("train", "plane"):
        fill(tmp_path / name, ["1.png"])
    assert load_image_folder(tmp_path).target_names.tolist() == ["plane", "train"]


def test_paths_decode_to_the_same_images(root):
    fill(root / "dog", ["color.png"], mode="RGB")
    images, paths = load_image_folder(root), load_image_folder(root, as_paths=True)
    assert images.data.shape == (7, 8, 10, 3)
    np.testing.assert_array_equal(paths.data, paths.filenames)
    np.testing.assert_array_equal(paths.target, images.target)
    np.testing.assert_array_equal(as_images(paths.data)[:], images.data)


def test_size_and_color_mode_are_applied(root):
    fill(root / "dog", ["color.png"], size=(30, 20), mode="RGB")
    with pytest.raises(ValueError, match=r"color\.png.* is 30x20 .* set image_size"):
        load_image_folder(root)
    images = load_image_folder(root, image_size=(6, 7), color_mode="grayscale")
    assert images.data.shape == (7, 6, 7, 1)


def test_paths_cannot_honor_a_size_and_say_so(root):
    with pytest.raises(ValueError, match="give image_size and color_mode to the estimator"):
        load_image_folder(root, as_paths=True, image_size=(6, 7))


@pytest.fixture
def broken_root(root):
    """Two files that cannot be read among eight: one cut short, one of text."""
    noise = np.random.RandomState(0).randint(0, 256, (8, 10)).astype(np.uint8)
    Image.fromarray(noise).save(root / "cat" / "cut.jpg")
    whole = (root / "cat" / "cut.jpg").read_bytes()
    (root / "cat" / "cut.jpg").write_bytes(whole[:-40])
    (root / "dog" / "text.jpg").write_text("not an image")
    return root


@pytest.mark.parametrize("n_jobs", [1, 2, -1, None])
def test_a_broken_file_is_named(broken_root, n_jobs):
    with pytest.raises(ValueError, match=r"cut\.jpg|text\.jpg"):
        load_image_folder(broken_root, n_jobs=n_jobs)
    with pytest.raises(ValueError, match=r"text\.jpg is not a readable image"):
        load_image_folder(broken_root, as_paths=True, n_jobs=n_jobs)


def test_broken_files_can_be_left_out_with_a_count(broken_root):
    with pytest.warns(UserWarning, match="Left out 2 of 8 files") as caught:
        images = load_image_folder(broken_root, on_error="warn")
    assert len(caught) == 1
    assert len(images.data) == len(images.target) == len(images.filenames) == 6
    assert images.data[:, 0, 0, 0].tolist() == [0, 10, 20] * 2
    # The JPEG cut short has a whole header, so among paths only the text file is found.
    with pytest.warns(UserWarning, match=r"Left out 1 of 8 files .*text\.jpg"):
        assert len(load_image_folder(broken_root, as_paths=True, on_error="warn").data) == 7


@pytest.mark.parametrize("as_paths", [True, False])
def test_a_class_without_a_readable_image_is_named(root, as_paths):
    fill(root / "bird", ["1.png"])
    (root / "bird" / "1.png").write_text("not an image")
    with pytest.raises(ValueError, match=r"class bird has no readable image.*1\.png"):
        load_image_folder(root, on_error="warn", as_paths=as_paths)


def test_a_broken_link_is_a_file_that_cannot_be_read(root):
    (root / "cat" / "gone.png").symlink_to(root / "nowhere.png")
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        load_image_folder(root)
    with pytest.warns(UserWarning, match="Left out 1 of 7"):
        load_image_folder(root, on_error="warn")


def test_links_that_lead_in_circles_are_errors_not_endless_walks(root):
    (root / "cat" / "loop").symlink_to(root, target_is_directory=True)
    with pytest.raises(ValueError, match="loop is a folder inside the class folder"):
        load_image_folder(root)
    (root / "cat" / "loop").unlink()
    (root / "loop").symlink_to(root, target_is_directory=True)
    with pytest.raises(ValueError, match=r"is a folder inside the class folder .*loop"):
        load_image_folder(root)
    (root / "loop").unlink()
    (root / "cat" / "self.png").symlink_to("self.png")
    with pytest.raises(OSError, match=r"self\.png"):
        load_image_folder(root)


def test_a_linked_class_folder_is_read(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    fill(elsewhere, ["1.png"])
    (root / "bird").symlink_to(elsewhere, target_is_directory=True)
    assert load_image_folder(root).target.tolist()[0] == "bird"


def test_folders_too_poor_to_learn_from_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_image_folder(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="has no class folders"):
        load_image_folder(tmp_path)
    fill(tmp_path / "cat", ["1.png"])
    with pytest.raises(ValueError, match=r"only one class folder \(cat\)"):
        load_image_folder(tmp_path)
    with pytest.raises(ValueError, match="has no class folders"):
        load_image_folder(tmp_path / "cat")
    with pytest.raises(NotADirectoryError, match=r"1\.png"):
        load_image_folder(tmp_path / "cat" / "1.png")
    (tmp_path / "dog").mkdir()
    with pytest.raises(ValueError, match="dog has no images"):
        load_image_folder(tmp_path)


@pytest.mark.parametrize("missing", [None, 3])
def test_a_root_that_is_no_path_is_not_taken_for_the_working_folder(root, monkeypatch, missing):
    monkeypatch.chdir(root)
    with pytest.raises(TypeError, match=f"root must be the path of a folder.* got {missing}"):
        load_image_folder(missing)


def test_a_root_one_level_too_high_is_told_where_to_look(tmp_path):
    for name in ("cat", "dog"):
        fill(tmp_path / "dataset" / name, ["1.png"])
    with pytest.raises(ValueError, match=r"If .*dataset holds the class folders"):
        load_image_folder(tmp_path)


def test_class_names_that_differ_only_in_case_or_accent_composition_are_refused(tmp_path):
    for name in ("Cat", "dog", "cat"):
        fill(tmp_path / "case" / name, ["1.png"])
    if len(os.listdir(tmp_path / "case")) == 3:  # Not every file system tells them apart.
        with pytest.raises(ValueError, match="differ only in case: 'Cat' and 'cat'"):
            load_image_folder(tmp_path / "case")
    for split, form in (("train", "NFC"), ("test", "NFD")):
        for name in (unicodedata.normalize(form, "café"), "dog"):
            fill(tmp_path / "accent" / split / name, ["1.png"])
    with pytest.raises(ValueError, match="differ only in case"):
        load_image_folder(tmp_path / "accent")


def test_names_outside_ascii_are_kept(tmp_path):
    for name in ("кошка", "犬 2"):
        fill(tmp_path / name, ["фото 1.png"])
    images = load_image_folder(tmp_path)
    assert images.target.tolist() == ["кошка", "犬 2"]
    assert as_images(images.filenames).shape == (2, 8, 10, 1)


HOSTILE = ["<script>alert(1)<", "ill\nwell: 99", "$(rm)", "%s{0}", "-rf", "a\\..", "'; DROP", "~"]


def test_class_folders_of_hostile_names_are_classes_like_others(tmp_path):
    for name in (*HOSTILE, "..hidden", "..."):
        fill(tmp_path / name, ["1.png"])
    images = load_image_folder(tmp_path)
    assert images.target_names.tolist() == sorted(HOSTILE)
    assert len(images.DESCR.strip().splitlines()) == 3 + len(HOSTILE)
    again = load_image_folder(tmp_path, frames="all")
    assert again.target.tolist() == images.target.tolist()
    np.testing.assert_array_equal(as_images(images.filenames)[:], images.data)


def test_a_manifest_of_hostile_labels_and_paths_reads_nothing_but_images(tmp_path):
    fill(tmp_path / "in", ["1.png"])
    fill(tmp_path, ["2.png"])
    (tmp_path / "secret").write_text("root:x:0:0")
    table = pd.DataFrame({"path": ["1.png", "../2.png"], "label": ["..", "<script>"]})
    assert load_image_folder(tmp_path / "in", manifest=table).target.tolist() == ["..", "<script>"]
    table["path"] = ["1.png", "../secret"]
    with pytest.raises(ValueError, match="secret is not a readable image: it is none of") as caught:
        load_image_folder(tmp_path / "in", manifest=table)
    assert "root:x" not in str(caught.value)


def test_a_limit_draws_each_class_by_its_share_and_by_the_seed(tmp_path):
    for name, count in (("cat", 40), ("dog", 20), ("emu", 4)):
        fill(tmp_path / name, [f"{i}.png" for i in range(count)], size=(2, 2))
    some = load_image_folder(tmp_path, limit=32, random_state=0)
    assert np.unique(some.target, return_counts=True)[1].tolist() == [20, 10, 2]
    assert len(set(some.filenames)) == 32
    again = load_image_folder(tmp_path, limit=32, random_state=0, as_paths=True)
    np.testing.assert_array_equal(some.filenames, again.data)
    other = load_image_folder(tmp_path, limit=32, random_state=1)
    assert set(some.filenames) != set(other.filenames)
    assert len(load_image_folder(tmp_path, limit=1000).data) == 64
    for limit in (2, 0, 3.5):
        with pytest.raises(ValueError, match=f"number of classes, 3; got {limit}"):
            load_image_folder(tmp_path, limit=limit)
    with pytest.raises(ValueError, match="limit=5 leaves no image of emu"):
        load_image_folder(tmp_path, limit=5, random_state=0)


def test_a_bad_on_error_is_named(root):
    with pytest.raises(ValueError, match=r"on_error must be .* got 'ignore'"):
        load_image_folder(root, on_error="ignore")


def test_folders_inside_class_folders_are_patients(tmp_path):
    fill(tmp_path / "cat" / "p1" / "series", ["1.png", "2.png"])
    fill(tmp_path / "cat" / "p2", ["1.png"])
    fill(tmp_path / "dog" / "p1", ["1.png"])
    images = load_image_folder(tmp_path)
    assert images.groups.tolist() == ["p1", "p1", "p2", "p1"]
    assert images.target.tolist() == ["cat"] * 3 + ["dog"]
    assert load_image_folder(tmp_path, as_paths=True).groups.tolist() == images.groups.tolist()
    fill(tmp_path / "dog", ["loose.png"])
    with pytest.raises(ValueError, match=r"p1 is a folder inside the class folder .*loose"):
        load_image_folder(tmp_path)


def test_folders_without_patients_have_no_groups(root):
    assert "groups" not in load_image_folder(root)


@pytest.mark.parametrize("as_csv", [True, False])
def test_a_manifest_says_what_the_images_are(root, as_csv):
    table = pd.DataFrame(
        {
            "path": ["dog/2.png", "cat/1.png", "cat/10.png"],
            "label": ["ill", "well", "ill"],
            "patient": ["007", "7", "007"],
            "split": ["train", "Testing", "train"],
            "age": [30, 40, 50],
        }
    )
    manifest = table
    if as_csv:
        manifest = root / "table.csv"
        table.to_csv(manifest, index=False)
    images = load_image_folder(root, manifest=manifest)
    assert images.data[:, 0, 0, 0].tolist() == [10, 0, 20]
    assert images.target.tolist() == ["ill", "well", "ill"]
    assert images.groups.tolist() == ["007", "7", "007"]
    assert images.age.tolist() == [30, 40, 50]
    assert load_image_folder(root, manifest=manifest, subset="test").age.tolist() == [40]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="label"), 'columns "path" and "label"'),
        (lambda table: table.assign(label="ill"), "has 1 labels"),
        (lambda table: table.assign(label=["ill", None]), "no label in row 1"),
        (lambda table: table.assign(path="cat/1.png"), "twice"),
        (lambda table: table.assign(data=1), "column 'data'"),
    ],
)
def test_a_manifest_that_says_too_little_is_refused(root, change, message):
    table = pd.DataFrame({"path": ["cat/1.png", "dog/1.png"], "label": ["ill", "well"]})
    with pytest.raises(ValueError, match=message):
        load_image_folder(root, manifest=change(table))


@pytest.mark.parametrize("as_paths", [True, False])
def test_every_frame_may_be_an_image_of_the_group_of_its_file(root, as_paths):
    pages = [Image.new("L", (10, 8), color) for color in (1, 2, 3)]
    pages[0].save(root / "cat" / "film.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(ValueError, match=r"film\.tif is not read: it holds 3 frames"):
        load_image_folder(root, as_paths=as_paths)
    images = load_image_folder(root, frames="all", as_paths=as_paths)
    of_film = ["film" in name for name in images.filenames]
    assert sum(of_film) == 3
    assert set(images.groups[of_film]) == {str(root / "cat" / "film.tif")}
    pixels = np.asarray(as_images(images.data)[:])
    assert pixels[of_film][:, 0, 0, 0].tolist() == [1, 2, 3]
    assert len(load_image_folder(root, frames="middle", as_paths=as_paths).data) == 7


def test_masks_beside_images_are_not_learned_as_images(tmp_path):
    names = [
        *("benign (1).png", "benign (1)_mask.png", "benign (1)_mask_1.png"),
        *("b.JPG", "b_Segmentation.png", "face_mask.png", "a-seg2.png"),
    ]
    for label in ("x", "y"):
        (tmp_path / label).mkdir()
        for name in names:
            form = "JPEG" if name.endswith("JPG") else "PNG"
            Image.new("L", (4, 4)).save(tmp_path / label / name, format=form)
    with pytest.warns(UserWarning, match=r"Skipped 6 files .* masks of images beside them"):
        found = load_image_folder(tmp_path, as_paths=True, verbose=False)
    kept = {Path(path).name for path in found.data}
    # One whose image is not there may be one itself.
    assert kept == {"benign (1).png", "b.JPG", "face_mask.png", "a-seg2.png"}
