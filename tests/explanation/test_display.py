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


def plain(images, maps=None, **about):
    """Return an explanation of images, by default with maps that rise from left to right."""
    n, height, width = images.shape[:3]
    if maps is None:
        maps = np.tile(np.linspace(0, 1, width), (n, height, 1))
    about = {"targets": np.arange(n), "probabilities": np.ones(n), "method": "map"} | about
    return Explanation(values=maps, images=images, **about)


def drawn_colors(ax, image):
    """Return the colors on the canvas at the middle of every pixel of an image."""
    figure = ax.figure
    figure.canvas.draw()
    canvas = np.asarray(figure.canvas.buffer_rgba())
    height, width = image.shape[:2]
    points = [(x, y) for y in range(height) for x in range(width)]
    columns, rows = ax.transData.transform(points).astype(int).T
    return canvas[len(canvas) - 1 - rows, columns, :3].reshape(height, width, 3)


@pytest.mark.parametrize(
    ("dtype", "values", "window"),
    [
        (np.uint8, [40, 60, 200], (0, 255)),
        (np.uint8, [255, 255, 255], (0, 255)),
        (bool, [0, 1, 1], (0, 1)),
        (bool, [1, 1, 1], (0, 1)),
        (np.float32, [0.25, 0.5, 0.75], (0.25, 0.75)),
        (np.float16, [0, 128, 255], (0, 255)),
        (np.int16, [-1000, 0, 3000], (-1000, 3000)),
        (np.float64, [7, 7, 7], (0, 7)),
        (np.float64, [-7, -7, -7], (-7, 0)),
        (np.float64, [0, 0, 0], (0, 1)),
        (np.float64, [np.nan, 1, 3], (1, 3)),
    ],
)
@pytest.mark.parametrize("n_channels", [1, 3])
def test_all_images_are_drawn_in_one_window_which_is_said(dtype, values, window, n_channels):
    images = np.ones((3, 4, 5, n_channels)) * np.reshape(values, (3, 1, 1, 1))
    display = plain(images.astype(dtype)).plot()
    assert display.window_ == window
    note = display.axes_[-1, 0].get_xlabel()
    assert note.split() == ["black", f"{window[0]:g},", "white", f"{window[1]:g}"]
    low, high = window
    for (image, _), value in zip(display.axes_, values, strict=True):
        (drawn,) = image.images
        if not np.isnan(value):
            gray = drawn.to_rgba(drawn.get_array())[..., :3]
            np.testing.assert_allclose(gray, (value - low) / (high - low), atol=1 / 255)
    assert display.axes_[0, 1].images[0].get_clim() == window


@pytest.mark.parametrize("n_channels", [2, 4, 13])
def test_other_numbers_of_channels_are_drawn_as_their_mean(rng, n_channels):
    images = rng.integers(0, 256, (2, 4, 5, n_channels)).astype(np.uint8)
    display = plain(images).plot()
    for row in range(2):
        for ax in display.axes_[row]:
            np.testing.assert_allclose(ax.images[0].get_array(), images[row].mean(axis=-1))
            assert ax.images[0].get_clim() == (0, 255)
    note = display.axes_[-1, 0].get_xlabel().replace("\n", " ")
    assert note == f"mean of {n_channels} channels, black 0, white 255"


@pytest.mark.parametrize("shape", [(1, 64), (64, 1), (1, 1)])
def test_images_of_one_row_or_column_are_drawn(rng, shape):
    display = plain(rng.random((2, *shape, 1)), rng.random((2, *shape))).plot()
    display.figure_.canvas.draw()
    assert display.axes_[0, 0].images[0].get_array().shape == shape
    assert (display.figure_.get_size_inches() < 20).all()
    for ax in display.axes_.flat:
        assert min(ax.get_window_extent().width, ax.get_window_extent().height) > 20


@pytest.mark.parametrize("overlay", [0.5, 1])
def test_anatomy_is_as_bright_as_without_a_map_where_the_map_is_zero(overlay):
    images = np.full((1, 8, 8, 1), 200, np.uint8)
    maps = np.zeros((1, 8, 8))
    maps[0, :4] = 1
    display = plain(images, maps).plot(overlay=overlay)
    colors = drawn_colors(display.axes_[0, 1], images[0])
    np.testing.assert_allclose(colors[5:], 200, atol=1)
    highest = np.multiply(plt.colormaps["inferno"](1.0)[:3], 255)
    np.testing.assert_allclose(
        colors[:3], np.broadcast_to(overlay * highest + (1 - overlay) * 200, (3, 8, 3)), atol=2
    )


def test_a_constant_map_says_so_and_a_map_of_one_pixel_is_drawn():
    maps = np.zeros((3, 20, 20))
    maps[1] = 0.25
    maps[2, 3, 4] = -1
    display = plain(np.zeros((3, 20, 20, 1)), maps).plot()
    notes = [axes[1].get_xlabel() for axes in display.axes_]
    assert notes == ["constant 0", "constant 0.25", ""]
    assert display.axes_[2, 1].images[1].get_array()[3, 4] == -1


NAMES = [
    "_x",
    "$5-$10",
    "$\\bad$",
    "50% \\%",
    "a\nb",
    "\u80f6\u8d28\u7624",
    "\u0648\u0631\u0645",
    "__",
    "",
    "a\tb\0\udcff",
]


