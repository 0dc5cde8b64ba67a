"""Several teachers, asked as one."""

import contextlib

from skkd.distillation._answers import average_logits, match_classes
from skkd.distillation._cache import remembering


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
        """Ask about each distinct image once.

        Parameters
        ----------
        temperature : float
            The temperature at which probabilities are averaged.
        memory : path, joblib.Memory or None, default=None
            Folder in which outputs are kept; None keeps them in this process.

        Yields
        ------
        ask : callable
            ``(images, digests) -> logits`` of shape (n, n_classes), float32.
        """
        with contextlib.ExitStack() as opened:
            asks = [
                opened.enter_context(remembering(member, self.batch_size, memory))
                for member in self.members
            ]

            def ask(images, digests):
                answers = [one(images, digests) for one in asks]
                return self._together(answers, temperature)

            yield ask

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
