"""A plain Keras classifier for scikit-learn."""

import contextlib
import re
from copy import deepcopy
from numbers import Integral, Real
from os import PathLike
from typing import Self

import joblib
import keras
import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import validate_data

from skkd._backend import n_processes, on_one_device, own_part, without_advice
from skkd._memory import kept_memory
from skkd.images._blocks import in_memory
from skkd.images._conversions import split_dataset
from skkd.images._decoded import keep_decoded
from skkd.images._digest import files_digest
from skkd.images._input import as_images
from skkd.images._paths import ImagePaths
from skkd.images._shapes import check_image_shape
from skkd.images._stores import StoredImages
from skkd.models._architecture import network_for
from skkd.models._batches import naming_files, predict
from skkd.models._callbacks import own_callback, picklable_callbacks
from skkd.models._checkpoint import Checkpoint, check_folder
from skkd.models._copies import copy_optimizer, description
from skkd.models._features import without_features
from skkd.models._head import logits_model, probability_model, with_scaled_logits
from skkd.models._image_classifier import ImageClassifierMixin
from skkd.models._labels import check_targets, check_validation_targets, hold_out
from skkd.models._lessons import Accuracy, labeled, with_validation, with_views
from skkd.models._sharing import SharesModels
from skkd.models._trainer import NetworkTrainer
from skkd.models._transfer import TransferNet
from skkd.models._twins import lent_for_prediction
from skkd.models._views import Views
from skkd.persistence._saving import SavesMixin
from skkd.persistence._values import IfPossible, NotSaved


