import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.sparse import csr_matrix
from sklearn.model_selection import train_test_split

from skkd.images import ImagePaths, as_images, read_image
from skkd.images._conversions import split_dataset
from skkd.images._shapes import check_image_shape
from skkd.images._stores import StoredImages


def save(array, path, **options):
    Image.fromarray(np.asarray(array)).save(path, **options)
    return path


@pytest.fixture
def color(tmp_path):
    pixels = np.random.RandomState(0).randint(0, 256, (6, 9, 3)).astype(np.uint8)
    return pixels, save(pixels, tmp_path / "color.png")


@pytest.fixture
def gray_paths(tmp_path):
    pixels = np.random.RandomState(1).randint(0, 256, (5, 8, 10)).astype(np.uint8)
    paths = [save(image, tmp_path / f"gray_{i}.png") for i, image in enumerate(pixels)]
    return pixels[..., None], paths


def test_lossless_formats_come_back_pixel_for_pixel(tmp_path):
    pixels = np.random.RandomState(0).randint(0, 256, (7, 5, 3)).astype(np.uint8)
    for name in ("a.png", "a.bmp", "a.tiff", "a.ppm"):
        np.testing.assert_array_equal(read_image(save(pixels, tmp_path / name)), pixels)
    path = save(pixels, tmp_path / "a.webp", lossless=True)
    np.testing.assert_array_equal(read_image(path), pixels)
    gray = pixels[..., 0]
    np.testing.assert_array_equal(read_image(save(gray, tmp_path / "g.png")), gray[..., None])


@pytest.mark.parametrize("suffix", ["png", "tiff", "jp2", "npy"])
def test_16_bit_files_keep_every_value(tmp_path, suffix):
    values = np.array([[0, 255, 256], [32768, 4095, 65535]], dtype=np.uint16)
    path = tmp_path / f"deep.{suffix}"
    if suffix == "npy":
        np.save(path, values)
    else:
        save(values, path)
    image = read_image(path)
    assert image.dtype == ImagePaths([path]).dtype == np.uint16
    np.testing.assert_array_equal(image[..., 0], values)
    np.testing.assert_array_equal(
        ImagePaths([path], color_mode="rgb")[0], values[..., None] + [0] * 3
    )


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_signed_and_floating_point_files_are_float32(tmp_path, dtype):
    values = np.array([[-1000, 0, 70000]], dtype=dtype)
    image = read_image(save(values, tmp_path / "deep.tiff"))
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image[..., 0], values)


