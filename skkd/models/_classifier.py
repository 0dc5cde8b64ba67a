"""A plain Keras classifier for scikit-learn."""

import contextlib
import re
from copy import deepcopy
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from os import PathLike

import keras
import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, compute_sample_weight
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from skkd._backend import on_one_device, without_advice
from skkd._scikeras import NetworkTrainer
from skkd.images._decoded import keep_decoded
from skkd.images._files import ImagePaths
from skkd.images._input import as_images
from skkd.images._stores import StoredImages
from skkd.models._architecture import as_network, build_logits
from skkd.models._batches import Batches, naming_files, predict_batches
from skkd.models._checkpoint import Checkpoint, content_digest
from skkd.models._head import probability_model
from skkd.models._lessons import Accuracy, Lessons
from skkd.models._normalization import mean_and_variance
from skkd.models._scratch import ScratchNetwork
from skkd.models._views import Views


class NetworkClassifier(ClassifierMixin, BaseEstimator):
    """Train a Keras network as a scikit-learn classifier.

    Parameters
    ----------
    network : str, network object, keras.Model or callable, default="auto"
        The architecture: "auto" (`FiveBlockCNN` for images, `MLP` for tables), "five_block",
        "kdfmv", "mlp", an object such as `FiveBlockCNN` or `TransferNet`, a keras.Model (its
        architecture is copied, its weights are not), or a function
        ``(input_shape, n_classes) -> keras.Model``. It ends in softmax or in logits.
    optimizer : str or keras.optimizers.Optimizer, default="adam"
        Name of a Keras optimizer, or one whose configuration is copied for every fit.
    learning_rate : float or keras.optimizers.schedules.LearningRateSchedule, default=1e-3
        Learning rate of an optimizer given by name. An optimizer object has its own.
    batch_size : int, default=32
        Images in a batch, in training and prediction.
    epochs : int, default=30
        Passes over the training images, at most.
    early_stopping : bool, default=False
        Keep a stratified part of the training images for validation, stop when the loss on it has
        not improved for ``n_iter_no_change`` epochs, and take the best epoch's weights.
    validation_fraction : float, default=0.1
        Share of the training images, in (0, 1), kept for early stopping.
    n_iter_no_change : int, default=10
        Epochs without improvement before training stops early.
    callbacks : list of keras.callbacks.Callback, default=None
        Called as by ``keras.Model.fit``. In a grid search each candidate has its own copies.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class label; "balanced" weighs classes inversely to their frequency.
    image_size : tuple of 2 int, default=None
        Height and width that images are resized to: when files are read, and inside the network
        for arrays of another size. None keeps their size.
    color_mode : {"grayscale", "rgb"} or None, default=None
        Channels of images read from files. None means gray if all files are gray, RGB otherwise.
    cache : "memory", path or None, default=None
        Where images of files are kept decoded while fit trains. None decodes them anew in every
        epoch. "memory" decodes them once and keeps them as 8-bit arrays. A folder keeps them in
        one file there, for later fits on the same files too: a search decodes once for each fold,
        however many candidates it has. The file is made anew when an image file, `image_size` or
        `color_mode` changes. Images given as arrays are not affected.
    augmentation : keras.layers.Layer, default=None
        Random layers, which keep the images' shape, applied in training only. A teacher sees the
        same view as the student.
    n_views : int, default=None
        Number of views of each image that are drawn once, kept in memory and taken in turn by the
        epochs, so that a teacher is asked about each once. None draws new ones in every epoch,
        and asks the teacher about each.
    dtype_policy : str or keras.DTypePolicy, default=None
        Precision of the network, such as "mixed_bfloat16". None takes Keras's global policy.
    distribution : object with scope(), default=None
        A ``keras.distribution`` or ``tf.distribute`` strategy to train under.
    checkpoint : str or path, default=None
        Folder in which training is written down after every epoch. A fit with the same
        parameters and data that was cut off goes on from there to the same weights; one that
        finishes leaves nothing behind. Needs an int as `random_state`.
    warm_start : bool, default=False
        Continue from the weights of the previous fit instead of starting anew. What describes the
        network and its optimizer cannot change in between; the loss and `learning_rate` can.
    random_state : int, RandomState instance or None, default=None
        Seeds weights, shuffling, dropout and the validation split. An int makes fits repeatable
        to the bit on one device.
    verbose : {0, 1, 2}, default=0
        Keras's progress: none, a bar, or a line an epoch.

    Attributes
    ----------
    model_ : keras.Model
        The trained network, from raw images to class probabilities.
    classes_ : ndarray of shape (n_classes,)
        Class labels, in the order of the outputs.
    history_ : dict of str to list of float
        Loss and accuracy of each epoch, also on the validation part ("val_loss") if there is one.
    n_iter_ : int
        Epochs trained.
    n_features_in_ : int
        Size of X's second axis in fit.
    feature_names_in_ : ndarray of str
        Names of the columns, when X was a DataFrame with string column names.

    See Also
    --------
    skkd.KDClassifier : The same, with a teacher.

    Notes
    -----
    Images are fed raw: uint8 from 0 to 255, or floats of any range. A network trained from random
    weights begins with a normalization by the training images' mean and variance per channel,
    which is part of ``model_``.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skkd import FiveBlockCNN, NetworkClassifier
    >>> digits = load_digits()
    >>> X, y = digits.images[..., None], digits.target
    >>> classifier = NetworkClassifier(FiveBlockCNN(filters=(8, 16)), epochs=5, random_state=0)
    >>> classifier.fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]) > 0.8
    True
    """

    _parameter_constraints: dict = {
        "network": [str, keras.Model, HasMethods("build"), callable],
        "optimizer": [str, keras.optimizers.Optimizer],
        "learning_rate": [
            Interval(Real, 0, None, closed="neither"),
            keras.optimizers.schedules.LearningRateSchedule,
        ],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "callbacks": [list, None],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "image_size": [tuple, list, None],
        "color_mode": [StrOptions({"grayscale", "rgb"}), None],
        "cache": [str, PathLike, None],
        "augmentation": [keras.layers.Layer, None],
        "n_views": [Interval(Integral, 1, None, closed="left"), None],
        "dtype_policy": [str, keras.DTypePolicy, None],
        "distribution": [HasMethods("scope"), None],
        "checkpoint": [str, PathLike, None],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": [Interval(Integral, 0, 2, closed="both"), "boolean"],
    }

    # The name under which users know the architecture, for error messages.
    _network_parameter = "network"

    # What a network that exists already cannot follow any more when it is trained on.
    _lasting_parameters = (
        *("network", "optimizer", "image_size", "color_mode", "dtype_policy", "distribution"),
    )

    def __init__(
        self,
        network="auto",
        *,
        optimizer="adam",
        learning_rate=1e-3,
        batch_size=32,
        epochs=30,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        callbacks=None,
        class_weight=None,
        image_size=None,
        color_mode=None,
        cache=None,
        augmentation=None,
        n_views=None,
        dtype_policy=None,
        distribution=None,
        checkpoint=None,
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
        self.network = network
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.callbacks = callbacks
        self.class_weight = class_weight
        self.image_size = image_size
        self.color_mode = color_mode
        self.cache = cache
        self.augmentation = augmentation
        self.n_views = n_views
        self.dtype_policy = dtype_policy
        self.distribution = distribution
        self.checkpoint = checkpoint
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y, sample_weight=None):
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]) or (n, n_features), or paths
            Images, a table, or n paths of image files.
        y : array-like of shape (n,)
            Class labels, numbers or strings.
        sample_weight : array-like of shape (n,), default=None
            Weight of each image in the loss; images of weight 0 are left out.

        Returns
        -------
        self : NetworkClassifier
            The fitted classifier.
        """
        self._validate_params()
        again = self.warm_start and hasattr(self, "model_")
        images, y, sample_weight = self._check_training_data(X, y, sample_weight, reset=not again)
        self._check_classes(y, reset=not again)
        return self._train(images, y, sample_weight, again=again, epochs=self.epochs)

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one more epoch.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]) or (n, n_features), or paths
            Images, a table, or n paths of image files.
        y : array-like of shape (n,)
            Class labels.
        classes : array-like of shape (n_classes,), default=None
            Every label that may come; needed in the first call only.
        sample_weight : array-like of shape (n,), default=None
            Weight of each image in the loss.

        Returns
        -------
        self : NetworkClassifier
            The fitted classifier.
        """
        self._validate_params()
        again = hasattr(self, "model_")
        if not again and classes is None:
            raise ValueError("classes must be passed in the first call of partial_fit")
        images, y, sample_weight = self._check_training_data(X, y, sample_weight, reset=not again)
        self._check_classes(y, classes, reset=not again)
        return self._train(images, y, sample_weight, again=again, epochs=1)

    def _check_training_data(self, X, y, sample_weight, reset):
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        images = self._check_images(X, reset=reset)
        y = column_or_1d(y, warn=True)
        check_consistent_length(images, y)
        if y.dtype == object and (lost := sum(label is None or label != label for label in y)):
            raise ValueError(f"y must have no missing labels; got None or NaN for {lost} images")
        check_classification_targets(y)
        sample_weight = _check_sample_weight(
            sample_weight, images, dtype=np.float32, ensure_non_negative=True
        )
        if self.class_weight is not None:
            sample_weight = sample_weight * self._weights_by_class(y, sample_weight)
        if not sample_weight.any():
            raise ValueError("sample_weight must not be zero for every image")
        images = keep_decoded(images, self.cache, verbose=self.verbose)
        return images, y, sample_weight.astype(np.float32)

    def _weights_by_class(self, y, sample_weight):
        if self.class_weight != "balanced":
            return compute_sample_weight(self.class_weight, y)
        # The frequency of a class counts its images' weights, so that an image of weight 2 is two
        # and one of weight 0 none.
        _, classes = np.unique(y, return_inverse=True)
        totals = np.bincount(classes, weights=sample_weight)
        fair_share = totals.sum() / max(np.count_nonzero(totals), 1)
        return fair_share / np.where(totals > 0, totals, 1.0)[classes]

    def _check_classes(self, y, classes=None, *, reset):
        labels = np.unique(y if classes is None else classes)
        if reset:
            if len(labels) < 2:
                raise ValueError(
                    f"{type(self).__name__} needs at least 2 classes; got {len(labels)} class: "
                    f"{labels[0]!r}"
                )
            self.classes_ = labels
        elif unknown := np.setdiff1d(labels, self.classes_).tolist():
            raise ValueError(
                f"y must hold only the classes of the first fit, {self.classes_.tolist()}; got "
                f"{unknown}"
            )
        if unknown := np.setdiff1d(y, self.classes_).tolist():
            raise ValueError(
                f"y must hold only labels that are in classes, {self.classes_.tolist()}; got "
                f"{unknown}"
            )

    def _check_images(self, X, reset):
        image_size, color_mode = self.image_size, self.color_mode
        if not reset and len(self._input_shape) == 3:
            # Files are read as they were for training, whatever these ones are by themselves.
            image_size = self._input_shape[:2]
            color_mode = {1: "grayscale", 3: "rgb"}.get(self._input_shape[2])
        images = as_images(X, image_size=image_size, color_mode=color_mode)
        if not isinstance(images, ImagePaths | StoredImages):
            images = validate_data(self, images, reset=reset, allow_nd=True)
        elif reset:
            self.n_features_in_ = images.shape[1]
        if reset:
            self._input_shape = images.shape[1:]
        elif images.shape[1:] != self._input_shape:
            raise ValueError(
                f"X has images of shape {images.shape[1:]}, but {type(self).__name__} was fitted "
                f"on images of shape {self._input_shape}"
            )
        return images

    def _check_lasting_parameters(self, again):
        """Return what describes the network; where it goes on, that must be as it was."""
        # The repr of an object that has none of its own ends in its address, which a pickle loses.
        now = {
            name: re.sub(r" at 0x\w+", "", _description(getattr(self, name)))
            for name in self._lasting_parameters
        }
        if again:
            for name, description in now.items():
                if description != self._lasting[name]:
                    raise ValueError(
                        f"{name} cannot change while training goes on with the same network: it "
                        f"was {self._lasting[name]}, and is {description}. Set it back, or begin "
                        "anew with fit and warm_start=False"
                    )
        return now

    def _train(self, images, y, sample_weight, again, epochs, **teaching):
        self._check_learning_rate()
        lasting = self._check_lasting_parameters(again)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        labels = np.searchsorted(self.classes_, y)
        hard = np.eye(len(self.classes_), dtype=np.float32)[labels]
        rows, held_out = np.flatnonzero(sample_weight), None
        if self.early_stopping:
            rows, held_out = self._hold_out(rows, labels, seed)
        if not again:
            network = self._normalized_network(images, rows, sample_weight)
        else:
            network = None
        views = self._make_views(seed)
        lessons = self._make_lessons(images, y, hard, sample_weight, network, views, **teaching)
        callbacks = self._training_callbacks()
        batches = lessons.batches(rows, self.batch_size, seed=seed, **lessons.mixing)
        validation = None if held_out is None else lessons.batches(held_out, self.batch_size)
        scope = self.distribution.scope() if self.distribution else contextlib.nullcontext()
        with scope, naming_files(batches, validation), without_advice():
            if again:
                changed = self.learning_rate != self._learning_rate
                self._trainer.follow(lessons.loss, self.learning_rate if changed else None)
            else:
                optimizer = self._make_optimizer()
                on_one_device(optimizer)
                self._trainer = NetworkTrainer(
                    lessons.network,
                    optimizer=optimizer,
                    loss=lessons.loss,
                    metrics=[Accuracy(len(self.classes_))],
                    random_state=seed,
                )
            self._lasting, self._learning_rate = lasting, self.learning_rate
            self._trainer.train(
                batches,
                validation,
                epochs=epochs,
                callbacks=callbacks,
                verbose=int(self.verbose),
                checkpoint=self._make_checkpoint(lessons, seed, callbacks),
            )
        self._attach_models()
        self.history_ = dict(self._trainer.history_)
        self.n_iter_ = self._trainer.current_epoch
        return self

    def _hold_out(self, rows, labels, seed):
        try:
            return train_test_split(
                rows,
                test_size=self.validation_fraction,
                stratify=labels[rows],
                random_state=seed,
            )
        except ValueError as error:
            counts = np.bincount(labels[rows], minlength=len(self.classes_))
            raise ValueError(
                f"early_stopping with validation_fraction={self.validation_fraction} cannot keep "
                f"images of every class for validation: y has {counts.tolist()} of the classes "
                f"{self.classes_.tolist()} ({error}). Set a larger validation_fraction or "
                "early_stopping=False, or bring more images"
            ) from error

    def _normalized_network(self, images, rows, sample_weight):
        """Return a function that makes the network to train, from raw images to logits."""
        input_shape = tuple(images.shape[1:])
        parameter = self._network_parameter
        network = as_network(getattr(self, parameter), input_shape, parameter)
        normalization = None
        if isinstance(network, ScratchNetwork):
            normalization = mean_and_variance(images, rows, sample_weight, self.batch_size)
        return partial(
            build_logits,
            network,
            input_shape,
            len(self.classes_),
            normalization=normalization,
            image_size=self.image_size,
            dtype_policy=self.dtype_policy,
        )

    def _make_views(self, seed):
        if self.augmentation is not None:
            return Views(self.augmentation, seed)
        if self.n_views is not None:
            raise ValueError(f"n_views={self.n_views} has no effect without an augmentation")
        return None

    def _make_checkpoint(self, lessons, seed, callbacks):
        if self.checkpoint is None:
            return None
        if not isinstance(self.random_state, Integral):
            raise ValueError(
                "checkpoint needs an int as random_state, or training could not go on as it "
                f"began; got {self.random_state!r}"
            )
        unimportant = {"callbacks", "verbose", "checkpoint", "cache", "memory", "teacher"}
        params = {k: v for k, v in self.get_params(deep=False).items() if k not in unimportant}
        key = (
            str({k: _description(v) for k, v in params.items()}),
            # Of callbacks the numbers are kept, which only the same ones can take up.
            [type(callback).__qualname__ for callback in callbacks],
            seed,
            self._trainer.current_epoch,
            content_digest(lessons.images, self.batch_size),
            lessons.targets,
        )
        return Checkpoint(self.checkpoint, (*key, lessons.sample_weight), callbacks)

    def _attach_models(self):
        """Make the models that predict from the one that is trained; they share its weights."""
        self._set_models(self._trainer.model_)

    def _set_models(self, logits_model):
        self._logits_model = logits_model
        self.model_ = probability_model(logits_model)
        # Keras exports to ONNX only what has been called.
        self.model_(np.zeros((1, *self._input_shape), dtype=np.float32))

    def _check_learning_rate(self):
        if not isinstance(self.optimizer, str) and self.learning_rate != 1e-3:
            raise ValueError(
                f"learning_rate={self.learning_rate!r} has no effect on an optimizer object; set "
                "it there, or give the optimizer by name"
            )

    def _make_optimizer(self):
        if isinstance(self.optimizer, str):
            optimizer = keras.optimizers.get(self.optimizer)
            optimizer.learning_rate = self.learning_rate
            return optimizer
        return type(self.optimizer).from_config(self.optimizer.get_config())

    def _make_lessons(self, images, y, hard, sample_weight, network, views):
        """Return what is trained on, and with which loss; ``network`` is None after the first."""
        loss = keras.losses.CategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        )
        lessons = Lessons(images, hard, sample_weight, loss, network)
        if views is None:
            return lessons
        if self.n_views is None:
            return replace(lessons, mixing={"augment": views.draw})
        return lessons.with_views(views.draw_all(images, self.n_views, self.batch_size))

    def _training_callbacks(self):
        callbacks = list(self.callbacks or [])
        if self.early_stopping:
            callbacks.append(
                keras.callbacks.EarlyStopping(
                    patience=self.n_iter_no_change, restore_best_weights=True
                )
            )
        return callbacks

    def decision_function(self, X):
        """Return the logits.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]) or (n, n_features), or paths
            Images, a table, or n paths of image files.

        Returns
        -------
        logits : ndarray of shape (n, n_classes), or (n,) for two classes
            Outputs before the softmax; for two classes, the second's minus the first's.
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X):
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]) or (n, n_features), or paths
            Images, a table, or n paths of image files.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            Probabilities in the order of ``classes_``.
        """
        return softmax(self._logits(X), axis=1)

    def predict(self, X):
        """Return the most probable class label.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]) or (n, n_features), or paths
            Images, a table, or n paths of image files.

        Returns
        -------
        y : ndarray of shape (n,)
            Class labels.
        """
        logits = self._logits(X)
        return self.classes_[logits.argmax(axis=1)]

    def _logits(self, X):
        check_is_fitted(self)
        images = self._check_images(X, reset=False)
        batches = Batches(images, batch_size=self.batch_size)
        return predict_batches(self._logits_model, batches).astype(np.float64)

    def __sklearn_tags__(self):
        """Say that images are welcome, besides tables."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def __sklearn_clone__(self):
        """Make an unfitted copy that shares the Keras models among the parameters.

        scikit-learn would deep-copy a teacher for every candidate and fold.
        """
        copy = type(self)(
            **{name: _clone_parameter(value) for name, value in self.get_params(deep=False).items()}
        )
        if hasattr(self, "_metadata_request"):
            copy._metadata_request = deepcopy(self._metadata_request)
        return copy

    def __getstate__(self):
        """Leave out the models that share the trained model's weights."""
        state = dict(super().__getstate__())
        for name in ("model_", "_logits_model"):
            state.pop(name, None)
        return state

    def __setstate__(self, state):
        """Make them again."""
        super().__setstate__(state)
        if "_trainer" in vars(self):
            self._attach_models()


def _clone_parameter(value):
    if isinstance(value, list | tuple):
        return type(value)(_clone_parameter(item) for item in value)
    # A deep copy of a teacher would be another teacher, to be asked all over again; layers are
    # copied by fit, and a strategy cannot be copied.
    shared = (
        isinstance(value, keras.layers.Layer)
        or hasattr(value, "scope")
        or (callable(value) and not hasattr(value, "fit"))
    )
    return value if shared else clone(value, safe=False)


def _description(value):
    """Return a text that is the same in another process, unlike most objects' repr."""
    if hasattr(value, "get_config") and not isinstance(value, type):
        return str(value.get_config())
    if hasattr(value, "scope"):
        return type(value).__qualname__
    return getattr(value, "__qualname__", None) or repr(value)
