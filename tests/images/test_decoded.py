import contextlib
import errno
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from joblib import Parallel, delayed
from PIL import Image

from skkd.images import ImagePaths, _decoded, _paths
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


@pytest.mark.parametrize("changed", ["time", "set back", "size", "content", "order"])
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
        later = {"time": 10**7, "set back": -(10**18), "content": 0}[changed]
        while os.stat(paths[2]).st_ctime_ns == before.st_ctime_ns:
            os.utime(paths[2], ns=(before.st_atime_ns, before.st_mtime_ns + later))
        os.utime(paths[2], ns=(before.st_atime_ns, before.st_mtime_ns + later))
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


@contextlib.contextmanager
def files_end_at(n_bytes):
    """Let no file of this process grow beyond a size, as on a full disk."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_named_and_leaves_no_half_file(paths, folder, monkeypatch):
    monkeypatch.setattr("skkd.images._decoded._CHUNK", 4)
    images = ImagePaths(paths)
    named = r"image_cache: cannot write .*here/skkd-images-.*: File too large\. Make room"
    with files_end_at(700), pytest.raises(OSError, match=named) as caught:
        keep_decoded(images, folder)
    assert caught.value.errno == errno.EFBIG
    assert list(folder.iterdir()) == []
    np.testing.assert_array_equal(keep_decoded(images, folder)[:], images[:])


def test_a_folder_that_cannot_be_written_to_is_named(paths, folder, monkeypatch):
    def refuse(path, *options, **more):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr("skkd.images._decoded.open", refuse, raising=False)
    with pytest.raises(OSError, match=r"image_cache: cannot write .*here.*Read-only file system"):
        keep_decoded(ImagePaths(paths), folder)


def test_ctrl_c_while_decoding_leaves_nothing_and_the_next_time_decodes_all(
    paths, folder, monkeypatch
):
    monkeypatch.setattr("skkd.images._decoded._CHUNK", 4)
    append, images = _decoded._append, ImagePaths(paths)

    def interrupted(file, data):
        append(file, data)
        if file.tell() > 500:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(_decoded, "_append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            keep_decoded(images, folder)
    assert list(folder.iterdir()) == []
    np.testing.assert_array_equal(keep_decoded(images, folder)[:], images[:])


def test_a_process_killed_while_it_decodes_leaves_nothing_after_the_next(paths, folder):
    code = """
import os, signal, sys
from skkd.images import ImagePaths, _decoded
append = _decoded._append
def killed(file, data):
    append(file, data)
    if file.tell() > 500:
        os.kill(os.getpid(), signal.SIGKILL)
_decoded._append, _decoded._CHUNK = killed, 4
_decoded.keep_decoded(ImagePaths(sys.argv[2:]), sys.argv[1])
"""
    killed = subprocess.run([sys.executable, "-c", code, str(folder), *map(str, paths)])
    assert killed.returncode == -signal.SIGKILL
    assert [path.suffix for path in folder.iterdir()] == [".part"]
    images = ImagePaths(paths)
    np.testing.assert_array_equal(keep_decoded(images, folder)[:], images[:])
    assert [path.suffix for path in folder.iterdir()] == [".npy"]


def test_of_two_that_decode_at_once_the_second_to_finish_has_the_file_of_the_first(
    paths, folder, monkeypatch
):
    append, images, others = _decoded._append, ImagePaths(paths), []

    def meanwhile(file, data):
        append(file, data)
        if not others:
            others.append(None)
            others[0] = keep_decoded(images, folder)[:]

    monkeypatch.setattr(_decoded, "_append", meanwhile)
    np.testing.assert_array_equal(keep_decoded(images, folder)[:], images[:])
    np.testing.assert_array_equal(others[0], images[:])
    assert [path.suffix for path in folder.iterdir()] == [".npy"]