def test_values_beyond_float32_are_refused_by_name(tmp_path):
    for pixels in (np.full((4, 4), 2**24 + 1, np.int32), np.full((4, 4), np.nan, np.float32)):
        path = save(pixels, tmp_path / "deep.tiff")
        with pytest.raises(ValueError, match=r"deep\.tiff is not read: .*(8 or 16 bits|NaN)"):
            read_image(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff"])
def test_exif_orientation_turns_the_image(tmp_path, suffix, orientation):
    # Two halves along each axis, so that JPEG keeps all four quadrants apart.
    upright = np.kron([[0, 80], [160, 240]], np.ones((8, 16))).astype(np.uint8)
    # EXIF: where the stored row 0 and column 0 are seen, hence how to store an upright image.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(stored, tmp_path / f"turned.{suffix}", exif=exif)
    np.testing.assert_allclose(read_image(path)[..., 0], upright, atol=12)
    assert ImagePaths([path]).shape == (1, 16, 32, 1)


def test_alpha_is_composited_on_black(tmp_path):
    rgba = np.full((2, 2, 4), 200, np.uint8)
    rgba[..., 3] = [[0, 51], [128, 255]]
    expected = 200 * (rgba[..., 3] / 255.0)
    image = read_image(save(rgba, tmp_path / "alpha.png"))
    np.testing.assert_allclose(image, np.stack([expected] * 3, axis=-1), atol=1)
    image = read_image(save(rgba[..., 2:], tmp_path / "gray_alpha.png"))
    np.testing.assert_allclose(image, expected[..., None], atol=1)


def test_palette_files_become_rgb_and_their_transparent_color_black(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "palette.png")
    image.save(tmp_path / "clear.png", transparency=0)
    np.testing.assert_array_equal(
        read_image(tmp_path / "palette.png"), [[[10, 20, 30], [200, 100, 50]]]
    )
    np.testing.assert_array_equal(read_image(tmp_path / "clear.png"), [[[0, 0, 0], [200, 100, 50]]])


def test_color_mode_sets_the_channels(color):
    pixels, path = color
    gray = read_image(path, color_mode="grayscale")
    np.testing.assert_allclose(gray[..., 0], pixels @ [0.299, 0.587, 0.114], atol=1)
    assert read_image(path, color_mode="rgb").shape == (6, 9, 3)


def test_image_size_is_height_by_width_and_shrinking_averages(tmp_path):
    # Bilinear with antialiasing: halving weighs four neighbors 1 3 3 1; far from any edge a
    # checkerboard of 0 and 200 becomes flat 100. Without antialiasing it would alias.
    board = (np.indices((64, 48)).sum(axis=0) % 2 * 200).astype(np.uint8)
    path = save(board, tmp_path / "board.png")
    small = read_image(path, image_size=(32, 24))
    assert small.shape == (32, 24, 1)
    np.testing.assert_allclose(small[2:-2, 2:-2], 100, atol=1)


@pytest.mark.parametrize("size", [0, 32, (32,), (32, 0), (3.5, 2), "big"])
def test_a_bad_image_size_is_named(color, size):
    with pytest.raises(ValueError, match=r"image_size must be None or \(height, width\)"):
        read_image(color[1], image_size=size)


def test_a_bad_color_mode_is_named(color):
    with pytest.raises(ValueError, match=r"color_mode must be .* got 'bgr'"):
        read_image(color[1], color_mode="bgr")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "bmp"])
def test_a_truncated_file_is_named(tmp_path, suffix):
    pixels = np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8)
    path = save(pixels, tmp_path / f"whole.{suffix}")
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=rf"cut\.{suffix} is not a readable image"):
        read_image(cut)


def test_text_and_empty_files_are_named(tmp_path):
    for content in (b"no image at all", b""):
        path = tmp_path / "note.jpg"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"note\.jpg is not a readable image"):
            read_image(path)


def test_a_png_with_a_broken_chunk_is_named(tmp_path, color):
    content = bytearray(color[1].read_bytes())
    start = content.index(b"IDAT")
    content[start + 6 : start + 12] = b"\0" * 6
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.png is not a readable image"):
        read_image(path)


