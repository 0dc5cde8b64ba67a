import subprocess
import sys
from types import SimpleNamespace

import pytest
from PIL import Image

from skkd.datasets import make_brain_phantoms
from skkd.study import run_study

SMALL = {
    "image_size": 16,
    "epochs": 1,
    "alphas": [0.5],
    "temperatures": [4, 10],
    "n_fidelity": 8,
    "n_resamples": 30,
    "n_explained": 2,
    "few_labels": 14,
    "seeds": 2,
    "patients": r"(patient\d+)",
    "verbose": 0,
}


def write_images(folder, n=60, names=None, seed=0):
    """Write phantoms of two images a patient into folders of classes."""
    X, y = make_brain_phantoms(n, image_size=(32, 32), random_state=seed)
    for number, (image, label) in enumerate(zip(X, y, strict=True)):
        label = label if names is None else names[label]
        path = folder / label / f"patient{number // 2:03d}_{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


@pytest.fixture(scope="session")
def small():
    return SMALL


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    names = {
        "glioma": "NA",
        "meningioma": "<script>alert(1)",
        "no_tumor": "no_tumor",
        "pituitary": "a|b & c",
    }
    return write_images(tmp_path_factory.mktemp("data"), names=names)


@pytest.fixture(scope="session")
def study(data, tmp_path_factory):
    """A whole study: what ``run_study`` returned, its folder, and its images."""
    out = tmp_path_factory.mktemp("out") / "study"
    return SimpleNamespace(found=run_study(data, out, **SMALL), out=out, data=data)


@pytest.fixture(scope="session")
def arguments():
    """The settings of the study as the command takes them, as a function of others."""

    def words(**more):
        made = []
        for name, value in (SMALL | {"verbose": 1} | more).items():
            values = value if isinstance(value, list) else [value]
            made += [f"--{name.replace('_', '-')}", *map(str, values)]
        return made

    return words


@pytest.fixture(scope="session")
def command(data, arguments):
    """The command of the study, as a function of its folder."""
    words = [sys.executable, "-m", "skkd", "study", "--data", str(data)]
    return lambda out: [*words, *arguments(out=out)]


@pytest.fixture(scope="session")
def commanded(command, tmp_path_factory):
    """The folder of a study that the command has done in one piece."""
    out = tmp_path_factory.mktemp("commanded") / "study"
    subprocess.run(command(out), check=True, capture_output=True)
    return out
