"""Files of many kinds, whose right values are worked out here and not by the readers."""

import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from skkd.images import ImagePaths, read_image
from skkd.images._decoded import keep_decoded

DEEP = np.array([[0, 256, 65535], [32768, 10000, 300]], np.uint16)


def tifffile():
    return pytest.importorskip("tifffile", reason="tifffile is not installed")


def dicom(path, values, frames=None, meta=True, **elements):
    pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed")
    from pydicom.dataset import Dataset, FileMetaDataset

    file = Dataset()
    values = np.asarray(values)
    file.Rows, file.Columns = values.shape[-2:]
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.BitsAllocated = file.BitsStored = 8 * values.dtype.itemsize
    file.HighBit = file.BitsStored - 1
    file.PixelRepresentation = int(values.dtype.kind == "i")
    file.SOPClassUID = pydicom.uid.CTImageStorage
    file.SOPInstanceUID = "1.2.3"
    if values.ndim == 3:
        file.NumberOfFrames = len(values)
    for name, value in elements.items():
        setattr(file, name, value)
    file.PixelData = values.tobytes()
    if meta:
        file.file_meta = FileMetaDataset()
        file.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        file.save_as(path, enforce_file_format=True)
    else:
        file.save_as(path, implicit_vr=True, little_endian=True)
    return path


def table(first, values, bits=8, signed=False):
    from pydicom.dataset import Dataset

    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if signed else "US", [len(values), first, bits])
    item.add_new("LUTData", "US", values)
    return item


def nifti(path, volume, affine=None):
    nibabel = pytest.importorskip("nibabel", reason="nibabel is not installed")
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4) if affine is None else affine), path)
    return path


def test_a_16_bit_tiff_with_white_as_zero_is_inverted(tmp_path):
    tifffile().imwrite(tmp_path / "w.tif", DEEP, photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "w.tif")[..., 0], 65535 - DEEP)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_16_bit_color_tiff_keeps_every_value(tmp_path, order, planes):
    color = np.stack([DEEP, DEEP // 2, 65535 - DEEP])
    stored = color if planes == "separate" else np.moveaxis(color, 0, -1)
    options = {"photometric": "rgb", "planarconfig": planes, "byteorder": order}
    tifffile().imwrite(tmp_path / "p.tif", stored, **options)
    image = read_image(tmp_path / "p.tif")
    np.testing.assert_array_equal(image, np.moveaxis(color, 0, -1))
    assert ImagePaths([tmp_path / "p.tif"]).shape == (1, 2, 3, 3)


def test_16_bit_color_tiff_without_tifffile_names_the_extra(tmp_path, monkeypatch):
    tifffile().imwrite(tmp_path / "p.tif", np.stack([DEEP] * 3, -1), photometric="rgb")
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(ImportError, match=r"p\.tif .*skkd\[tiff\]"):
        read_image(tmp_path / "p.tif")


@pytest.mark.parametrize("dtype", [">u2", "<i2", "u4", "i1", "f2", "f8"])
def test_tiff_of_every_type_keeps_its_values(tmp_path, dtype):
    values = np.array([[0, 1, 100], [7, 50, 127]], dtype)
    if np.dtype(dtype).kind in "if":
        values[0, 1] = -100
    order = ">" if dtype[0] == ">" else "<"
    tifffile().imwrite(tmp_path / "t.tif", values, photometric="minisblack", byteorder=order)
    np.testing.assert_array_equal(read_image(tmp_path / "t.tif")[..., 0], values)
    assert ImagePaths([tmp_path / "t.tif"]).dtype == read_image(tmp_path / "t.tif").dtype


def test_16_bit_color_png_is_refused_and_a_clear_gray_is_black(tmp_path):
    def png(color, pixels, *chunks):
        def chunk(kind, data):
            check = struct.pack(">I", zlib.crc32(kind + data))
            return struct.pack(">I", len(data)) + kind + data + check

        head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, color, 0, 0, 0)
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
        parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
        (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*p) for p in parts))
        return tmp_path / "x.png"

    for color, channels in ((2, 3), (4, 2), (6, 4)):
        with pytest.raises(ValueError, match=r"x\.png is not read.*more than 8 bits a channel"):
            read_image(png(color, np.zeros((2, 3, channels))))
    image = read_image(png(0, DEEP, (b"tRNS", struct.pack(">H", 256))))
    np.testing.assert_array_equal(image[..., 0], [[0, 0, 65535], [32768, 10000, 300]])


