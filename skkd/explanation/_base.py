"""What all explainers share."""

import copy

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from skkd.explanation._explanation import Explanation
from skkd.images import as_images
from skkd.models._batches import Batches
from skkd.models._estimators import find_model
from skkd.models._head import logits_model


class BaseExplainer(TransformerMixin, BaseEstimator):
    """Base of the explainers: transformers around a trained model.

    A subclass chooses layers in ``_resolve``, makes a compiled function of batches in
    ``_make_function``, and puts an explanation together in ``_explain_images``.
    """

    # Explainers that are about a class have a parameter of this name.
    target = "predicted"

    def fit(self, X=None, y=None):
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

    def transform(self, X):
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

    def fit_transform(self, X, y=None):
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

    def explain(self, X, y=None):
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
        images = self._check_images(X)
        if y is not None and np.shape(y) != (len(images),):
            raise ValueError(f"y must hold {len(images)} labels; got shape {np.shape(y)}")
        results = self._explain_images(images, self._target_indices(y, len(images)))
        results["targets"] = self.classes_[results["targets"]]
        return Explanation(images=images, labels=None if y is None else np.asarray(y), **results)

    def _as_output(self, values):
        """Return what ``transform`` gives for an explanation's values."""
        return values

    def _find_model(self):
        self.model_, self.classes_, self._steps_before = find_model(self.estimator)
        self._network = logits_model(self.model_)
        if len(self._network.inputs) != 1:
            raise ValueError(
                f"model {self.model_.name!r} has {len(self._network.inputs)} inputs; an explainer "
                "takes models of one image"
            )
        self._functions = {}
        self._resolve()

    def _compiled(self, make, image_shape):
        """Return ``make(image_shape)``, a compiled function, made on first use."""
        key = (make.__name__, image_shape)
        if key not in self._functions:
            self._functions[key] = make(image_shape)
        return self._functions[key]

    def _in_batches(self, images, targets, progress=True):
        """Apply the compiled function to all images and return its results.

        The last batch is padded, as every new shape would be compiled anew.
        """
        function = self._compiled(self._make_function, tuple(images.shape[1:]))
        size = min(self.batch_size, len(images))
        batches = Batches(images, batch_size=size)
        arrays = None
        numbers = range(len(batches))
        for number in self._progress(numbers, "batch") if progress else numbers:
            (batch,) = batches[number]
            rows = slice(number * size, number * size + len(batch))
            missing = size - len(batch)
            results = function(_pad(as_float(batch), missing), _pad(targets[rows], missing))
            if arrays is None:
                arrays = [np.empty((len(images), *r.shape[1:]), r.dtype) for r in results]
            for array, result in zip(arrays, results, strict=True):
                array[rows] = result[: len(batch)]
        return arrays

    def _progress(self, items, unit):
        return tqdm(items, desc=type(self).__name__, unit=unit, disable=not self.verbose)

    def _target_indices(self, y, n_images):
        """Return the class asked for as its index for every image, -1 for the predicted one."""
        name, target = "target", self.target
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
        order = np.argsort(self.classes_)
        positions = np.searchsorted(self.classes_, labels, sorter=order).clip(max=len(order) - 1)
        indices = order[positions]
        if unknown := labels[self.classes_[indices] != labels].tolist():
            raise ValueError(
                f"{name} holds {unknown[0]!r}, which is not a class of the model; its "
                f"classes are {self.classes_.tolist()}"
            )
        return indices.astype(np.int32)

    def _check_images(self, X):
        check_is_fitted(self)
        if self._steps_before is not None:
            X = self._steps_before.transform(X)
        wanted = self._network.input_shape[1:]
        if len(wanted) != 3:
            raise ValueError(
                f"model {self.model_.name!r} takes inputs of shape {wanted}, which are no images"
            )
        size = None if None in wanted[:2] else wanted[:2]
        images = as_images(X, image_size=size, color_mode={1: "grayscale", 3: "rgb"}.get(wanted[2]))
        have = tuple(images.shape[1:])
        if len(have) != 3 or any(w not in (None, h) for w, h in zip(wanted, have, strict=True)):
            raise ValueError(
                f"X has images of shape {have}, but model {self.model_.name!r} takes images of "
                f"shape {wanted}"
            )
        if len(images) == 0:
            raise ValueError("X has no images; at least one is needed")
        return images

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

    def __getstate__(self):
        """Leave out the model, which the estimator has, and what is compiled from it."""
        state = dict(super().__getstate__())
        for name in ("model_", "_network", "_functions"):
            state.pop(name, None)
        return state

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
