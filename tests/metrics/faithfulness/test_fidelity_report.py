import numpy as np
import pytest

from skkd.metrics import FidelityDisplay, fidelity_report

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
