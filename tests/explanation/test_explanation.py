import numpy as np
import pytest

from skkd import Explanation, ExplanationDisplay, FeatureMapExplainer, SHAPExplainer


@pytest.fixture(scope="module")
def explained(trained, digits):
    X, y = digits[0][:4], digits[1][:4]
    return SHAPExplainer(trained, n_samples=2, random_state=0).fit(X).explain(X, y)


@pytest.mark.parametrize(
    "rows", [slice(1, 3), [1, 2], np.array([False, True, True, False]), slice(-3, -1)]
)
def test_some_rows_of_an_explanation_are_one_too(explained, rows):
    some = explained[rows]
    assert len(some) == 2
    for name in (
        *("values", "images", "targets", "probabilities", "labels"),
        *("base_values", "additivity_gap"),
    ):
        np.testing.assert_array_equal(getattr(some, name), getattr(explained, name)[1:3])
    assert some.method == explained.method


def test_a_single_row_is_an_explanation_of_one_image(explained):
    assert explained[-1].values.shape == (1, *explained.values.shape[1:])
    assert [one.labels[0] for one in explained] == explained.labels.tolist()
    with pytest.raises(IndexError):
        explained[4]


def test_the_same_rows_of_two_explanations_are_drawn_together(explained, trained):
    maps = FeatureMapExplainer(trained).fit().explain(explained.images)
    display = ExplanationDisplay.from_explanations([explained[:2], maps[:2]])
    assert display.axes_.shape[0] == 2


@pytest.mark.parametrize("rows", [[], [2], [-3], 0, [0.5], "a", [[0]]])
def test_rows_to_draw_must_be_there(rows):
    maps = np.ones((2, 4, 4), np.float32)
    explanation = Explanation(maps, maps[..., None], np.arange(2), np.ones(2))
    with pytest.raises(ValueError, match="rows must be a list of at least one row from 0 to 1"):
        explanation.plot(rows=rows)
