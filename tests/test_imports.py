import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

# What each room may import, besides itself and the way to warn.
MAY_IMPORT = {
    "_warnings": set(),
    "_text": set(),
    "_keras_objects": set(),
    "_memory": set(),
    "_groups": set(),
    "images": set(),
    "persistence": {"_keras_objects", "_scikeras"},
    "_scikeras": {"_backend", "_keras_objects"},
    "_backend": set(),
    "datasets": {"images", "_groups"},
    "models": {
        *{"images", "persistence"},
        *{"_scikeras", "_backend", "_keras_objects", "_memory", "_groups"},
    },
    "distillation": {
        *{"models", "images", "persistence"},
        *{"_scikeras", "_backend", "_keras_objects", "_memory"},
    },
    "explanation": {
        *{"models", "images", "persistence"},
        *{"_backend", "_text", "_keras_objects", "_memory"},
    },
    "metrics": {
        *{"models", "distillation", "explanation", "images"},
        *{"_backend", "_text", "_memory", "_groups"},
    },
    "deployment": {"distillation", "images", "metrics", "models", "_text", "_groups"},
    "blocks": {"distillation", "explanation", "models", "images", "persistence"},
    "study": {
        *{"__init__", "datasets", "deployment", "distillation", "explanation", "images"},
        *{"metrics", "models", "persistence"},
    },
    "_study_command": {"study"},
    "__main__": {
        *{"__init__", "datasets", "distillation", "explanation", "metrics", "models"},
        "_study_command",
    },
    "__init__": set(),
}
# The files alone: nothing of skkd, or of what it depends on, need be installed.
TOP = Path(__file__).parents[1] / "skkd"
FILES = sorted(TOP.rglob("*.py"))


def imported_modules(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def imported_files(file):
    """Yield the files of skkd that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from (file_of(f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (file_of(alias.name) for alias in node.names)


def file_of(name):
    """Return the file of skkd that a dotted name stands for or is defined in, None elsewhere."""
    package, *parts = name.split(".")
    paths = [TOP.joinpath(*parts), TOP.joinpath(*parts[:-1])]
    files = [file for path in paths for file in (path.with_suffix(".py"), path / "__init__.py")]
    return next((file for file in files if package == "skkd" and file in FILES), None)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TOP)))
def test_imports_run_one_way(file):
    room = file.relative_to(TOP).parts[0].removesuffix(".py")
    parts = [module.split(".") for module in imported_modules(file)]
    # skkd itself hands on names of every room.
    imported = {(*names, "__init__")[1] for names in parts if names[0] == "skkd"}
    assert imported <= MAY_IMPORT[room] | {room, "_warnings"}


@pytest.mark.parametrize("room", ["audit", "cost", "faithfulness", "usefulness"])
def test_rooms_of_metrics_share_only_what_lies_between_them(room):
    others = {"audit", "cost", "faithfulness", "usefulness"} - {room}
    for file in (TOP / "metrics" / room).glob("*.py"):
        parts = [module.split(".") for module in imported_modules(file)]
        names = {name for part in parts if part[:2] == ["skkd", "metrics"] for name in part[2:3]}
        assert not names & others


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TOP)))
def test_a_framework_is_imported_in_the_backends_room_alone(file):
    frameworks = {module.split(".")[0] for module in imported_modules(file)}
    # The shap package's DeepExplainer is written for TensorFlow alone.
    if file.parent.name != "_backend" and file.name != "_shap_package.py":
        assert not frameworks & {"tensorflow", "jax", "torch"}


def test_no_files_import_each_other_in_a_circle():
    graph = {file: set(imported_files(file)) - {None} for file in FILES}
    assert TOP / "models" / "_graph.py" in graph[TOP / "models" / "_head.py"]
    # Raises CycleError, which names the circle.
    TopologicalSorter(graph).prepare()
