"""What the shap package computes for us, without what it leaves behind."""

import contextlib
import threading
import warnings

import keras
import numpy as np

# shap's explainers keep what they are computing in themselves, and change what is global.
_ONE_AT_A_TIME = threading.Lock()


@contextlib.contextmanager
def nothing_left_behind():
    """Restore what shap changes for the whole process, and keep its warnings to ourselves.

    It seeds NumPy's global generator; where its DeepExplainer fails, it leaves TensorFlow unable
    to record a gradient; and it warns of every TensorFlow since 2.4.
    """
    random_state = np.random.get_state()  # noqa: NPY002
    recorders = []
    if keras.backend.backend() == "tensorflow":
        from tensorflow.python.eager import execute

        recorders.append((execute, execute.record_gradient))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        np.random.set_state(random_state)  # noqa: NPY002
        for module, record_gradient in recorders:
            module.record_gradient = record_gradient


class PartitionValues:
    """Owen values of halves of the image, halves of those, and so on.

    Parameters
    ----------
    predict : callable
        From images to the scores of all classes.
    background : ndarray of shape (n_background, height, width, channels)
        A hidden part of the image is replaced with the mean of these.
    max_evals : int
        Masked images that are looked at for each image.
    batch_size : int
        Masked images that the network sees at a time.
    """

    # What shap looks at before it decides where to go on: values depend on it.
    round_size = 64

    def __init__(self, predict, background, max_evals, batch_size):
        import shap

        self.predict = predict
        self.max_evals = max_evals
        self.batch_size = batch_size
        masker = shap.maskers.Image(background.mean(axis=0))
        self.explainer = shap.PartitionExplainer(self._scores, masker)

    def _scores(self, images):
        size = min(self.batch_size, self.round_size)
        parts = [images[start : start + size] for start in range(0, len(images), size)]
        return np.concatenate([self._padded(part) for part in parts])

    def _padded(self, images):
        # Numbers of images that are powers of two are all that have to be compiled.
        missing = (1 << (len(images) - 1).bit_length()) - len(images)
        padded = np.pad(images, [(0, missing)] + [(0, 0)] * 3, mode="edge")
        return self.predict(padded.astype(np.float32))[: len(images)]

    def __call__(self, image, target):
        """Return values of the image's shape for the class of an index."""
        with _ONE_AT_A_TIME, nothing_left_behind():
            explanation = self.explainer(
                image[None],
                max_evals=self.max_evals,
                batch_size=self.round_size,
                outputs=np.array([target]),
                silent=True,
            )
        return explanation.values[0, ..., 0]


class ClassScore(keras.layers.Layer):
    """The column of one class.

    Parameters
    ----------
    index : int
        The class.
    """

    def __init__(self, index, **kwargs):
        super().__init__(**kwargs)
        self.index = index

    def call(self, scores):
        """Return the scores of the class, of shape (n, 1)."""
        return scores[:, self.index : self.index + 1]


class DeepValues:
    """Differences to the background, passed back through every layer by shap's rules.

    Parameters
    ----------
    graph : FlatGraph
        The network.
    outputs : keras.KerasTensor
        The scores of all classes.
    background : ndarray of shape (n_background, height, width, channels)
        Images that the image is compared with, all at once.

    Raises
    ------
    ValueError
        If shap has no rule for what a layer computes; it would fail half-way.
    """

    def __init__(self, graph, outputs, background):
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                "method='deep' needs the TensorFlow backend of Keras, and this is "
                f"{keras.backend.backend()}; method='gradient' works with every one"
            )
        self.graph = graph
        self.outputs = outputs
        self.background = background
        self.explainers = {}
        self._check_operations()

    def _check_operations(self):
        import tensorflow as tf
        from shap.explainers._deep import deep_tf

        model = self._model(0)
        spec = tf.TensorSpec((2, *self.background.shape[1:]), tf.float32)
        traced = tf.function(lambda images: model(images, training=False), autograph=False)
        graph = traced.get_concrete_function(spec).graph
        waiting, seen = list(graph.inputs[0].consumers()), set()
        while waiting:
            operation = waiting.pop(0)
            handler = deep_tf.op_handlers.get(operation.type)
            # Of a maximum over places shap takes the gradient, which fails half-way.
            if handler is None or operation.type in ("Max", "Min"):
                raise ValueError(
                    f"method='deep': {self._layer_of(operation)} computes {operation.type!r}, for "
                    "which shap has no rule; use method='gradient' or 'partition'"
                )
            if operation in seen or handler is deep_tf.break_dependence:
                continue
            seen.add(operation)
            waiting += [reader for tensor in operation.outputs for reader in tensor.consumers()]

    def _layer_of(self, operation):
        # Keras names an operation "model/layer/...", with a number where a layer is called anew.
        scope = operation.name.partition("/")[2].partition("/")[0]
        names = {call.layer.name: call.name for call in self.graph.calls}
        for candidate in (scope.rpartition("_")[0], scope):
            if candidate in names:
                return f"layer {names[candidate]!r}"
        return f"operation {operation.name!r}"

    def _model(self, target):
        return keras.Model(self.graph.input, ClassScore(target)(self.outputs))

    def __call__(self, image, target):
        """Return values of the image's shape for the class of an index."""
        import shap

        with _ONE_AT_A_TIME, nothing_left_behind():
            if target not in self.explainers:
                self.explainers[target] = shap.DeepExplainer(self._model(target), self.background)
            values = self.explainers[target].shap_values(image[None], check_additivity=False)
        return values[0, ..., 0]