def test_a_missing_file_and_a_folder_are_os_errors_with_their_path(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(OSError, match=str(tmp_path)):
        read_image(tmp_path)


def test_errors_show_paths_of_arrays_as_plain_text(tmp_path):
    gone, text = np.array([str(tmp_path / "gone.png"), str(tmp_path / "text.png")])
    (tmp_path / "text.png").write_text("no image")
    for path, error in ((gone, FileNotFoundError), (text, ValueError)):
        with pytest.raises(error, match=Path(path).name) as caught:
            read_image(path)
        assert "np.str_" not in str(caught.value)


def test_a_decompression_bomb_is_refused_with_its_path_and_the_way_out(tmp_path):
    # A 20,000 x 20,000 one-bit PNG is a few dozen kB; the header alone decides.
    Image.new("1", (20000, 20000)).save(tmp_path / "bomb.png")
    with pytest.raises(ValueError, match=r"bomb\.png is larger than .*MAX_IMAGE_PIXELS"):
        read_image(tmp_path / "bomb.png")


def test_names_outside_ascii_are_read(tmp_path):
    path = save(np.zeros((2, 2), np.uint8), tmp_path / "máquina_脑.png")
    assert read_image(path).shape == (2, 2, 1)
    assert as_images([path, path]).shape == (2, 2, 2, 1)


def dicom(path, values, **elements):
    """Write a minimal DICOM file, explicit little endian."""
    pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed")
    from pydicom.dataset import FileDataset, FileMetaDataset

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    values = np.asarray(values)
    file.Rows, file.Columns = values.shape[:2]
    file.SamplesPerPixel = 1 if values.ndim == 2 else 3
    file.PhotometricInterpretation = "MONOCHROME2" if values.ndim == 2 else "RGB"
    file.PlanarConfiguration = 0
    file.BitsAllocated = file.BitsStored = 8 * values.dtype.itemsize
    file.HighBit = file.BitsStored - 1
    file.PixelRepresentation = int(values.dtype.kind == "i")
    file.PixelData = values.tobytes()
    for name, value in elements.items():
        setattr(file, name, value)
    file.save_as(path, enforce_file_format=True)
    return path


def test_dicom_goes_through_rescale_and_window(tmp_path):
    # Stored 0..200 at slope 2 and intercept -100 is -100..300; a window centered on 100.5 and
    # 201 wide runs from 0 to 200 (PS3.3 C.11.2.1.2.1), so 100 is halfway.
    path = dicom(
        tmp_path / "slice.dcm",
        np.array([[0, 50, 100], [150, 200, 75]], np.uint16),
        RescaleSlope=2,
        RescaleIntercept=-100,
        WindowCenter=100.5,
        WindowWidth=201,
    )
    np.testing.assert_array_equal(read_image(path)[..., 0], [[0, 0, 128], [255, 255, 64]])
    assert as_images([path]).shape == (1, 2, 3, 1)


def test_dicom_sigmoid_and_exact_windows_follow_the_standard(tmp_path):
    values = np.array([[0, 50, 100, 150, 200]], np.uint16)
    window = {"WindowCenter": [100, 7], "WindowWidth": [200, 7]}
    path = dicom(tmp_path / "a.dcm", values, **window, VOILUTFunction="SIGMOID")
    expected = 255 / (1 + np.exp(-4 * (values - 100.0) / 200))
    np.testing.assert_allclose(read_image(path)[..., 0], expected, atol=0.51)
    path = dicom(tmp_path / "b.dcm", values, **window, VOILUTFunction="LINEAR_EXACT")
    np.testing.assert_allclose(read_image(path)[..., 0], values * 255 / 200, atol=0.51)


def test_dicom_without_a_window_spans_its_values_and_monochrome1_is_inverted(tmp_path):
    values = np.array([[-10, 0, 10]], np.int16)
    path = dicom(tmp_path / "a.dcm", values)
    np.testing.assert_array_equal(read_image(path)[..., 0], [[0, 128, 255]])
    path = dicom(tmp_path / "b.dcm", values, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_image(path)[..., 0], [[255, 128, 0]])


def test_a_dicom_element_without_a_value_counts_as_absent(tmp_path):
    values = np.array([[-10, 0, 10]], np.int16)
    path = dicom(
        tmp_path / "a.dcm",
        values,
        **dict.fromkeys(("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept")),
        NumberOfFrames=None,
    )
    np.testing.assert_array_equal(read_image(path)[..., 0], [[0, 128, 255]])
    path = dicom(tmp_path / "b.dcm", values, WindowCenter=7)
    np.testing.assert_array_equal(read_image(path)[..., 0], [[0, 128, 255]])
    window = {"WindowCenter": 0.5, "WindowWidth": 41}
    unnamed = dicom(tmp_path / "c.dcm", values, **window, VOILUTFunction="")
    linear = dicom(tmp_path / "d.dcm", values, **window)
    np.testing.assert_array_equal(read_image(unnamed), read_image(linear))


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("width", [0, 1e-3, 1])
def test_a_dicom_window_too_narrow_for_gray_cuts_at_its_center(tmp_path, function, width):
    values = np.array([[-3000, -100, 100, 3000]], np.int16)
    center = 0.5 if function == "LINEAR" else 0
    window = {"WindowCenter": center, "WindowWidth": width, "VOILUTFunction": function}
    path = dicom(tmp_path / "a.dcm", values, **window)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_image(path)[..., 0], [[0, 0, 255, 255]])


