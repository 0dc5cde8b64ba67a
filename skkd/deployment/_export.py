"""A student in a file for other runtimes, measured in them."""

import os
import uuid
from pathlib import Path
from time import perf_counter

import keras
import numpy as np
import pandas as pd

from skkd._groups import check_groups
from skkd._warnings import warn
from skkd.deployment import _export_litert, _export_onnx
from skkd.deployment._export_network import find_exported
from skkd.deployment._export_record import make_record
from skkd.metrics import bootstrap_scores

_FORMATS = {"litert": _export_litert, "onnx": _export_onnx}
_QUANTIZERS = (None, "int8", "float16")
# Who writes the format, by Keras's backend; those not here do not.
_WRITERS = {
    ("litert", "tensorflow"): None,
    ("litert", "torch"): "litert_torch",
    ("onnx", "tensorflow"): "tf2onnx",
    ("onnx", "jax"): "jax2onnx",
    ("onnx", "torch"): "onnxscript",
}
_LEAST_RUNS = 30
# Of what a converter says.
_LONGEST = 400
# Probabilities differ by so much from one float32 runtime to another, and by so much where the
# student itself computes in 16 bits.
_ROUNDING, _ROUNDING_16 = 1e-3, 3e-2
# Where labels say nothing: as many changed predictions may cost so much accuracy, and no more.
_MOST_CHANGED = 0.01


def export_student(
    estimator,
    path,
    *,
    format="litert",
    quantize=None,
    X_representative=None,
    X=None,
    y=None,
    groups=None,
    confidence=0.95,
    random_state=None,
) -> pd.DataFrame:
    """Write a trained classifier to a file that runs without Keras, and measure what is in it.

    The network is converted by Keras and quantized by the runtime's own quantizer, ONNX Runtime's
    or LiteRT's. What is then in the file is run in that runtime on the images given, and compared
    with the classifier itself.

    Labels, what the network takes and does to it, versions and the digest of its training data are
    written into the file: for ONNX as its metadata properties, for LiteRT as ``metadata.json`` and
    ``labels.txt`` in a zip archive at the end of the file, which any reader of zip archives opens.

    Parameters
    ----------
    estimator : NetworkClassifier, KDClassifier, keras.Model, Pipeline or fitted search
        A fitted classifier, which is left as it is. A Pipeline may have no step before it, as that
        would not be in the file.
    path : str or path
        The file, ending in ".tflite" or ".onnx". One that is there is replaced; one that could not
        be finished is not left.
    format : {"litert", "onnx"}, default="litert"
        LiteRT, once TensorFlow Lite, is for phones and small boards, ONNX for servers and
        workstations.
    quantize : {"int8", "float16"} or None, default=None
        "int8" keeps weights in a quarter of the bytes, and computes in integers from the first
        layer with weights to the last one; images go in, and probabilities come out, as float32.
        "float16" keeps weights in half the bytes; LiteRT then computes in float32, ONNX Runtime in
        float16 where the processor can. None keeps float32.
    X_representative : array-like of images, or paths, default=None
        A few hundred images like those that the network will see, best of the training images,
        from which "int8" takes the ranges of values within the network. Needed for "int8" only.
    X : array-like of images or of rows of a table, or paths, default=None
        Images on which the file is compared with the classifier, best the test images. None takes
        ``X_representative``.
    y : array-like of shape (n,), default=None
        True labels of X. Without them accuracy is not measured.
    groups : array-like of shape (n,), default=None
        Patient of each image of X, for the intervals.
    confidence : float, default=0.95
        Confidence of the intervals, in (0, 1).
    random_state : int, RandomState instance or None, default=None
        Seed of the bootstrap.

    Returns
    -------
    report : pandas.DataFrame
        A row for the student, for its network converted in float32, and for what `quantize` made
        of that, with the columns

        - "bytes", "share": size of the file, metadata included, and its share of float32's;
        - "ms": median time of one image, in milliseconds, in batches of one on one thread of this
          machine, reading not included; not measured for the student in Keras;
        - "n_images", "max_difference", "n_changed": images compared, largest difference of a
          probability from the student's, and number of predictions that are others;
        - "accuracy", "low", "high": with its bootstrap interval;
        - "difference", "difference_low", "difference_high": accuracy less the student's, with the
          interval of the same images drawn for both.

        What was not measured is missing.

    Raises
    ------
    ImportError
        If a package that writes or runs the format is not installed.
    ValueError
        If the network cannot be exported, if "int8" has no representative images, or if images are
        of another shape or type than those of training.

    Warns
    -----
    UserWarning
        If what is in the file is measurably worse: the interval of the difference in accuracy is
        below 0; or, without `quantize`, a prediction changed that rounding does not explain; or,
        without `y`, more than one prediction in a hundred changed.

    See Also
    --------
    model_card : Write down what a file cannot say of itself.

    Notes
    -----
    A student trained with ``dtype_policy="mixed_bfloat16"`` or ``"mixed_float16"`` is written in
    float32, in which its weights are kept.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skkd import FiveBlockCNN, NetworkClassifier
    >>> from skkd.deployment import export_student
    >>> digits = load_digits()
    >>> X, y = digits.images[..., None], digits.target
    >>> student = NetworkClassifier(FiveBlockCNN(filters=(8, 16)), epochs=5, random_state=0)
    >>> report = export_student(
    ...     student.fit(X[:1000], y[:1000]), "student.tflite", quantize="int8",
    ...     X_representative=X[:100], X=X[1000:], y=y[1000:], random_state=0,
    ... )  # doctest: +SKIP
    >>> report[["bytes", "n_changed", "accuracy"]]  # doctest: +SKIP
    """
    if format not in _FORMATS:
        raise ValueError(f"format must be 'litert' or 'onnx'; got {format!r}")
    if quantize not in _QUANTIZERS:
        raise ValueError(f"quantize must be 'int8', 'float16' or None; got {quantize!r}")
    runtime = _FORMATS[format]
    path = _check_path(path, format)
    if quantize == "int8" and X_representative is None:
        raise ValueError(
            "quantize='int8' needs X_representative, a few hundred images like those that the "
            "network will see, such as X_representative=X_train[:200]; quantize='float16' does not"
        )
    if quantize != "int8" and X_representative is not None:
        raise ValueError(
            f"X_representative has no effect with quantize={quantize!r}; images to compare on are X"
        )
    if X is None and y is not None:
        raise ValueError("y has the labels of the images X, which is None")
    if y is None and groups is not None:
        raise ValueError("groups are for the intervals of accuracy, which needs y; got y=None")
    exported = find_exported(estimator)
    representative = (
        None if X_representative is None else exported.read(X_representative, "X_representative")
    )
    images = representative if X is None else exported.read(X, "X")
    if groups is not None:
        groups = check_groups(groups, len(images))
    truth = None if y is None else _check_labels(y, images, exported.classes)
    _check_packages(runtime, format, quantize)

    files = {"float32": _convert(runtime, format, exported)}
    if quantize is not None:
        batches = None if representative is None else exported.batches(representative)
        singles = None if batches is None else (image[None] for batch in batches for image in batch)
        files[quantize] = runtime.quantize(files["float32"], quantize, singles)
    runs = {name: _Run(runtime.load(content), exported) for name, content in files.items()}
    seen = None if images is None else _run_all(runs, exported, images)
    n_representative = 0 if representative is None else len(representative)
    for name, kind in (("float32", None), (quantize, quantize)):
        if name is not None:
            record = make_record(exported, seen, kind, n_representative if kind else 0)
            files[name] = runtime.describe(files[name], record)
    table = pd.DataFrame(
        {
            "bytes": pd.Series({name: len(content) for name, content in files.items()}),
            "ms": pd.Series({name: run.milliseconds() for name, run in runs.items()}),
        },
        index=pd.Index(["student", *files], name="network"),
    ).astype({"bytes": "Int64"})
    table.insert(1, "share", (table["bytes"] / table["bytes"]["float32"]).astype(float))
    if images is not None:
        student = exported.predict_proba(images)
        _compare(table, runs, student)
        if truth is not None:
            options = {
                "labels": exported.classes,
                "groups": groups,
                "confidence": confidence,
                "random_state": random_state,
            }
            _measure_accuracy(table, runs, student, truth, options)
        _warn_if_worse(table, runs, student, exported, quantize)
    _write(path, files[quantize or "float32"])
    return table


