import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn import config_context
from sklearn.tree import DecisionTreeClassifier

from skkd import MLP, FiveBlockCNN, NetworkClassifier
from skkd.datasets import make_brain_phantoms
from skkd.images import ImagePaths, file_metadata
from skkd.metrics import shortcut_report
from skkd.metrics.audit._columns import as_table
from skkd.metrics.audit._probe import as_features, held_out_predictions
from skkd.metrics.audit._regions import (
    draw_others,
    draw_others_elsewhere,
    fill_masked,
)
from skkd.metrics.audit._shortcuts import COMMON

N, SIDE = 120, 20


class Reader:
    """A classifier that says "ill" where some pixels of an image are bright."""

    classes_ = np.array(["ill", "well"])

    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns

    def predict_proba(self, X):
        bright = np.asarray(X)[:, self.rows, self.columns].mean(axis=(1, 2, 3)) > 150
        return np.column_stack([bright, ~bright]).astype(float)


class LesionReader(Reader):
    """One that looks for a bright lesion wherever it may be."""

    def __init__(self):
        pass

    def predict_proba(self, X):
        bright = np.asarray(X)[:, 4:16, 4:16].max(axis=(1, 2, 3)) > 240
        return np.column_stack([bright, ~bright]).astype(float)


@pytest.fixture(scope="module")
def scans():
    """Images with a lesion that is bright in the ill, its mask, and nothing beside it."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 60, (N, SIDE, SIDE, 1)).astype(np.uint8)
    y = np.array(["ill", "well"])[np.arange(N) % 2]
    masks = np.zeros((N, SIDE, SIDE), dtype=bool)
    for image, label, mask in zip(X, y, masks, strict=True):
        row, column = rng.integers(4, 13, 2)
        mask[row : row + 3, column : column + 3] = True
        image[mask] = 250 if label == "ill" else 100
    return X, y, masks


def report_on(estimator, X, y, **params):
    # A tree is as good as a forest here, and faster.
    params = {"probe": DecisionTreeClassifier(max_depth=3, random_state=0), **params}
    return shortcut_report(estimator, X, y, **{"random_state": 0, "n_resamples": 300, **params})


def test_a_classifier_that_reads_the_lesion_is_not_suspected(scans):
    X, y, masks = scans
    report = report_on(LesionReader(), X, y, masks=masks)
    assert report.index.tolist() == [
        *("as it is", "other border", "other corners", "other background", "background alone"),
        *("gray values alone", "most common class"),
    ]
    assert report["accuracy"].iloc[:4].tolist() == [1, 1, 1, 1]
    assert report["accuracy"][["background alone", "most common class"]].tolist() == [0.5, 0.5]
    assert not report["suspicious"].any()
    assert set(report["finding"]) == {""}
    assert set(report["n"]) == {N}
    # Of whole images gray values are read, which is the lesion.
    whole = report_on(LesionReader(), X, y, probe=None).loc["gray values alone"]
    assert whole["suspicious"]
    assert whole["finding"].endswith("by the disease or beside it.")


def plant(scans, rows, columns):
    X, y, _ = scans
    X = X.copy()
    X[y == "ill", rows, columns] = 255
    return X, Reader(rows, columns)


def test_a_marker_in_a_corner_is_found(scans):
    _, y, masks = scans
    X, reader = plant(scans, slice(3), slice(-3, None))
    report = report_on(reader, X, y, masks=masks, n_repeats=20)
    found = ["other border", "other corners", "other background"]
    assert report["suspicious"][report["suspicious"]].index.tolist()[:3] == found
    corners = report.loc["other corners"]
    # Half of the other patients have the same label; with 20 of them each, nearly so.
    assert corners["accuracy"] == pytest.approx(59 / 119, abs=0.04)
    assert corners["compared_with"] == "as it is"
    assert corners["difference"] == pytest.approx(corners["accuracy"] - 1)
    assert corners["low"] < corners["accuracy"] < corners["high"]
    assert corners["difference_low"] < corners["difference"] < corners["difference_high"]
    assert corners["finding"].startswith("Accuracy falls from 1.00 to 0.")
    assert corners["finding"].endswith("with other corners: predictions hang on the corners.")
    alone = report.loc["background alone"]
    assert (alone["accuracy"], alone["difference"], alone["suspicious"]) == (1, 0.5, True)
    assert alone["compared_with"] == "most common class"
    # A pixel of the marker is not enough of it.
    assert not report_on(reader, X, y, corner=0.05)["suspicious"]["other corners"]


def test_a_bright_background_is_found_by_what_reads_it_and_by_gray_values(scans):
    X, y, masks = scans
    X = np.where((y == "ill")[:, None, None, None] & ~masks[..., None], 200, X).astype(np.uint8)
    report = report_on(Reader(slice(None), slice(None)), X, y, masks=masks)
    suspicious = ["other background", "background alone", "gray values alone"]
    assert report["suspicious"][suspicious].all()
    assert not report["suspicious"]["other corners"]
    assert report.loc["gray values alone", "accuracy"] == 1
    assert report.loc["gray values alone", "finding"].endswith("the label can be read off that.")


def test_the_storage_of_files_is_read_and_held_out_by_patient(tmp_path, scans):
    X, y, _ = scans
    paths = []
    for number, (image, label) in enumerate(zip(X, y, strict=True)):
        suffix = "png" if label == "ill" else "bmp"
        paths.append(tmp_path / f"{number}.{suffix}")
        Image.fromarray(image[..., 0]).save(paths[-1])
    images = ImagePaths(paths)
    report = report_on(LesionReader(), images, y)
    storage = report.loc["storage alone"]
    assert (storage["accuracy"], storage["difference"], storage["suspicious"]) == (1, 0.5, True)
    assert storage["finding"] == (
        "How the files are stored gives a share of 1.00 right answers, and always the most common "
        "class 0.50: the label can be read off that."
    )
    network = NetworkClassifier(MLP(hidden=(1,)), epochs=1, random_state=0).fit(images, y)
    of_paths = report_on(network, paths, y, n_repeats=1).loc["storage alone"]
    assert of_paths["accuracy"] == 1
    # Of images that were read, what the files say is given as metadata.
    read = report_on(LesionReader(), X, y, metadata=file_metadata(paths))
    assert read.loc["metadata alone", "accuracy"] == 1
    assert "storage alone" not in read.index
    # A table that names the patients tells nothing of other patients.
    patients = np.arange(N) // 10
    labels = np.where(patients % 2, "ill", "well")
    given = {"metadata": {"p": patients.astype(str)}, "probe": None}
    named = report_on(LesionReader(), X, labels, **given)
    assert named.loc["metadata alone", "accuracy"] > 0.9
    apart = report_on(LesionReader(), X, labels, **given, groups=patients)
    assert apart.loc["metadata alone", "accuracy"] <= 0.6


def test_intervals_widen_where_images_are_of_few_patients(scans):
    X, y, _ = scans
    reader = Reader(slice(4), slice(4))
    by_image = report_on(reader, X, y).loc["as it is"]
    twins = np.repeat(np.arange(N), 4)
    report = report_on(reader, X[twins], y[twins], groups=twins).loc["as it is"]
    width = by_image["high"] - by_image["low"]
    assert report["high"] - report["low"] == pytest.approx(width, rel=0.15)
    assert width == pytest.approx(2 * 1.96 * np.sqrt(0.25 / N), rel=0.15)


def test_images_without_a_mask_are_left_out_of_the_rows_on_the_background(scans):
    X, y, masks = scans
    masks = masks.copy()
    masks[::4] = False
    masks[1::4] = True
    report = report_on(LesionReader(), X, y, masks=masks)
    assert report["n"].to_dict() == {
        **dict.fromkeys(report.index, N),
        "other background": N // 2,
        "background alone": N // 2,
    }


def test_where_the_ill_alone_are_marked_the_background_alone_is_left_open(scans):
    _, y, masks = scans
    X, reader = plant(scans, slice(3), slice(-3, None))
    given = masks & (y == "ill")[:, None, None]
    report = report_on(reader, X, y, masks=given)
    alone = report.loc["background alone"]
    assert (alone["n"], alone["accuracy"], alone["compared_with"]) == (N // 2, 1, COMMON)
    assert np.isnan(alone[["difference", "difference_low", "difference_high"]].astype(float)).all()
    assert not alone["suspicious"]
    assert alone["finding"] == (
        "All images of which a part is marked are of one class, which any answer could hang on: "
        "this tells nothing without (more) masks of other classes."
    )
    assert report.loc["other background", "suspicious"]
    # What was said to help: the healthy with masks of the ill.
    given[y == "well"] = np.random.default_rng(0).permutation(given[y == "ill"])
    alone = report_on(reader, X, y, masks=given).loc["background alone"]
    assert (alone["n"], alone["difference"], alone["suspicious"]) == (N, 0.5, True)
    alone = report_on(LesionReader(), X, y, masks=given).loc["background alone"]
    assert (alone["difference"], alone["suspicious"], alone["finding"]) == (0, False, "")


def test_what_no_classifier_could_beat_is_said(scans):
    X, y, _ = scans
    rare = np.r_[:8, 9:N:2]
    assert ((y[rare] == "well").sum(), len(rare)) == (60, 64)
    report = report_on(LesionReader(), X[rare], y[rare], tolerance=0.0625)
    assert report.loc["gray values alone", "finding"] == (
        "A share of 0.938 of the images is of one class, which nothing can beat by more than "
        "tolerance=0.0625: this tells nothing without (more) images of other classes."
    )
    report = report_on(LesionReader(), X[rare], y[rare], tolerance=0.06)
    assert "tells nothing" not in report.loc["gray values alone", "finding"]


def test_others_are_of_other_patients_each_as_often():
    units = np.array([0, 1, 0, 2, 2, 2])
    rng = np.random.RandomState(0)
    rows = np.repeat(np.arange(6), 3000)
    drawn = draw_others(rows, units, rng)
    assert (units[drawn] != units[rows]).all()
    for row in range(6):
        counts = np.bincount(drawn[rows == row], minlength=6)
        others = units != units[row]
        np.testing.assert_allclose(counts[others] / 3000, 1 / others.sum(), atol=0.04)


def test_masks_are_filled_with_what_others_have_unmasked():
    images, others = np.full((2, 2, 3, 1), 10.0), np.full((2, 2, 3, 1), 50.0)
    images[:, 0, 0] = 40
    masks, other_masks = np.zeros((2, 2, 2, 3), dtype=bool)
    masks[:, 1] = True
    other_masks[0, 1, 0] = True
    filled = fill_masked(images, others, masks, other_masks)
    # What both have masked is the mean of what is not: of 40, 10 and 10.
    assert filled[0, ..., 0].tolist() == [[40, 10, 10], [20, 50, 50]]
    assert filled[1, ..., 0].tolist() == [[40, 10, 10], [50, 50, 50]]
    # One of three others has its mask elsewhere.
    masks = np.zeros((4, 2, 2), dtype=bool)
    masks[:3, 0, 0] = masks[3, 1, 1] = True
    drawn = draw_others_elsewhere(
        np.array([0, 1, 2]), np.arange(4), masks, np.random.RandomState(0)
    )
    assert drawn.tolist() == [3, 3, 3]


def test_tables_of_all_kinds_become_numbers():
    table = pd.DataFrame(
        {
            "number": [1.0, np.nan, 3.0],
            "nullable": pd.array([1, None, 3], dtype="Int64"),
            "date": pd.to_datetime(["2020-01-01", None, "2020-01-03"]),
            "category": pd.Categorical(["b", None, "a"]),
            "bool": [True, False, True],
            "text": ["x", None, "y"],
        },
        index=range(3),
    )
    features = as_features(table, "metadata")
    assert np.isfinite(features).all()
    # Number and whether it is missing, three times; two values and whether missing.
    assert features.shape == (3, 6 + 3 * 3)
    assert features[:, :4].tolist() == [[1, 0, 1, 0], [2, 1, 2, 1], [3, 0, 3, 0]]
    assert features[1, 4] == features[[0, 2], 4].mean()
    # Ages of which some are unknown are numbers too.
    ages = as_table({"x": pd.Series([20, None, 40], dtype=object)}, 3)
    assert as_features(ages, "metadata").tolist() == [[20, 0], [30, 1], [40, 0]]
    with pytest.raises(ValueError, match=r"metadata\['x'\] must be finite"):
        as_features(pd.DataFrame({"x": [1, np.inf]}), "metadata")


def test_a_class_of_one_patient_cannot_be_held_out_and_is_left_open(scans):
    X, y, _ = scans
    patients = np.where(y == "ill", 0, np.arange(N))
    options = {"probe": None, "cv": 5, "seed": 0}
    assert held_out_predictions(np.zeros((N, 1)), y == "ill", patients, **options) is None
    report = report_on(LesionReader(), X, y, groups=patients)
    gray = report.loc["gray values alone"]
    assert gray["n"] == 0
    assert np.isnan(gray[["accuracy", "low", "difference"]].astype(float)).all()
    assert not gray["suspicious"]


@pytest.mark.filterwarnings("error")
def test_patients_are_held_out_where_scikit_learn_routes_metadata(scans):
    X, y, _ = scans
    patients = np.arange(N) // 2
    expected = report_on(LesionReader(), X, y, groups=patients)
    assert expected.loc["gray values alone", "n"] == N
    assert report_on(LesionReader(), X, y).loc["gray values alone", "n"] == N
    with config_context(enable_metadata_routing=True):
        report = report_on(LesionReader(), X, y, groups=patients)
    pd.testing.assert_frame_equal(report, expected)


def test_another_probe_is_cloned_and_the_report_repeatable(scans):
    X, y, masks = scans
    probe = DecisionTreeClassifier(max_depth=2, random_state=0)
    before = X.copy(), masks.copy()
    one, two = (
        report_on(LesionReader(), X, y, masks=masks, probe=probe, batch_size=50) for _ in range(2)
    )
    pd.testing.assert_frame_equal(one, two)
    assert not hasattr(probe, "tree_")
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(masks, before[1])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"masks": np.ones((N, 4, 4))}, r"masks must have the shape .*; got \(120, 4, 4\)"),
        ({"masks": np.zeros((N, SIDE, SIDE))}, "masks must mark a part"),
        ({"masks": np.ones((N, SIDE, SIDE), bool)}, "masks must mark a part"),
        ({"masks": np.random.default_rng(0).random((N, SIDE, SIDE))}, "masks must be True"),
        ({"masks": np.full((N, SIDE, SIDE), "a")}, "masks must be True"),
        ({"metadata": {"x": [1]}}, r"metadata\['x'\] must have one value for each of the 120"),
        ({"metadata": {}}, "metadata must have at least one column"),
        ({"metadata": [1]}, "metadata must be a DataFrame"),
        ({"groups": [1]}, "groups must have one group"),
        ({"groups": np.zeros(N)}, "groups must hold at least two patients"),
        ({"border": 0.5}, r"border must be a share of the sides, in \(0, 0.5\)"),
        ({"corner": 0}, "corner must be a share"),
        ({"n_repeats": 0}, "n_repeats must be"),
        ({"cv": 1}, "cv must be at least 2"),
        ({"tolerance": -1}, "tolerance must be"),
        ({"confidence": 2}, "confidence must be"),
        ({"n_resamples": "a"}, "n_resamples must be"),
        ({"batch_size": 0}, "batch_size must be"),
    ],
)
def test_bad_arguments_are_named(scans, params, message):
    X, y, _ = scans
    with pytest.raises((TypeError, ValueError), match=message):
        report_on(LesionReader(), X, y, **params)


def test_images_of_two_pixels_have_no_border(scans):
    with pytest.raises(ValueError, match=r"border=0\.1 takes all of images of 2x2 pixels"):
        report_on(Reader(0, 0), np.zeros((4, 2, 2, 1)), ["ill", "well"] * 2)


@pytest.mark.slow
def test_shortcuts_planted_in_phantoms_are_found_and_others_are_not():
    X, y, masks = make_brain_phantoms(600, image_size=(64, 64), random_state=0, return_masks=True)
    levels = pd.Series({"glioma": 60, "meningioma": 120, "no_tumor": 180, "pituitary": 240})[
        y
    ].to_numpy()
    marked, lit = X[..., :1].copy(), X[..., :1].astype(int)
    marked[:, 2:9, 2:9] = levels[:, None, None, None]
    lit = lit + ~masks[..., None] * levels[:, None, None, None] // 6
    found = {}
    for name, images in {"none": X[..., :1], "marker": marked, "light": lit.clip(0, 255)}.items():
        images = images.astype(np.uint8)
        network = NetworkClassifier(FiveBlockCNN(filters=(16, 32, 64)), epochs=15, random_state=0)
        network.fit(images[:400], y[:400])
        report = shortcut_report(network, images[400:], y[400:], masks=masks[400:], random_state=0)
        assert report.loc["as it is", "accuracy"] > 0.8
        found[name] = set(report.index[report["suspicious"]])
    assert found["none"] == set()
    assert found["marker"] >= {"other corners", "other background", "background alone"}
    assert found["light"] >= {"other background", "gray values alone"}
    assert "gray values alone" not in found["marker"]