def test_color_dicom_is_read_and_many_frames_are_refused(tmp_path):
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    path = dicom(tmp_path / "color.dcm", pixels)
    np.testing.assert_array_equal(read_image(path), pixels)
    assert as_images([path]).shape == (1, 2, 4, 3)
    path = dicom(tmp_path / "film.dcm", np.zeros((4, 2), np.uint8), Rows=2, NumberOfFrames=2)
    with pytest.raises(ValueError, match=r"film\.dcm.*2 frames"):
        read_image(path)


def test_dicom_without_pydicom_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "slice.dcm"
    path.write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 32)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    monkeypatch.setitem(sys.modules, "pydicom.pixels", None)
    with pytest.raises(ImportError, match=r"slice\.dcm.*pip install pydicom"):
        read_image(path)


def test_paths_of_every_kind_become_the_same_images(gray_paths):
    pixels, paths = gray_paths
    names = [str(path) for path in paths]
    for X in (
        paths,
        tuple(names),
        np.array(names),
        np.array(paths, dtype=object),
        pd.Series(names, index=range(7, 12)),
        pd.Series(paths),
    ):
        images = as_images(X)
        assert images.shape == (5, 8, 10, 1)
        assert (images.dtype, images.ndim, len(images)) == (np.uint8, 4, 5)
        np.testing.assert_array_equal(images[:], pixels)


def test_rows_of_paths_are_those_of_the_array(gray_paths):
    pixels, paths = gray_paths
    images = as_images(paths)
    mask = np.array([True, False, True, True, False])
    for rows in (slice(1, 4), slice(None, None, -2), [4, 0, 4], np.array([2]), mask, slice(0, 0)):
        np.testing.assert_array_equal(images[rows], pixels[rows])
    np.testing.assert_array_equal(images[-1], pixels[-1])
    np.testing.assert_array_equal(np.asarray(images), pixels)


def test_scikit_learn_splits_arrays_of_paths_without_reading_them(tmp_path):
    paths = np.array([tmp_path / f"{i}.png" for i in range(10)], dtype=object)
    train, test = train_test_split(paths, random_state=0)
    assert sorted([*train, *test]) == sorted(paths)


def test_unequal_sizes_name_the_file_and_the_way_out(tmp_path, gray_paths):
    paths = [*gray_paths[1], save(np.zeros((3, 4), np.uint8), tmp_path / "odd.png")]
    with pytest.raises(ValueError, match=r"odd\.png is 3x4 .* 8x10 .* set image_size"):
        as_images(paths)
    assert as_images(paths, image_size=(6, 6))[:].shape == (6, 6, 6, 1)


def test_gray_files_among_colored_ones_become_rgb_whatever_their_order(color, gray_paths):
    paths = [*gray_paths[1], color[1]]
    for X in (paths, paths[::-1]):
        assert as_images(X, image_size=(6, 9)).shape == (6, 6, 9, 3)
    images = as_images(paths, image_size=(6, 9))
    np.testing.assert_array_equal(images[5], color[0])
    assert as_images(paths, image_size=(6, 9), color_mode="grayscale").shape == (6, 6, 9, 1)


def test_a_file_that_vanished_after_listing_is_named(gray_paths):
    images = as_images(gray_paths[1])
    gray_paths[1][2].unlink()
    with pytest.raises(FileNotFoundError, match=r"gray_2\.png"):
        images[:]


def test_arrays_and_memory_maps_are_passed_on_without_a_copy(tmp_path):
    images = np.zeros((4, 8, 8, 3), np.uint8)
    assert as_images(images) is images
    stored = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", shape=(4, 8, 8, 3))
    assert as_images(stored) is stored
    gray = np.zeros((4, 8, 8))
    assert as_images(gray).shape == (4, 8, 8, 1)
    assert np.shares_memory(as_images(gray), gray)
    assert as_images(images.tolist()).shape == (4, 8, 8, 3)


def test_tables_are_passed_on_unchanged():
    for table in (np.zeros((4, 3)), pd.DataFrame({"a": [1, 2]})):
        assert as_images(table) is table