def test_deep_images_are_resized_and_colored_without_losing_bits(tmp_path):
    np.save(tmp_path / "flat.npy", np.full((8, 6), 40001, np.uint16))
    image = read_image(tmp_path / "flat.npy", image_size=(4, 3), color_mode="rgb")
    np.testing.assert_array_equal(image, np.full((4, 3, 3), 40001))
    color = np.zeros((2, 2, 3), np.uint16) + np.array([10000, 20000, 30000], np.uint16)
    np.save(tmp_path / "color.npy", color)
    gray = read_image(tmp_path / "color.npy", color_mode="grayscale")
    # .299 * 10000 + .587 * 20000 + .114 * 30000
    np.testing.assert_array_equal(gray, np.full((2, 2, 1), 18150))


def test_files_of_two_types_are_not_one_set(tmp_path):
    Image.fromarray(DEEP).save(tmp_path / "deep.png")
    Image.fromarray(DEEP.astype(np.uint8)).save(tmp_path / "flat.png")
    paths = [tmp_path / "deep.png", tmp_path / "flat.png"]
    with pytest.raises(ValueError, match=r"flat\.png has pixels of type uint8 .*deep\.png"):
        ImagePaths(paths)
    with pytest.raises(ValueError, match=r"flat\.png has pixels of type uint8 .*deep\.png"):
        ImagePaths(paths, image_size=(2, 3), color_mode="rgb")[:]
    assert ImagePaths(paths, window=(100, 200))[:].dtype == np.uint8


def test_deep_images_are_kept_as_they_are(tmp_path):
    Image.fromarray(DEEP).save(tmp_path / "deep.png")
    images = ImagePaths([tmp_path / "deep.png"])
    for cache in ("memory", tmp_path / "kept"):
        kept = keep_decoded(images, cache)
        assert kept.dtype == np.uint16
        np.testing.assert_array_equal(kept[[0]][0, ..., 0], DEEP)


def test_a_window_runs_from_center_minus_half_its_width(tmp_path):
    hounsfield = np.array([[-1000, 0, 40, 80, 3000]], np.int16)
    np.save(tmp_path / "ct.npy", hounsfield)
    stored = (hounsfield + 1024).astype(np.uint16)
    scan = dicom(tmp_path / "ct.dcm", stored, RescaleSlope=1, RescaleIntercept=-1024, Modality="CT")
    for path in (tmp_path / "ct.npy", scan):
        for window in ("brain", (40, 80)):
            shown = read_image(path, window=window)
            np.testing.assert_array_equal(shown[..., 0], [[0, 0, 128, 255, 255]])
    raw = read_image(scan, window=None)
    assert raw.dtype == np.float32
    np.testing.assert_array_equal(raw[..., 0], hounsfield)


def test_a_named_window_is_refused_where_there_are_no_hounsfield_units(tmp_path):
    Image.fromarray(DEEP).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match=r"deep\.png .*Hounsfield"):
        read_image(tmp_path / "deep.png", window="brain")
    for window in ("head", (1, 0), (1,), 7, (np.nan, 1)):
        with pytest.raises(ValueError, match=r'window must be "header", None'):
            read_image(tmp_path / "deep.png", window=window)
    scan = dicom(tmp_path / "mr.dcm", DEEP, Modality="MR")
    with pytest.raises(ValueError, match=r"mr\.dcm .*modality is MR"):
        read_image(scan, window="lung")


def test_a_dicom_look_up_table_comes_before_its_window(tmp_path):
    pytest.importorskip("pydicom", reason="pydicom is not installed")
    options = {"WindowCenter": 1, "WindowWidth": 2}
    path = dicom(
        tmp_path / "voi.dcm",
        np.array([[0, 10, 11, 12, 99]], np.uint16),
        VOILUTSequence=[table(10, [255, 128, 0])],
        **options,
    )
    np.testing.assert_array_equal(read_image(path)[..., 0], [[255, 255, 128, 0, 0]])
    path = dicom(
        tmp_path / "ct.dcm",
        np.array([[0, 1, 2]], np.uint16),
        VOILUTSequence=[table(65534, [0, 4095, 2048], bits=12)],
        RescaleSlope=1,
        RescaleIntercept=-2,
    )
    # The first value, -2, is written without its sign; 2048 of 4095 is 127.5 of 255.
    np.testing.assert_array_equal(read_image(path)[0, :2, 0], [0, 255])
    assert read_image(path)[0, 2, 0] in (127, 128)


