"""The teacher of a study and its students."""

import hashlib
import json
import math
from typing import NamedTuple

import numpy as np

from skkd.distillation import KDClassifier, load_teacher
from skkd.models import FiveBlockCNN, NetworkClassifier, TransferNet
from skkd.models._architecture import as_network, build_network
from skkd.models._head import find_head
from skkd.models._progress import EpochLines


class Kind(NamedTuple):
    """How a student is taught, but for its seed.

    Parameters
    ----------
    alpha : float
        Weight of the labels; 1 is a plain student, without a teacher.
    temperature : float or None
        None of a plain student.
    soft_loss : str or None
        "kl", or "literal", the paper's Eq. 2 as it is printed; None of a plain student.
    n_labels : int or None
        Number of labeled images, all others being unlabeled; None where all have labels.
    """

    alpha: float = 1.0
    temperature: float | None = None
    soft_loss: str | None = None
    n_labels: int | None = None

    @property
    def is_plain(self):
        return self.soft_loss is None

    def __str__(self):
        taught = (
            "labels alone" if self.is_plain else f"alpha {self.alpha:g}, T {self.temperature:g}"
        )
        taught += " as printed" if self.soft_loss == "literal" else ""
        return taught if self.n_labels is None else f"{taught}, {self.n_labels} labels"


PLAIN = Kind()


def grid(settings):
    """Return the kinds of student that are searched."""
    return [
        Kind(float(alpha), float(temperature), "kl")
        for alpha in settings.alphas
        if alpha < 1
        for temperature in settings.temperatures
    ]


def seeds(settings):
    """Return the seeds of the students."""
    return range(settings.random_state, settings.random_state + settings.seeds)


def check_teacher(path, classes, image_shape):
    """Read a teacher's file before anything takes time, and return the model."""
    teacher = load_teacher(path)
    n_outputs = 1 if len(classes) == 2 and teacher.output_shape[1:] == (1,) else len(classes)
    if teacher.output_shape[1:] != (n_outputs,):
        raise ValueError(
            f"teacher: {path} has outputs of shape {teacher.output_shape[1:]}, but the images are "
            f"of {len(classes)} classes: {', '.join(classes)}"
        )
    taken = teacher.input_shape[1:]
    if len(teacher.inputs) != 1 or len(taken) != 3:
        raise ValueError(f"teacher: {path} takes no images: its input is {teacher.input_shape}")
    *sides, channels = taken
    if channels not in (None, image_shape[-1]):
        raise ValueError(
            f"teacher: {path} takes images of {channels} channels, but those of a study have 1 or 3"
        )
    if any(side not in (None, image_shape[0]) for side in sides):
        same = sides[0] == sides[1]
        raise ValueError(
            f"teacher: {path} takes images of {sides[0]} x {sides[1]} pixels, but the study has "
            f"images of {image_shape[0]} x {image_shape[1]}: "
            + (f"set image_size={sides[0]}" if same else "images of a study are squares")
        )
    find_head(teacher, len(classes))
    return teacher


def check_teacher_network(settings, classes, image_shape):
    """Raise ValueError if the teacher to train cannot be made of the settings."""
    try:
        teacher_classifier(settings).network.build(image_shape, len(classes))
    except ValueError as error:
        raise ValueError(f"backbone: {error}") from error


def count_few_labels(images, n):
    """Return how many labels are drawn where n are asked for, as many of each class.

    Raises ValueError if there is not one of each class, or if they are all that there are.
    """
    y = images.part("train")[1]
    n_classes = len(images.classes)
    if n < n_classes:
        raise ValueError(f"few_labels must be at least one of each of {n_classes} classes; got {n}")
    n_drawn = len(draw_of_each(y, n, 0))
    if n_drawn == len(y):
        raise ValueError(
            f"few_labels must leave images without labels; got {n}, and there are {len(y)} images "
            "to learn from"
        )
    return n_drawn


def check_student(settings, classes, image_shape):
    """Raise ValueError if there is no such student, before a teacher is trained for it."""
    try:
        build_network(as_network(settings.student, image_shape), image_shape, len(classes))
    except ValueError as error:
        raise ValueError(f"student: {error}") from error