class _Run:
    """A file's network at work in its runtime, one image at a time."""

    def __init__(self, run, exported):
        self._run = run
        self.proba, self._times = [], []
        self._blank = exported.blank()
        # The first one takes longer, and shows whether the runtime takes the file at all.
        self._run(self._blank)

    def add(self, image):
        self.proba.append(self._timed(image))

    def milliseconds(self):
        """Return the median time of an image; blank ones take as long, where there are few."""
        while len(self._times) < _LEAST_RUNS:
            self._timed(self._blank)
        return 1e3 * float(np.median(self._times))

    def _timed(self, image):
        start = perf_counter()
        proba = self._run(image)
        self._times.append(perf_counter() - start)
        return np.array(proba[0])


def _run_all(runs, exported, images):
    """Run every file on every image; return the least and the largest value of these."""
    low, high = np.inf, -np.inf
    for batch in exported.batches(images):
        low, high = min(low, batch.min()), max(high, batch.max())
        for run in runs.values():
            for image in batch:
                run.add(image[None])
    for name, run in runs.items():
        run.proba = np.array(run.proba, dtype=np.float64)
        wrong = ~np.isfinite(run.proba).all(axis=1)
        if wrong.any():
            raise ValueError(
                f"the network in {name} gives NaN or infinity for {wrong.sum()} of {len(wrong)} "
                f"images of X, the first in row {wrong.argmax()}; nothing was written. Choose "
                "another quantize"
            )
    return float(low), float(high)


