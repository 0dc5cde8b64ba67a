import numpy as np
import pytest

from skkd.metrics import FidelityDisplay, fidelity_report, fidelity_samples

FIGURES = ["average", "median", "std", "kept", "n", "skipped"]


class ShareOfWhite:
    """The more of a white image is left, the surer of the first of two classes."""

    def __init__(self, classes):
        self.classes_ = np.array(classes)

    def predict_proba(self, X):
        first = 0.25 + 0.5 * np.asarray(X).mean(axis=(1, 2, 3))
        return np.stack([first, 1 - first], axis=1)


@pytest.mark.parametrize("name", FIGURES)
def test_a_class_with_the_name_of_a_figure_loses_nothing(name):
    images = np.ones((6, 4, 4, 1))
    maps = np.zeros((6, 4, 4))
    maps[:3, :, :1] = maps[3:, :, :2] = 1
    options = {"mask": "top", "baseline": "zero", "fraction": 0.25, "random_state": 0}
    plain, clashing = (
        fidelity_report(
            ShareOfWhite([c, "x"]), images, np.repeat([c, "x"], 3), {"a": maps}, **options
        )
        for c in ("w", name)
    )
    assert plain.columns.tolist() == ["w", "x", *FIGURES]
    assert sorted(clashing.columns) == sorted([f"class {name}", "x", *FIGURES])
    np.testing.assert_array_equal(clashing[f"class {name}"], plain["w"])
    np.testing.assert_array_equal(clashing[["x", *FIGURES]], plain[["x", *FIGURES]])
    assert clashing["n"].tolist() == [6, 6, 6]
    display = FidelityDisplay.from_report(clashing)
    assert len(display.dots_.get_offsets()) == 3 * 2


def test_names_made_to_tell_apart_do_not_clash_themselves():
    classes = ["average", "class average"]
    images, maps = np.ones((4, 4, 4, 1)), {"random": np.ones((4, 4, 4)), "true": np.eye(4)[None]}
    maps["true"] = np.repeat(maps["true"], 4, axis=0)
    maps["inverted true"] = -maps["true"]
    report = fidelity_report(ShareOfWhite(classes), images, np.repeat(classes, 2), maps)
    assert set(report.columns[:2]) == {"class average", "class class average"}
    assert report.index.tolist() == [
        *("explainer random", "true", "explainer inverted true", "random"),
        *(f"inverted {name}" for name in ("explainer random", "true", "explainer inverted true")),
    ]
    np.testing.assert_allclose(
        report.loc["explainer inverted true", "kept"], report.loc["inverted true", "kept"]
    )


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@pytest.mark.parametrize("patients", [None, np.repeat(np.arange(10), 2)])
def test_intervals_are_quantiles_of_the_averages_of_each_resample(patch, patients, spreads):
    classifier, images, _, maps = patch
    y = np.where(np.arange(20) % 3, "ill", "clear")
    given = {"explainers": {"a": maps}, "random_state": 0}
    report = fidelity_report(
        classifier, images, y, **given, confidence=0.8, n_resamples=30, groups=patients
    )
    samples = fidelity_samples(classifier, images, y, maps, random_state=0)
    ratios = samples["fidelity"].to_numpy()
    seed = np.random.RandomState(0).randint(2**31 - 1)
    n = 20 if patients is None else 10
    drawn = np.random.RandomState(seed).randint(n, size=(30, n))
    if patients is not None:
        drawn = np.concatenate([2 * drawn, 2 * drawn + 1], axis=1)
    # A draw without a measured image of a class says nothing of the average of both.
    averages = [
        np.mean([np.nanmean(ratios[rows][y[rows] == label]) for label in ("clear", "ill")])
        for rows in drawn
    ]
    np.testing.assert_allclose(
        report.loc["a", ["low", "high"]].to_list(), np.nanquantile(averages, [0.1, 0.9])
    )
    plain = fidelity_report(classifier, images, y, **given)
    assert report.drop(columns=["low", "high"]).equals(plain)
    ends = spreads(FidelityDisplay.from_report(report).bars_)
    np.testing.assert_allclose(ends, report[["low", "high"]].to_numpy())


def test_intervals_are_of_the_classes_asked_for(patch):
    classifier, images, _, maps = patch
    y = np.where(np.arange(20) % 2, "ill", "clear")
    report = fidelity_report(
        classifier,
        images,
        y,
        {"a": maps},
        classes=["ill"],
        confidence=0.9,
        groups=np.arange(20) // 2,
        random_state=0,
    )
    assert (report["low"] <= report["average"]).all()
    assert (report["average"] <= report["high"]).all()
    with pytest.raises(ValueError, match=r"groups must have one group.*each of the 20"):
        fidelity_report(classifier, images, y, {"a": maps}, confidence=0.9, groups=[1, 2])
    with pytest.raises(ValueError, match=r"pass confidence=0\.95"):
        fidelity_report(classifier, images, y, {"a": maps}, groups=np.arange(20))
