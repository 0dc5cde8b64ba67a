"""Ratios of times, measured in turn."""

import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from typing import NamedTuple


class Row(NamedTuple):
    """One line of the table: how many times as long, against what, and what was aimed at."""

    what: str
    against: str
    ratios: list
    target: float
    seconds: float

    @property
    def median(self):
        return statistics.median(self.ratios)

    @property
    def met(self):
        return self.median <= self.target


def in_turn(ways, repeats, clock=time.perf_counter):
    """Run every way once, then all in turn, and return the seconds of each turn."""
    for way in ways.values():
        way()
    seconds = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            start = clock()
            way()
            seconds[name].append(clock() - start)
    return seconds


def in_new_process(module, *arguments, **environment):
    """Run a benchmark's own job in a process of its own, and return what it prints last."""
    command = [sys.executable, "-m", module, "--run", *map(str, arguments)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def row(what, ours, against, theirs, target):
    """Return the line of two lists of seconds that were taken in turn."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Row(what, against, ratios, target, statistics.median(ours))


def rows_of(name, full):
    """Return the lines of one benchmark."""
    return importlib.import_module(f"benchmarks.{name}").rows(full)


def importable(name):
    """Return whether a peer can be imported, and say where it cannot."""
    try:
        importlib.import_module(name)
    except ImportError as error:
        print(f"{name} is left out: {error}", flush=True)
        return False
    return True
