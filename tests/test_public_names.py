"""Public names and signatures; run as a script, it writes the signatures down anew."""

import importlib
import inspect
import re
import textwrap
from pathlib import Path

import pytest

import skkd

HERE = Path(__file__)
SIGNATURES = HERE.with_name("public_signatures.txt")
API = HERE.parents[1] / "docs" / "api.rst"
ROOMS = [
    *("blocks", "datasets", "deployment", "distillation", "explanation", "images", "metrics"),
    *("models", "persistence", "study"),
]


def names_in(room):
    """Return the public names of a room as one imports them: from skkd where it hands them on."""
    names = importlib.import_module(f"skkd.{room}").__all__
    return [name if name in skkd.__all__ else f"{room}.{name}" for name in names]


def documented_names():
    """Return the names that the API reference lists under the heading of each room."""
    names = {}
    for section in re.split(r"\n(?=skkd\.\w+\n-+\n)", API.read_text(encoding="utf-8"))[1:]:
        tables = re.findall(r"\.\. autosummary::\n(?:   .*\n|\n)+", section)
        room = section.partition("\n")[0].removeprefix("skkd.")
        names[room] = re.findall(r"^   ([\w.]+)$", "".join(tables), re.MULTILINE)
    return names


def test_skkd_hands_on_names_that_its_rooms_have():
    assert sorted(skkd.__all__[: len(ROOMS) + 1]) == ["__version__", *ROOMS]
    handed_on = skkd.__all__[len(ROOMS) + 1 :]
    assert sorted(handed_on) == sorted(
        name for room in ROOMS for name in names_in(room) if "." not in name
    )


@pytest.mark.parametrize("room", ROOMS)
def test_each_public_name_is_in_the_reference_once_under_its_room(room):
    assert sorted(documented_names()[room]) == sorted(names_in(room))


def test_the_reference_has_a_heading_for_each_room_and_no_other():
    assert sorted(documented_names()) == ROOMS


def members(cls):
    """Yield the methods of a class that skkd documents, by name."""
    for name, member in inspect.getmembers(cls, callable):
        ours = (getattr(member, "__module__", None) or "").startswith("skkd.")
        if ours and not name.startswith("_"):
            yield name, member


def signature(value):
    """Return a signature with the bare names of classes, whose modules are nobody's business."""
    return re.sub(r"\b([a-z_]\w*\.)+(?=[A-Za-z])", "", str(inspect.signature(value)))


def signatures():
    """Return the signature of every public class, method and function as a text."""
    lines = []
    for name in sorted(name for room in ROOMS for name in names_in(room)):
        value = skkd
        for part in name.split("."):
            value = getattr(value, part)
        called = {name: value}
        if inspect.isclass(value):
            called |= {f"{name}.{method}": member for method, member in members(value)}
        lines += [f"skkd.{name}{signature(value)}" for name, value in called.items()]
    return "".join(
        textwrap.fill(line, 100, subsequent_indent="    ", break_on_hyphens=False) + "\n"
        for line in lines
    )


def test_public_signatures_are_those_that_were_reviewed():
    assert signatures() == SIGNATURES.read_text(encoding="utf-8"), (
        "A public signature changed. If that is meant, and CHANGELOG.md tells of it, run\n"
        "    python tests/test_public_names.py\n"
        "and commit tests/public_signatures.txt."
    )


if __name__ == "__main__":
    SIGNATURES.write_text(signatures(), encoding="utf-8")
