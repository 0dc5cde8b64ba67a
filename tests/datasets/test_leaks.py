import io
import threading
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold, train_test_split
from sklearn.utils import Bunch

from skkd.datasets import (
    check_split,
    find_duplicates,
    group_duplicates,
    load_image_folder,
    make_brain_phantoms,
    make_fundus_phantoms,
)
from skkd.datasets._leaks import _group


def as_lists(groups):
    return [group.tolist() for group in groups]


@pytest.fixture(scope="module")
def heads():
    return make_brain_phantoms(24, image_size=(96, 96), random_state=0)


def test_exact_duplicates_are_grouped_in_order(heads):
    X, _ = heads
    X = X[[0, 1, 2, 1, 3, 0, 1, 4]]
    assert as_lists(find_duplicates(X)) == [[0, 5], [1, 3, 6]]
    assert find_duplicates(X[:3]) == []


def test_one_pixel_makes_an_image_another_but_not_one_that_looks_it(heads):
    X = heads[0][[0, 0, 1]]
    X[1, 50, 50] = 255 - X[1, 50, 50]
    assert find_duplicates(X) == []
    assert as_lists(find_duplicates(X, method="perceptual")) == [[0, 1]]


def test_files_of_one_picture_in_other_formats_and_channels_are_exact_duplicates(tmp_path, heads):
    X, _ = heads
    paths = [tmp_path / name for name in ("a.png", "b.bmp", "c.tiff", "d.png")]
    Image.fromarray(X[0]).save(paths[0])
    Image.fromarray(X[0]).save(paths[1])
    Image.fromarray(X[0][..., 0]).save(paths[2])
    Image.fromarray(X[1]).save(paths[3])
    assert as_lists(find_duplicates(paths)) == [[0, 1, 2]]
    assert as_lists(find_duplicates(np.array(paths, dtype=str))) == [[0, 1, 2]]


@pytest.mark.parametrize("kind", [str, Path])
def test_a_single_path_is_refused_as_no_list_of_paths(tmp_path, kind):
    with pytest.raises(ValueError, match="got the single path"):
        find_duplicates(kind(tmp_path))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint16])
def test_arrays_of_any_type_are_compared_with_files_by_their_values(tmp_path, heads, dtype):
    X, y = heads
    for i in range(2):
        Image.fromarray(X[i]).save(tmp_path / f"{i}.png")
    files = [tmp_path / "0.png", tmp_path / "1.png"], y[:2]
    assert check_split((X[:4].astype(dtype), y[:4]), files).shared.train.tolist() == [0, 1]
    # What bytes cannot hold is another image, without a warning of the cast to them.
    others = X[:2].astype(np.float64)
    others[0, 0, 0], others[1, 0, 0] = 256 + others[0, 0, 0], np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(check_split((others, y[:2]), files).shared) == 0


def jpeg(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=60)
    return Image.open(buffer)


@pytest.mark.parametrize("make", [make_brain_phantoms, make_fundus_phantoms])
def test_perceptual_hashes_survive_what_resaving_does_and_keep_patients_apart(make, tmp_path):
    X, _ = make(40, image_size=(128, 128), random_state=0)
    assert find_duplicates(X, method="perceptual") == []
    paths = []
    for i, image in enumerate(X):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(image).save(paths[-1])
    changes = {
        "jpeg": jpeg,
        "smaller": lambda image: Image.fromarray(image).resize((64, 64)),
        "darker": lambda image: Image.fromarray((image * 0.8).astype(np.uint8)),
    }
    for name, change in changes.items():
        for i in range(3):
            paths.append(tmp_path / f"{name}{i}.png")
            change(X[i]).save(paths[-1])
    groups = as_lists(find_duplicates(paths, method="perceptual"))
    assert groups == [[i, 40 + i, 43 + i, 46 + i] for i in range(3)]
    # Mirrored and turned pictures are other pictures.
    moved = [X[0], X[0][:, ::-1], X[0].transpose(1, 0, 2)]
    assert find_duplicates(np.array(moved), method="perceptual") == []


