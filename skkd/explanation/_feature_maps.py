"""The paper's explanation: the average feature map of every layer."""

import itertools
from typing import Self

import numpy as np
from keras import ops
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skkd.explanation._base import BaseExplainer
from skkd.models._graph import flatten_graph
from skkd.models._layer_choice import choose_layers
from skkd.models._layout import Layout

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
        All convolutions, and of a vision transformer what each step makes of its tokens; every
        layer with a feature map; or some, by name (those of nested models are called
        "outer/inner") or by position among the first.
    reduction : {"mean", "max", "abs_mean"} or callable, default="mean"
        How a layer's filters become one map: the paper's mean, the maximum, the mean of absolute
        values, or a function ``(features, axis) -> map`` of Keras operations.
    normalize : bool, default=False
        Scale each map of each image to [0, 1]; a constant map becomes 0.
    interpolation : {"nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"}, \
            default="bilinear"
        How maps are resized to the image.
    flatten : bool, default=False
        Give one row an image, (n, n_layers * height * width), so that a Pipeline can train a
        scikit-learn classifier on the maps.
    batch_size : int, default=32
        Images explained at a time.
    verbose : {0, 1}, default=0
        1 shows a progress bar.

    Attributes
    ----------
    model_, network_ : keras.Model
        The model explained, and the same layers from images to logits.
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
        **BaseExplainer._parameter_constraints,
        "layers": [StrOptions({"conv", "all"}), list, tuple],
        "reduction": [StrOptions(set(REDUCTIONS)), callable],
        "normalize": ["boolean"],
        "interpolation": [StrOptions({"nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"})],
        "flatten": ["boolean"],
    }

    def __init__(
        self,
        estimator,
        *,
        layers="conv",
        reduction="mean",
        normalize=False,
        interpolation="bilinear",
        flatten=False,
        batch_size=32,
        verbose=0,
    ):
        super().__init__(estimator, batch_size=batch_size, verbose=verbose)
        self.layers = layers
        self.reduction = reduction
        self.normalize = normalize
        self.interpolation = interpolation
        self.flatten = flatten

    @available_if(lambda self: self.flatten)
    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """Return the names of the columns that ``transform`` gives with ``flatten=True``.

        Parameters
        ----------
        input_features : ignored
            Accepted for scikit-learn's sake.

        Returns
        -------
        names : ndarray of str
            Layer, row and column of each value: "block1_conv_0_7".
        """
        check_is_fitted(self)
        height, width = self._image_size
        if None in (height, width):
            raise ValueError(
                f"model {self.model_.name!r} takes images of any size; call fit(X) with images to "
                "know how many columns there will be"
            )
        positions = itertools.product(self.layer_names_, range(height), range(width))
        return np.array([f"{name}_{row}_{column}" for name, row, column in positions], dtype=object)

    def fit(self, X=None, y=None) -> Self:
        """Find the model and the layers to explain. Nothing is trained.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]), or paths, default=None
            Images, of which only the size is seen, and only for a model of any input size.
        y : ignored
            Accepted for use in a Pipeline.

        Returns
        -------
        self : FeatureMapExplainer
            The fitted explainer.
        """
        super().fit(X, y)
        self._image_size = self.network_.input_shape[1:3]
        if None in self._image_size and X is not None:
            self._image_size = self._check_images(X).shape[1:3]
        return self

    def _check_network(self):
        graph = flatten_graph(self.network_)
        calls = choose_layers(graph, Layout(graph), self.layers, self.model_.name)
        self.layer_names_ = [call.name for call in calls]

    def _explain_images(self, images, targets):
        return super()._explain_images(images, targets) | {
            "layer_names": list(self.layer_names_),
            "method": "feature maps",
        }

    def _as_output(self, values):
        return values.reshape(len(values), -1) if self.flatten else values

    def _make_function(self, image_shape):
        graph = flatten_graph(self.network_, image_shape)
        # Known from fit, as the size of the images may change which layers have an extent.
        layout = Layout(graph)
        calls = choose_layers(graph, layout, self.layer_names_, self.model_.name)
        features = [layout.maps(graph.activated(call)) for call in calls]
        maps = [self._draw_map(tensor, image_shape) for tensor in features]
        maps = ops.cast(ops.stack(maps, axis=1), "float32")
        if self.normalize:
            low = ops.min(maps, axis=(2, 3), keepdims=True)
            span = ops.max(maps, axis=(2, 3), keepdims=True) - low
            maps = (maps - low) / ops.where(span > 0, span, 1.0)
        model = graph.model([maps, graph.outputs[0]])
        return lambda images, targets: model(images, training=False)

    def _draw_map(self, features, image_shape):
        """Reduce a layer's features to one map of the image's size."""
        reduce = REDUCTIONS.get(self.reduction, self.reduction)
        values = ops.image.resize(
            reduce(features, axis=-1)[..., None],
            image_shape[:2],
            interpolation=self.interpolation,
            data_format="channels_last",
        )
        return values[..., 0]