@pytest.mark.filterwarnings("ignore:Glyph", "ignore:.*font:UserWarning")
@pytest.mark.parametrize("usetex", [False, True])
def test_names_are_drawn_as_they_are(usetex):
    n = len(NAMES)
    explanation = Explanation(
        values=np.ones((n, n, 4, 4)) * np.eye(4),
        images=np.ones((n, 4, 4, 1), np.uint8),
        targets=np.array(NAMES),
        probabilities=np.ones(n),
        labels=np.array(NAMES),
        layer_names=NAMES,
    )
    with plt.rc_context({"text.usetex": usetex}):
        display = explanation.plot(size=0.8, colorbar=False)
        titles = [ax.get_title() for ax in display.axes_[0, 1:]]
        labels = [axes[0].get_ylabel() for axes in display.axes_]
        if not usetex:
            display.figure_.canvas.draw()
    assert titles == labels == [*NAMES[:-1], "a b ?"]
    assert all(not ax.title.get_parse_math() for ax in display.axes_[0])
    assert not any(ax.title.get_usetex() for ax in display.axes_[0])


def assert_no_text_is_cut_or_overlaps(display):
    display.figure_.canvas.draw()
    texts = [t for ax in display.axes_.flat for t in (ax.title, ax.xaxis.label, ax.yaxis.label)]
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    images = [ax.get_window_extent() for ax in display.axes_.flat]
    whole = display.figure_.bbox
    for number, box in enumerate(boxes):
        assert box.x0 >= whole.x0 - 1
        assert box.x1 <= whole.x1 + 1
        assert box.y0 >= whole.y0 - 1
        assert box.y1 <= whole.y1 + 1
        others = [other.padded(-1) for other in [*boxes[:number], *images]]
        assert not any(box.overlaps(other) for other in others)


@pytest.mark.parametrize("n", [1, 3])
def test_long_names_are_broken_not_cut(rng, n):
    long = "invasive ductal carcinoma_with_a_name_of_many_parts " * 2
    explanation = plain(
        *(rng.random((n, 8, 6, 1)), rng.random((n, 8, 6))),
        targets=np.repeat(long, n),
        labels=np.repeat(long, n),
        method=long,
    )
    display = ExplanationDisplay.from_explanations([explanation, explanation])
    assert_no_text_is_cut_or_overlaps(display)
    assert "".join(display.axes_[0, 1].get_title().split()) == "".join(long.split())


@pytest.mark.parametrize("kind", ["add_axes", "subplot", "inset", "subfigure", "polar"])
def test_the_grid_is_drawn_in_axes_of_any_kind(explanations, kind):
    figure = plt.figure(figsize=(9, 6))
    if kind == "add_axes":
        ax = figure.add_axes([0.1, 0.1, 0.8, 0.8])
    elif kind == "inset":
        ax = figure.add_subplot().inset_axes([0.1, 0.1, 0.8, 0.8])
    elif kind == "subfigure":
        ax = figure.subfigures(1, 2)[1].add_axes([0.1, 0.1, 0.8, 0.8])
    else:
        ax = figure.add_subplot(projection="polar" if kind == "polar" else None)
    place = ax.get_window_extent()
    display = ExplanationDisplay.from_explanations(explanations, ax=ax)
    for drawn in display.axes_.flat:
        box = drawn.get_window_extent()
        assert box.x0 >= place.x0 - 1
        assert box.x1 <= place.x1 + 1
        assert box.y0 >= place.y0 - 1
        assert box.y1 <= place.y1 + 1
    figure.canvas.draw()


def test_a_mosaic_of_axes_is_taken(explanations):
    _, axes = plt.subplot_mosaic([["a", "b"], ["c", "d"]])
    display = explanations[0].plot(ax=axes)
    assert display.axes_[1, 1] is axes["d"]


def test_forty_rows_of_one_class_do_not_overlap(rng):
    display = plain(rng.random((40, 6, 6, 1)), labels=np.repeat("glioma", 40)).plot(size=1)
    assert_no_text_is_cut_or_overlaps(display)


def test_text_is_light_on_dark_styles(explanations):
    with plt.style.context("dark_background"):
        display = explanations[0].plot()
        display.figure_.canvas.draw()
    for ax in display.axes_[:, 0]:
        assert {t.get_color() for t in (ax.title, ax.xaxis.label, ax.yaxis.label)} == {"white"}


def test_layers_with_the_same_last_name_keep_their_whole_names(rng):
    about = {"layer_names": ["a/conv", "b/conv"], "targets": [0], "probabilities": [1.0]}
    about = {name: np.array(value) for name, value in about.items()}
    display = plain(rng.random((1, 4, 4, 1)), rng.random((1, 2, 4, 4)), **about).plot()
    assert list(display.map_names) == ["a/conv", "b/conv"]


def test_no_text_is_cut_or_overlaps_in_the_place_of_small_axes(rng):
    ax = plt.figure(figsize=(4, 3)).add_axes([0.1, 0.1, 0.8, 0.8])
    assert_no_text_is_cut_or_overlaps(plain(rng.random((3, 6, 6, 1))).plot(ax=ax))
