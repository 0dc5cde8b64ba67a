import matplotlib.pyplot as plt
import numpy as np
import pytest

from skkd import Explanation, ExplanationDisplay


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def explanations(rng):
    """Return an unsigned, a signed and a layered explanation of the same two images."""
    about = {
        "images": rng.random((2, 6, 8, 1)),
        "targets": np.array(["glioma", "none"]),
        "probabilities": np.array([0.75, 0.5]),
        "labels": np.array(["glioma", "pituitary"]),
    }
    return [
        Explanation(values=rng.random((2, 6, 8)), method="Grad-CAM", **about),
        Explanation(values=rng.normal(size=(2, 6, 8, 1)), method="SHAP", **about),
        Explanation(values=rng.random((2, 2, 6, 8)), layer_names=["first", "in/last"], **about),
    ]


def test_the_grid_has_a_row_an_image_and_a_column_a_map(explanations):
    display = ExplanationDisplay.from_explanations(explanations)
    assert display.axes_.shape == (2, 5)
    titles = [ax.get_title() for ax in display.axes_[0]]
    assert titles == ["glioma 75%", "Grad-CAM", "SHAP", "first", "last"]
    assert [axes[0].get_ylabel() for axes in display.axes_] == ["glioma", "pituitary"]
    assert display.axes_[1, 0].get_title() == "none 50%"


def test_signed_maps_are_centered_at_zero_and_others_reach_from_lowest_to_highest(explanations):
    display = ExplanationDisplay.from_explanations(explanations, overlay=0.3, cmap="cividis")
    unsigned, signed = (display.axes_[0, column].images[-1] for column in (1, 2))
    assert (signed.get_clim(), signed.get_cmap().name) == ((-1, 1), "RdBu_r")
    assert (unsigned.get_clim(), unsigned.get_cmap().name) == ((0, 1), "cividis")
    assert unsigned.get_alpha() == 0.3
    drawn = np.asarray(unsigned.get_array())
    assert (drawn.min(), drawn.max()) == (0, 1)
    values = explanations[1].values[0, ..., 0]
    np.testing.assert_array_equal(np.sign(signed.get_array()), np.sign(values))
    assert len(display.colorbars_) == 2
    assert ExplanationDisplay.from_explanations(explanations[:1], colorbar=False).colorbars_ == []


def test_some_rows_alone_may_be_drawn(explanations):
    display = explanations[2].plot(rows=[1])
    assert display.axes_.shape == (1, 3)
    np.testing.assert_array_equal(display.maps, explanations[2].values[[1]])


def test_values_of_all_classes_have_a_column_each(explanations, rng):
    values = rng.normal(size=(2, 6, 8, 3, 2))
    explanation = Explanation(
        values=values,
        images=explanations[0].images,
        targets=explanations[0].targets,
        probabilities=explanations[0].probabilities,
        method="SHAP",
        classes=np.array(["a", "b"]),
    )
    display = explanation.plot()
    assert display.map_names == ["SHAP a", "SHAP b"]
    np.testing.assert_allclose(display.maps[1, 1], values[1, ..., 1].sum(axis=-1))


def test_the_grid_goes_where_the_axes_given_are(explanations):
    figure, (left, right) = plt.subplots(1, 2)
    display = ExplanationDisplay.from_explanations(explanations, ax=right)
    assert display.figure_ is figure
    assert not right.axison
    assert left.axison
    assert all(ax.get_position().x0 >= right.get_position().x0 - 1e-9 for ax in display.axes_.flat)
    _, axes = plt.subplots(2, 5)
    display.plot(ax=axes, colorbar=False)
    assert display.axes_[1, 4] is axes[1, 4]
    with pytest.raises(ValueError, match="one Axes or 2 x 5 of them; got 4"):
        display.plot(ax=axes[0, :4])


def test_a_constant_map_is_drawn_without_warning(explanations):
    flat = Explanation(
        values=np.zeros((2, 6, 8)),
        images=np.zeros((2, 6, 8, 3)),
        targets=explanations[0].targets,
        probabilities=explanations[0].probabilities,
    )
    drawn = flat.plot().axes_[0, 1].images[-1].get_array()
    np.testing.assert_array_equal(drawn, 0)


def test_explanations_of_different_images_and_a_bad_overlay_are_refused(explanations, rng):
    other = Explanation(
        values=rng.random((3, 6, 8)),
        images=rng.random((3, 6, 8, 1)),
        targets=np.arange(3),
        probabilities=np.ones(3),
    )
    with pytest.raises(ValueError, match="explanations must be of the same images"):
        ExplanationDisplay.from_explanations([explanations[0], other])
    with pytest.raises(ValueError, match=r"overlay must be in \[0, 1\]; got 1.5"):
        explanations[0].plot(overlay=1.5)


def test_drawing_leaves_matplotlibs_settings_alone(explanations):
    before = dict(plt.rcParams)
    explanations[0].plot()
    assert dict(plt.rcParams) == before
