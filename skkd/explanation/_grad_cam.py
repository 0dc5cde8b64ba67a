"""Class activation maps weighted by gradients."""

from numbers import Integral

import keras
from keras import ops
from sklearn.utils._param_validation import StrOptions

from skkd._backend import gradient
from skkd.explanation._base import BaseExplainer
from skkd.explanation._class_score import class_score
from skkd.models._graph import flatten_graph
from skkd.models._layer_choice import choose_layers, last_layer
from skkd.models._layout import Layout

METHODS = {"gradcam": "Grad-CAM", "gradcam++": "Grad-CAM++", "layercam": "LayerCAM"}


class GradCAMExplainer(BaseExplainer):
    """Show where the features that speak for a class are.

    A convolution's activated features are summed with weights that come from the gradient of the
    class's score; what is positive is resized to the image, bilinearly, and divided by its
    maximum.

    Parameters
    ----------
    estimator : keras.Model, fitted estimator or Pipeline
        A trained model, a fitted estimator that holds one in ``model_`` such as `KDClassifier`,
        or a Pipeline ending in one.
    method : {"gradcam", "gradcam++", "layercam"}, default="gradcam"
        How features are weighted: each filter by its mean gradient [1]_; by a mean of its positive
        gradients that counts several instances of a class alike [2]_; or each pixel of each filter
        by its own positive gradient [3]_, which suits early layers too.
    layer : str, int, or list of them, default="auto"
        Layer whose features are weighted: "auto" takes the last feature map through which every
        way to the output leads, however deeply it is nested, such as the sum of a residual block;
        of a vision transformer the last tokens of the image that the output depends on. Or a name
        (those of nested models are called "outer/inner"), or a position among the convolutions. A
        list gives a map for each.
    target : {"predicted", "true"}, label, or array-like of shape (n,), default="predicted"
        Class that the maps are about: the predicted one; the true one, for which ``explain`` and
        ``fit_transform`` need y; a label; or a label for each image.
    output : {"logits", "probability"}, default="logits"
        Score that is differentiated. The probability of a class that a network is sure of hardly
        changes, so that maps of probabilities are often empty.
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
        The layers used.

    Notes
    -----
    A map is empty, all zero, where no feature speaks for the class; ``Explanation.n_empty`` counts
    them.

    References
    ----------
    .. [1] R. R. Selvaraju et al., "Grad-CAM: Visual explanations from deep networks via
       gradient-based localization", ICCV 2017.
    .. [2] A. Chattopadhay et al., "Grad-CAM++: Generalized gradient-based visual explanations for
       deep convolutional networks", WACV 2018, with an exponential as the outer function.
    .. [3] P.-T. Jiang et al., "LayerCAM: Exploring hierarchical class activation maps for
       localization", IEEE Transactions on Image Processing 30, 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skkd import FiveBlockCNN, GradCAMExplainer, NetworkClassifier
    >>> digits = load_digits()
    >>> X, y = digits.images[:200, ..., None], digits.target[:200]
    >>> classifier = NetworkClassifier(FiveBlockCNN(filters=(4, 8)), epochs=1).fit(X, y)
    >>> explainer = GradCAMExplainer(classifier, target="true").fit()
    >>> explainer.layer_names_
    ['block2_conv']
    >>> explanation = explainer.explain(X[:5], y[:5])
    >>> explanation.values.shape, explanation.targets
    ((5, 8, 8), array([0, 1, 2, 3, 4]))
    """

    _parameter_constraints: dict = {
        **BaseExplainer._parameter_constraints,
        "method": [StrOptions(set(METHODS))],
        "layer": [str, Integral, list, tuple],
        "target": "no_validation",
        "output": [StrOptions({"logits", "probability"})],
    }

    def __init__(
        self,
        estimator,
        *,
        method="gradcam",
        layer="auto",
        target="predicted",
        output="logits",
        batch_size=32,
        verbose=0,
    ):
        super().__init__(estimator, batch_size=batch_size, verbose=verbose)
        self.method = method
        self.layer = layer
        self.target = target
        self.output = output

    def _check_network(self):
        graph = flatten_graph(self.network_)
        layout = Layout(graph)
        if self.layer == "auto":
            self.layer_names_ = [last_layer(self.network_, graph, layout, self.model_.name)]
        else:
            layers = self.layer if isinstance(self.layer, list | tuple) else [self.layer]
            calls = choose_layers(graph, layout, layers, self.model_.name)
            self.layer_names_ = [call.name for call in calls]

    def _explain_images(self, images, targets):
        parts = super()._explain_images(images, targets) | {"method": METHODS[self.method]}
        if isinstance(self.layer, list | tuple):
            return parts | {"layer_names": list(self.layer_names_)}
        return parts | {"values": parts["values"][:, 0]}

    def _make_function(self, image_shape):
        plain = flatten_graph(self.network_, image_shape)
        layout = Layout(plain)
        # Known from fit, as the size of the images may change what "auto" would choose.
        calls = choose_layers(plain, layout, self.layer_names_, self.model_.name)
        names = [plain.name_of(plain.activated(call)) for call in calls]
        # A layer and the activation after it are the same features.
        tapped = list(dict.fromkeys(names))
        graph = flatten_graph(self.network_, image_shape, taps=tapped)
        outputs = {call.name: call.output for call in graph.calls}
        features = [outputs[name] for name in tapped]
        inputs = [*keras.tree.flatten(graph.input), *graph.taps]
        model = keras.Model(inputs, [graph.outputs[0], *features])
        positions = [tapped.index(name) for name in names]
        tensors = [plain.activated(call) for call in calls]

        def explain(images, targets):
            taps = [
                ops.zeros((ops.shape(images)[0], *tap.shape[1:]), dtype=tap.dtype)
                for tap in graph.taps
            ]

            def score(taps):
                logits, *features = model([images, *taps], training=False)
                return class_score(self._head, logits, targets, self.output), (logits, features)

            gradients, (logits, features) = gradient(score, taps)
            maps = []
            for position, tensor in zip(positions, tensors, strict=True):
                values, slopes = (
                    ops.cast(layout.maps(tensor, t[position]), "float32")
                    for t in (features, gradients)
                )
                maps.append(self._draw_map(values, slopes, image_shape[:2]))
            return ops.stack(maps, axis=1), logits

        return explain

    def _draw_map(self, features, slopes, size):
        """Weigh features by the slopes of the score, and resize to the image."""
        if self.method == "gradcam":
            weights = ops.mean(slopes, axis=(1, 2), keepdims=True)
        elif self.method == "gradcam++":
            # Equations 10 and 19 of the paper, in which the score's exponential cancels but for
            # a factor an image, which the division by the maximum takes away.
            square = ops.square(slopes)
            sums = ops.sum(features, axis=(1, 2), keepdims=True)
            denominator = 2 * square + sums * square * slopes
            alphas = ops.where(
                denominator != 0, square / ops.where(denominator != 0, denominator, 1.0), 0.0
            )
            weights = ops.sum(alphas * ops.relu(slopes), axis=(1, 2), keepdims=True)
        else:
            weights = ops.relu(slopes)
        maps = ops.relu(ops.sum(weights * features, axis=-1, keepdims=True))
        maps = ops.image.resize(maps, size, interpolation="bilinear", data_format="channels_last")[
            ..., 0
        ]
        highest = ops.max(maps, axis=(1, 2), keepdims=True)
        return maps / ops.where(highest > 0, highest, 1.0)
