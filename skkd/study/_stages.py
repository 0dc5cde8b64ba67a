"""Stages of a study, each finished once."""

import contextlib
import hashlib
import json
import math
import os
import platform
import shutil
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import keras

import skkd
from skkd.models._progress import SECONDS_BETWEEN_LINES, in_words

# The file by which a process says that it works in a folder.
LOCK = ".lock"
_PACKAGES = ("skkd", "keras", "tensorflow", "jax", "torch", "scikit-learn", "numpy", "pandas")


class Stages:
    """Folders of finished stages, known by what went into them.

    A stage writes into a folder ``name-key.part``, which is renamed when the stage is finished. So
    what is there is whole, whatever ended the process, and what a stage had written when it was cut
    off is there for it to go on from.

    Parameters
    ----------
    folder : path
        Where the folders lie.
    say : callable
        Takes a line that tells how far the study is.
    """

    def __init__(self, folder, say):
        self.folder = Path(folder)
        self.say = say
        # Seconds that each stage took, in this run or the one that finished it, and on what.
        self.seconds = {}
        self.versions = []

    def run(self, name, inputs, work):
        """Return the folder of a stage, and do its work unless that is done.

        Parameters
        ----------
        name : str
            What the stage is called.
        inputs : dict
            All that its result depends on, as JSON holds it: settings, and the folders of the
            stages before it by their names.
        work : callable
            Takes the folder to write into.
        """
        folder = self.folder_of(name, inputs)
        record = folder / "stage.json"
        if record.exists():
            content = json.loads(record.read_text(encoding="utf-8"))
            self.seconds[name] = content["seconds"]
            self._note(content["versions"])
            self.say(f"{name}: done before")
            return folder
        self.say(f"{name}: begun")
        unfinished = folder.with_name(f"{folder.name}.part")
        unfinished.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        work(unfinished)
        self.seconds[name] = time.perf_counter() - start
        content = {
            "name": name,
            "inputs": inputs,
            "seconds": self.seconds[name],
            "versions": versions(),
        }
        write_json(unfinished / "stage.json", content)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(unfinished, folder)
        self._note(content["versions"])
        self.say(f"{name}: {self.seconds[name]:.0f} s")
        return folder

    def _note(self, of_stage):
        if of_stage not in self.versions:
            self.versions.append(of_stage)

    def is_done(self, name, inputs):
        """Return whether the work of a stage is done."""
        return (self.folder_of(name, inputs) / "stage.json").exists()

    def folder_of(self, name, inputs):
        """Return where a stage of these inputs is kept."""
        made_by = [skkd.__version__, keras.__version__, keras.backend.backend()]
        content = json.dumps([name, made_by, inputs], sort_keys=True)
        return self.folder / f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def versions():
    """Return the versions and the machine that results depend on."""
    found = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "backend": keras.backend.backend(),
    }
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {**found, "skkd": skkd.__version__}


class Steps:
    """Say how far a stage of several steps is, and how long the rest will take.

    Parameters
    ----------
    say : callable
        Takes a line.
    what : str
        The stage.
    n : int
        Number of steps.
    """

    def __init__(self, say, what, n):
        self.say, self.what, self.n = say, what, n
        self.done, self.start = 0, time.monotonic()
        self.said = -math.inf

    def step(self):
        """Say that a step is done, unless it was the last one or another just before it."""
        self.done += 1
        now = time.monotonic()
        if self.done < self.n and now - self.said >= SECONDS_BETWEEN_LINES:
            left = (now - self.start) / self.done * (self.n - self.done)
            self.say(f"{self.what}: {self.done} of {self.n} done, about {in_words(left)} left")
            self.said = now


@contextlib.contextmanager
def alone_in(folder):
    """Keep other processes from working in a folder, or raise ValueError if one does."""
    with open(folder / LOCK, "w", encoding="utf-8") as file:
        try:
            import fcntl

            # The system gives it back whatever ends the process.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass
        except BlockingIOError as error:
            raise ValueError(
                f"out: another process works in {str(folder)!r}; wait for it, or choose another "
                "folder"
            ) from error
        yield


def write_json(path, content):
    """Write a file that is whole or not there."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def write_text(path, text):
    """Write a file that is whole or not there."""
    path = Path(path)
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)