def file_digest(path):
    """Return the SHA-256 digest of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def teacher_classifier(settings, **parameters):
    """Return the classifier that becomes the teacher where none is given."""
    rate = settings.teacher_learning_rate
    if settings.backbone is None:
        # Twice as wide as the default student.
        network = FiveBlockCNN(filters=(64, 128, 256, 512, 512), dense=(512,))
        rate = rate or 1e-3
    else:
        network = TransferNet(
            settings.backbone,
            weights=None if settings.weights in (None, "none") else settings.weights,
            preprocessing=settings.preprocessing,
        )
        rate = rate or 1e-4
    return NetworkClassifier(
        network,
        learning_rate=rate,
        epochs=settings.teacher_epochs or settings.epochs,
        batch_size=settings.batch_size,
        random_state=settings.random_state,
        **parameters,
    )


def train_teacher(settings, images, say, folder):
    """Train the teacher, and write ``teacher.keras``."""
    X, y, _ = images.part("train")
    X_val, y_val, _ = images.part("validation")
    teacher = teacher_classifier(
        settings,
        early_stopping=True,
        checkpoint=folder / "checkpoint",
        callbacks=[EpochLines(say, "teacher")],
    )
    teacher.fit(X, y, X_val=X_val, y_val=y_val)
    teacher.model_.save(folder / "teacher.keras")
    _write_history(teacher, folder)


def ask_teacher(path, images, folder):
    """Write what the teacher says of the images that are not learned from."""
    classifier = as_classifier(load_teacher(path), images.classes)
    _write_predictions(classifier, images, folder)


def student_classifier(settings, seed, **parameters):
    """Return an untrained student."""
    return NetworkClassifier(
        settings.student,
        **{"epochs": settings.epochs}
        | {"batch_size": settings.batch_size, "random_state": seed}
        | parameters,
    )


def train_student(settings, images, teacher, kind, seed, memory, say, folder):
    """Train a student, and write ``student.skkd``, ``student.keras`` and what it predicts.

    A plain student of few labels sees them so often that it is trained in at least as many steps
    as one that has the other images beside them.
    """
    X, y, _ = images.part("train")
    X_val, y_val, _ = images.part("validation")
    given = {"X_val": X_val, "y_val": y_val}
    parameters = {"callbacks": [EpochLines(say, f"student, {kind}")]}
    if kind.n_labels is not None:
        labeled = draw_of_each(y, settings.few_labels, seed)
        if kind.is_plain:
            n_steps, n_fewer = (math.ceil(len(r) / settings.batch_size) for r in (y, labeled))
            parameters["epochs"] = math.ceil(settings.epochs * n_steps / n_fewer)
        else:
            given["X_unlabeled"] = X[np.setdiff1d(np.arange(len(y)), labeled)]
        X, y = X[labeled], y[labeled]
    # No checkpoint: with one, students would not share a compiled network.
    student = student_classifier(settings, seed, **parameters)
    if not kind.is_plain:
        student = KDClassifier(
            teacher,
            student,
            alpha=kind.alpha,
            temperature=kind.temperature,
            soft_loss=kind.soft_loss,
            memory=memory,
        )
    student.fit(X, y, **given)
    fitted = student if kind.is_plain else student.student_
    fitted.set_params(callbacks=None)
    fitted.save(folder / "student.skkd")
    fitted.model_.save(folder / "student.keras")
    _write_history(fitted, folder)
    _write_predictions(fitted, images, folder)


def draw_of_each(y, n, random_state):
    """Return sorted rows, as many of each label as n allows, at least one."""
    order = np.random.RandomState(random_state).permutation(len(y))
    labels = np.unique(y)
    each = max(1, n // len(labels))
    return np.sort(np.concatenate([order[y[order] == label][:each] for label in labels]))


def read_predictions(folder, part):
    """Return the probabilities that a model gives to the images of a part."""
    with np.load(folder / "predictions.npz") as predictions:
        return predictions[part]


def read_history(folder):
    """Return the loss and accuracy of each epoch."""
    return json.loads((folder / "history.json").read_text(encoding="utf-8"))


def as_classifier(model, classes):
    """Return a Keras model as a fitted classifier; its outputs may be logits."""
    return _Model(model, classes)


class _Model:
    def __init__(self, model, classes):
        self.model = find_head(model, len(classes)).probability_model()
        self.classes_ = np.asarray(classes)

    def predict_proba(self, X):
        if isinstance(X, np.ndarray):
            return self.model.predict(X, batch_size=32, verbose=0)
        starts = range(0, len(X), 256)
        return np.concatenate([self.predict_proba(np.asarray(X[i : i + 256])) for i in starts])


def _write_predictions(classifier, images, folder):
    predictions = {
        part: classifier.predict_proba(images.part(part)[0]) for part in ("validation", "test")
    }
    np.savez(folder / "predictions.npz", **predictions)


def _write_history(classifier, folder):
    history = {name: [float(v) for v in values] for name, values in classifier.history_.items()}
    (folder / "history.json").write_text(json.dumps(history), encoding="utf-8")
