import os

import numpy as np
import pytest
from joblib import Parallel, delayed
from PIL import Image

from skkd.images import ImagePaths, _paths
from skkd.images._decoded import keep_decoded


@pytest.fixture
def paths(tmp_path, rng):
    (tmp_path / "images").mkdir()
    pixels = rng.integers(0, 256, (9, 6, 5, 3), dtype=np.uint8)
    paths = [tmp_path / "images" / f"{number}.bmp" for number in range(9)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    return paths


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "kept" / "here"


@pytest.fixture
def reads(monkeypatch):
    """The paths decoded, one entry a time."""
    decoded = []
    read_frames = _paths.read_frames

    def count(path, *options):
        decoded.append(path)
        return read_frames(path, *options)

    monkeypatch.setattr(_paths, "read_frames", count)
    return decoded


@pytest.mark.parametrize("cache", [None, "memory", "folder"])
def test_images_are_the_same_wherever_they_are_kept(cache, paths, folder):
    images = ImagePaths(paths, image_size=(4, 8))
    kept = keep_decoded(images, folder if cache == "folder" else cache)
    assert (kept.shape, kept.dtype, len(kept)) == ((9, 4, 8, 3), np.uint8, 9)
    for rows in (np.array([7, 0, 7]), slice(2, 5), np.arange(9) % 2 == 0, 3):
        np.testing.assert_array_equal(kept[rows], images[rows])


def test_arrays_are_not_kept(folder):
    X = np.zeros((3, 4, 4, 1))
    assert keep_decoded(X, folder) is X
    assert not folder.exists()


def test_more_images_than_one_chunk_keep_their_order(paths, folder, monkeypatch):
    monkeypatch.setattr("skkd.images._decoded._CHUNK", 4)
    images = ImagePaths(paths)
    for cache in ("memory", folder):
        np.testing.assert_array_equal(keep_decoded(images, cache)[:], images[:])


def test_a_folder_serves_later_uses_of_the_same_files_without_decoding(paths, folder, reads):
    first = keep_decoded(ImagePaths(paths), folder)[:]
    assert sorted(reads) == sorted(map(str, paths))
    reads.clear()
    again = keep_decoded(ImagePaths(paths), str(folder))
    np.testing.assert_array_equal(again[:], first)
    assert not reads


@pytest.mark.parametrize("options", [{"image_size": (3, 3)}, {"color_mode": "grayscale"}])
def test_images_of_another_size_or_color_are_kept_apart(options, paths, folder):
    keep_decoded(ImagePaths(paths), folder)
    other = ImagePaths(paths, **options)
    np.testing.assert_array_equal(keep_decoded(other, folder)[:], other[:])


@pytest.mark.parametrize("changed", ["time", "size", "order"])
def test_a_stale_file_is_never_used(changed, paths, folder):
    keep_decoded(ImagePaths(paths), folder)
    before = os.stat(paths[2])
    if changed == "order":
        paths = paths[::-1]
    elif changed == "size":
        Image.new("RGB", (5, 6), "red").save(paths[2], "png")
        os.utime(paths[2], ns=(before.st_atime_ns, before.st_mtime_ns))
        assert os.stat(paths[2]).st_size != before.st_size
    else:
        Image.new("RGB", (5, 6), "red").save(paths[2])
        assert os.stat(paths[2]).st_size == before.st_size
        os.utime(paths[2], ns=(before.st_atime_ns, before.st_mtime_ns + 10**7))
    images = ImagePaths(paths)
    np.testing.assert_array_equal(keep_decoded(images, folder)[:], images[:])


def test_a_failure_leaves_nothing_behind_and_names_the_file(paths, folder, monkeypatch):
    monkeypatch.setattr("skkd.images._decoded._CHUNK", 4)
    images = ImagePaths(paths, image_size=(4, 4), color_mode="rgb")
    paths[7].write_text("no image")
    with pytest.raises(ValueError, match=r"7\.bmp is not a readable image"):
        keep_decoded(images, folder)
    assert not list(folder.iterdir())
    paths[7].unlink()
    with pytest.raises(FileNotFoundError, match=r"7\.bmp"):
        keep_decoded(images, folder)


@pytest.mark.parametrize("length", [0, 100, 400])
def test_a_damaged_file_is_made_anew(length, paths, folder):
    images = ImagePaths(paths)
    kept = keep_decoded(images, folder)
    os.truncate(kept.path, length)
    np.testing.assert_array_equal(keep_decoded(images, folder)[:], images[:])


@pytest.mark.parametrize(
    ("part", "damage"),
    [(b"\x93NUM", b"PK\3\4"), (b"{'descr'", b"{{{{{{{{"), (b"|u1", b"|i1"), (b"False", b"True ")],
)
def test_a_file_with_a_damaged_header_is_made_anew(part, damage, paths, folder):
    images = ImagePaths(paths)
    kept = keep_decoded(images, folder)
    whole = kept.path.read_bytes()
    kept.path.write_bytes(whole.replace(part, damage))
    assert kept.path.read_bytes() != whole
    np.testing.assert_array_equal(keep_decoded(images, folder)[:], images[:])
    assert kept.path.read_bytes() == whole


def keep(paths, folder):
    return keep_decoded(ImagePaths(paths), folder)[:]


def test_two_processes_may_keep_the_same_images_at_once(paths, folder):
    both = Parallel(n_jobs=2)(delayed(keep)(paths, folder) for _ in range(4))
    for kept in both:
        np.testing.assert_array_equal(kept, ImagePaths(paths)[:])
    assert len(list(folder.iterdir())) == 1


def test_a_folder_that_cannot_be_made_is_named(paths):
    with pytest.raises(OSError, match=r'image_cache must be None, "memory" or a folder.*0\.bmp'):
        keep_decoded(ImagePaths(paths), paths[0])
