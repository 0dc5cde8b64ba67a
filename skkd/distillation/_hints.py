"""Learning from what a teacher's hidden layers see."""

import contextlib
from numbers import Real

import numpy as np
from keras import layers, ops
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions

from skkd.models._adapter import adapt_input
from skkd.models._batches import predict
from skkd.models._features import flat_features, named_call
from skkd.models._graph import flatten_graph, without_traces


class Hints(BaseEstimator):
    """Which hidden layers of a student are to see what a teacher's see.

    Feature distillation: beside its outputs, the student learns the features of a Keras teacher's
    layers. Where channels differ a 1x1 convolution is learned in between, which is no part of the
    student; where sizes differ the teacher's features are resized. They are computed once a fit
    and held in memory.

    Parameters
    ----------
    layers : dict of str to str
        Name of a layer of the teacher to the name of the student's layer whose features are to be
        like it. Layers of nested models are called "outer/inner".
    weight : float, default=1.0
        Weight of the hint loss beside the hard and the soft loss, 0 or more.
    loss : {"mse", "attention"}, default="mse"
        Compare features [1]_, or maps of their mean squares over channels [2]_, by the mean
        squared difference.

    See Also
    --------
    KDClassifier : Takes them, or the bare dict, as its parameter ``hints``.

    References
    ----------
    .. [1] A. Romero et al., "FitNets: hints for thin deep nets", ICLR 2015.
    .. [2] S. Zagoruyko and N. Komodakis, "Paying more attention to attention", ICLR 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skkd import FiveBlockCNN, Hints, KDClassifier, NetworkClassifier
    >>> digits = load_digits()
    >>> X, y = digits.images[:200, ..., None], digits.target[:200]
    >>> teacher = NetworkClassifier(FiveBlockCNN(filters=(16, 32)), epochs=1).fit(X, y).model_
    >>> small = NetworkClassifier(FiveBlockCNN(filters=(4, 8)), epochs=1)
    >>> hints = Hints({"block1_conv": "block1_conv"}, weight=0.1)
    >>> KDClassifier(teacher, small, hints=hints).fit(X, y).n_iter_
    1
    """

    _parameter_constraints: dict = {
        "layers": [dict],
        "weight": [Interval(Real, 0, None, closed="left")],
        "loss": [StrOptions({"mse", "attention"})],
    }

    def __init__(self, layers, *, weight=1.0, loss="mse"):
        self.layers = layers
        self.weight = weight
        self.loss = loss


def as_hints(hints):
    """Return whatever a user calls hints as `Hints`, or None where there are none."""
    if isinstance(hints, dict):
        hints = Hints(hints)
    if hints is None:
        return None
    hints._validate_params()
    return hints if hints.layers else None


class TeacherFeatures:
    """What the layers of a teacher see, for a student's layers to learn.

    Parameters
    ----------
    hints : Hints
        Pairs of layers.
    teacher : keras.Model
        The teacher's network.
    student : keras.Model
        A network of the student's architecture.

    Attributes
    ----------
    sizes : list of int
        Values an image of each pair.
    attachment : dict
        What `with_features` needs to know, without the teacher.
    """

    def __init__(self, hints, teacher, student):
        self._teacher = teacher
        with without_traces(teacher):
            self._connect(hints, teacher, student)

    def _connect(self, hints, teacher, student):
        teacher_graph, student_graph = flatten_graph(teacher), flatten_graph(student)
        channels, outputs = [], []
        for number, (teacher_name, student_name) in enumerate(hints.layers.items(), start=1):
            theirs = named_call(teacher_graph, teacher_name, "teacher").output
            ours = named_call(student_graph, student_name, "student").output
            if len(theirs.shape) != len(ours.shape) or len(ours.shape) not in (2, 4):
                raise ValueError(
                    f"hints: layer {teacher_name!r} of the teacher gives shape {theirs.shape[1:]}, "
                    f"layer {student_name!r} of the student {ours.shape[1:]}; both must be "
                    "feature maps, or both vectors"
                )
            if hints.loss == "attention" and len(ours.shape) == 2:
                raise ValueError(
                    f"hints with loss='attention' needs feature maps; layer {student_name!r} gives "
                    "vectors"
                )
            if len(ours.shape) == 4 and theirs.shape[1:3] != ours.shape[1:3]:
                theirs = ops.image.resize(theirs, ours.shape[1:3])
            channels.append(int(theirs.shape[-1]))
            outputs.append(flat_features(theirs, hints.loss, number))
        joined = outputs[0] if len(outputs) == 1 else layers.Concatenate(name="all_hints")(outputs)
        self._network = teacher_graph.model(joined)
        self._of_images = None
        self.sizes = [int(output.shape[-1]) for output in outputs]
        self.attachment = {
            "names": list(hints.layers.values()),
            "channels": channels,
            "kind": hints.loss,
        }

    def targets(self, images, batch_size):
        """Return the teacher's features of images, of shape (n, sum of sizes), float32.

        They are resized to the student's layers.
        """
        if self._of_images is None:
            with without_traces(self._teacher):
                self._of_images = adapt_input(self._network, tuple(images.shape[1:]))
        return predict(self._of_images, images, batch_size).astype(np.float32)

    def answering(self, batch_size):
        """Return a context with a function from images and their digests to features."""
        return contextlib.nullcontext(lambda images, digests: self.targets(images, batch_size))
