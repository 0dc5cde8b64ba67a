"""What teachers add to the lessons of labels."""

from dataclasses import replace
from functools import partial

import numpy as np

from skkd.distillation._teachers import match_classes
from skkd.images._stores import JoinedImages
from skkd.models._features import with_features
from skkd.models._lessons import Question


def with_unlabeled(lessons, images, ratio):
    """Add images that nobody labeled, of which only teachers know something.

    Parameters
    ----------
    lessons : Lessons
        Of labels.
    images : array-like of shape (n_unlabeled, ...)
        The images.
    ratio : float or None
        Unlabeled images for each labeled one in a batch; None keeps their proportion.

    Returns
    -------
    lessons : Lessons
        With the unlabeled images behind the labeled ones.
    """
    n_labeled, n_all = len(lessons.images), len(lessons.images) + len(images)
    labels, weight = lessons.targets["labels"], lessons.sample_weight
    return replace(
        lessons,
        images=JoinedImages(lessons.images, images),
        targets={"labels": np.pad(labels, [(0, len(images)), (0, 0)])},
        sample_weight=np.pad(weight, (0, len(images)), constant_values=1),
        mixing={"extra_rows": np.arange(n_labeled, n_all), "extra_ratio": ratio},
        key=(*lessons.key, ratio),
    )


def with_loss(lessons, loss):
    """Leave room in the targets for what a distillation loss compares."""
    n_images = len(lessons.images)
    rest = {
        part: np.zeros((n_images, width), np.float32)
        for part, width in loss.target_columns.widths.items()
        if part != "labels"
    }
    rest["weight"] = lessons.sample_weight[:, None]
    targets = {**lessons.targets, **rest}
    return replace(lessons, targets=targets, loss=loss, columns=loss.target_columns)


def with_given_logits(lessons, logits, labels, classes):
    """Learn what a teacher said elsewhere about the labeled images.

    Parameters
    ----------
    lessons : Lessons
        With room for logits.
    logits : ndarray of shape (n_labeled, n_outputs)
        The teacher's logits.
    labels : array-like of shape (n_outputs,) or None
        Class label of each.
    classes : ndarray of shape (n_classes,)
        The student's classes.

    Returns
    -------
    lessons : Lessons
        The same, with the logits of the labeled images.
    """
    given = match_classes(logits, labels, classes)
    lessons.targets["logits"][: len(given)] = given
    return lessons


def with_teachers(lessons, teachers, temperature, memory, *, unlabeled_only=False):
    """Ask teachers about every image that the student will see.

    Parameters
    ----------
    lessons : Lessons
        With room for logits.
    teachers : Teachers
        Whom to ask.
    temperature : float
        The temperature at which their probabilities are averaged.
    memory : path, joblib.Memory or None
        Folder in which their outputs are kept.
    unlabeled_only : bool, default=False
        Ask about unlabeled images alone, as the logits of the others were given.

    Returns
    -------
    lessons : Lessons
        With a question, and where views are drawn anew in every epoch, with the teachers live.
    """
    rows = lessons.shown_rows
    if unlabeled_only:
        rows = rows[rows >= len(lessons.labels)]
    answers = teachers.remembering(temperature, memory)
    questions = [*lessons.questions, Question("logits", rows, answers)]
    if "augment" not in lessons.mixing:
        return replace(lessons, questions=questions)

    def retarget(images, targets):
        targets = targets.copy()
        logits = teachers.logits(images, temperature)
        lessons.columns.split(targets)["logits"][:] = logits
        return targets

    return replace(
        lessons,
        questions=questions,
        mixing={**lessons.mixing, "retarget": retarget},
        key=(*lessons.key, *(member.fingerprint() for member in teachers.members)),
    )


def with_hints(lessons, features, batch_size):
    """Ask what a teacher's hidden layers see in every image.

    Parameters
    ----------
    lessons : Lessons
        With room for features.
    features : TeacherFeatures
        The layers.
    batch_size : int
        Images that the teacher sees at a time.

    Returns
    -------
    lessons : Lessons
        With a question, and a network that gives its features too.
    """
    network = lessons.network and partial(with_features, lessons.network, **features.attachment)
    question = Question("hints", lessons.shown_rows, features.answering(batch_size))
    return replace(lessons, network=network, questions=[*lessons.questions, question])