class RowSlices:
    """The least a store offers: a shape and plain row slices; counts the rows it hands out."""

    def __init__(self, values):
        self.values, self.shape, self.rows_read = values, values.shape, 0

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        self.rows_read += len(self.values[rows])
        return self.values[rows]


@pytest.mark.parametrize("shape", [(20, 4, 5, 3), (20, 4, 5)])
def test_stores_with_row_slices_are_read_a_batch_at_a_time(shape):
    values = np.random.RandomState(0).rand(*shape).astype(np.float32)
    source = RowSlices(values)
    images = as_images(source)
    assert isinstance(images, StoredImages)
    assert (images.dtype, len(images)) == (np.float32, 20)
    expected = values.reshape(*images.shape)
    source.rows_read = 0
    for rows in ([13, 2, 3, 13], slice(5, 9), [], 7, np.arange(20) % 2 == 0):
        np.testing.assert_array_equal(images[rows], expected[rows])
    assert source.rows_read == 3 + 4 + 1 + 10


def test_hdf5_and_zarr_arrays_are_read_by_unsorted_repeated_rows(tmp_path):
    values = np.random.RandomState(0).randint(0, 256, (12, 4, 4, 3)).astype(np.uint8)
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        images = as_images(file.create_dataset("images", data=values))
        np.testing.assert_array_equal(images[[7, 1, 7, 0]], values[[7, 1, 7, 0]])
    zarr = pytest.importorskip("zarr", reason="zarr is not installed")
    array = zarr.array(values, chunks=(5, 4, 4, 3))
    np.testing.assert_array_equal(as_images(array)[[7, 1, 7, 0]], values[[7, 1, 7, 0]])


@pytest.mark.parametrize(
    "X", [np.arange(5), np.zeros((2, 3, 4, 5, 6)), ["a.png", 3.0], np.array(3), pd.Series([1.0])]
)
def test_what_is_neither_images_nor_paths_nor_table_is_refused(X):
    with pytest.raises((ValueError, FileNotFoundError), match=r"Reshape your data|a\.png"):
        as_images(X)


def test_one_path_no_paths_and_ragged_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match="load_image_folder"):
        as_images(tmp_path)
    with pytest.raises(ValueError, match=r"no file paths|Reshape"):
        as_images(np.array([], dtype=str))
    with pytest.raises(ValueError, match="one and the same shape"):
        as_images([np.zeros((2, 3)), np.zeros((3, 2))])


@pytest.mark.parametrize("missing", [None, np.nan])
def test_a_missing_path_among_others_is_named_by_its_row(missing):
    X = pd.Series(["a.png", missing, "b.png"], dtype=object)
    with pytest.raises(ValueError, match=rf"only file paths; got {missing} in row 1, and 1 such"):
        as_images(X)


@pytest.mark.parametrize("X", [[], np.array([], dtype=str), pd.Series([], dtype=object)])
def test_an_empty_list_is_told_that_it_is_empty(X):
    with pytest.raises(ValueError, match="no file paths or images; at least one is needed"):
        as_images(X)


def test_reading_leaves_no_warning_and_no_open_file(color):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(Path(color[1]))


def test_a_column_of_paths_is_their_list(gray_paths):
    pixels, paths = gray_paths
    names = [str(path) for path in paths]
    for X in (
        pd.DataFrame({"path": names}),
        pd.DataFrame({"path": paths}),
        np.array(names)[:, None],
        np.array(paths, dtype=object)[:, None],
        [[name] for name in names],
    ):
        np.testing.assert_array_equal(as_images(X)[:], pixels)