def test_dicom_padding_is_black_and_does_not_stretch_the_range(tmp_path):
    values = np.array([[-2000, 0, 50, 100]], np.int16)
    path = dicom(tmp_path / "a.dcm", values, PixelPaddingValue=-2000)
    np.testing.assert_array_equal(read_image(path)[..., 0], [[0, 0, 128, 255]])
    path = dicom(
        tmp_path / "b.dcm", values, PixelPaddingValue=-2000, PhotometricInterpretation="MONOCHROME1"
    )
    np.testing.assert_array_equal(read_image(path)[..., 0], [[0, 255, 128, 0]])


def test_dicom_without_preamble_and_suffix_is_read(tmp_path):
    path = dicom(tmp_path / "IM0001", np.array([[0, 100]], np.uint16), meta=False)
    assert path.read_bytes()[128:132] != b"DICM"
    np.testing.assert_array_equal(read_image(path)[..., 0], [[0, 255]])


def test_frames_of_dicom_have_windows_of_their_own(tmp_path):
    pytest.importorskip("pydicom", reason="pydicom is not installed")
    from pydicom.dataset import Dataset

    groups = []
    for width in (101, 201):
        window, group = Dataset(), Dataset()
        window.WindowCenter, window.WindowWidth = (width + 1) / 2 - 0.5 + 0.5, width
        group.FrameVOILUTSequence = [window]
        groups.append(group)
    frames = np.array([[[0, 51, 101]], [[0, 101, 201]]], np.uint16)
    path = dicom(tmp_path / "f.dcm", frames, PerFrameFunctionalGroupsSequence=groups)
    shown = read_image(path, frames="all")
    assert shown.shape == (2, 1, 3, 1)
    # Linear windows centered on 51 and 101 run from .5 to 100.5 and from .5 to 200.5.
    np.testing.assert_array_equal(shown[..., 0], [[[0, 129, 255]], [[0, 128, 255]]])


@pytest.mark.parametrize("suffix", ["tif", "gif", "png", "webp"])
def test_several_frames_are_refused_or_chosen(tmp_path, suffix):
    path = tmp_path / f"film.{suffix}"
    pages = [Image.new("L", (16, 16), color) for color in (0, 100, 200)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    for read in (read_image, lambda path: ImagePaths([path])):
        with pytest.raises(ValueError, match=r'holds 3 frames; choose with frames="first"'):
            read(path)
    for frames, color in (("first", 0), ("middle", 100)):
        np.testing.assert_allclose(read_image(path, frames=frames), color, atol=2)
    images = ImagePaths([path], frames="all", color_mode="grayscale")
    np.testing.assert_allclose(images[[2, 0, 1]].mean(axis=(1, 2, 3)), [200, 0, 100], atol=2)
    np.testing.assert_allclose(read_image(f"{path}[1]"), 100, atol=2)
    with pytest.raises(ValueError, match=r"\[3\] is none of them"):
        read_image(f"{path}[3]")
    with pytest.raises(ValueError, match="frames must be None"):
        read_image(path, frames="last")


def test_a_name_that_ends_in_brackets_may_be_that_of_a_file(tmp_path):
    path = tmp_path / "scan[3]"
    Image.new("L", (2, 2), 9).save(path, format="PNG")
    assert read_image(path).max() == 9


@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
def test_nifti_slices_are_turned_to_one_orientation(tmp_path, suffix):
    volume = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    straight = nifti(tmp_path / f"a.{suffix}", volume)
    # Stored as superior to inferior, anterior to posterior, left to right.
    affine = np.array([[0, 0, 1, 0], [0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 1.0]])
    turned = nifti(tmp_path / f"b.{suffix}", volume.transpose(2, 1, 0)[::-1, ::-1].copy(), affine)
    for path in (straight, turned):
        images = ImagePaths([path], frames="all")
        assert images.shape == (4, 2, 3, 1)
        assert images.dtype == np.float32
        np.testing.assert_array_equal(images[:][..., 0], np.moveaxis(volume, -1, 0))
        np.testing.assert_array_equal(read_image(f"{path}[1]")[..., 0], volume[..., 1])
        shown = read_image(f"{path}[1]", window=(11, 22))
        np.testing.assert_array_equal(shown[..., 0], np.rint(volume[..., 1] / 22 * 255))


def test_nifti_without_nibabel_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "a.nii.gz").write_bytes(b"x" * 400)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(ImportError, match=r"a\.nii\.gz is a NIfTI file.*skkd\[nifti\]"):
        read_image(tmp_path / "a.nii.gz")


def test_arrays_that_are_no_image_are_refused(tmp_path):
    for array in (np.zeros((5, 8, 8)), np.zeros(5), np.zeros((2, 2), complex)):
        np.save(tmp_path / "a.npy", array)
        with pytest.raises(ValueError, match=r"a\.npy is not read"):
            read_image(tmp_path / "a.npy")
