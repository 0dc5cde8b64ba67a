"""The paper's explanation: the average feature map of every layer."""

import difflib
from numbers import Integral

import keras
import numpy as np
from keras import ops
from sklearn.utils._param_validation import Interval, StrOptions

from skkd.explanation._base import BaseExplainer
from skkd.explanation._explanation import Explanation
from skkd.models._batches import Batches
from skkd.models._layers import CONVOLUTIONS, flatten_graph, logits_model

REDUCTIONS = {
    "mean": ops.mean,
    "max": ops.max,
    "abs_mean": lambda features, axis: ops.mean(ops.abs(features), axis=axis),
}


class FeatureMapExplainer(BaseExplainer):
    """Show, layer by layer, what a network's filters respond to.

    For every convolution the activated output is averaged over its filters and resized to the
    image [1]_: side by side the maps show the decision forming. All layers come from one forward
    pass, averaged and resized inside the network's graph.

    Parameters
    ----------
    estimator : keras.Model, fitted estimator or Pipeline
        A trained model, a fitted estimator that holds one in ``model_`` such as `KDClassifier`,
        or a Pipeline ending in one.
    layers : {"conv", "all"}, list of str or list of int, default="conv"
        All convolutions; every layer with a feature map; or some, by name (those of nested models
        are called "outer/inner") or by position among the convolutions.
    reduction : {"mean", "max", "abs_mean"} or callable, default="mean"
        How a layer's filters become one map: the paper's mean, the maximum, the mean of absolute
        values, or a function ``(features, axis) -> map`` of Keras operations.
    normalize : bool, default=False
        Scale each map of each image to [0, 1]; a constant map becomes 0.
    interpolation : {"nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"}, \
            default="bilinear"
        How maps are resized to the image.
    batch_size : int, default=32
        Images explained at a time.
    verbose : {0, 1}, default=0
        1 shows a progress bar.

    Attributes
    ----------
    model_ : keras.Model
        The model explained.
    classes_ : ndarray of shape (n_classes,)
        Labels of its outputs.
    layer_names_ : list of str
        The layers explained, in the order in which images pass through them.

    References
    ----------
    .. [1] A. Chaddad et al., "Knowledge distillation and feature map visualization for medical
       image analysis", 2025, Eq. 3.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skkd import FeatureMapExplainer, FiveBlockCNN, NetworkClassifier
    >>> digits = load_digits()
    >>> X, y = digits.images[:200, ..., None], digits.target[:200]
    >>> classifier = NetworkClassifier(FiveBlockCNN(filters=(4, 8)), epochs=1).fit(X, y)
    >>> explainer = FeatureMapExplainer(classifier).fit()
    >>> explainer.layer_names_
    ['block1_conv', 'block2_conv']
    >>> explainer.transform(X[:5]).shape
    (5, 2, 8, 8)
    """

    _parameter_constraints: dict = {
        "layers": [StrOptions({"conv", "all"}), list, tuple],
        "reduction": [StrOptions(set(REDUCTIONS)), callable],
        "normalize": ["boolean"],
        "interpolation": [StrOptions({"nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"})],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "verbose": [Interval(Integral, 0, 1, closed="both"), "boolean"],
    }

    def __init__(
        self,
        estimator,
        *,
        layers="conv",
        reduction="mean",
        normalize=False,
        interpolation="bilinear",
        batch_size=32,
        verbose=0,
    ):
        self.estimator = estimator
        self.layers = layers
        self.reduction = reduction
        self.normalize = normalize
        self.interpolation = interpolation
        self.batch_size = batch_size
        self.verbose = verbose

    def explain(self, X, y=None):
        """Explain images and keep with the maps what they are about.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]), or paths
            Images, or n paths of image files.
        y : array-like of shape (n,), default=None
            True class labels, kept for titles: feature maps are about no class in particular.

        Returns
        -------
        explanation : Explanation
            Maps, images, predicted classes and their probabilities.
        """
        images = self._check_images(X)
        maps, probabilities = self._explain_images(images)
        predicted = probabilities.argmax(axis=1)
        return Explanation(
            values=maps,
            images=np.asarray(images[np.arange(len(images))]),
            targets=self.classes_[predicted],
            probabilities=probabilities.max(axis=1),
            labels=None if y is None else np.asarray(y),
            layer_names=list(self.layer_names_),
            method="feature maps",
        )

    def _resolve(self):
        self._network = logits_model(self.model_)
        self.layer_names_ = [call.name for call in self._choose(flatten_graph(self._network))]

    def _choose(self, graph):
        """Return the calls of the layers to explain."""
        with_maps = [call for call in graph.calls if len(call.output.shape) == 4]
        convolutions = [call for call in with_maps if isinstance(call.layer, CONVOLUTIONS)]
        if isinstance(self.layers, str):
            chosen = with_maps if self.layers == "all" else convolutions
            if not chosen:
                raise ValueError(
                    f"model {self.model_.name!r} has no convolution to explain; its layers are "
                    f"{[call.name for call in graph.calls]}"
                )
            return chosen
        by_name = {call.name: call for call in with_maps}
        return [self._named(layer, by_name, convolutions) for layer in self.layers]

    def _named(self, layer, by_name, convolutions):
        if isinstance(layer, str) and layer in by_name:
            return by_name[layer]
        if isinstance(layer, Integral) and -len(convolutions) <= layer < len(convolutions):
            return convolutions[layer]
        near = difflib.get_close_matches(str(layer), by_name, n=3, cutoff=0.0)
        raise ValueError(
            f"layers: {layer!r} is not a layer with a feature map; the closest are {near}, and "
            f"positions run from 0 to {len(convolutions) - 1}"
        )

    def _explain_images(self, images):
        model = self._maps_model(tuple(images.shape[1:]))
        batches = Batches(images, batch_size=self.batch_size)
        return model.predict(batches, verbose=int(self.verbose))

    def _maps_model(self, image_shape):
        """Make the model from images to all maps and probabilities."""
        graph = flatten_graph(self._network, image_shape)
        reduce = REDUCTIONS.get(self.reduction, self.reduction)
        maps = []
        for call in self._choose(graph):
            channels_first = getattr(call.layer, "data_format", None) == "channels_first"
            values = reduce(graph.activated(call), axis=1 if channels_first else -1)
            values = ops.image.resize(
                values[..., None],
                image_shape[:2],
                interpolation=self.interpolation,
                data_format="channels_last",
            )
            maps.append(values[..., 0])
        maps = ops.cast(ops.stack(maps, axis=1), "float32")
        if self.normalize:
            low = ops.min(maps, axis=(2, 3), keepdims=True)
            span = ops.max(maps, axis=(2, 3), keepdims=True) - low
            maps = (maps - low) / ops.where(span > 0, span, 1.0)
        return keras.Model(graph.input, [maps, ops.softmax(graph.outputs[0])])
