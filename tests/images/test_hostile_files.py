"""Files that were made to do harm, and files that were damaged at random."""

import gzip
import io
import logging
import math
import re
import resource
import shutil
import struct
import sys

import numpy as np
import pytest
from PIL import Image

from skkd.datasets import load_image_folder
from skkd.images import ImagePaths, as_images, read_image

# Readers warn of what is odd in a file, whether it can be read or not.
pytestmark = pytest.mark.filterwarnings("ignore")


def as_file(image, suffix, **options):
    """Return the bytes of a file that Pillow writes."""
    buffer = io.BytesIO()
    image.save(buffer, Image.registered_extensions()[f".{suffix}"], **options)
    return buffer.getvalue()


def valid_files(folder):
    """Return the bytes of small valid files of every kind, by name and suffix."""
    rng = np.random.default_rng(0)
    gray = rng.integers(0, 256, (9, 11), dtype=np.uint8)
    color, deep = rng.integers(0, 256, (9, 11, 3), dtype=np.uint8), gray.astype(np.uint16) * 257
    picture, colored = Image.fromarray(gray), Image.fromarray(color)
    exif = Image.Exif()
    exif[0x0112] = 6
    several = {"save_all": True, "append_images": [picture.transpose(3), picture.transpose(1)]}
    files = {
        "gray.png": as_file(picture, "png"),
        "color.png": as_file(colored, "png", exif=exif),
        "palette.png": as_file(colored.quantize(8), "png", transparency=1),
        "deep.png": as_file(Image.fromarray(deep), "png"),
        "film.png": as_file(picture, "png", **several),
        "gray.jpg": as_file(picture, "jpg"),
        "color.jpg": as_file(colored, "jpg", exif=exif),
        "progressive.jpg": as_file(colored, "jpg", progressive=True),
        "gray.tif": as_file(picture, "tif"),
        "packed.tif": as_file(colored, "tif", compression="tiff_lzw"),
        "deep.tif": as_file(Image.fromarray(deep), "tif", compression="tiff_deflate"),
        "film.tif": as_file(picture, "tif", **several),
        "still.gif": as_file(picture, "gif"),
        "film.gif": as_file(picture, "gif", **several),
        "color.bmp": as_file(colored, "bmp"),
        "palette.bmp": as_file(colored.quantize(8), "bmp"),
        "color.webp": as_file(colored, "webp"),
        "gray.pgm": as_file(picture, "pgm"),
        "color.jp2": as_file(colored, "jp2"),
    }
    np.save(folder / "a.npy", deep)
    files["deep.npy"] = (folder / "a.npy").read_bytes()
    try:
        import tifffile
    except ImportError:
        pass
    else:
        tifffile.imwrite(folder / "a.tif", np.stack([deep] * 3, -1), photometric="rgb")
        files["deepcolor.tif"] = (folder / "a.tif").read_bytes()
        tifffile.imwrite(folder / "a.tif", gray.astype(float), tile=(16, 16))
        files["tiled.tif"] = (folder / "a.tif").read_bytes()
    try:
        import nibabel
    except ImportError:
        pass
    else:
        volume = rng.integers(0, 500, (5, 6, 3), dtype=np.int16)
        volume = nibabel.Nifti1Image(volume, np.eye(4)).to_bytes()
        files |= {"volume.nii": volume, "volume.nii.gz": gzip.compress(volume)}
    try:
        import pydicom  # noqa: F401
    except ImportError:
        pass
    else:
        files |= dicom_files(folder / "a.dcm", deep >> 4, color)
    return files