def test_a_store_is_read_many_rows_at_a_time_by_one_thread(heads):
    class Store:
        shape = heads[0].shape
        dtype = heads[0].dtype
        reads = []

        def __getitem__(self, rows):
            self.reads.append(threading.get_ident())
            return heads[0][rows]

    assert find_duplicates(Store()) == []
    assert set(Store.reads) == {threading.get_ident()}
    assert len(Store.reads) < len(heads[0]) / 2


def test_the_threshold_is_the_number_of_bits_that_may_differ():
    # Cosines of the grid that the hash is taken on: one coefficient each, so the bits are known.
    # Of 255 coefficients, 127 random ones are 1 and the others -1; the median lies between.
    grid = (np.arange(64) + 0.5) * np.pi / 64
    waves = np.cos(np.outer(np.arange(16), grid))
    rng = np.random.RandomState(0)
    signs = -np.ones(256)
    signs[1 + rng.permutation(255)[:127]] = 1
    swapped = signs.copy()
    # Three ones become minus one and three minus ones become one: six bits differ.
    swapped[1 + np.flatnonzero(signs[1:] == 1)[:3]] = -1
    swapped[1 + np.flatnonzero(signs[1:] == -1)[:3]] = 1
    X = np.array([waves.T @ s.reshape(16, 16) @ waves for s in (signs, swapped)])
    assert find_duplicates(X, method="perceptual", threshold=5) == []
    assert as_lists(find_duplicates(X, method="perceptual", threshold=6)) == [[0, 1]]


def test_gray_float_images_and_gray_files_are_taken(heads):
    X = heads[0][[0, 1, 0], ..., 0] / 255
    for method in ("exact", "perceptual"):
        assert as_lists(find_duplicates(X, method=method)) == [[0, 2]]


def test_a_split_is_told_which_test_images_it_has_trained_on(heads):
    X, y = heads
    report = check_split((X[:10], y[:10]), (X[[20, 3, 21, 7, 3]], y[[20, 3, 21, 7, 3]]))
    assert report.shared.test.tolist() == [1, 3, 4]
    assert report.shared.train.tolist() == [3, 7, 3]
    assert report.shared.test_label.tolist() == y[[3, 7, 3]].tolist()
    assert len(report.contradictions) == len(report.metadata) == 0
    assert "3 of 5 test images are also in train" in report.summary


def test_a_side_may_be_a_store_without_a_length(heads):
    X, y = heads

    class Store:
        shape, dtype = X.shape, X.dtype

        def __getitem__(self, rows):
            return X[rows]

    report = check_split((Store(), y), (X[[20, 3]], y[[20, 3]]))
    assert report.shared.train.tolist() == [20, 3]


def test_equal_images_under_different_labels_are_listed_on_either_side(heads):
    X, _ = heads
    train = X[[0, 0, 1, 2]], np.array(["a", "b", "a", "a"])
    test = X[[5, 2, 1]], np.array(["a", "b", "a"])
    found = check_split(train, test).contradictions
    assert found[["side", "row", "label"]].to_numpy().tolist() in (
        [["train", 0, "a"], ["train", 1, "b"], ["test", 1, "b"], ["train", 3, "a"]],
        [["test", 1, "b"], ["train", 3, "a"], ["train", 0, "a"], ["train", 1, "b"]],
    )
    assert found.group.nunique() == 2