def _compare(table, runs, student):
    table["n_images"] = len(student)
    changed = {name: run.proba.argmax(1) != student.argmax(1) for name, run in runs.items()}
    table["max_difference"] = pd.Series(
        {name: np.abs(run.proba - student).max() for name, run in runs.items()}
    )
    table["n_changed"] = pd.Series({k: v.sum() for k, v in changed.items()}).astype("Int64")


def _measure_accuracy(table, runs, student, truth, options):
    for name, proba in {"student": student, **{k: run.proba for k, run in runs.items()}}.items():
        row = bootstrap_scores("accuracy", truth, proba, **options).iloc[0]
        found = {"accuracy": row["estimate"], "low": row["low"], "high": row["high"]}
        if name != "student":
            row = bootstrap_scores("accuracy", truth, proba, paired_with=student, **options).iloc[0]
            found |= {
                "difference": row["difference"],
                "difference_low": row["low"],
                "difference_high": row["high"],
            }
        table.loc[name, list(found)] = list(found.values())


def _warn_if_worse(table, runs, student, exported, quantize):
    name = quantize or "float32"
    row, proba = table.loc[name], runs[name].proba
    if "difference_high" in table and row["difference_high"] < 0:
        warn(
            f"the network in {name} is measurably worse than the student: accuracy "
            f"{row['accuracy']:.3f} instead of {table.loc['student', 'accuracy']:.3f}, the "
            f"difference in [{row['difference_low']:.3f}, {row['difference_high']:.3f}]"
        )
    elif quantize is None:
        rounding = _ROUNDING_16 if exported.in_16_bits else _ROUNDING
        beyond = np.abs(proba - student).max(axis=1) > rounding
        unexplained = int((beyond & (proba.argmax(1) != student.argmax(1))).sum())
        if unexplained:
            warn(
                f"{unexplained} of {len(proba)} predictions changed by more than rounding "
                f"explains: probabilities differ by up to {row['max_difference']:.2g}. The "
                "conversion is at fault; compare layers, or export in the other format"
            )
    elif "accuracy" not in table and row["n_changed"] > _MOST_CHANGED * len(proba):
        warn(
            f"{row['n_changed']} of {len(proba)} predictions of the network in {name} are others "
            "than the student's; pass y to measure what that costs"
        )


def _check_path(path, format):
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a str or a path; got {path!r}")
    if "\0" in os.fspath(path):
        raise ValueError(f"path must be the name of a file; got {path!r}")
    # Of a link, the file that it leads to is replaced.
    path = Path(os.path.realpath(path))
    suffix = _FORMATS[format].SUFFIX
    if path.suffix != suffix:
        raise ValueError(f"path must end in {suffix!r} for format={format!r}; got {path.name!r}")
    if path.is_dir():
        raise IsADirectoryError(f"path must be a file; {str(path)!r} is a folder")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path: there is no folder {str(path.parent)!r}")
    # Found out now, not when all is done.
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"path: the folder {str(path.parent)!r} cannot be written to")
    return path


def _check_packages(runtime, format, quantize):
    try:
        runtime.check_packages(quantize)
    except ImportError as error:
        raise ImportError(
            f"format={format!r} needs {error.name}: pip install 'skkd[export]'", name=error.name
        ) from error


def _check_labels(y, images, classes):
    y = np.asarray(y)
    if y.shape != (len(images),):
        raise ValueError(
            f"y must have one label for each of the {len(images)} images of X; got shape {y.shape}"
        )
    unknown = pd.unique(y[~pd.Series(y).isin(classes)]).tolist()
    if unknown:
        raise ValueError(f"y must hold only the classes {classes.tolist()}; got {unknown} as well")
    return y


def _convert(runtime, format, exported):
    backend = keras.config.backend()
    if (format, backend) not in _WRITERS:
        raise ValueError(
            f"format={format!r} cannot be written with Keras's backend {backend!r}. Save the "
            "student with its method save, load it in a session with KERAS_BACKEND=tensorflow, "
            "and export it there, or choose another format"
        )
    try:
        # Keras exports to ONNX only what has been called.
        exported.model(exported.blank())
        return runtime.convert(exported.model)
    except ImportError as error:
        needed = error.name or _WRITERS[format, backend]
        raise ImportError(
            f"format={format!r} needs {needed} with Keras's backend {backend!r}: install it, or "
            "save the student with its method save, load it in a session with "
            "KERAS_BACKEND=tensorflow, and export it there",
            name=needed,
        ) from error
    # Converters of four projects fail in ways of their own.
    except Exception as error:
        reason = " ".join(str(error).split())[:_LONGEST]
        raise ValueError(
            f"the network cannot be converted for format={format!r} with Keras's backend "
            f"{backend!r}: {type(error).__name__}: {reason}"
        ) from error


def _write(path, content):
    unfinished = path.with_name(f"{path.name}-{uuid.uuid4().hex}.part")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
