"""Where skkd could run code that came in a file, and why it may."""

import ast
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1] / "skkd"
FILES = sorted(TOP.rglob("*.py"))
LOADERS = {"pickle", "cloudpickle", "dill", "marshal", "joblib", "shelve", "yaml", "torch"}
UNPACK = {"extractall", "unpack_archive", "extract"}
ALLOWED = {
    # A fit's own checkpoint, in a folder that its user names; the docs say that it is a pickle.
    "models/_checkpoint.py": ["joblib.load"],
    # Named by a pickle of a user's callbacks, and called where that pickle is read.
    "models/_callbacks.py": ["cloudpickle.loads"],
    # Copies of layers of this process, whose code runs already.
    "models/_copies.py": ["safe_mode=False"],
}


def ways_to_run_code(file):
    """Yield what in a file reads or runs code that may be another's."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name) and node.id in {"eval", "exec", "compile", "__import__"}:
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in LOADERS and node.attr in {"load", "loads", "open", "Unpickler"}:
                yield f"{node.value.id}.{node.attr}"
            elif (node.value.id, node.attr) in {("os", "system"), ("os", "popen")}:
                yield f"os.{node.attr}"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or ""
            names = [module, *(alias.name for alias in node.names)]
            if "subprocess" in names or (module in LOADERS and {"load", "loads"} & {*names}):
                yield f"import of {names}"
        elif isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant):
            said = (node.arg, node.value.value)
            if said in {("allow_pickle", True), ("safe_mode", False), ("shell", True)}:
                yield f"{node.arg}={node.value.value}"
        if isinstance(node, ast.Attribute) and node.attr in UNPACK:
            yield node.attr


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TOP)))
def test_no_code_is_run_that_came_in_a_file_nor_an_archive_unpacked(file):
    name = file.relative_to(TOP).as_posix()
    assert sorted(ways_to_run_code(file)) == ALLOWED.get(name, [])


def test_ways_to_run_code_are_found(tmp_path):
    code = (
        "eval('1'); exec('1'); pickle.load(f); np.load(f, allow_pickle=True)\n"
        "from joblib import load\nload_model(f, safe_mode=False); zip.extractall(f)\n"
    )
    (tmp_path / "a.py").write_text(code)
    assert len(list(ways_to_run_code(tmp_path / "a.py"))) == 7