def test_columns_and_lists_of_arrays_are_stacked():
    images = np.random.RandomState(0).rand(4, 6, 5, 3).astype(np.float32)
    for X in (
        pd.Series(list(images), index=[7, 3, 9, 1]),
        pd.DataFrame({"image": list(images)}),
        list(images),
        images.astype(object),
    ):
        np.testing.assert_array_equal(as_images(X), images)
    assert as_images(pd.Series(list(images[..., 0]))).shape == (4, 6, 5, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda image: image[:3], r"row 2 is of shape \(3, 5\) and row 0 of shape \(6, 5\)"),
        (lambda image: None, "got None in row 2. Drop such rows, and their labels"),
        (lambda image: "a.png", "got 'a.png' in row 2"),
    ],
)
def test_the_row_of_a_column_that_differs_is_named(change, message):
    images = list(np.zeros((4, 6, 5)))
    images[2] = change(images[2])
    for X in (images, pd.Series(images)):
        with pytest.raises(ValueError, match=message):
            as_images(X)


def test_images_of_pillow_are_read_as_their_files_are(color):
    pixels, path = color
    with Image.open(path) as image:
        np.testing.assert_array_equal(as_images([image, image]), [pixels, pixels])
        exif = image.getexif()
        exif[0x0112] = 6
        np.testing.assert_array_equal(as_images([image])[0], np.rot90(pixels, -1))
        with pytest.raises(ValueError, match=r"a single one: pass \[X\]"):
            as_images(image)
        with pytest.raises(ValueError, match=r"row 1 has Pillow's mode 'P'.*convert\('RGB'\)"):
            as_images([image, image.convert("P")])
    gray, mask = Image.new("L", (4, 3), 7), Image.new("1", (4, 3), 1)
    np.testing.assert_array_equal(as_images([gray, mask])[:, 0, 0, 0], [7, 255])


def test_tensors_of_any_framework_become_arrays():
    images = np.arange(24, dtype=np.float32).reshape(2, 4, 3, 1)
    for library, make in (
        ("tensorflow", lambda tf: [tf.constant(images), tf.Variable(images)]),
        ("torch", lambda torch: [torch.tensor(images, requires_grad=True)]),
        ("torch", lambda torch: [torch.tensor(images).bfloat16()]),
        ("jax.numpy", lambda jnp: [jnp.array(images), jnp.array(images, dtype="bfloat16")]),
    ):
        for X in make(pytest.importorskip(library)):
            read = as_images(X)
            assert isinstance(read, np.ndarray)
            np.testing.assert_array_equal(read, images)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ({"image": [0]}, r"got a dict of \['image'\]: pass one .* X\['image'\]"),
        ((image for image in np.zeros((2, 3, 3))), "generator, which can be read only once"),
        ({1, 2}, "a set, which has no order"),
        (None, "got None"),
        ((np.zeros((3, 4, 4)), np.zeros(3)), r"a pair .* X\[0\] and X\[1\]"),
        (np.array([b"a.png"]), r"got bytes.*X.astype\(str\)"),
        (pd.DataFrame({"path": ["a.png"], "y": [1]}), r"'path' holds images .* X\['path'\]"),
    ],
)
def test_what_holds_images_but_is_none_is_told_the_way_to_them(X, message):
    with pytest.raises(ValueError, match=message):
        as_images(X)


def test_a_sparse_matrix_is_told_to_become_dense():
    with pytest.raises(TypeError, match=r"pass X\.toarray\(\)"):
        as_images(csr_matrix(np.eye(3)))


