"""SHAP values of pixels."""

from numbers import Integral
from typing import Self

import keras
import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from skkd.explanation._base import BaseExplainer, as_float
from skkd.explanation._class_score import class_scores
from skkd.explanation._expected_gradients import (
    expected_gradients,
    make_integral,
    sample_points,
)
from skkd.explanation._shap_package import DeepValues, PartitionValues
from skkd.images._finite import check_finite_images
from skkd.models._graph import flatten_graph, without_traces


class SHAPExplainer(BaseExplainer):
    """Tell for each pixel how much it raises or lowers the score of a class.

    Values are signed and add up, up to an error that is reported, to the difference between the
    image's score and that of a background.

    Parameters
    ----------
    estimator : keras.Model, fitted estimator or Pipeline
        A trained model, a fitted estimator that holds one in ``model_`` such as `KDClassifier`,
        or a Pipeline ending in one.
    method : {"gradient", "partition", "deep"}, default="gradient"
        Expected gradients [1]_, of any network and with every Keras backend; shap's [2]_ Owen
        values, which hide parts of the image and need no gradient; or shap's rules for passing
        differences back through a network of common layers, with TensorFlow.
    background : int or array-like of shape (n, height, width[, channels]), default=16
        Images that stand for "nothing seen", or how many of those passed to ``fit`` to keep as
        such. "partition" uses their mean.
    n_samples : int, default=64
        Gradients taken for each image and class by "gradient".
    sampling : {"stratified", "independent"}, default="stratified"
        How "gradient" chooses where to differentiate. "independent" is the estimator of
        `shap.GradientExplainer`. Evenly spread points converge to the same values with a fraction
        of the samples.
    max_evals : int, default=500
        Masked images looked at for each image by "partition".
    target : {"predicted", "true"}, label, or array-like of shape (n,), default="predicted"
        Class that the maps are about: the predicted one; the true one, for which ``explain`` and
        ``fit_transform`` need y; a label; or a label for each image.
    classes : {"target", "all"}, default="target"
        Explain that class, or every class along a last axis of the values.
    output : {"logits", "probability"}, default="logits"
        Score that is explained.
    batch_size : int, default=16
        Images, interpolated or masked, that the network sees at a time. It bounds the memory: a
        DenseNet121 differentiated at 16 images of 224 pixels takes about 2 GB.
    random_state : int, RandomState instance or None, default=None
        Chooses the background and the points. Drawn from in ``fit``: every image then has the same
        points, so that its values depend on no other image.
    verbose : {0, 1}, default=0
        1 shows a progress bar.

    Attributes
    ----------
    model_, network_ : keras.Model
        The model explained, and the same layers from images to logits.
    classes_ : ndarray of shape (n_classes,)
        Labels of its outputs.
    background_ : ndarray of shape (n_background, height, width, channels), float32
        The background.

    References
    ----------
    .. [1] G. Erion et al., "Improving performance of deep learning models with axiomatic
       attribution priors and expected gradients", Nature Machine Intelligence 3, 2021.
    .. [2] S. M. Lundberg and S.-I. Lee, "A unified approach to interpreting model predictions",
       NeurIPS 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skkd import FiveBlockCNN, NetworkClassifier, SHAPExplainer
    >>> digits = load_digits()
    >>> X, y = digits.images[:200, ..., None], digits.target[:200]
    >>> classifier = NetworkClassifier(FiveBlockCNN(filters=(4, 8)), epochs=1).fit(X, y)
    >>> explanation = SHAPExplainer(classifier, random_state=0).fit(X).explain(X[:2])
    >>> explanation.values.shape
    (2, 8, 8, 1)
    >>> bool(abs(explanation.additivity_gap).max() < 0.1)
    True
    """

    _parameter_constraints: dict = {
        **BaseExplainer._parameter_constraints,
        "method": [StrOptions({"gradient", "partition", "deep"})],
        "background": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "sampling": [StrOptions({"stratified", "independent"})],
        "max_evals": [Interval(Integral, 3, None, closed="left")],
        "target": "no_validation",
        "classes": [StrOptions({"target", "all"})],
        "output": [StrOptions({"logits", "probability"})],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator,
        *,
        method="gradient",
        background=16,
        n_samples=64,
        sampling="stratified",
        max_evals=500,
        target="predicted",
        classes="target",
        output="logits",
        batch_size=16,
        random_state=None,
        verbose=0,
    ):
        super().__init__(estimator, batch_size=batch_size, verbose=verbose)
        self.method = method
        self.background = background
        self.n_samples = n_samples
        self.sampling = sampling
        self.max_evals = max_evals
        self.target = target
        self.classes = classes
        self.output = output
        self.random_state = random_state

    def fit(self, X=None, y=None) -> Self:
        """Find the model and keep the background. Nothing is trained.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]), or paths, default=None
            Images to draw the background from, unless ``background`` has it.
        y : ignored
            Accepted for use in a Pipeline.

        Returns
        -------
        self : SHAPExplainer
            The fitted explainer.
        """
        super().fit(X, y)
        rng = check_random_state(self.random_state)
        if not isinstance(self.background, Integral):
            images = self._check_images(self.background)
            rows = np.arange(len(images))
        elif X is None:
            raise ValueError(
                f"background={self.background} takes that many images from those passed to fit: "
                "call fit(X), or set background to an array of images"
            )
        else:
            images = self._check_images(X)
            n_kept = min(self.background, len(images))
            rows = np.sort(rng.choice(len(images), n_kept, replace=False))
        background = check_finite_images(np.asarray(images[rows]), rows, "background")
        self.background_ = as_float(background)
        self._seed = rng.randint(2**31 - 1)
        if self.method == "deep":
            self._attribution(self.background_.shape[1:])
        return self

    def _check_network(self):
        dtype = self.network_.inputs[0].dtype
        if self.method != "partition" and not keras.backend.is_float_dtype(dtype):
            raise ValueError(
                f"model {self.model_.name!r} takes inputs of type {dtype}, which have no gradient; "
                "use method='partition'"
            )

    def _explain_images(self, images, targets):
        image_shape = tuple(images.shape[1:])
        if image_shape != self.background_.shape[1:]:
            raise ValueError(
                f"X has images of shape {image_shape}, but the background's are of shape "
                f"{self.background_.shape[1:]}"
            )
        attribute = self._attribution(image_shape)
        scores, targets, probabilities = self._in_batches(images, targets, progress=False)
        base = self._base_scores()
        n_classes = scores.shape[1]
        chosen = np.tile(np.arange(n_classes), (len(images), 1))
        if self.classes == "target":
            chosen = targets[:, None]
        values = np.empty((len(images), *image_shape, chosen.shape[1]), np.float32)
        gap = np.take_along_axis(scores, chosen, axis=1) - base[chosen]
        n_together = min(self._images_together(chosen.shape[1]), len(images))
        for start in self._progress(range(0, len(images), n_together), "batch"):
            # Filled up with the last image, as every new shape would be compiled anew.
            numbers = np.minimum(np.arange(start, start + n_together), len(images) - 1)
            found = attribute(as_float(np.asarray(images[numbers])), chosen[numbers])
            for number, column in np.ndindex(chosen[start : start + n_together].shape):
                one = next(found)
                values[start + number, ..., column] = one
                gap[start + number, column] -= one.sum(dtype=float)
        explanation = {
            "values": values,
            "targets": targets,
            "probabilities": probabilities,
            "base_values": base[chosen],
            "additivity_gap": gap,
            "method": "SHAP",
        }
        if self.classes == "all":
            return explanation | {"classes": self.classes_}
        return explanation | {
            name: explanation[name][..., 0] for name in ("values", "base_values", "additivity_gap")
        }

    def _base_scores(self):
        """Return the score of every class where nothing is seen."""
        background = self.background_
        if self.method == "partition":
            background = background.mean(axis=0, keepdims=True)
        targets = np.zeros(len(background), np.int32)
        scores, _, _ = self._in_batches(background, targets, progress=False)
        return scores.mean(axis=0, dtype=float)

    def _images_together(self, n_classes):
        """Return how many images are explained at a time, for so many classes each."""
        if self.method != "gradient":
            return 1
        return max(self.batch_size // (self.n_samples * n_classes), 1)

    def _attribution(self, image_shape):
        """Return the function from images and their classes' indices to values, one by one."""
        make = {
            "gradient": self._make_gradient_attribution,
            "partition": self._make_partition_attribution,
            "deep": self._make_deep_attribution,
        }[self.method]
        return self._made(make, image_shape)

    def _make_gradient_attribution(self, image_shape):
        with without_traces(self.network_):
            graph = flatten_graph(self.network_, image_shape)
            network = graph.model(graph.outputs[0])
        integral = make_integral(self._head, network, self.output)
        points = sample_points(self.n_samples, len(self.background_), self.sampling, self._seed)

        def attribute(images, labels):
            n_classes = labels.shape[1]
            together = min(max(self.batch_size // self.n_samples, 1), labels.size)
            for start in range(0, labels.size, together):
                pairs = np.minimum(np.arange(start, start + together), labels.size - 1)
                found = expected_gradients(
                    integral,
                    images[pairs // n_classes],
                    self.background_,
                    *points,
                    labels.ravel()[pairs].astype(np.int32),
                    max(self.batch_size // together, 1),
                )
                yield from found[: labels.size - start]

        return attribute

    def _make_partition_attribution(self, image_shape):
        function = self._made(self._compile, image_shape)

        def predict(images):
            return function(images, np.zeros(len(images), np.int32))[0]

        return _one_by_one(
            PartitionValues(predict, self.background_, self.max_evals, self.batch_size)
        )

    def _make_deep_attribution(self, image_shape):
        graph = flatten_graph(self.network_, image_shape)
        outputs = graph.outputs[0]
        if self.output == "probability":
            outputs = keras.layers.Activation(self._head.activation)(outputs)
        return _one_by_one(DeepValues(graph, outputs, self.background_))

    def _make_function(self, image_shape):
        """Return a function that gives the scores of every class in the place of maps."""
        graph = flatten_graph(self.network_, image_shape)
        model = graph.model(graph.outputs[0])

        def predict(images, targets):
            logits = model(images, training=False)
            return class_scores(self._head, logits, self.output), logits

        return predict


def _one_by_one(attribute):
    def attribute_all(images, labels):
        for image, row in zip(images, labels.tolist(), strict=True):
            for label in row:
                yield attribute(image, label)

    return attribute_all
