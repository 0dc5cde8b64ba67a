import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from sklearn.dummy import DummyClassifier

from skkd.metrics import SubgroupDisplay, subgroup_report


@pytest.fixture(scope="module")
def report():
    X, y = np.zeros((60, 1)), np.repeat(["a", "b"], [40, 20])
    metadata = {"site": np.where(y == "a", "$north", "south"), "n": np.repeat([1, 2], [58, 2])}
    return subgroup_report(
        DummyClassifier().fit(X, y),
        X,
        y,
        metadata,
        scores=["accuracy", "f1_macro"],
        external={"b": (X[:30], y[:30])},
        n_resamples=200,
        random_state=0,
    )


def test_every_row_is_drawn_at_its_score_with_its_interval(report):
    display = SubgroupDisplay.from_report(report)
    of_score = report[report["score"] == "accuracy"]
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == ["all of internal", "site", "$north", "south", "n", "1", "2", "all of b"]
    places = display.dots_.get_offsets()
    np.testing.assert_allclose(places[:, 0].filled(np.nan), of_score["estimate"])
    # The sixth is of too few images.
    assert places.data[:, 1].tolist() == [0, 2, 3, 5, 6, 7]
    segments = display.intervals_.get_segments()
    assert len(segments[4]) == 0
    ends = np.array([segment[:, 0] for segment in segments if len(segment)])
    np.testing.assert_allclose(ends, of_score[["low", "high"]].dropna())
    assert display.line_.get_xdata()[0] == of_score["estimate"].iloc[0]
    assert display.ax_.get_xlabel() == "accuracy"
    # Only what differs from the rest is filled.
    filled = [tuple(color) == to_rgba("C3") for color in display.dots_.get_facecolors()]
    assert filled == (of_score["p_adjusted"] < 0.05).tolist()
    assert sum(filled) >= 2
    counts = [text.get_text() for text in display.ax_.texts]
    assert counts == [*map(str, of_score["n"]), "images"]


def test_another_score_and_axes_may_be_asked_for(report):
    _, ax = plt.subplots()
    display = SubgroupDisplay.from_report(report, score="f1_macro", ax=ax, dot_kwargs={"s": 9})
    assert display.ax_ is ax
    assert display.ax_.get_xlabel() == "f1_macro"
    assert display.dots_.get_sizes().tolist() == [9]


def test_what_is_no_report_or_score_of_it_is_refused(report):
    with pytest.raises(TypeError, match="report must be what subgroup_report returns"):
        SubgroupDisplay.from_report([1])
    with pytest.raises(ValueError, match="score must be one of those in the report"):
        SubgroupDisplay.from_report(report, score="fidelity")
