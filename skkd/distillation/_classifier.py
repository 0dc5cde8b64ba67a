"""A classifier that learns from labels and from a teacher."""

from numbers import Real
from os import PathLike

import keras
import numpy as np
from scipy.special import softmax
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import check_is_fitted

from skkd.distillation._losses import DistillationLoss
from skkd.distillation._teachers import is_teacher, ready_teacher, teacher_logits
from skkd.models._classifier import NetworkClassifier


class KDClassifier(NetworkClassifier):
    """Train a small network from labels and from a large one's outputs.

    The student minimizes ``alpha * hard + (1 - alpha) * soft``: the cross-entropy with the labels
    and the temperature-softened divergence from the teacher [1]_. The teacher's outputs are
    computed once and travel with the labels; training itself is plain ``keras.Model.fit``.

    Parameters
    ----------
    teacher : keras.Model, path, scikit-learn classifier or None, default=None
        A trained model ending in softmax or logits, fed the same raw images as the student, whose
        outputs stand for the class labels in sorted order; the path of one saved as ``.keras`` or
        ``.h5``; or a scikit-learn classifier, which is cloned and fitted on the same images
        (wrap a fitted one in ``sklearn.frozen.FrozenEstimator`` to keep it). Images are resized
        and converted between grey and RGB for a Keras teacher that needs it. None trains without
        a teacher; `alpha` and `temperature` then play no part.
    student : str, network object, keras.Model or callable, default="auto"
        The student's architecture, as `network` in `NetworkClassifier`.
    alpha : float, default=0.5
        Weight of the hard loss, in [0, 1].
    temperature : float, default=4.0
        Divides the logits of both sides in the soft loss; greater than 0.
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
        Channels of images read from files. None means grey if all files are grey, RGB otherwise.
    warm_start : bool, default=False
        Continue from the weights of the previous fit instead of starting anew.
    random_state : int, RandomState instance or None, default=None
        Seeds weights, shuffling, dropout and the validation split. An int makes fits repeatable
        to the bit on one device.
    verbose : {0, 1, 2}, default=0
        Keras's progress: none, a bar, or a line an epoch.

    Attributes
    ----------
    student_ : keras.Model
        The trained student, from raw images to class probabilities; the same as ``model_``.
    teacher_ : keras.Model or classifier
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
        "teacher": [str, PathLike, keras.Model, HasMethods("fit"), None],
        "student": NetworkClassifier._parameter_constraints["network"],
        "alpha": [Interval(Real, 0, 1, closed="both")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
    }
    _parameter_constraints.pop("network")

    _network_parameter = "student"

    def __init__(
        self,
        teacher=None,
        *,
        student="auto",
        alpha=0.5,
        temperature=4.0,
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
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
        self.teacher = teacher
        self.student = student
        self.alpha = alpha
        self.temperature = temperature
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
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @property
    def student_(self):
        """keras.Model: the trained student, from raw images to class probabilities."""
        return self.model_

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
        check_is_fitted(self, "teacher_")
        images = self._check_images(X, reset=False)
        logits = teacher_logits(self.teacher_, images, self.classes_, self.batch_size)
        return softmax(logits.astype(np.float64), axis=1)

    def _make_targets(self, images, y, hard):
        if self.teacher is None:
            return hard
        if not is_teacher(self.teacher):
            raise ValueError(
                "teacher must be a keras.Model, the path of one, a scikit-learn classifier or "
                f"None; got {self.teacher!r}"
            )
        self.teacher_ = ready_teacher(self.teacher, images, y)
        logits = teacher_logits(self.teacher_, images, self.classes_, self.batch_size)
        return np.concatenate([hard, logits], axis=1)

    def _make_loss(self):
        if self.teacher is None:
            return super()._make_loss()
        return DistillationLoss(self.alpha, self.temperature)