def dicom_files(path, deep, color):
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, RLELossless

    files = {}
    for name, values in {
        "scan": deep,
        "film": np.stack([deep, deep]),
        "color": color,
        "packed": deep,
        "bare": deep,
    }.items():
        file = Dataset()
        is_color = name == "color"
        file.Rows, file.Columns = deep.shape
        file.SamplesPerPixel = 3 if is_color else 1
        file.PhotometricInterpretation = "RGB" if is_color else "MONOCHROME2"
        if is_color:
            file.PlanarConfiguration = 0
        if name == "film":
            file.NumberOfFrames = 2
        file.BitsAllocated = file.BitsStored = 8 * values.dtype.itemsize
        file.HighBit = file.BitsStored - 1
        file.PixelRepresentation = 0
        file.RescaleSlope, file.RescaleIntercept = 1, -1024
        file.WindowCenter, file.WindowWidth = 40, 400
        file.SOPClassUID, file.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3"
        file.PixelData = values.tobytes()
        if name == "bare":
            file.save_as(path, implicit_vr=True, little_endian=True)
        else:
            file.file_meta = FileMetaDataset()
            file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            if name == "packed":
                file.compress(RLELossless)
            file.save_as(path, enforce_file_format=True)
        files[f"{name}.dcm"] = path.read_bytes()
    return files


EXTREMES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1]


def broken_file(folder, files, seed):
    """Write a valid file with something in it changed; the seed says which and what."""
    rng = np.random.default_rng(seed)
    name = str(rng.choice(list(files)))
    content = bytearray(files[name])
    for _ in range(rng.integers(1, 4)):
        # Most of what a file says of itself stands at its beginning.
        reach = int(rng.choice([32, 160, len(content)]))
        place = int(rng.integers(max(min(reach, len(content)), 1)))
        kind = rng.choice(["cut", "flip", "bytes", "number", "head", "repeat", "more"])
        if kind == "cut":
            del content[place:]
        elif kind == "flip" and content:
            content[place] ^= 1 << int(rng.integers(8))
        elif kind == "bytes":
            content[place : place + 4] = rng.bytes(int(rng.integers(1, 9)))
        elif kind == "number":
            order, width = rng.choice(["big", "little"]), int(rng.choice([2, 4]))
            number = int(rng.choice(EXTREMES)) % 2 ** (8 * width)
            content[place : place + width] = number.to_bytes(width, order)
        elif kind == "head":
            other = files[str(rng.choice(list(files)))]
            content[: min(place, 16)] = other[: min(place, 16)]
        elif kind == "repeat":
            content[place:place] = content[place : place + int(rng.integers(1, 64))]
        elif kind == "more":
            content += rng.bytes(int(rng.integers(1, 64)))
    if rng.random() < 0.2:
        name = str(rng.choice(list(files)))
    path = folder / f"{seed}_{name}"
    path.write_bytes(content)
    return path


def read_folder(path):
    """Read a file as that of two classes."""
    root = path.parent / f"{path.name}.root"
    for name in ("ill", "well"):
        (root / name).mkdir(parents=True)
        (root / name / path.name).write_bytes(path.read_bytes())
    try:
        options = {"image_size": (8, 8), "color_mode": "rgb", "frames": "all", "verbose": False}
        return load_image_folder(root, **options).data
    finally:
        shutil.rmtree(root)


READERS = {
    "read_image": read_image,
    "read_image_all": lambda path: read_image(path, frames="all", window=None),
    "as_images": lambda path: as_images([path, path])[:],
    "load_image_folder": read_folder,
}


def check_outcome(path, read):
    """Fail unless a file gives images, or a ValueError or OSError that names it."""
    try:
        images = read(path)
    # ImportError says which package reads it.
    except (ValueError, OSError, ImportError) as error:
        if path.name not in str(error):
            raise AssertionError(f"{path.name} is not named") from error
        return False
    assert images.dtype in (np.uint8, np.uint16, np.float32)
    assert images.ndim in (3, 4)
    assert images.shape[-1] in (1, 3)
    assert 0 not in images.shape
    assert np.isfinite(images).all()
    return True


