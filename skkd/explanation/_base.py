"""What all explainers share."""

import copy
from abc import ABCMeta, abstractmethod
from numbers import Integral
from typing import Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from skkd._backend import traced
from skkd._keras_objects import picklable
from skkd._memory import kept_memory
from skkd.explanation._class_score import explained_class
from skkd.explanation._explanation import Explanation
from skkd.images._conversions import split_dataset
from skkd.images._finite import check_finite_images
from skkd.images._shapes import check_image_shape
from skkd.models._batches import Batches, as_memory_allows
from skkd.models._estimators import find_classifier, find_model, find_reader
from skkd.models._graph import open_model, without_traces
from skkd.models._labels import as_labels
from skkd.models._layout import image_layout, read_as_taken
from skkd.persistence._saving import SavesMixin


class BaseExplainer(SavesMixin, TransformerMixin, BaseEstimator, metaclass=ABCMeta):
    """Base of all explainers, from which one of your own derives too.

    It finds the model in the estimator, reads images and files in batches, looks up the classes
    asked for, compiles for the backend of Keras in use, and makes an `Explanation`. A subclass
    defines

    ``_make_function(image_shape)``
        Return the function that explains a batch of images of this shape, written with
        ``keras.ops``: ``(images, targets) -> (maps, logits)``. ``images`` are float32, of shape
        (n, height, width, channels); ``targets`` are the indices of the classes to explain, of
        shape (n,), -1 for the predicted one; the first axis of ``maps`` is that of ``images``;
        ``logits`` are the outputs of ``network_`` for the images. It is compiled, once for each
        shape of images, and follows the network's weights where they change.

    and may define

    ``__init__``
        Take more parameters, as every estimator of scikit-learn does, and hand those below to
        ``super().__init__``. A parameter called ``target`` is the class to explain, as that of
        `GradCAMExplainer`.
    ``_check_network()``
        Raise ``ValueError`` for a network that cannot be explained, and set what is read off it,
        such as ``layer_names_``. Called by ``fit``, and when the explainer is unpickled.
    ``_explain_images(images, targets)``
        Return the parameters of the `Explanation`, but for images and labels, as a dict.
        ``super()._explain_images(images, targets)`` returns "values", which are the maps of all
        images, "targets", which are indices, "probabilities" and "method", the title of a map.

    These names, and those of the attributes below, are kept as public names are.

    Parameters
    ----------
    estimator : keras.Model, fitted estimator or Pipeline
        A trained model, a fitted estimator that holds one in ``model_`` such as `KDClassifier`,
        or a Pipeline ending in one.
    batch_size : int, default=32
        Images explained at a time.
    verbose : {0, 1}, default=0
        1 shows a progress bar.

    Attributes
    ----------
    model_ : keras.Model
        The model explained.
    network_ : keras.Model
        The same layers from images to logits.
    classes_ : ndarray of shape (n_classes,)
        Labels of the outputs.

    Examples
    --------
    How bright the image itself is, a control that no explanation should lose to:

    >>> import numpy as np
    >>> from keras import ops
    >>> from skkd import BaseExplainer, FiveBlockCNN
    >>> class BrightnessExplainer(BaseExplainer):
    ...     def _make_function(self, image_shape):
    ...         def explain(images, targets):
    ...             return ops.mean(images, axis=-1), self.network_(images, training=False)
    ...
    ...         return explain
    >>> model = FiveBlockCNN(filters=(4,)).build((8, 8, 3), n_classes=2)
    >>> explanation = BrightnessExplainer(model).fit().explain(np.ones((5, 8, 8, 3)))
    >>> explanation.values.shape, explanation.method
    ((5, 8, 8), 'Brightness')
    """

    _parameter_constraints: dict = {
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "verbose": [Interval(Integral, 0, 1, closed="both"), "boolean"],
    }

    # Explainers that are about a class have a parameter of this name.
    target = "predicted"

    def __init__(self, estimator, *, batch_size=32, verbose=0):
        self.estimator = estimator
        self.batch_size = batch_size
        self.verbose = verbose

    def fit(self, X=None, y=None) -> Self:
        """Find the model and the layers to explain. Nothing is trained.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]), or paths, default=None
            Images, for what the explainer may need to see of them. Most need none.
        y : ignored
            Accepted for use in a Pipeline.

        Returns
        -------
        self : BaseExplainer
            The fitted explainer.
        """
        self._validate_params()
        self._find_model()
        return self

    def transform(self, X) -> np.ndarray:
        """Explain images.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]), or paths
            Images, or n paths of image files.

        Returns
        -------
        maps : ndarray, float32
            The maps, of the images' size.
        """
        return self._as_output(self.explain(X).values)

    def fit_transform(self, X, y=None) -> np.ndarray:
        """Fit and explain the same images.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]), or paths
            Images, or n paths of image files.
        y : array-like of shape (n,), default=None
            True class labels, needed for ``target="true"``.

        Returns
        -------
        maps : ndarray, float32
            The maps, of the images' size.
        """
        return self._as_output(self.fit(X, y).explain(X, y).values)

    @kept_memory()
    def explain(self, X, y=None) -> Explanation:
        """Explain images and keep with the maps what they are about.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]), or paths
            Images, or n paths of image files.
        y : array-like of shape (n,), default=None
            True class labels: kept for titles, and needed for ``target="true"``.

        Returns
        -------
        explanation : Explanation
            Maps, images, the classes they are about and their probabilities.
        """
        X, y = split_dataset(X, y)
        images = self._check_images(X)
        y = None if y is None else as_labels(y)
        if y is not None and np.shape(y) != (len(images),):
            raise ValueError(f"y must hold {len(images)} labels; got shape {np.shape(y)}")
        indices = self._target_indices(y, len(images))
        results = as_memory_allows(
            lambda size: self._with_batch_size(size)._explain_images(images, indices),
            self.batch_size,
        )
        results["targets"] = self.classes_[results["targets"]]
        return Explanation(images=images, labels=y, **results)

    @abstractmethod
    def _make_function(self, image_shape):
        """Return the function that explains a batch, as the class's docstring says."""

    def _check_network(self):
        """Refuse a network that cannot be explained; keep what is read off another."""

    def _explain_images(self, images, targets):
        """Return the parameters of the explanation, but for images and labels."""
        values, targets, probabilities = self._in_batches(images, targets)
        return {
            "values": values,
            "targets": targets,
            "probabilities": probabilities,
            "method": type(self).__name__.removesuffix("Explainer"),
        }

    def _as_output(self, values):
        """Return what ``transform`` gives for an explanation's values."""
        return values

    def _with_batch_size(self, batch_size):
        """Return this explainer, or one of the same model that takes other batches."""
        if batch_size == self.batch_size:
            return self
        other = object.__new__(type(self))
        # What is made on first use may depend on the size of batches.
        vars(other).update(vars(self), batch_size=batch_size, _functions={})
        return other

    def _find_model(self):
        found = find_classifier(self.estimator)
        self.model_, self._head, self.classes_, self._steps_before = found
        self.network_ = self._head.network
        self._functions = {}
        with without_traces(self.network_):
            self._layout = image_layout(open_model(self.model_))
            self._check_network()

    def _made(self, make, image_shape):
        """Return ``make(image_shape)``, a function, made on first use."""
        key = (make.__name__, image_shape)
        if key not in self._functions:
            self._functions[key] = make(image_shape)
        return self._functions[key]

    def _compile(self, image_shape):
        """Compile the function that explains a batch, with which class that is about."""
        with without_traces(self.network_):
            function = self._make_function(image_shape)

        def explain(images, targets):
            values, logits = function(images, targets)
            return values, *explained_class(self._head, logits, targets)

        return traced(explain, self.network_)

    def _in_batches(self, images, targets, progress=True):
        """Apply the compiled function to all images and return its results.

        The last batch is padded, as every new shape would be compiled anew.
        """
        function = self._made(self._compile, tuple(images.shape[1:]))
        size = min(self.batch_size, len(images))
        batches = Batches(images, batch_size=size)
        arrays = None
        numbers = range(len(batches))
        for number in self._progress(numbers, "batch") if progress else numbers:
            (batch,) = batches[number]
            rows = slice(number * size, number * size + len(batch))
            check_finite_images(batch, range(rows.start, rows.stop))
            missing = size - len(batch)
            results = function(_pad(as_float(batch), missing), _pad(targets[rows], missing))
            if arrays is None:
                arrays = [np.empty((len(images), *r.shape[1:]), r.dtype) for r in results]
            for array, result in zip(arrays, results, strict=True):
                array[rows] = result[: len(batch)]
        _, _, probabilities = arrays
        if not np.isfinite(probabilities).all():
            row = np.isfinite(probabilities).argmin()
            raise ValueError(
                f"model {self.model_.name!r} gives image {row} the probability "
                f"{probabilities[row]}, which is no number; its weights may not be finite"
            )
        return arrays

    def _progress(self, items, unit):
        return tqdm(items, desc=type(self).__name__, unit=unit, disable=not self.verbose)

    def _target_indices(self, y, n_images):
        """Return the class asked for as its index for every image, -1 for the predicted one."""
        name, target = "target", self.target
        if target is None:
            raise ValueError(
                "target must be 'predicted', 'true', a class label or one for each image; got None"
            )
        if isinstance(target, str) and target == "predicted":
            return np.full(n_images, -1, np.int32)
        if isinstance(target, str) and target == "true":
            if y is None:
                raise ValueError(
                    "target='true' needs the labels: call explain(X, y) or fit_transform(X, y)"
                )
            name, target = "y", y
        labels = np.asarray(target)
        if labels.ndim == 0:
            labels = np.full(n_images, labels)
        if labels.shape != (n_images,):
            raise ValueError(
                f"target must be one label or {n_images} of them, one an image; got shape "
                f"{labels.shape}"
            )
        positions = {label: number for number, label in enumerate(self.classes_.tolist())}
        if unknown := [label for label in labels.tolist() if label not in positions]:
            raise ValueError(
                f"{name} holds {unknown[0]!r}, which is not a class of the model; its "
                f"classes are {list(positions)}"
            )
        return np.array([positions[label] for label in labels.tolist()], dtype=np.int32)

    def _check_images(self, X):
        check_is_fitted(self)
        if self._steps_before is not None:
            X = self._steps_before.transform(X)
        wanted = self.network_.input_shape[1:]
        images = read_as_taken(X, wanted, self._layout, find_reader(self.estimator))
        height, width, channels = wanted
        shapes = {"channels_first": (channels, height, width), "no_channels": (height, width)}
        shape = shapes.get(self._layout, tuple(wanted))
        whose = f"model {self.model_.name!r} takes images of shape {shape}"
        check_image_shape(images, wanted, whose)
        if len(images) == 0:
            raise ValueError("X has no images; at least one is needed")
        return images

    def __sklearn_tags__(self):
        """Say that images are taken, and no tables."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def __sklearn_clone__(self):
        """Make an unfitted copy around the same trained model, which a clone would un-train."""
        new = type(self)(
            **{
                name: value if name == "estimator" else clone(value, safe=False)
                for name, value in self.get_params(deep=False).items()
            }
        )
        for name in ("_sklearn_output_config", "_metadata_request"):
            if hasattr(self, name):
                setattr(new, name, copy.deepcopy(getattr(self, name)))
        return new

    def _to_save(self):
        params = self.get_params(deep=False)
        if not hasattr(self, "classes_"):
            return params, None
        if find_model(self.estimator)[0] is not self.model_:
            raise ValueError(
                f"estimator has been fitted anew since this {type(self).__name__} was; fit it again"
            )
        while hasattr(params["estimator"], "best_estimator_"):
            params["estimator"] = params["estimator"].best_estimator_
        # Found again in the estimator.
        found = {"_steps_before", "_layout", "_metadata_request", *params}
        state = BaseExplainer.__getstate__(self)
        return params, {name: vars(self)[name] for name in state if name not in found}

    def _set_fitted(self, state):
        vars(self).update(state)
        self._find_model()

    def __getstate__(self):
        """Leave out the model, which the estimator has, and what is compiled from it."""
        state = dict(super().__getstate__())
        for name in ("model_", "network_", "_head", "_functions"):
            state.pop(name, None)
        return picklable(state)

    def __setstate__(self, state):
        """Find the model in the estimator again."""
        super().__setstate__(state)
        if "classes_" in state:
            self._find_model()


def _pad(array, n_rows):
    return np.pad(array, [(0, n_rows)] + [(0, 0)] * (array.ndim - 1), mode="edge")


def as_float(images):
    """Return images as float32, the type in which networks compute."""
    return images.astype(np.float32, copy=False)