class NetworkClassifier(SavesMixin, SharesModels, ImageClassifierMixin, BaseEstimator):
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
        Images in a batch, in training and prediction. Prediction goes on with half of it, and a
        warning, where there is not enough memory.
    epochs : int, default=30
        Passes over the training images, at most.
    early_stopping : bool, default=False
        Keep a stratified part of the training images for validation, stop when the loss on it has
        not improved for ``n_iter_no_change`` epochs, and take the best epoch's weights.
    validation_fraction : float, default=0.1
        Share of the training images, in (0, 1), kept for early stopping.
    validation_split : object with split(X, y, groups), default=None
        A splitter of scikit-learn, such as ``GroupShuffleSplit``, whose first split says which
        images are kept for early stopping, in place of `validation_fraction`.
    n_iter_no_change : int, default=10
        Epochs without improvement before training stops early.
    callbacks : list of keras.callbacks.Callback, default=None
        Called as by ``keras.Model.fit``. Every fit has its own copies, ``callbacks_``, as it may
        run beside others: those given are left as they are, and share what they hold, such as an
        open file or a connection, with their copies.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class label; "balanced" weighs classes inversely to their frequency.
    image_size : tuple of 2 int, default=None
        Height and width that images are resized to: when files are read, and inside the network
        for arrays of another size. None keeps their size.
    color_mode : {"grayscale", "rgb"} or None, default=None
        Channels of images read from files. None means gray if all files are gray, RGB otherwise.
    window : "header", str, tuple of (center, width) or None, default="header"
        Which values of gray files become black and white, in training and prediction alike, as
        for `skkd.images.read_image`: "header" leaves it to a DICOM file.
    image_cache : "memory", path or None, default=None
        Where images of files are kept decoded while fit trains. None decodes them anew in every
        epoch. "memory" decodes them once and keeps them as an array. A folder keeps them in
        one file there, for later fits on the same files too: a search decodes once for each fold,
        however many candidates it has. The file is made anew when an image file, `image_size`,
        `color_mode` or `window` changes. Images given as arrays are not affected.
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
        finishes leaves nothing behind, and one that diverges its last good epoch. Needs an int as
        `random_state`. What is written is a pickle: name no folder into which people write whom
        you do not trust.
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
    callbacks_ : list of keras.callbacks.Callback
        The copies of ``callbacks`` that the last fit called. A pickle has none.
    history_ : dict of str to list of float
        Loss and accuracy of each epoch, also on the validation part ("val_loss") if there is one.
    n_iter_ : int
        Epochs trained.
    data_digest_ : str
        Digest of the images, labels and weights of the last fit; the same for the same data given
        in the same way, as arrays or as files.
    calibration_temperature_ : float
        What logits are divided by since the fit, if `skkd.fold_temperature` did so.
    n_features_in_ : int
        Size of X's second axis in fit.
    feature_names_in_ : ndarray of str
        Names of the columns, when X was a DataFrame with string column names.

    See Also
    --------
    skkd.KDClassifier : Trains one of these from a teacher too.

    Notes
    -----
    Images are fed raw: uint8 from 0 to 255, or uint16 and floats of any range. A network trained
    from random weights begins with a normalization by the training images' mean and variance per
    channel, which is part of ``model_``.

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
        "validation_split": [HasMethods("split"), None],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "callbacks": [list, None],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "image_size": [tuple, list, None],
        "color_mode": [StrOptions({"grayscale", "rgb"}), None],
        "window": [str, tuple, list, None],
        "image_cache": [str, PathLike, None],
        "augmentation": [keras.layers.Layer, None],
        "n_views": [Interval(Integral, 1, None, closed="left"), None],
        "dtype_policy": [str, keras.DTypePolicy, None],
        "distribution": [HasMethods("scope"), None],
        "checkpoint": [str, PathLike, None],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": [Interval(Integral, 0, 2, closed="both"), "boolean"],
    }

    # Why a network that was read from a file, or calibrated, cannot be trained on.
    _cannot_go_on = None

    # What a network that exists already cannot follow any more when it is trained on.
    _lasting_parameters = (
        *("network", "optimizer", "image_size", "color_mode", "window"),
        *("dtype_policy", "distribution"),
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
        validation_split=None,
        n_iter_no_change=10,
        callbacks=None,
        class_weight=None,
        image_size=None,
        color_mode=None,
        window="header",
        image_cache=None,
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
        self.validation_split = validation_split
        self.n_iter_no_change = n_iter_no_change
        self.callbacks = callbacks
        self.class_weight = class_weight
        self.image_size = image_size
        self.color_mode = color_mode
        self.window = window
        self.image_cache = image_cache
        self.augmentation = augmentation
        self.n_views = n_views
        self.dtype_policy = dtype_policy
        self.distribution = distribution
        self.checkpoint = checkpoint
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X,
        y=None,
        sample_weight=None,
        *,
        groups=None,
        X_val=None,
        y_val=None,
        sample_weight_val=None,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]) or (n, n_features), or paths
            Images, a table, or n paths of image files.
        y : array-like of shape (n,)
            Class labels, numbers or strings. None if X is a ``tf.data.Dataset`` of (image, label)
            batches, which is read into memory.
        sample_weight : array-like of shape (n,), default=None
            Weight of each image in the loss; images of weight 0 are left out.
        groups : array-like of shape (n,), default=None
            Group of each image, such as its patient. Early stopping keeps whole groups for
            validation, stratified by label.
        X_val, y_val : like X and y, of any length, default=None
            Images to validate with, none of which are trained on: their loss and accuracy are in
            ``history_``, and early stopping goes by them. scikit-learn's searches pass them whole,
            as long as their length differs from X's.
        sample_weight_val : array-like of shape (n_val,), default=None
            Weight of each of them.

        Returns
        -------
        self : NetworkClassifier
            The fitted classifier.
        """
        again = self.warm_start and hasattr(self, "model_")
        apart = X_val is not None
        lessons = self._make_lessons(X, y, sample_weight, again=again, groups=groups, apart=apart)
        lessons = self._with_validation(lessons, X_val, y_val, sample_weight_val)
        return self._learn(self._with_views(lessons), self.epochs)

    def partial_fit(self, X, y=None, classes=None, sample_weight=None) -> Self:
        """Train for one more epoch.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]) or (n, n_features), or paths
            Images, a table, or n paths of image files.
        y : array-like of shape (n,)
            Class labels. None if X is a ``tf.data.Dataset`` of (image, label) batches.
        classes : array-like of shape (n_classes,), default=None
            Every label that may come; needed in the first call only.
        sample_weight : array-like of shape (n,), default=None
            Weight of each image in the loss.

        Returns
        -------
        self : NetworkClassifier
            The fitted classifier.
        """
        again = hasattr(self, "model_")
        if not again and classes is None:
            raise ValueError("classes must be passed in the first call of partial_fit")
        lessons = self._make_lessons(X, y, sample_weight, classes=classes, again=again)
        return self._learn(self._with_views(lessons), epochs=1)

    def _make_lessons(self, X, y, sample_weight, *, again, classes=None, groups=None, apart=False):
        """Return what there is to learn from labels.

        ``apart`` says that other images will be there to validate with. Whoever teaches more, such
        as `KDClassifier`, adds to it and hands it on to ``_learn``.
        """
        self._validate_params()
        if not again:
            # A fit that fails leaves nothing that predicts, which would be the old network under
            # the labels of the new images.
            for name in ("model_", "_logits_model", "calibration_temperature_"):
                vars(self).pop(name, None)
        self._check_learning_rate()
        self._check_checkpoint()
        self._check_lasting_parameters(again)
        X, y = split_dataset(X, y)
        images = self._read(X, reset=not again, keep=True)
        labels, sample_weight, self.classes_ = check_targets(
            y,
            images,
            sample_weight=sample_weight,
            class_weight=self.class_weight,
            classes=classes,
            known=self.classes_ if again else None,
            owner=type(self).__name__,
        )
        if self.n_views is not None:
            # Their views will be held in memory too, in which they are read without decoding.
            images = in_memory(images)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        rows, held_out = np.flatnonzero(sample_weight), None
        if self.early_stopping and not apart:
            rows, held_out = hold_out(
                rows,
                labels,
                self.validation_fraction,
                seed,
                splitter=self.validation_split,
                groups=groups,
            )
        elif groups is not None or self.validation_split is not None:
            raise ValueError(
                "groups and validation_split say which images early stopping keeps for "
                "validation; they have no effect "
                + ("beside X_val" if apart else "without early_stopping=True")
            )
        return labeled(
            images,
            labels,
            self.classes_,
            sample_weight,
            rows=rows,
            held_out=held_out,
            seed=seed,
            network=None if again else self._network_for(images, rows, sample_weight),
        )

    def _read(self, X, *, reset, keep=False, name="X"):
        """Return images, decoded once and for all where they are to be trained on."""
        image_size, color_mode = self.image_size, self.color_mode
        if not reset and len(self._input_shape) == 3:
            # Files are read as they were for training, whatever these ones are by themselves.
            image_size = self._input_shape[:2]
            color_mode = {1: "grayscale", 3: "rgb"}.get(self._input_shape[2])
        images = as_images(X, image_size=image_size, color_mode=color_mode, window=self.window)
        from_files = isinstance(images, ImagePaths)
        if from_files and not reset:
            self._check_files(images, name)
        if keep and name == "X":
            # Of other images it is taken where they are read anyway.
            self._files_digest = files_digest(images) if from_files else None
        if keep and self.image_cache is not None:
            images = keep_decoded(images, self.image_cache, verbose=self.verbose)
        if not reset and (len(self._input_shape) > 1 or len(images.shape) > 2):
            whose = f"{type(self).__name__} was fitted on images of shape {self._input_shape}"
            check_image_shape(images, self._input_shape, whose, name)
        if not isinstance(images, ImagePaths | StoredImages):
            images = validate_data(self, images, reset=reset, allow_nd=True)
        elif reset:
            self.n_features_in_ = images.shape[1]
        if reset:
            self._check_depth(images, from_files)
            self._files_dtype = images.dtype if from_files or images.dtype.kind == "u" else None
            self._input_shape = images.shape[1:]
        return images

    def _check_files(self, files, name="X"):
        """Refuse files whose values mean another brightness than those of training."""
        # Floats in an array may be what a user made of files of any type.
        known = getattr(self, "_files_dtype", None)
        if known not in (None, files.dtype):
            raise ValueError(
                f"{name} has files with pixels of type {files.dtype}, such as {files.paths[0]}, "
                f"but {type(self).__name__} was fitted on images of type {known}; save them alike, "
                "or train with a window=(center, width)"
            )

    def _check_depth(self, images, from_files):
        """Refuse images of 16 bits for a backbone that was trained on 8."""
        network = self.network
        if (
            isinstance(network, TransferNet)
            and isinstance(network.backbone, str)
            and network.preprocessing is not None
            and (images.dtype == np.uint16 or (from_files and images.dtype != np.uint8))
        ):
            raise ValueError(
                f"the backbone {network.backbone!r} takes values from 0 to 255, and X has images "
                f"of type {images.dtype}; read files with window=(center, width), or pass floats "
                "scaled to that range"
            )

    def _network_for(self, images, rows, sample_weight):
        """Return a function that makes the network to train, from raw images to logits."""
        return network_for(
            self.network,
            images,
            len(self.classes_),
            rows=rows,
            sample_weight=sample_weight,
            batch_size=self.batch_size,
            image_size=self.image_size,
            dtype_policy=self.dtype_policy,
        )

    def _with_validation(self, lessons, X_val, y_val, sample_weight_val):
        """Add images that a user has kept apart to validate with."""
        if X_val is None and y_val is None and sample_weight_val is None:
            return lessons
        X_val, y_val = split_dataset(X_val, y_val)
        if X_val is None or y_val is None:
            raise ValueError("X_val and y_val must be passed together")
        images = self._read(X_val, reset=False, keep=True, name="X_val")
        labels, weights = check_validation_targets(
            y_val, images, sample_weight_val, self.classes_, type(self).__name__
        )
        return with_validation(lessons, images, labels, weights, self.classes_)

    def _with_views(self, lessons):
        """Augment lessons, before others learn what to say about the views."""
        if self.augmentation is None:
            if self.n_views is not None:
                raise ValueError(f"n_views={self.n_views} has no effect without an augmentation")
            return lessons
        views = Views(self.augmentation, lessons.seed)
        return with_views(lessons, views, self.n_views, self.batch_size)

    def _check_lasting_parameters(self, again):
        """Write down what describes the network; where it goes on, that must be as it was."""
        if again and self._cannot_go_on is not None:
            raise ValueError(
                f"{type(self).__name__} lacks what training would need to go on: "
                f"{self._cannot_go_on}. Begin anew with fit and warm_start=False"
            )
        now = self._describe_lasting()
        for name in now if again else ():
            if now[name] != self._lasting[name]:
                raise ValueError(
                    f"{name} cannot change while training goes on with the same network: it "
                    f"was {self._lasting[name]}, and is {now[name]}. Set it back, or begin "
                    "anew with fit and warm_start=False"
                )
        self._lasting = now

    def _describe_lasting(self):
        return {name: _description(getattr(self, name)) for name in self._lasting_parameters}

    def _learn(self, lessons, epochs):
        """Train the network on lessons: a new one if they bring it, the one there is if not."""
        again = lessons.network is None
        self.callbacks_ = [own_callback(callback) for callback in self.callbacks or []]
        early_stopping = self._make_early_stopping()
        digest = lessons.answer_questions(
            self.batch_size,
            digest=self.checkpoint is not None or self._files_digest is None,
            verbose=self.verbose,
        )
        learned = self._files_digest or digest, lessons.labels, lessons.sample_weight
        batches, validation = lessons.batches(self.batch_size)
        scope = self.distribution.scope() if self.distribution else contextlib.nullcontext()
        with kept_memory(), scope, naming_files(batches, validation), without_advice():
            if n_processes() > 1:
                self._share(batches, validation)
            if again:
                changed = self.learning_rate != self._learning_rate
                self._trainer.follow(lessons.loss, self.learning_rate if changed else None)
            else:
                self._cannot_go_on = None
                optimizer = self._make_optimizer()
                on_one_device(optimizer)
                self._trainer = NetworkTrainer(
                    lessons.network,
                    optimizer=optimizer,
                    loss=lessons.loss,
                    metrics=[Accuracy(len(self.classes_))],
                    random_state=lessons.seed,
                )
            self._learning_rate = self.learning_rate
            self._trainer.train(
                batches,
                validation,
                epochs=epochs,
                callbacks=self.callbacks_,
                verbose=int(self.verbose),
                early_stopping=early_stopping,
                checkpoint=self._make_checkpoint(lessons, digest, early_stopping, epochs),
            )
        self._attach_models()
        self.data_digest_ = joblib.hash(learned)
        self.history_ = dict(self._trainer.history_)
        self.n_iter_ = self._trainer.current_epoch
        return self

    def _share(self, *batches):
        """Share batches between the processes that train this network."""
        if not isinstance(self.random_state, Integral):
            raise ValueError(
                "random_state must be an int where several processes train one network, the same "
                f"in each of them; got {self.random_state!r}"
            )
        for read in batches:
            if read is not None:
                read.check_shares(n_processes())
                read.share(*own_part())

    def _check_checkpoint(self):
        """Refuse what could not be gone on with, before anything is done that takes long."""
        if self.checkpoint is None:
            return
        if not isinstance(self.random_state, Integral):
            raise ValueError(
                "checkpoint needs an int as random_state, or training could not go on as it "
                f"began; got {self.random_state!r}"
            )
        check_folder(self.checkpoint)

    def _make_checkpoint(self, lessons, digest, early_stopping, epochs):
        if self.checkpoint is None:
            return None
        callbacks = (
            self.callbacks_ if early_stopping is None else [*self.callbacks_, early_stopping]
        )
        unimportant = {"callbacks", "verbose", "checkpoint", "image_cache", "epochs", "warm_start"}
        params = {k: v for k, v in self.get_params(deep=False).items() if k not in unimportant}
        key = (
            str({k: _description(v) for k, v in params.items()}),
            # Of callbacks the numbers are kept, which only the same ones can take up.
            [type(callback).__qualname__ for callback in callbacks],
            # They may go by how many epochs there will be, of which nothing else takes note.
            epochs if self.callbacks_ else None,
            lessons.seed,
            self._trainer.current_epoch,
            digest,
            _description(lessons.loss),
            lessons.targets,
            lessons.sample_weight,
            lessons.key,
        )
        return Checkpoint(self.checkpoint, key, epochs, callbacks)

    def _attach_models(self):
        """Make the models that predict from the one that is trained; they share its weights."""
        self._logits_model = without_features(self._trainer.model_)
        self.model_ = probability_model(self._logits_model)
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
        return copy_optimizer(self.optimizer)

    def _make_early_stopping(self):
        if not self.early_stopping:
            return None
        return keras.callbacks.EarlyStopping(
            patience=self.n_iter_no_change, restore_best_weights=True
        )

    def _logits(self, X):
        images = self._read(X, reset=False)
        with lent_for_prediction(self._logits_model) as model:
            return predict(model, images, self.batch_size).astype(np.float64)

    def _to_save(self):
        params = self.get_params(deep=False)
        if not hasattr(self, "model_"):
            return params, None
        trained = self._trainer.model_
        training = {
            "optimizer": trained.optimizer,
            "optimizer_state": self._trainer.optimizer_state(),
            "learning_rate": self._learning_rate,
        }
        if self._cannot_go_on is not None:
            training = NotSaved(self._cannot_go_on)
        elif without_features(trained) is not trained:
            training = NotSaved("the layers that learned from a teacher's features")
        names = (
            *("classes_", "data_digest_", "n_features_in_", "feature_names_in_", "history_"),
            "calibration_temperature_",
        )
        fitted = {name: vars(self)[name] for name in names if name in vars(self)}
        now = self._describe_lasting()
        return params, {
            **fitted,
            "model_": self.model_,
            "input_shape": self._input_shape,
            "files_dtype": self._files_dtype,
            "lasting": self._lasting,
            "changed": [name for name in now if now[name] != self._lasting[name]],
            "seed": self._trainer.random_state,
            "training": IfPossible(training),
        }

    def _with_scaled_logits(self, factor):
        """Return a classifier with copies of the layers, whose logits are multiplied."""
        _, state = self._to_save()
        scaled = clone(self)
        scaled._set_fitted(
            {
                **deepcopy({k: v for k, v in state.items() if k not in ("model_", "training")}),
                "model_": with_scaled_logits(self.model_, factor),
                "calibration_temperature_": state.get("calibration_temperature_", 1.0) / factor,
                "training": NotSaved(
                    "the logits as they were learned, as a temperature is part of the weights"
                ),
            }
        )
        return scaled

    def _set_fitted(self, state):
        for name, value in state.items():
            if name.endswith("_"):
                setattr(self, name, value)
        self._input_shape, self._files_dtype = state["input_shape"], state["files_dtype"]
        # A model that was read is described in other words than the one that was written.
        self._lasting = state["lasting"]
        for name, now in self._describe_lasting().items():
            if name not in state["changed"] and not isinstance(getattr(self, name), NotSaved):
                self._lasting[name] = now
        training = state["training"]
        lost = isinstance(training, NotSaved)
        self._cannot_go_on = training.description if lost else None
        network = logits_model(self.model_)
        self._trainer = NetworkTrainer(
            lambda: network,
            optimizer=keras.optimizers.SGD() if lost else training["optimizer"],
            loss=keras.losses.CategoricalCrossentropy(from_logits=True),
            metrics=[Accuracy(len(self.classes_))],
            random_state=state["seed"],
        )
        found = self._trainer.go_on_from(
            {name: list(values) for name, values in self.history_.items()},
            None if lost else training["optimizer_state"],
        )
        if not (lost or found):
            self._cannot_go_on = "the order of weights, some of which have the same names"
        self._learning_rate = None if lost else training["learning_rate"]
        self._attach_models()
        self.n_iter_ = self._trainer.current_epoch
        self.callbacks_ = []

    def __sklearn_is_fitted__(self):
        """Return whether there is a network, which a fit that failed does not leave."""
        return hasattr(self, "model_")

    def __getstate__(self):
        """Leave out the models that share the trained model's weights."""
        state = dict(super().__getstate__())
        for name in ("model_", "_logits_model", "callbacks_"):
            state.pop(name, None)
        if state["callbacks"]:
            state["callbacks"] = picklable_callbacks(state["callbacks"])
        return state

    def __setstate__(self, state):
        """Make them again."""
        super().__setstate__(state)
        if "_trainer" in vars(self):
            self._attach_models()


def _description(value):
    """Return a text that is the same in another process, unlike most objects' repr."""
    if hasattr(value, "get_config") and not isinstance(value, type):
        return description(value)
    if hasattr(value, "scope"):
        return type(value).__qualname__
    # The repr of an object that has none of its own ends in its address, which a pickle loses.
    return getattr(value, "__qualname__", None) or re.sub(r" at 0x\w+", "", repr(value))
