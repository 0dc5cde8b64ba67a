"""What a network is trained on, and how well it does on it."""

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import keras
import numpy as np
from tqdm.auto import tqdm

from skkd.images._blocks import read_blocks
from skkd.images._stores import JoinedImages
from skkd.models._batches import Batches


class Columns:
    """A layout of named parts that stand side by side in one array.

    Plain ``keras.Model.fit`` takes one target and one prediction. What a loss compares, such as
    labels and a teacher's logits, is packed into one array here and split again there.

    Parameters
    ----------
    **widths : int
        Number of columns of each part, in their order.

    Examples
    --------
    >>> import numpy as np
    >>> from skkd.models._lessons import Columns
    >>> columns = Columns(labels=2, weight=1)
    >>> packed = columns.pack(weight=np.ones((3, 1)), labels=np.zeros((3, 2)))
    >>> packed.shape, columns.split(packed)["weight"].ravel()
    ((3, 3), array([1., 1., 1.]))
    """

    def __init__(self, **widths):
        self.widths = widths

    def __eq__(self, other):
        return isinstance(other, Columns) and [*self.widths.items()] == [*other.widths.items()]

    def pack(self, **parts):
        """Return the parts side by side, an ndarray of shape (n, sum of widths)."""
        ordered = [parts[name] for name in self.widths]
        return ordered[0] if len(ordered) == 1 else np.concatenate(ordered, axis=1)

    def split(self, packed):
        """Return the parts of an array or tensor by name, each of shape (n, width)."""
        parts, start = {}, 0
        for name, width in self.widths.items():
            parts[name] = packed[:, start : start + width]
            start += width
        return parts


@dataclass
class Lessons:
    """Images, what is to be learned of each, and how.

    `labeled` makes them; functions such as `with_views` add to them and return new ones.

    Attributes
    ----------
    images : array-like of shape (n, ...)
        Images or rows of a table.
    labels : ndarray of shape (n_labeled,)
        Class labels of the first of these images, as their user names them.
    targets : dict of str to ndarray of shape (n, width), float32
        Parts of the target by name; ``columns`` says how they are packed.
    sample_weight : ndarray of shape (n,), float32
        Weights in the loss.
    rows : ndarray of int
        The images to train on.
    held_out : ndarray of int or None
        Those kept for early stopping.
    seed : int
        Seed of everything random.
    network : callable or None
        Makes the network that is trained, where there is none yet.
    loss : keras.losses.Loss
        Compares the network's output with the packed targets.
    columns : Columns
        Layout of the targets.
    mixing : dict
        Options of the training batches.
    questions : list of Question
        What is still to be found out about images.
    key : tuple
        What else must be the same for training to be the same.
    """

    images: object
    labels: np.ndarray
    targets: dict
    sample_weight: np.ndarray
    rows: np.ndarray
    held_out: np.ndarray | None
    seed: int
    network: Callable | None
    loss: keras.losses.Loss
    columns: Columns
    mixing: dict = field(default_factory=dict)
    questions: list = field(default_factory=list)
    key: tuple = ()

    @property
    def trained_rows(self):
        """Images that are trained on, labeled or not, themselves or as views."""
        return np.concatenate([self.rows, self.mixing.get("extra_rows", self.rows[:0])])

    @property
    def shown_rows(self):
        """Rows that the network sees as they are, in order."""
        shown = self.trained_rows
        if n_views := self.mixing.get("n_views"):
            n_images = len(self.images) // (1 + n_views)
            shown = np.concatenate([shown + n_images * view for view in range(1, 1 + n_views)])
        elif "augment" in self.mixing:
            shown = shown[:0]
        return np.sort(shown if self.held_out is None else np.concatenate([shown, self.held_out]))

    def answer_questions(self, batch_size, *, digest=False, verbose=False):
        """Find out what is still to be found out, reading each image once.

        Returns a digest of the content of the images trained on and held out if ``digest``, else
        None. A progress bar is shown if it takes longer than a second and ``verbose``.
        """
        wanted = [question.rows for question in self.questions]
        content = hashlib.blake2b(digest_size=16)
        if digest:
            held_out = self.rows[:0] if self.held_out is None else self.held_out
            wanted.append(np.concatenate([self.trained_rows, held_out]))
        if not wanted:
            return None
        rows = np.unique(np.concatenate(wanted))
        progress = tqdm(total=len(rows), desc="reading images", delay=1, disable=not verbose)
        with contextlib.ExitStack() as opened, progress:
            asked = [
                (self.targets[question.part], question.rows, opened.enter_context(question.answers))
                for question in self.questions
            ]
            for block_rows, block, digests in read_blocks(self.images, rows, batch_size):
                content.update(b"".join(digests))
                for target, of_interest, answer in asked:
                    chosen = np.flatnonzero(np.isin(block_rows, of_interest))
                    if len(chosen):
                        images = block if len(chosen) == len(block) else block[chosen]
                        with _naming_rows(block_rows[chosen]):
                            answers = answer(images, [digests[i] for i in chosen])
                        target[block_rows[chosen]] = answers
                progress.update(len(block))
        return content.hexdigest() if digest else None

    def batches(self, batch_size):
        """Return the batches to train on, and those held out or None."""
        contents = self.images, self.columns.pack(**self.targets), self.sample_weight
        training = Batches(
            *contents, rows=self.rows, batch_size=batch_size, seed=self.seed, **self.mixing
        )
        if self.held_out is None:
            return training, None
        return training, Batches(*contents, rows=self.held_out, batch_size=batch_size)


