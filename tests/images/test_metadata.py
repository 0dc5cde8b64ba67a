import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skkd.images import ImagePaths, file_metadata


@pytest.fixture
def paths(tmp_path):
    Image.new("L", (30, 20)).save(tmp_path / "a.png")
    Image.new("RGB", (16, 12)).save(tmp_path / "b.jpg")
    Image.fromarray(np.zeros((5, 6), np.uint16)).save(tmp_path / "c.tif")
    return [tmp_path / name for name in ("a.png", "b.jpg", "c.tif")]


def test_what_files_say_is_tabulated_in_order(paths):
    expected = pd.DataFrame(
        {
            "height": [20, 12, 5],
            "width": [30, 16, 6],
            "color": ["gray", "color", "gray"],
            "type": ["uint8", "uint8", "uint16"],
            "format": ["PNG", "JPEG", "TIFF"],
        }
    )
    ways = [paths, tuple(paths), np.array(paths, str), pd.Series(paths, index=[7, 8, 9])]
    for given in [*ways, pd.DataFrame({"path": paths}), [str(path) for path in paths]]:
        pd.testing.assert_frame_equal(file_metadata(given), expected)
    images = ImagePaths(paths[:2], image_size=(8, 8), color_mode="rgb")
    pd.testing.assert_frame_equal(file_metadata(images), expected[:2])


@pytest.mark.parametrize("given", [[], "a.png", 3, None, np.zeros((2, 8, 8)), [1, "a.png"]])
def test_what_is_no_list_of_paths_is_refused(given):
    with pytest.raises(ValueError, match="paths must be a list of paths"):
        file_metadata(given)


def test_a_broken_file_is_named(paths):
    paths[1].write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"b\.jpg"):
        file_metadata(paths)