def test_loaders_are_told_to_be_gathered():
    keras = pytest.importorskip("keras")

    class Loader(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return np.zeros((2, 4, 4, 1)), np.zeros(2)

    loaders = [Loader()]
    if "torch" in sys.modules:
        data = sys.modules["torch"].utils.data
        loaders += [data.DataLoader([np.zeros((1, 4, 4))]), data.TensorDataset()]
    for X in loaders:
        with pytest.raises(ValueError, match=r"the loader \w+: gather its batches in one pass"):
            as_images(X)


def test_datasets_of_batches_are_read_in_order_and_others_refused():
    tf = pytest.importorskip("tensorflow")
    images, labels = np.arange(60.0).reshape(5, 4, 3, 1), np.array([3, 1, 2, 1, 3])
    pairs = tf.data.Dataset.from_tensor_slices((images, labels))
    for X in (pairs.batch(2), pairs.map(lambda image, label: image).batch(2).prefetch(1)):
        np.testing.assert_array_equal(as_images(X), images)
    X, y = split_dataset(pairs.shuffle(5).batch(2), None)
    assert sorted(X[:, 0, 0, 0].tolist()) == [0, 12, 24, 36, 48]
    np.testing.assert_array_equal(y, labels[(X[:, 0, 0, 0] // 12).astype(int)])
    column = pairs.map(lambda image, label: (image, label[None])).batch(2)
    np.testing.assert_array_equal(split_dataset(column, None)[1], labels)
    for X, message in (
        (pairs.shuffle(5).batch(2).prefetch(1), "make it with shuffle=False"),
        (pairs.batch(2).repeat(), r"endless one: drop its repeat\(\)"),
        (pairs, r"single images: X\.batch\(32\)"),
        (pairs.take(0).batch(2), "empty dataset"),
        (pairs.map(lambda image, label: {"image": image}).batch(2), r"with X\.map"),
    ):
        with pytest.raises(ValueError, match=message):
            as_images(X)
    with pytest.raises(ValueError, match="y must be None where X is a dataset"):
        split_dataset(pairs.batch(2), labels)


@pytest.mark.parametrize(
    ("shape", "wanted", "way"),
    [
        ((8, 8), (8, 8, 1), r"X\[None\]"),
        ((9, 9), (8, 8, 1), r"X\[None\]"),
        ((8, 8, 4, 1), (8, 8, 4), r"X\[None\]"),
        ((5, 64), (8, 8, 1), r"X\.reshape\(-1, 8, 8, 1\)"),
        ((5, 3, 8, 9), (8, 9, 3), r"np\.moveaxis\(X, 1, -1\)"),
        ((5, 7, 9, 3), (8, 9, 3), r"resize\(X, \(8, 9\)\)"),
        ((5, 8, 9, 1), (8, 9, 3), r"np\.repeat\(X, 3, axis=-1\)"),
        ((5, 8, 9, 4), (None, None, 3), r"X\[\.\.\., :3\]"),
        ((5, 4, 4, 3), (8, 9, 1), r"resize\(X, \(8, 9\)\) and make them gray"),
        ((5, 2, 3, 1), (6,), r"X\.reshape\(len\(X\), -1\)"),
    ],
)
def test_images_of_another_shape_are_told_the_way_to_the_one_wanted(shape, wanted, way):
    with pytest.raises(ValueError, match=rf"^X has (images|rows) of .* but it takes others.*{way}"):
        check_image_shape(np.zeros(shape), wanted, "it takes others")


def test_an_image_size_is_looked_at_for_arrays_too():
    with pytest.raises(ValueError, match=r"image_size must be None or \(height, width\).*\(8,\)"):
        as_images(np.zeros((2, 4, 4, 1)), image_size=(8,))


def test_images_of_python_objects_are_numbers_and_what_is_none_is_refused():
    numbers = np.array([0.1, 7.0] * 8).reshape(1, 4, 4, 1)
    images = as_images(numbers.astype(object))
    assert images.dtype == np.float64
    np.testing.assert_array_equal(images, numbers)
    for wrong in (numbers.astype(str), numbers + 1j, numbers.astype("M8[D]"), numbers != "a"):
        if wrong.dtype != bool:
            with pytest.raises(ValueError, match="X must hold numbers; got values of type"):
                as_images(wrong)
    with pytest.raises(ValueError, match=r"at least one pixel; got shape \(2, 0, 8, 1\)"):
        as_images(np.zeros((2, 0, 8, 1)))


@pytest.mark.parametrize("path", [None, 3, (), object()])
def test_what_is_no_path_is_named_by_its_parameter(path):
    with pytest.raises(TypeError, match="path must be a str or path-like"):
        read_image(path)
    with pytest.raises(TypeError, match="paths must hold only str"):
        ImagePaths([path])


def test_a_single_path_is_not_read_letter_by_letter(color):
    with pytest.raises(TypeError, match=r"paths must be a list .* got '.*color\.png'"):
        ImagePaths(str(color[1]))