@contextlib.contextmanager
def _naming_rows(rows):
    try:
        yield
    except Exception as error:
        error.add_note(f"This was asked about images {rows[0]} to {rows[-1]}.")
        raise


@dataclass
class Question:
    """What is to be found out about some images before training.

    Attributes
    ----------
    part : str
        The part of the target that the answers go to.
    rows : ndarray of int
        The images.
    answers : context manager
        Gives a function ``(images, digests) -> ndarray of shape (n, width)`` of a block.
    """

    part: str
    rows: np.ndarray
    answers: contextlib.AbstractContextManager


def labeled(images, labels, classes, sample_weight, **attributes):
    """Return the lessons of class labels: one-hot targets, and the cross-entropy as loss.

    ``classes`` are all labels, sorted; ``attributes`` are the rest of those of `Lessons`.
    """
    n_classes = len(classes)
    one_hot = np.eye(n_classes, dtype=np.float32)[np.searchsorted(classes, labels)]
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )
    columns = Columns(labels=n_classes)
    return Lessons(
        images, labels, {"labels": one_hot}, sample_weight, loss=loss, columns=columns, **attributes
    )


def with_validation(lessons, images, labels, sample_weight, classes):
    """Hold out images that are not among those to train on; they are put behind these."""
    n_images = len(lessons.images)
    one_hot = np.eye(len(classes), dtype=np.float32)[np.searchsorted(classes, labels)]
    return replace(
        lessons,
        images=JoinedImages(lessons.images, images),
        labels=np.concatenate([lessons.labels, labels]),
        targets={"labels": np.concatenate([lessons.targets["labels"], one_hot])},
        sample_weight=np.concatenate([lessons.sample_weight, sample_weight]),
        held_out=np.arange(n_images, n_images + len(images)),
    )


def with_views(lessons, views, n_views, batch_size):
    """Show augmented views, drawn by ``views`` if that is not None, in place of the images.

    ``n_views`` of each image are drawn now, ``batch_size`` images at a time, and kept behind the
    images, the first of all images first; None draws new ones in every epoch.
    """
    if views is None:
        return lessons
    if n_views is None:
        return replace(lessons, mixing={**lessons.mixing, "augment": views.draw})
    drawn = views.draw_all(lessons.images, n_views, batch_size)
    return replace(
        lessons,
        images=JoinedImages(lessons.images, drawn),
        targets={k: np.tile(part, (1 + n_views, 1)) for k, part in lessons.targets.items()},
        sample_weight=np.tile(lessons.sample_weight, 1 + n_views),
        mixing={**lessons.mixing, "n_views": n_views},
    )


@keras.saving.register_keras_serializable("skkd")
class Accuracy(keras.metrics.MeanMetricWrapper):
    """Share of labeled images whose largest logit is their class.

    Parameters
    ----------
    n_classes : int
        The first columns of target and prediction, one for each class; more may follow. A row of
        zeros is an image without a label, which does not count.
    name : str, default="accuracy"
        Name of the metric.
    """

    def __init__(self, n_classes, name="accuracy", dtype=None):
        super().__init__(keras.metrics.categorical_accuracy, name=name, dtype=dtype)
        self.n_classes = n_classes

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Take in a batch."""
        columns = Columns(classes=self.n_classes)
        labels, logits = (columns.split(packed)["classes"] for packed in (y_true, y_pred))
        super().update_state(labels, logits, sample_weight=keras.ops.sum(labels, axis=-1))

    def get_config(self):
        """Return what ``from_config`` needs."""
        return {"n_classes": self.n_classes, "name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config):
        """Make the metric again."""
        return cls(**config)
