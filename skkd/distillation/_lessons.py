"""What teachers add to the lessons of labels."""

from dataclasses import replace
from functools import partial

import numpy as np

from skkd._warnings import warn
from skkd.distillation._encoded import check_agreement, may_be_encoded
from skkd.distillation._teachers import match_classes
from skkd.images._stores import JoinedImages
from skkd.models._features import with_features
from skkd.models._lessons import Question


def check_lessons(classifier, student, lessons, teachers, hints, given, X_unlabeled):
    """Raise where what a user asks of a KDClassifier does not fit together."""
    n_classes, asked = len(student.classes_), any(one.model is not None for one in teachers)
    if given is not None and len(given) != len(lessons.images):
        raise ValueError(
            f"teacher_logits or teacher_proba has {len(given)} rows, but X has "
            f"{len(lessons.images)} images"
        )
    if hints and not asked:
        raise ValueError("hints need a teacher that is one keras.Model, or the path of one")
    if student.augmentation is not None and given is not None:
        raise ValueError(
            "augmentation shows the student images that teacher_logits and teacher_proba say "
            "nothing about; give a teacher that can be asked instead of them"
        )
    if student.augmentation is not None and hints and student.n_views is None:
        raise ValueError("hints with an augmentation need n_views, the number of views to keep")
    if X_unlabeled is not None:
        if not asked:
            raise ValueError(
                "X_unlabeled needs a teacher to say what is in the images: give one to "
                f"{type(classifier).__name__}"
            )
        if classifier.alpha == 1 and not hints:
            raise ValueError("X_unlabeled has no effect with alpha=1; set alpha below 1")
        if classifier.soft_loss in ("dkd", "literal"):
            raise ValueError(
                f"soft_loss={classifier.soft_loss!r} needs labels; X_unlabeled has none"
            )
    elif classifier.unlabeled_ratio is not None:
        raise ValueError("unlabeled_ratio has no effect without fit(..., X_unlabeled=...)")
    if n_classes == 2:
        if classifier.soft_loss == "dkd":
            raise ValueError(
                "soft_loss='dkd' compares the classes other than the true one, of which two "
                "classes leave a single one; use 'kl'"
            )
        if classifier.soft_loss == "dist":
            warn(
                "soft_loss='dist': two probabilities of one image always correlate to 1 or -1,"
                " so its first term says little about two classes; consider 'kl'"
            )


def with_unlabeled(lessons, images, ratio):
    """Add images that nobody labeled behind the labeled ones; only teachers know something of them.

    ``ratio`` is the number of them for each labeled one in a batch; None keeps their proportion.
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
    rest["numbers"][:] = loss.numbers
    targets = {**lessons.targets, **rest}
    return replace(lessons, targets=targets, loss=loss, columns=loss.target_columns)


def with_given_logits(lessons, logits, labels, classes):
    """Learn what a teacher said elsewhere about the labeled images.

    ``logits`` has the shape (n_labeled, n_outputs), ``labels`` names the class of each output, and
    ``classes`` are the student's.
    """
    given = match_classes(logits, labels, classes)
    if may_be_encoded(labels, classes):
        check_agreement(logits[lessons.rows], labels, lessons.labels[lessons.rows], classes)
    lessons.targets["logits"][: len(given)] = given
    return lessons


def with_teachers(lessons, teachers, temperature, memory, *, unlabeled_only=False):
    """Ask teachers about every image that the student will see.

    Where views are drawn anew in every epoch, they are asked live. ``unlabeled_only`` leaves out
    the labeled images, whose logits were given.
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
    """Ask what a teacher's hidden layers see in every image, for the network's own to learn."""
    network = lessons.network and partial(with_features, lessons.network, **features.attachment)
    question = Question("hints", lessons.shown_rows, features.answering(batch_size))
    return replace(lessons, network=network, questions=[*lessons.questions, question])
