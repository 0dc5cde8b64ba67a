"""What a study is to do."""

import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from numbers import Integral, Real

import numpy as np

# Sets that skkd.datasets fetches by name.
SETS = ("brain_tumor", "eye_disease", "alzheimer")
# What may change between two runs of one study: what changes no result, and where files lie, whose
# content is compared.
_NOT_OF_THE_RESULT = (
    *("out", "budget", "verbose"),
    *("data", "manifest", "patients", "teacher", "weights"),
)
_TEXTS = (
    *("data", "out", "manifest", "patients", "teacher", "backbone", "weights"),
    *("preprocessing", "student"),
)
_LEAST = {
    "image_size": 8,
    "seeds": 1,
    "epochs": 1,
    "batch_size": 1,
    "n_explained": 1,
    "n_fidelity": 1,
    "n_resamples": 1,
    "random_state": 0,
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a study; see `run_study` for what each means."""

    data: str | None
    out: str
    manifest: str | None
    patients: str | None
    teacher: str | None
    backbone: str | None
    weights: str | None
    preprocessing: str | None
    teacher_learning_rate: float | None
    teacher_epochs: int | None
    student: str
    image_size: int
    limit: int | None
    alphas: tuple
    temperatures: tuple
    seeds: int
    few_labels: int | None
    epochs: int
    batch_size: int
    n_explained: int
    n_fidelity: int
    confidence: float
    n_resamples: int
    random_state: int
    budget: float | None
    verbose: int

    def __post_init__(self):
        for name in ("data", "out", "manifest", "teacher", "weights"):
            if isinstance(value := getattr(self, name), os.PathLike):
                self._set(name, os.fspath(value))
        for name in ("weights", "preprocessing"):
            if getattr(self, name) == "none":
                self._set(name, None)
        self._check_texts()
        for name, lowest in _LEAST.items():
            self._set(name, _integer(name, getattr(self, name), lowest))
        for name in ("limit", "teacher_epochs", "few_labels"):
            if (value := getattr(self, name)) is not None:
                self._set(name, _integer(name, value, 1, "None or "))
        self._check_numbers()
        self._check_together()

    def _set(self, name, value):
        object.__setattr__(self, name, value)

    def _check_texts(self):
        for name in _TEXTS:
            value = getattr(self, name)
            if not isinstance(value, str | None) or value == "":
                raise ValueError(f"{name} must be a text; got {value!r}")

    def _check_numbers(self):
        for name, test, asked in (
            ("alphas", lambda a: 0 <= a <= 1, "in [0, 1]"),
            ("temperatures", lambda t: 0 < t < float("inf"), "above 0"),
        ):
            values = getattr(self, name)
            values = (values,) if isinstance(values, Real) else values
            right = isinstance(values, Iterable) and not isinstance(values, str)
            values = list(values) if right else []
            if not values or not all(_is_number(v) and test(v) for v in values):
                raise ValueError(f"{name} must be numbers {asked}; got {getattr(self, name)!r}")
            self._set(name, tuple(dict.fromkeys(map(float, values))))
        if min(self.alphas) == 1:
            raise ValueError(
                "alphas must have one below 1: with 1 a student learns from labels alone, and such "
                f"a one is always trained; got {self.alphas}"
            )
        if not _is_number(self.confidence) or not 0 < self.confidence < 1:
            raise ValueError(f"confidence must be a number in (0, 1); got {self.confidence!r}")
        for name in ("budget", "teacher_learning_rate"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and 0 < value < float("inf")):
                raise ValueError(f"{name} must be None or a number above 0; got {value!r}")
        if self.random_state + self.seeds > 2**32:
            raise ValueError(
                f"random_state must be below {2**32 - self.seeds}, for seeds={self.seeds}; got "
                f"{self.random_state}"
            )
        if self.verbose not in (0, 1):
            raise ValueError(f"verbose must be 0 or 1; got {self.verbose!r}")

    def _check_together(self):
        if self.teacher is not None and (self.backbone or self.weights):
            raise ValueError(
                f"teacher={self.teacher!r} is trained already: leave out backbone and weights"
            )
        if self.weights is not None and self.backbone is None:
            raise ValueError(
                f"weights={self.weights!r} are those of a backbone: pass backbone, such as "
                "'mobilenetv2'"
            )
        if self.data is None and (self.manifest or self.patients):
            raise ValueError("manifest and patients are about files of data: pass data, a folder")
        if self.manifest is not None and self.data in SETS:
            raise ValueError(f"manifest is about a folder, but data={self.data!r} is a public set")

    def of_the_result(self):
        """Return the settings that a result depends on, as JSON holds them."""
        return {
            field.name: list(value) if isinstance(value, tuple) else value
            for field in fields(self)
            if field.name not in _NOT_OF_THE_RESULT
            for value in [getattr(self, field.name)]
        }


def _is_number(value):
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def _integer(name, value, lowest, other=""):
    """Return a setting as an int, or raise ValueError."""
    is_integer = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_integer or value < lowest:
        raise ValueError(f"{name} must be {other}an integer of at least {lowest}; got {value!r}")
    return int(value)


def read_config(path):
    """Return the settings that a TOML file has, at its top level or in a table ``[study]``.

    Parameters
    ----------
    path : str or path
        The file.
    """
    with open(path, "rb") as file:
        try:
            content = tomllib.load(file)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"config: {os.fspath(path)} is no TOML: {error}") from error
    if isinstance(study := content.get("study"), dict):
        if others := sorted(set(content) - {"study"}):
            raise ValueError(
                f"config: {os.fspath(path)} has {others[0]!r} outside of its table [study]; "
                "settings stand in that table, or all without one"
            )
        content = study
    names = [field.name for field in fields(Settings)]
    if unknown := sorted(set(content) - set(names)):
        raise ValueError(
            f"config: {os.fspath(path)} has the setting {unknown[0]!r}, which a study has not; it "
            f"has {', '.join(names)}"
        )
    return content
