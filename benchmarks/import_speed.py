"""Seconds until names can be used, in new processes."""

import subprocess
import sys

from benchmarks._timing import in_turn, row

STATEMENTS = {
    "import skkd": ("import sklearn", 1.2),
    "from skkd import KDClassifier": ("import scikeras.wrappers", 1.1),
}


def rows(full=False):
    """Return the lines of this benchmark."""

    def importing(statement):
        def way():
            subprocess.run([sys.executable, "-c", statement], check=True, capture_output=True)

        return way

    found = []
    for ours, (theirs, target) in STATEMENTS.items():
        ways = {statement: importing(statement) for statement in (ours, theirs)}
        taken = in_turn(ways, 9 if full else 5)
        found.append(row(ours, taken[ours], theirs, taken[theirs], target))
    return found