def test_properties_of_files_that_betray_the_label_are_measured(tmp_path):
    rng = np.random.RandomState(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(40):
            # Size tells the class; format is independent of it; all are gray.
            side = 8 if name == "cat" else 9
            pixels = rng.randint(0, 256, (side, side)).astype(np.uint8)
            suffix = "png" if i % 2 else "bmp"
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.{suffix}")
    images = load_image_folder(tmp_path, as_paths=True)
    train, test = np.arange(80) % 4 > 0, np.arange(80) % 4 == 0
    report = check_split(
        (images.data[train], images.target[train]), (images.data[test], images.target[test])
    )
    assert report.metadata.index.tolist() == ["size", "format"]
    assert report.metadata.n_values.tolist() == [2, 2]
    # Cramer's V = sqrt(chi2 / n) for a 2 x 2 table: 1 when one variable is the other, 0 when
    # every cell holds as many as chance says.
    np.testing.assert_allclose(report.metadata.cramers_v, [1, 0], atol=1e-12)
    assert report.metadata.p_value["size"] < 1e-10
    assert report.metadata.p_value["format"] > 0.9
    assert "The size of a file goes with its label (Cramer's V 1.00" in report.summary
    assert "format" not in report.summary


def test_a_bunch_is_a_side_as_well(tmp_path, heads):
    X, y = heads
    for i in range(12):
        (tmp_path / y[i]).mkdir(exist_ok=True)
        Image.fromarray(X[i]).save(tmp_path / y[i] / f"{i}.png")
    images = load_image_folder(tmp_path)
    assert len(check_split(images, (X[10:], y[10:])).shared) == 2
    images = load_image_folder(tmp_path, as_paths=True)
    assert len(check_split(images, images).shared) == 12


@pytest.mark.parametrize(
    "function",
    [find_duplicates, lambda X, **o: check_split((X, [0] * len(X)), (X, [0] * len(X)), **o)],
)
def test_bad_parameters_are_named(function):
    X = np.zeros((2, 8, 8))
    with pytest.raises(ValueError, match=r"method must be .* got 'fuzzy'"):
        function(X, method="fuzzy")
    for threshold in (-1, 256, "5"):
        with pytest.raises(ValueError, match=f"threshold must be .* got {threshold}"):
            function(X, threshold=threshold)
    with pytest.raises(ValueError, match="got a table"):
        function(np.zeros((2, 8)))


def test_bad_sides_are_named(heads):
    X, y = heads
    with pytest.raises(ValueError, match="test must be a Bunch, or a tuple"):
        check_split((X, y), X)
    with pytest.raises(ValueError, match="train must have a label for each image; got 24 and 3"):
        check_split((X, y[:3]), (X, y))


@pytest.mark.parametrize("threshold", [0, 3, 8.5, 14, 15, 100])
def test_groups_of_hashes_are_those_of_all_pairs(rng, threshold):
    bits = rng.random((40, 255)) < 0.5
    flips = [int(threshold) + i % 2 for i in range(40)]
    near = bits.copy()
    for row, n_flips in enumerate(flips):
        near[row, rng.choice(255, n_flips, replace=False)] ^= True
    bits = np.concatenate([bits, near, near[:3]])
    close = (bits[:, None] != bits).sum(axis=2) <= threshold
    _, expected = connected_components(close, directed=False)
    groups = _group(bits, threshold)
    assert len(np.unique(groups)) == len(np.unique(expected)) < len(bits)
    np.testing.assert_array_equal(groups[:, None] == groups, expected[:, None] == expected)


def test_equal_images_of_python_objects_are_found(rng):
    X = rng.random((3, 4, 4, 1))
    X[2] = X[0]
    groups = find_duplicates(X.astype(object).copy())
    assert [group.tolist() for group in groups] == [[0, 2]]


def test_labels_of_two_kinds_are_not_made_one():
    X = np.zeros((2, 4, 4, 1))
    with pytest.raises(ValueError, match="train and test must have labels of one kind; got"):
        check_split((X, np.array([1, 2])), (X, np.array(["1", "2"])))
    with pytest.raises(ValueError, match=r"test must have a label .* got labels of shape \(2, 3\)"):
        check_split((X, [0, 1]), (X, np.ones((2, 3))))


def test_patients_on_both_sides_are_listed_and_counted(heads):
    X, y = heads
    patients = np.array(["p1", "p1", "p2", "p3", "p4", "p4", "p5", "p2"])
    train, test = np.arange(5), np.arange(5, 8)
    sides = [(X[rows], y[rows], patients[rows]) for rows in (train, test)]
    report = check_split(*sides)
    assert report.shared_groups.to_dict("list") == {
        "group": ["p2", "p4"],
        "n_train": [1, 1],
        "n_test": [1, 1],
    }
    line = "2 of 3 patients of test are also in train, with 2 test images."
    assert report.summary.splitlines()[1] == line
    bunches = [Bunch(data=a, target=b, groups=c) for a, b, c in sides]
    assert check_split(*bunches).shared_groups.equals(report.shared_groups)
    # Names of a table are objects, those of an array text.
    named = check_split((*sides[0][:2], sides[0][2].astype(object)), sides[1])
    assert named.shared_groups.equals(report.shared_groups)


def test_patients_of_one_side_alone_are_said_not_to_be_compared(heads):
    X, y = heads
    report = check_split((X[:4], y[:4], [1, 1, 2, 2]), (X[4:8], y[4:8]))
    assert len(report.shared_groups) == 0
    assert "Patients are known of train alone and were not compared." in report.summary
    assert "atients" not in check_split((X[:4], y[:4]), (X[4:8], y[4:8])).summary


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([1, 2, 3], "groups of test must have one group, .* each of the 4 images; got 3 groups"),
        ([1.0, np.nan, 2, 3], "groups of test .* 1 are missing, the first in row 1"),
        ([None, "a", "b", None], "groups of test .* 2 are missing, the first in row 0"),
        (np.ones((4, 2)), r"groups of test .* got shape \(4, 2\)"),
        ([[1], [2], [3], [1, 2]], "groups of test must hold"),
        (["a", "b", "c", "d"], "must have groups of one kind"),
    ],
)
def test_bad_groups_are_named(heads, groups, message):
    X, y = heads
    with pytest.raises(ValueError, match=message):
        check_split((X[:4], y[:4], [1, 2, 3, 4]), (X[4:8], y[4:8], groups))


