"""A classifier that learns from labels and from a teacher."""

import warnings
from functools import partial
from numbers import Real
from os import PathLike

import joblib
import keras
import numpy as np
from scipy.special import softmax
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_array, check_is_fitted

from skkd._scikeras import seeded
from skkd.distillation._cache import ask_once
from skkd.distillation._hints import Hints, with_hints, without_hints
from skkd.distillation._losses import SOFT_LOSSES, DistillationLoss
from skkd.distillation._teachers import (
    as_teachers,
    average_logits,
    check_probabilities,
    log_of,
    match_classes,
)
from skkd.images._decoded import keep_decoded
from skkd.images._stores import JoinedImages
from skkd.models._classifier import NetworkClassifier
from skkd.models._lessons import Lessons


class KDClassifier(NetworkClassifier):
    """Train a small network from labels and from a large one's outputs.

    The student minimizes ``alpha * hard + (1 - alpha) * soft``: the cross-entropy with the labels
    and the temperature-softened divergence from the teacher [1]_. The teacher's outputs are
    computed once and travel with the labels; training itself is plain ``keras.Model.fit``.

    Parameters
    ----------
    teacher : keras.Model, path, scikit-learn classifier, callable, list of these or None, \
            default=None
        Whom the student learns from; it sees the same raw images, and is left as it is.

        - A trained Keras model, or the path of one saved whole. Images are resized and converted
          between gray and RGB if it needs that.
        - A scikit-learn or SciKeras classifier, which is cloned and fitted on the same images,
          flattened if it takes tables only, and with their weights (those of `class_weight`
          included) if its fit takes them. Wrap a fitted one in
          ``sklearn.frozen.FrozenEstimator`` to keep it.
        - A function from a batch of images to logits. In one process it is taken to give the
          same answers as long as it is the same object.
        - A list of teachers, whose probabilities are averaged at the temperature.
        - None trains without a teacher; `alpha` and `temperature` then play no part.
    student : str, network object, keras.Model or callable, default="auto"
        The student's architecture, as `network` in `NetworkClassifier`.
    alpha : float, default=0.5
        Weight of the hard loss, in [0, 1]. With 1 the student trains on labels alone, with 0 on
        the teacher's outputs alone.
    temperature : float, default=4.0
        Divides the logits of both sides in the soft loss; greater than 0.
    soft_loss : {"kl", "standardized", "dkd", "dist", "literal"} or callable, default="kl"
        How the student's logits are compared with the teacher's.

        - "kl": Hinton's divergence of softened probabilities, times the squared temperature.
        - "standardized": the same of logits brought to mean 0 and deviation 1 [3]_; try
          temperature=2 and alpha=0.1.
        - "dkd": decoupled, for three classes or more [4]_.
        - "dist": correlations within images and within classes [5]_.
        - "literal": Eq. 2 of [2]_ as printed. No student stands in it, so its gradient is zero.
        - A function ``(one_hot, teacher_logits, student_logits, temperature, sample_weight)`` of
          Keras operations that returns one value an image.
    hints : dict of str to str, default=None
        Feature distillation: name of a layer of the teacher (a Keras model) to the name of the
        student's layer whose features are to be like it. Where channels differ a 1x1 convolution
        is learned in between, which is no part of the student; where sizes differ the teacher's
        features are resized. They are computed once and kept in memory.
    hint_weight : float, default=1.0
        Weight of the hint loss, 0 or more.
    hint_loss : {"mse", "attention"}, default="mse"
        Compare features [6]_, or maps of their mean squares over channels [7]_.
    teacher_classes : array-like of shape (n_outputs,), default=None
        Class label of each output of a Keras model or function. None: the labels of y, sorted.
        scikit-learn classifiers know their own. Outputs for other classes are left out.
    teacher_outputs : {"auto", "logits", "probabilities"}, default="auto"
        What a Keras model or function gives; "auto" goes by a model's last activation.
    teacher_weights : array-like of shape (n_teachers,), default=None
        Weights of several teachers; None weighs them alike.
    unlabeled_ratio : float, default=None
        With ``fit(..., X_unlabeled=U)``, unlabeled images for each labeled one in a batch,
        greater than 0. None keeps the proportion they have altogether.
    memory : str, path, joblib.Memory or None, default=None
        Folder in which Keras models' and functions' outputs are kept, by the content of each
        image, for later fits and other processes. None keeps them in this process. Either way a
        grid search asks the teacher about each image once.
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
        network and its optimizer cannot change in between; the loss, the teacher and
        `learning_rate` can. A scikit-learn teacher is fitted once, by the first fit.
    random_state : int, RandomState instance or None, default=None
        Seeds weights, shuffling, dropout and the validation split. An int makes fits repeatable
        to the bit on one device.
    verbose : {0, 1, 2}, default=0
        Keras's progress: none, a bar, or a line an epoch.

    Attributes
    ----------
    student_ : keras.Model
        The trained student, from raw images to class probabilities; the same as ``model_``.
    teacher_ : keras.Model, classifier, callable or list of these
        The teacher, loaded or fitted; absent without one.
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
    skkd.NetworkClassifier : The same without a teacher; trains teachers too.

    References
    ----------
    .. [1] G. Hinton, O. Vinyals and J. Dean, "Distilling the knowledge in a neural network", 2015.
    .. [2] A. Chaddad et al., "Knowledge distillation and feature map visualization for medical
       image analysis", 2025.
    .. [3] S. Sun et al., "Logit standardization in knowledge distillation", CVPR 2024.
    .. [4] B. Zhao et al., "Decoupled knowledge distillation", CVPR 2022.
    .. [5] T. Huang et al., "Knowledge distillation from a stronger teacher", NeurIPS 2022.
    .. [6] A. Romero et al., "FitNets: hints for thin deep nets", ICLR 2015.
    .. [7] S. Zagoruyko and N. Komodakis, "Paying more attention to attention", ICLR 2017.

    Examples
    --------
    A support vector machine teaches a small convolutional network:

    >>> from sklearn.datasets import load_digits
    >>> from sklearn.svm import SVC
    >>> from skkd import FiveBlockCNN, KDClassifier
    >>> digits = load_digits()
    >>> X, y = digits.images[..., None], digits.target
    >>> student = KDClassifier(
    ...     SVC(gamma=0.001), student=FiveBlockCNN(filters=(8, 16)), epochs=5, random_state=0
    ... )
    >>> student.fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]) > 0.8
    True
    """

    _parameter_constraints: dict = {
        **NetworkClassifier._parameter_constraints,
        "teacher": [
            str,
            PathLike,
            keras.Model,
            HasMethods("fit"),
            callable,
            list,
            tuple,
            None,
        ],
        "student": NetworkClassifier._parameter_constraints["network"],
        "alpha": [Interval(Real, 0, 1, closed="both")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "soft_loss": [StrOptions(set(SOFT_LOSSES)), callable],
        "hints": [dict, None],
        "hint_weight": [Interval(Real, 0, None, closed="left")],
        "hint_loss": [StrOptions({"mse", "attention"})],
        "teacher_classes": ["array-like", None],
        "teacher_outputs": [StrOptions({"auto", "logits", "probabilities"})],
        "teacher_weights": ["array-like", None],
        "unlabeled_ratio": [Interval(Real, 0, None, closed="neither"), None],
        "memory": [str, PathLike, joblib.Memory, None],
    }
    _parameter_constraints.pop("network")

    _network_parameter = "student"

    _lasting_parameters = (
        *NetworkClassifier._lasting_parameters[1:],
        *("student", "hints", "hint_loss"),
    )

    def __init__(
        self,
        teacher=None,
        *,
        student="auto",
        alpha=0.5,
        temperature=4.0,
        soft_loss="kl",
        hints=None,
        hint_weight=1.0,
        hint_loss="mse",
        teacher_classes=None,
        teacher_outputs="auto",
        teacher_weights=None,
        unlabeled_ratio=None,
        memory=None,
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
        self.teacher = teacher
        self.student = student
        self.alpha = alpha
        self.temperature = temperature
        self.soft_loss = soft_loss
        self.hints = hints
        self.hint_weight = hint_weight
        self.hint_loss = hint_loss
        self.teacher_classes = teacher_classes
        self.teacher_outputs = teacher_outputs
        self.teacher_weights = teacher_weights
        self.unlabeled_ratio = unlabeled_ratio
        self.memory = memory
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

    @property
    def student_(self):
        """Trained student, a keras.Model from raw images to class probabilities."""
        return self.model_

    def fit(
        self,
        X,
        y,
        sample_weight=None,
        *,
        teacher_logits=None,
        teacher_proba=None,
        X_unlabeled=None,
    ):
        """Train the student.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]) or (n, n_features), or paths
            Images, a table, or n paths of image files.
        y : array-like of shape (n,)
            Class labels, numbers or strings.
        sample_weight : array-like of shape (n,), default=None
            Weight of each image in the whole loss; images of weight 0 are left out.
        teacher_logits : array-like of shape (n, n_outputs), default=None
            What the teacher says about X, if it was asked elsewhere. scikit-learn's searches take
            the rows of each fold.
        teacher_proba : array-like of shape (n, n_outputs), default=None
            The same as probabilities.
        X_unlabeled : like X, of any length, default=None
            Images nobody labeled: the student learns from the teacher on them too, by the soft
            loss and the hints alone. scikit-learn's searches pass it whole, as long as its length
            differs from X's.

        Returns
        -------
        self : KDClassifier
            The fitted classifier.
        """
        self._validate_params()
        again = self.warm_start and hasattr(self, "model_")
        images, y, sample_weight = self._check_training_data(X, y, sample_weight, reset=not again)
        self._check_classes(y, reset=not again)
        if teacher_logits is not None and teacher_proba is not None:
            raise ValueError("give teacher_logits or teacher_proba, not both")
        given = None
        if teacher_logits is not None:
            given = check_array(teacher_logits, dtype=np.float32, input_name="teacher_logits")
        elif teacher_proba is not None:
            given = check_array(teacher_proba, input_name="teacher_proba")
            given = log_of(check_probabilities(given, "teacher_proba"))
        unlabeled = None
        if X_unlabeled is not None:
            unlabeled = self._check_images(X_unlabeled, reset=False)
            unlabeled = keep_decoded(unlabeled, self.cache, verbose=self.verbose)
        return self._train(
            images,
            y,
            sample_weight,
            again=again,
            epochs=self.epochs,
            given_logits=given,
            unlabeled=unlabeled,
        )

    def teacher_predict_proba(self, X):
        """Return the probability of each class according to the teacher.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]) or (n, n_features), or paths
            Images, a table, or n paths of image files.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            Probabilities in the order of ``classes_``.
        """
        check_is_fitted(self)
        if not hasattr(self, "teacher_"):
            raise ValueError(
                f"this {type(self).__name__} was fitted without a teacher that can be asked about "
                "images; give one as its parameter teacher"
            )
        images = self._check_images(X, reset=False)
        logits = self._ask_teachers(images, np.arange(len(images)), temperature=1.0)
        return softmax(logits.astype(np.float64), axis=1)

    def agreement_score(self, X):
        """Return how often student and teacher predict the same class.

        Parameters
        ----------
        X : array-like of shape (n, height, width[, channels]) or (n, n_features), or paths
            Images, a table, or n paths of image files.

        Returns
        -------
        agreement : float
            Share of images, in [0, 1].
        """
        taught = self.classes_[self.teacher_predict_proba(X).argmax(axis=1)]
        return float(np.mean(self.predict(X) == taught))

    def _make_lessons(
        self, images, y, hard, sample_weight, network, views, given_logits=None, unlabeled=None
    ):
        self._check_lessons(given_logits, unlabeled, n_images=len(images))
        self._prepare_teachers(images, y, sample_weight, again=network is None)
        if self.teacher is None and given_logits is None:
            return super()._make_lessons(images, y, hard, sample_weight, network, views)
        n_labeled, mixing = len(images), {}
        if unlabeled is not None:
            images = JoinedImages(images, unlabeled)
            n_new = len(unlabeled)
            hard = np.concatenate([hard, np.zeros((n_new, hard.shape[1]), hard.dtype)])
            sample_weight = np.concatenate([sample_weight, np.ones(n_new, sample_weight.dtype)])
            mixing = {
                "extra_rows": np.arange(n_labeled, len(images)),
                "extra_ratio": self.unlabeled_ratio,
            }
        live = views is not None and self.n_views is None
        soft = np.zeros_like(hard)
        # Where views are trained on, the images themselves only matter as validation images.
        if self.alpha < 1 and (views is None or self.early_stopping):
            # Images of weight 0 are not trained on, so nobody is asked about them.
            asked = np.flatnonzero(sample_weight)
            if given_logits is not None:
                soft[:n_labeled] = match_classes(given_logits, self.teacher_classes, self.classes_)
                asked = asked[asked >= n_labeled]
            if len(asked):
                soft[asked] = self._ask_teachers(images, asked, self.temperature)
        targets = [hard, soft, sample_weight[:, None]]
        sizes = ()
        if self.hints:
            if network:
                self._hints = self._make_hints(network)
                network = partial(with_hints, network, **self._hints.attachment)
            sizes = self._hints.sizes
            targets.append(self._hints.targets(images, self.batch_size))
        loss = DistillationLoss(
            len(self.classes_),
            self.alpha,
            self.temperature,
            self.soft_loss,
            hint_sizes=sizes,
            hint_weight=self.hint_weight,
        )
        lessons = Lessons(
            images, np.concatenate(targets, axis=1), sample_weight, loss, network, mixing
        )
        if views is None:
            return lessons
        if live:
            lessons.mixing["augment"] = views.draw
            if self.alpha < 1:
                lessons.mixing["retarget"] = self._ask_live
            return lessons
        drawn = views.draw_all(images, self.n_views, self.batch_size)
        of_views = np.tile(lessons.targets, (self.n_views, 1))
        if self.alpha < 1:
            k = len(self.classes_)
            asked = np.flatnonzero(np.tile(sample_weight, self.n_views))
            of_views[asked, k : 2 * k] = self._ask_teachers(drawn, asked, self.temperature)
        if self.hints:
            of_views[:, -sum(sizes) :] = self._hints.targets(drawn, self.batch_size)
        return lessons.with_views(drawn, of_views)

    def _prepare_teachers(self, images, y, sample_weight, again):
        """Load or fit the teachers, unless training goes on and they are there already."""
        if self.teacher is None:
            for name in ("teacher_", "_teachers", "_made_of"):
                vars(self).pop(name, None)
            return
        made_of = (self.teacher, self.teacher_classes, self.teacher_outputs)
        if again:
            before = getattr(self, "_made_of", (None,) * 3)
            if all(one is other for one, other in zip(before, made_of, strict=True)):
                return
            if self.hints:
                raise ValueError(
                    "teacher cannot change while training goes on with hints, which were made "
                    "for the one before. Set it back, or begin anew with fit and warm_start=False"
                )
        rows = np.flatnonzero(sample_weight)
        self._teachers = as_teachers(
            self.teacher,
            images,
            y,
            rows,
            sample_weight,
            self.teacher_classes,
            self.teacher_outputs,
        )
        self._made_of = made_of
        sources = [teacher.source for teacher in self._teachers]
        self.teacher_ = sources if isinstance(self.teacher, list | tuple) else sources[0]

    def _ask_live(self, images, targets):
        """Return the targets of a batch with the teacher's logits of these very images."""
        k, rows = len(self.classes_), np.arange(len(images))
        members = [
            match_classes(teacher.logits(images, rows, len(images)), teacher.labels, self.classes_)
            for teacher in self._teachers
        ]
        targets = targets.copy()
        targets[:, k : 2 * k] = average_logits(members, self.teacher_weights, self.temperature)
        return targets

    def _check_lessons(self, given_logits, unlabeled, n_images):
        if given_logits is not None and len(given_logits) != n_images:
            raise ValueError(
                f"teacher_logits or teacher_proba has {len(given_logits)} rows, but X has "
                f"{n_images} images"
            )
        if self.hints and self.teacher is None:
            raise ValueError("hints need a teacher that is one keras.Model, or the path of one")
        if self.augmentation is not None and given_logits is not None:
            raise ValueError(
                "augmentation shows the student images that teacher_logits and teacher_proba say "
                "nothing about; give a teacher that can be asked instead of them"
            )
        if self.augmentation is not None and self.hints and self.n_views is None:
            raise ValueError("hints with an augmentation need n_views, the number of views to keep")
        if unlabeled is not None:
            if self.teacher is None:
                raise ValueError(
                    "X_unlabeled needs a teacher to say what is in the images: give one to "
                    f"{type(self).__name__}"
                )
            if self.alpha == 1 and not self.hints:
                raise ValueError("X_unlabeled has no effect with alpha=1; set alpha below 1")
            if self.soft_loss in ("dkd", "literal"):
                raise ValueError(f"soft_loss={self.soft_loss!r} needs labels; X_unlabeled has none")
        elif self.unlabeled_ratio is not None:
            raise ValueError("unlabeled_ratio has no effect without fit(..., X_unlabeled=...)")
        if len(self.classes_) == 2:
            if self.soft_loss == "dkd":
                raise ValueError(
                    "soft_loss='dkd' compares the classes other than the true one, of which two "
                    "classes leave a single one; use 'kl'"
                )
            if self.soft_loss == "dist":
                warnings.warn(
                    "soft_loss='dist': two probabilities of one image always correlate to 1 or -1,"
                    " so its first term says little about two classes; consider 'kl'",
                    stacklevel=5,
                )

    def _ask_teachers(self, images, rows, temperature):
        """Return the logits of all teachers together, classes matched."""
        members = [
            match_classes(
                ask_once(teacher, images, rows, self.batch_size, self.memory),
                teacher.labels,
                self.classes_,
            )
            for teacher in self._teachers
        ]
        return average_logits(members, self.teacher_weights, temperature)

    def _make_hints(self, network):
        if self.teacher is None or not isinstance(self.teacher_, keras.Model):
            raise ValueError(
                "hints need a teacher that is one keras.Model, or the path of one; got "
                f"{self.teacher!r}"
            )
        # Making a network draws random weights; nobody else's random numbers must move.
        with seeded(0):
            student = network()
        return Hints(self.hints, self.hint_loss, self._teachers[0].network, student)

    def _attach_models(self):
        self._set_models(without_hints(self._trainer.model_))