def peak():
    """Return the most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


@pytest.fixture
def quiet():
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(
    "seeds",
    [range(300), pytest.param(range(1000, 7000), marks=pytest.mark.slow)],
    ids=["hundreds", "thousands"],
)
def test_a_damaged_file_gives_images_or_an_error_that_names_it(tmp_path, quiet, seeds):
    files = valid_files(tmp_path)
    before, read = peak(), dict.fromkeys(READERS, 0)
    for seed in seeds:
        path = broken_file(tmp_path, files, seed)
        for name, reader in READERS.items():
            read[name] += check_outcome(path, reader)
        path.unlink()
    for n_read in read.values():
        assert 0 < n_read < len(seeds)
    # Three copies of four bytes a pixel of the largest image that Pillow reads.
    assert peak() - before < 3 * 4 * 2 * Image.MAX_IMAGE_PIXELS


def test_the_files_that_are_damaged_are_whole_before(tmp_path):
    for name, content in valid_files(tmp_path).items():
        path = tmp_path / name
        path.write_bytes(content)
        several = name.startswith(("film", "volume"))
        assert check_outcome(path, READERS["read_image"]) != several
        for reader in ("read_image_all", "load_image_folder"):
            assert check_outcome(path, READERS[reader])


@pytest.mark.parametrize("kind", ["EPS", "TGA", "PCX", "PDF", "ICO", "SGI", "IM"])
def test_only_the_listed_formats_are_opened_whatever_a_file_is_called(tmp_path, monkeypatch, kind):
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, kind)
    path = tmp_path / "scan.png"
    path.write_bytes(buffer.getvalue())
    opened = []
    for name, (factory, accept) in dict(Image.OPEN).items():
        spy = lambda *args, name=name, factory=factory: opened.append(name) or factory(*args)  # noqa: E731
        monkeypatch.setitem(Image.OPEN, name, (spy, accept))
    with pytest.raises(ValueError, match=r"scan\.png is not a readable image: it is none of BMP"):
        read_image(path)
    assert not opened
    Image.new("L", (2, 2)).save(path)
    read_image(path)
    assert opened == ["PNG"]


def npy(shape, dtype="<f8"):
    head = io.BytesIO()
    layout = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(head, layout)
    return head.getvalue() + bytes(64)


def volume(shape, packed=False):
    nibabel = pytest.importorskip("nibabel", reason="nibabel is not installed")
    head = nibabel.Nifti1Header()
    head.set_data_dtype(np.int16)
    head.set_sform(np.eye(4), 1)
    head["dim"] = [len(shape), *shape, *[1] * (7 - len(shape))]
    head["magic"], head["vox_offset"] = b"n+1", 352
    content = head.binaryblock + bytes(100)
    return gzip.compress(content) if packed else content


def scan(tmp_path, name="scan", **elements):
    pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed")
    deep, color = np.ones((9, 11), np.uint16), np.ones((9, 11, 3), np.uint8)
    content = dicom_files(tmp_path / "whole.dcm", deep, color)[f"{name}.dcm"]
    file = pydicom.dcmread(io.BytesIO(content))
    for element, value in elements.items():
        setattr(file, element, value)
    buffer = io.BytesIO()
    file.save_as(buffer)
    return buffer.getvalue()


def tiff(width, height, bits=8, **tags):
    """Return a TIFF of 64 bytes of pixels, of which its tags may say anything."""
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: height} | {
        279: 64,
        **{int(number.removeprefix("tag")): value for number, value in tags.items()},
    }
    tags = {number: value for number, value in sorted(tags.items()) if value is not None}
    entries = b"".join(struct.pack("<HHII", number, 4, 1, tags[number]) for number in tags)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    return head + entries + bytes(4 + 64)


def attempt(tmp_path, name, content, message, **options):
    (tmp_path / name).write_bytes(content)
    limit, before = Image.MAX_IMAGE_PIXELS, peak()
    with pytest.raises(ValueError, match=re.escape(name) + message):
        read_image(tmp_path / name, **options)
    assert limit == Image.MAX_IMAGE_PIXELS
    assert peak() - before < 2**26


@pytest.mark.parametrize("frames", [None, "all"])
def test_a_file_that_says_it_is_huge_takes_no_memory(tmp_path, quiet, frames):
    more = r" is not read: it says that it holds \d+ bytes of pixels, but has only \d+"
    bomb = " is larger than Pillow's limit against decompression bombs.*MAX_IMAGE_PIXELS"
    attempt(tmp_path, "a.npy", npy((60000, 60000)), more, frames=frames)
    attempt(tmp_path, "b.npy", npy((2**40, 2**40)), more, frames=frames)
    attempt(tmp_path, "a.tif", tiff(60000, 60000), bomb, frames=frames)
    attempt(tmp_path, "b.tif", tiff(2**31, 2**31), bomb, frames=frames)


def test_a_dicom_that_says_it_is_huge_takes_no_memory(tmp_path):
    bomb = " is larger than Pillow's limit against decompression bombs.*MAX_IMAGE_PIXELS"
    for name in ("scan", "packed"):
        content = scan(tmp_path, name, Rows=65535, Columns=65535)
        attempt(tmp_path, "a.dcm", content, bomb)
    content = scan(tmp_path, NumberOfFrames=2**31 - 1)
    attempt(tmp_path, "a.dcm", content, " is not read: it says that it holds", frames="all")


@pytest.mark.parametrize("packed", [False, True])
def test_a_volume_that_says_it_is_huge_takes_no_memory(tmp_path, packed):
    name = "a.nii.gz" if packed else "a.nii"
    for shape in ((30000, 30000, 1), (32767, 32767, 32767)):
        content = volume(shape, packed)
        attempt(tmp_path, name, content, " is not read: it says that it holds", frames="all")
    attempt(tmp_path, name, volume((-5, 3, 3), packed), " is not read.* shape", frames="all")


def test_a_deep_tiff_that_says_it_is_huge_takes_no_memory(tmp_path, quiet):
    pytest.importorskip("tifffile", reason="tifffile is not installed")
    bomb = " is larger than Pillow's limit against decompression bombs.*MAX_IMAGE_PIXELS"
    attempt(tmp_path, "a.tif", tiff(60000, 60000, 64), bomb)
    tiles = {"tag273": None, "tag278": None, "tag279": None, "tag324": 8, "tag325": 64}
    content = tiff(8, 8, 64, **tiles, tag322=30000, tag323=30000, tag339=3)
    attempt(tmp_path, "b.tif", content, bomb)


def test_a_bomb_behind_a_small_first_page_is_refused(tmp_path):
    small, large = Image.new("1", (8, 8)), Image.new("1", (16000, 16000))
    path = tmp_path / "film.tif"
    small.save(path, save_all=True, append_images=[large], compression="group4")
    assert path.stat().st_size < 2**20
    bomb = r"film\.tif is larger than Pillow's limit against decompression bombs"
    with pytest.raises(ValueError, match=bomb):
        read_image(f"{path}[1]")
    with pytest.raises(ValueError, match=bomb):
        read_image(path, frames="all")


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"bits": 65535}, "is not a readable image"),
        ({"width": 0}, "it says that it is of 8x0 pixels|is not a readable image"),
        ({"tag277": 65535}, "with 65535 channels|is not a readable image"),
        ({"tag273": 2**32 - 1, "bits": 64}, "is not a readable image"),
        ({"tag279": 2**31, "bits": 64}, "is not a readable image"),
    ],
)
def test_a_tiff_of_absurd_tags_is_refused_by_name(tmp_path, quiet, tags, message):
    pytest.importorskip("tifffile", reason="tifffile is not installed")
    tags = {"width": 8, "height": 8} | tags
    attempt(tmp_path, "a.tif", tiff(**tags), f".*({message})")


def test_dicom_with_wrong_lengths_is_refused_or_read_right(tmp_path):
    whole = bytearray(scan(tmp_path))
    start = whole.index(b"\xe0\x7f\x10\x00OW") + 8
    (tmp_path / "a.dcm").write_bytes(whole)
    right = read_image(tmp_path / "a.dcm")
    for length in (0, 10, 197, 199, 2**31, 2**32 - 2, 2**32 - 1):
        whole[start : start + 4] = length.to_bytes(4, "little")
        path = tmp_path / f"{length}.dcm"
        path.write_bytes(whole)
        if check_outcome(path, read_image):
            np.testing.assert_array_equal(read_image(path), right)
    place = whole.index(b"\x28\x00\x10\x00US") + 6
    whole[place : place + 2] = b"\xff\xff"
    attempt(tmp_path, "b.dcm", whole, " is not")


def test_dicom_with_more_pixels_than_it_says_is_not_read_in_part(tmp_path):
    pixels = "has the pixels of "
    attempt(tmp_path, "a.dcm", scan(tmp_path, "film", NumberOfFrames=1), f".*{pixels}2")
    del_frames = scan(tmp_path, "film", NumberOfFrames=None)
    attempt(tmp_path, "a.dcm", del_frames, f".*{pixels}2")
    attempt(tmp_path, "a.dcm", scan(tmp_path, Rows=3), f".*{pixels}3")
    attempt(tmp_path, "a.dcm", scan(tmp_path, NumberOfFrames=-3), r".* -3 frames", frames="all")


def test_compressed_dicom_with_more_frames_than_it_says_is_not_read_in_part(tmp_path):
    pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed")
    file = pydicom.dcmread(io.BytesIO(scan(tmp_path, "film")))
    file.compress(pydicom.uid.RLELossless)
    file.NumberOfFrames = 1
    buffer = io.BytesIO()
    file.save_as(buffer)
    attempt(tmp_path, "a.dcm", buffer.getvalue(), ".*has the pixels of 2")


def test_a_single_pixel_of_dicom_is_filled_up_to_two_bytes_and_is_one_frame(tmp_path):
    content = scan(
        tmp_path, Rows=1, Columns=1, BitsAllocated=8, BitsStored=8, HighBit=7, PixelData=b"\x05\0"
    )
    (tmp_path / "a.dcm").write_bytes(content)
    assert read_image(tmp_path / "a.dcm", window=None).tolist() == [[[5 - 1024]]]


@pytest.mark.parametrize("element", ["WindowWidth", "WindowCenter", "RescaleSlope"])
def test_dicom_whose_numbers_are_none_is_refused(tmp_path, element):
    content = scan(tmp_path, **{element: math.nan})
    attempt(tmp_path, "a.dcm", content, " is not read: its (window|rescaling)")


def test_a_tiff_that_holds_no_page_is_not_passed_over(tmp_path, quiet):
    pytest.importorskip("tifffile", reason="tifffile is not installed")
    whole = valid_files(tmp_path)["deep.tif"]
    cut = struct.pack("<2sHI", b"II", 42, 0) + whole[8:]
    for frames in (None, "first", "all"):
        attempt(tmp_path, "a.tif", cut, " is not", frames=frames)
    Image.new("L", (4, 4)).save(tmp_path / "b.png")
    with pytest.raises(ValueError, match=r"a\.tif is not read: it holds no page"):
        ImagePaths([tmp_path / "a.tif", tmp_path / "b.png"], frames="all")


def test_pages_of_several_sizes_are_refused_by_name_or_brought_to_one(tmp_path):
    path = tmp_path / "film.tif"
    Image.new("L", (8, 8), 9).save(path, save_all=True, append_images=[Image.new("L", (9, 7), 9)])
    with pytest.raises(
        ValueError, match=r"film\.tif is not read: its frames are of several shapes"
    ):
        read_image(path, frames="all")
    assert read_image(path, frames="all", image_size=(4, 4)).tolist() == [[[[9]] * 4] * 4] * 2


def test_a_file_of_another_size_than_when_it_was_listed_is_named(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path in paths:
        Image.new("L", (8, 8)).save(path)
    images = ImagePaths(paths)
    Image.new("L", (1, 1), 200).save(paths[1])
    with pytest.raises(ValueError, match=r"1\.png is of shape \(1, 1, 1\).* changed since"):
        images[:]
    assert ImagePaths(paths, image_size=(4, 4))[:].shape == (3, 4, 4, 1)


@pytest.mark.parametrize("read", [read_image, lambda path: as_images([path])])
def test_a_path_with_a_null_character_is_named(read):
    with pytest.raises(ValueError, match=r"'a\\x00b\.png' is no path of a file"):
        read("a\0b.png")


def test_a_mpo_counts_as_the_picture_before_its_views(tmp_path):
    path = tmp_path / "camera.jpg"
    views = [Image.new("L", (8, 8), 90)]
    Image.new("L", (16, 16), 20).save(path, "MPO", save_all=True, append_images=views)
    np.testing.assert_allclose(read_image(path), np.full((16, 16, 1), 20), atol=2)
