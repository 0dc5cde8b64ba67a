"""Several teachers, asked as one."""

import contextlib

import numpy as np
from scipy.special import log_softmax, logsumexp

from skkd.distillation._cache import remembering
from skkd.distillation._encoded import note_on_unknown


class Teachers:
    """Teachers whose answers are averaged, in the order of a student's classes.

    Parameters
    ----------
    members : list of KerasTeacher, EstimatorTeacher or CallableTeacher
        The teachers.
    classes : ndarray of shape (n_classes,)
        The student's classes.
    batch_size : int
        Images that a teacher sees at a time.

    Attributes
    ----------
    weights : list of float
        Weight of each.
    """

    def __init__(self, members, classes, batch_size):
        self.members = members
        self.classes = classes
        self.batch_size = batch_size
        self.weights = [1.0] * len(members)

    @contextlib.contextmanager
    def remembering(self, temperature, memory=None):
        """Give a function ``(images, digests) -> logits`` that asks about each distinct image once.

        Probabilities are averaged at the temperature. ``memory`` is the folder in which outputs are
        kept; None keeps them in this process.
        """
        with contextlib.ExitStack() as opened:
            asks = [
                opened.enter_context(self.remembering_one(member, memory))
                for member in self.members
            ]

            def ask(images, digests):
                answers = [one(images, digests) for one in asks]
                return self._together(answers, temperature)

            yield ask

    def remembering_one(self, member, memory=None):
        """Give a function that asks one of them, about all the outputs it has."""

        def check(logits):
            match_classes(logits, member.labels, self.classes)

        return remembering(member, self.batch_size, memory, check)

    def logits(self, images, temperature):
        """Return what the teachers say about images that they will not see again."""
        answers = [member.logits(images, len(images)) for member in self.members]
        return self._together(answers, temperature)

    def _together(self, answers, temperature):
        matched = [
            match_classes(logits, member.labels, self.classes)
            for logits, member in zip(answers, self.members, strict=True)
        ]
        return average_logits(matched, self.weights, temperature)


def match_classes(logits, labels, classes):
    """Bring a teacher's logits into the order of the student's classes.

    Parameters
    ----------
    logits : ndarray of shape (n, n_outputs)
        The teacher's logits.
    labels : array-like of shape (n_outputs,) or None
        Class label of each output; None: they are the student's classes.
    classes : ndarray of shape (n_classes,)
        The student's class labels.

    Returns
    -------
    logits : ndarray of shape (n, n_classes), float32
        Outputs for classes that the student does not know are left out.
    """
    if logits.ndim != 2 or logits.shape[1] != len(classes if labels is None else labels):
        expected = f"y has {len(classes)} classes" if labels is None else f"{len(labels)} labels"
        raise ValueError(
            f"the teacher's outputs have shape {logits.shape}, but {expected}: "
            f"{np.asarray(classes if labels is None else labels).tolist()}; name the label "
            "of each output, in their order: Teacher(..., classes=[...])"
        )
    if not np.isfinite(logits).all():
        bad = int(np.count_nonzero(~np.isfinite(logits).all(axis=1)))
        raise ValueError(
            f"the teacher's output is NaN or infinite for {bad} of {len(logits)} images"
        )
    if labels is not None:
        position = {label: number for number, label in enumerate(np.asarray(labels).tolist())}
        if len(position) < len(labels):
            raise ValueError(
                "classes of a Teacher must name another class for each output; got "
                f"{np.asarray(labels).tolist()}"
            )
        missing = [label for label in classes.tolist() if label not in position]
        if missing:
            raise ValueError(
                f"the teacher does not know the classes {missing}; it knows {list(position)}"
                f"{note_on_unknown(classes)}"
            )
        logits = logits[:, [position[label] for label in classes.tolist()]]
    return logits.astype(np.float32)


def average_logits(members, weights, temperature):
    """Average several teachers' probabilities, softened by the temperature.

    ``members`` are their logits, classes matched, ``weights`` are not all zero. Returns
    ``T log(p)`` for the averaged p, so that softmax(logits / T) is p.
    """
    if len(members) == 1:
        return members[0]
    log_p = log_softmax(np.stack(members).astype(float) / temperature, axis=2)
    shares = (np.asarray(weights) / np.sum(weights))[:, None, None]
    return (temperature * logsumexp(log_p, axis=0, b=shares)).astype(np.float32)
