"""A study in its folder, stage by stage."""

import json
import time
from pathlib import Path

import pandas as pd

from skkd.distillation import load_teacher
from skkd.models._progress import in_words
from skkd.study import _auditing, _data, _explaining, _models
from skkd.study._stages import LOCK, Stages, versions, write_json

_RECORD = "study.json"


class Study:
    """A study in its folder: settings, images, stages, and what each left.

    Parameters
    ----------
    settings : Settings
        What to do.
    """

    def __init__(self, settings):
        self.settings = s = settings
        self.out = Path(s.out)
        self.start = time.monotonic()
        self.left_out = []
        if self.out.exists() and not self.out.is_dir():
            raise NotADirectoryError(f"out: {str(self.out)!r} is not a folder")
        self.stages = Stages(self.out / "stages", self.say)
        gray = s.teacher is not None and load_teacher(s.teacher).input_shape[-1] == 1
        self.X, self.table = _data.find_images(s, "grayscale" if gray else "rgb")
        self.classes = classes = sorted(self.table["label"].unique())
        shape = self.X.shape[1:]
        if s.teacher is not None:
            _models.check_teacher(s.teacher, classes, shape)
        _models.check_student(s, classes, shape)
        files = {"teacher": s.teacher, "weights": s.weights}
        self.identity = {
            "settings": s.of_the_result(),
            "data": _data.digest(self.X, self.table),
        } | {
            name: _models.file_digest(path) if path and Path(path).is_file() else path
            for name, path in files.items()
        }

    def say(self, line):
        """Print how far the study is."""
        if self.settings.verbose:
            minutes, seconds = divmod(int(time.monotonic() - self.start), 60)
            print(f"[{minutes:3d}:{seconds:02d}] {line}", flush=True)

    def begin(self):
        """Write down which study this is, or raise ValueError if the folder holds another."""
        record = self.out / _RECORD
        if record.exists():
            _check_same(_read_identity(record), self.identity, self.out)
            return
        if self.settings.teacher is None:
            _models.check_teacher_network(self.settings, self.classes, self.X.shape[1:])
        names = {path.name for path in self.out.iterdir()} if self.out.exists() else set()
        if "stages" not in names and names - {f"{_RECORD}.part", LOCK}:
            raise ValueError(
                f"out: {str(self.out)!r} holds other files and no study; choose another folder"
            )
        self.out.mkdir(parents=True, exist_ok=True)
        write_json(record, {"identity": self.identity, "versions": versions()})

    def split(self):
        """Return the images dealt to their parts, and what leaks."""
        inputs = {"data": self.identity["data"], "random_state": self.settings.random_state}
        folder = self.stages.run(
            "split",
            inputs,
            lambda folder: _data.split(self.X, self.table, self.settings, folder),
        )
        self.split_name = folder.name
        return _data.read_split(self.X, self.table, folder)

    def teacher(self, images):
        """Return the path of the teacher's file, and the folder of what it says."""
        s = self.settings
        if s.teacher is not None:
            path, self.of_teacher = Path(s.teacher), self.identity["teacher"]
        else:
            inputs = self._inputs(
                *("backbone", "preprocessing", "teacher_learning_rate", "epochs"),
                *("teacher_epochs", "batch_size", "random_state"),
            )
            folder = self.stages.run(
                "teacher",
                inputs | {"weights": self.identity["weights"]},
                lambda folder: _models.train_teacher(s, images, self.say, folder),
            )
            path, self.of_teacher = folder / "teacher.keras", folder.name
        said = self.stages.run(
            "teacher-says",
            {"split": self.split_name, "teacher": self.of_teacher},
            lambda folder: _models.ask_teacher(path, images, folder),
        )
        return path, said

    def students(self, images, teacher, kinds, needed):
        """Return the folders of students by kind and seed.

        Parameters
        ----------
        images : Images
            The images.
        teacher : path
            The teacher's file.
        kinds : list of Kind
            What to train.
        needed : int
            Number of kinds, from the first, of which one seed is trained whatever the time.
        """
        folders = {}
        todo = [(seed, kind) for seed in _models.seeds(self.settings) for kind in kinds]
        clock, n_trained = time.monotonic(), 0
        for number, (seed, kind) in enumerate(todo):
            is_needed = kind not in folders and kinds.index(kind) < needed
            is_done = self.stages.is_done(*self._student(kind, seed))
            if not (is_needed or is_done or self.has_time()):
                self.left_out.append(f"{kind}, seed {seed}")
                continue
            if n_trained and not is_done:
                each = (time.monotonic() - clock) / n_trained
                left = in_words(each * (len(todo) - number))
                self.say(f"student {number + 1} of {len(todo)}; about {left} for those left")
            folders.setdefault(kind, {})[seed] = self._trained(images, teacher, kind, seed)
            n_trained += not is_done
        return folders

    def _student(self, kind, seed):
        """Return the name and the inputs of a student's stage."""
        inputs = self._inputs("student", "epochs", "batch_size") | {
            "kind": list(kind),
            "seed": seed,
            "teacher": None if kind.is_plain else self.of_teacher,
        }
        words = ["plain"] if kind.is_plain else [kind.soft_loss, f"{kind.alpha:g}"]
        words += [] if kind.is_plain else [f"{kind.temperature:g}"]
        words += [] if kind.n_labels is None else [f"{kind.n_labels}labels"]
        return "-".join(["student", *words, f"seed{seed}"]), inputs

    def _trained(self, images, teacher, kind, seed):
        memory = self.out / "stages" / "asked"
        name, inputs = self._student(kind, seed)
        return self.stages.run(
            name,
            inputs,
            lambda folder: _models.train_student(
                self.settings, images, teacher, kind, seed, memory, self.say, folder
            ),
        )

    def looked_at(self, images, models, student, predicted):
        """Return tables of the explanations, of their cost, and of subgroups and shortcuts.

        Parameters
        ----------
        images : Images
            The images.
        models : dict of str to path
            The files of the teacher and the student.
        student : path
            The folder of the student.
        predicted : ndarray of shape (n_test,)
            What the student says of the test images.

        Returns
        -------
        maps : path
            Folder of the maps of the viewer.
        tables : dict of str to DataFrame
            "fidelity", "timing", "subgroups" and "shortcuts".
        """
        s = self.settings
        both = {"teacher": self.of_teacher, "student": student.name}
        intervals = ("confidence", "n_resamples", "random_state")
        chosen = _explaining.choose_images(images, predicted, s.n_explained)
        maps = self.stages.run(
            "explanations",
            self._inputs("n_explained", "random_state") | both,
            lambda folder: _explaining.explain(models, images, chosen, s, self.say, folder),
        )
        fidelity = self.stages.run(
            "fidelity",
            self._inputs("n_fidelity", *intervals) | both,
            lambda folder: _explaining.measure_fidelity(models, images, s, self.say, folder),
        )
        cost = self.stages.run(
            "cost",
            self._inputs("random_state") | both,
            lambda folder: _explaining.measure_cost(models, images, s, self.say, folder),
        )
        audited = self.stages.run(
            "audit",
            self._inputs(*intervals) | {"student": student.name},
            lambda folder: _auditing.audit(
                student / "student.skkd", images, s.data is not None, s, self.say, folder
            ),
        )
        tables = {
            "fidelity": fidelity / "fidelity.csv",
            "timing": cost / "timing.csv",
            "subgroups": audited / "subgroups.csv",
            "shortcuts": audited / "shortcuts.csv",
        }
        # A class may be called "None" or "NA".
        read = {"keep_default_na": False, "na_values": [""]}
        return maps, {name: pd.read_csv(path, **read) for name, path in tables.items()}

    def has_time(self):
        """Return whether there is time for more than what a report needs."""
        budget = self.settings.budget
        return budget is None or time.monotonic() - self.start < 60 * budget

    def _inputs(self, *names):
        settings = self.settings.of_the_result()
        return {"split": self.split_name} | {name: settings[name] for name in names}


def _read_identity(record):
    try:
        identity = json.loads(record.read_text(encoding="utf-8"))["identity"]
        if {"settings", "data", "teacher", "weights"} <= set(identity):
            return identity
        raise ValueError("it does not say of which study it is")
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"out: {str(record)!r} is damaged ({error}); remove it, the stages beside it are kept"
        ) from error


def _check_same(before, now, out):
    for name, value in now["settings"].items():
        was = before["settings"].get(name)
        if was != value:
            raise ValueError(
                f"out: {str(out)!r} holds a study with {name}={was!r}, not {value!r}; choose "
                f"another folder, or that {name}"
            )
    for name in ("data", "teacher", "weights"):
        if before[name] != now[name]:
            raise ValueError(
                f"out: {str(out)!r} holds a study of other {name}, or of these before they were "
                "changed; choose another folder"
            )
