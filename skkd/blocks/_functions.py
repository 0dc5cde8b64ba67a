"""What is said about a block of image files, by a model that each process reads once."""

import os
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from skkd.blocks._listed import listed
from skkd.distillation import load_teacher
from skkd.distillation._keras_teacher import KerasTeacher
from skkd.explanation import BaseExplainer
from skkd.images import ImagePaths
from skkd.models._batches import predict
from skkd.models._estimators import find_classifier, read_for
from skkd.models._read_once import read_once
from skkd.persistence import load


def predict_block(paths, model) -> pd.DataFrame:
    """Predict the classes of a block of image files.

    A plain function that Dask, Ray Data and Spark can call on any machine that sees the files. A
    process reads the model in its first call and keeps it.

    Parameters
    ----------
    paths : array-like of str or path of shape (n,)
        Image files, such as a partition of a Dask or Spark column or a batch of Ray Data. They are
        read a few at a time, as those of training were.
    model : str or path
        A file: a classifier that ``save`` wrote, or a ``.keras`` or ``.h5`` file of a whole model.

    Returns
    -------
    predictions : DataFrame of shape (n, 1 + n_classes)
        "path", and a column of probabilities for each class, under its label as a text; those of a
        Keras model are "0", "1" and so on. Of no paths, the same columns without rows, which is
        what Dask calls ``meta``. The index is that of `paths` if it is a Series.

    See Also
    --------
    write_block : Writes the results of blocks so that an interrupted run goes on.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skkd import FiveBlockCNN
    >>> from skkd.blocks import predict_block
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model = Path(folder, "student.keras")
    ...     FiveBlockCNN(filters=(4,)).build((8, 8, 1), n_classes=2).save(model)
    ...     Image.new("L", (8, 8)).save(Path(folder, "scan.png"))
    ...     predictions = predict_block([Path(folder, "scan.png")], model)
    >>> predictions.columns.tolist(), predictions.shape
    (['path', '0', '1'], (1, 3))
    """
    names = listed(paths)
    classifier = _kept(model, "model", _read_classifier)
    labels = classifier.classes_
    values = classifier.predict_proba(names) if names else np.empty((0, len(labels)))
    return _table(paths, values, labels)


def teacher_block(
    paths, teacher, *, color_mode, image_size=None, window="header", batch_size=32
) -> pd.DataFrame:
    """Ask a teacher about a block of image files.

    The answers of all blocks, in the order of X, are what ``KDClassifier(...).fit`` takes as
    ``teacher_logits``: the student is then trained without the teacher.

    Parameters
    ----------
    paths : array-like of str or path of shape (n,)
        Image files, as for `predict_block`.
    teacher : str or path
        A file, as `model` for `predict_block`, which a process reads once.
    color_mode : {"grayscale", "rgb"}
        Channels that the student reads; the teacher is shown what the student will see.
    image_size : tuple of (height, width), default=None
        Size that the student reads, if it says one.
    window : "header", str or tuple of (center, width), default="header"
        That of the student.
    batch_size : int, default=32
        Images that the teacher sees at a time.

    Returns
    -------
    answers : DataFrame of shape (n, 1 + n_outputs)
        "path", and a column of logits for each output, under its label as a text, as for
        `predict_block`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skkd import FiveBlockCNN
    >>> from skkd.blocks import teacher_block
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     teacher = Path(folder, "teacher.keras")
    ...     FiveBlockCNN(filters=(4,)).build((8, 8, 1), n_classes=3).save(teacher)
    ...     Image.new("L", (8, 8)).save(Path(folder, "scan.png"))
    ...     answers = teacher_block([Path(folder, "scan.png")], teacher, color_mode="grayscale")
    >>> answers.columns.tolist()
    ['path', '0', '1', '2']
    """
    if color_mode not in ("grayscale", "rgb"):
        # What all files of a block are says nothing about those of the next.
        raise ValueError(f"color_mode must be 'grayscale' or 'rgb'; got {color_mode!r}")
    names = listed(paths)
    asked, labels = _kept(teacher, "teacher", _read_teacher)
    if not names:
        return _table(paths, np.empty((0, len(labels))), labels)
    images = ImagePaths(names, image_size=image_size, color_mode=color_mode, window=window)
    return _table(paths, asked.logits(images, batch_size), labels)


def explain_block(paths, explainer) -> np.ndarray:
    """Explain a block of image files.

    Parameters
    ----------
    paths : array-like of str or path of shape (n,)
        Image files, as for `predict_block`; at least one.
    explainer : str or path
        A file that ``save`` of an explainer wrote, which a process reads once.

    Returns
    -------
    maps : ndarray of shape (n, ...), float32
        What the explainer's ``transform`` returns.
    """
    names = listed(paths)
    if not names:
        raise ValueError("paths must name at least one image file; got none")
    return np.asarray(_kept(explainer, "explainer", _read_explainer).transform(names))


class _Network:
    """A Keras model as a classifier of files."""

    def __init__(self, model):
        self._model = model
        _, head, self.classes_, _ = find_classifier(model)
        self._network = head.probability_model()

    def predict_proba(self, paths):
        values = predict(self._network, read_for(self._model, paths), batch_size=32)
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            raise ValueError(f"model: it gives NaN or infinity for {paths[finite.argmin()]}")
        return values


def _kept(path, name, read):
    """Return what was read from a file, in this process's first call."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"{name} must be the path of a file, which each process reads for itself; got a "
            f"{type(path).__name__}: save it first"
        )
    return read_once(path, read)


def _read(path):
    return load_teacher(path) if Path(path).suffix in (".keras", ".h5") else load(path)


def _read_classifier(path):
    found = _read(path)
    if isinstance(found, keras.Model):
        return _Network(found)
    if not hasattr(found, "predict_proba"):
        raise ValueError(f"model: {os.fspath(path)!r} holds a {type(found).__name__}")
    return found


def _read_teacher(path):
    found = _read(path)
    model = found if isinstance(found, keras.Model) else getattr(found, "model_", None)
    if model is None or isinstance(found, BaseExplainer):
        raise ValueError(f"teacher: {os.fspath(path)!r} holds a {type(found).__name__}")
    asked = KerasTeacher(model)
    labels = getattr(found, "classes_", None)
    n_outputs = asked.network.output_shape[-1]
    return asked, np.arange(n_outputs) if labels is None else labels


def _read_explainer(path):
    found = _read(path)
    if not isinstance(found, BaseExplainer):
        raise ValueError(f"explainer: {os.fspath(path)!r} holds a {type(found).__name__}")
    return found


def _table(paths, values, labels):
    """Return results beside their files, with an engine's own index if it has one."""
    names = [str(label) for label in labels]
    if "path" in names:
        raise ValueError("a class is called 'path', as the column of files is; rename the class")
    index = paths.index if isinstance(paths, pd.Series) else None
    table = pd.DataFrame(values, columns=names, index=index)
    table.insert(0, "path", pd.Series([os.fsdecode(path) for path in paths], index, dtype="str"))
    return table