def test_near_copies_share_a_number_and_stay_on_one_side_of_a_fold(heads):
    X, y = heads
    again = np.concatenate([X[:12], X[:12] // 2])
    groups = group_duplicates(again, verbose=False)
    assert groups.tolist() == [*range(12), *range(12)]
    # Halved, pixels are no longer the same.
    assert group_duplicates(again, method="exact").tolist() == list(range(24))
    folds = StratifiedGroupKFold(2, shuffle=True, random_state=0)
    for train, test in folds.split(again, np.tile(y[:12], 2), groups):
        sides = [(again[rows], np.tile(y[:12], 2)[rows], groups[rows]) for rows in (train, test)]
        report = check_split(*sides, method="perceptual")
        assert len(report.shared_groups) == len(report.shared) == 0


def test_patients_of_a_manifest_go_through_splits_and_the_check_of_a_split(tmp_path, heads):
    X, _ = heads
    y = np.tile(["a", "b"], 12)
    for row, image in enumerate(X):
        Image.fromarray(image[:16, :16, 0]).save(tmp_path / f"{row}.png")
    table = pd.DataFrame(
        {
            "path": [f"{row}.png" for row in range(24)],
            "label": y,
            "patient": np.repeat(np.arange(8), 3),
        }
    )
    scans = load_image_folder(tmp_path, manifest=table)
    folds = StratifiedGroupKFold(2, shuffle=True, random_state=0)
    sides = next(folds.split(scans.data, scans.target, scans.groups))
    train, test = (
        Bunch(data=scans.data[rows], target=scans.target[rows], groups=scans.groups[rows])
        for rows in sides
    )
    assert len(check_split(train, test).shared_groups) == 0
    halves = train_test_split(scans.data, scans.target, scans.groups, random_state=0)
    report = check_split(*(tuple(halves[side::2]) for side in (0, 1)))
    expected = sorted(set(halves[4]) & set(halves[5]))
    assert sorted(report.shared_groups["group"]) == expected
    assert len(expected) > 0
