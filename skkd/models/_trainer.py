"""Training of one Keras network on ready-made batches."""

import keras
import numpy as np

from skkd._backend import put_back_weights, random_state_kept, set_random_state, together
from skkd._keras_objects import picklable
from skkd._scikeras import BaseWrapper, alone, own_seeds
from skkd._warnings import warn
from skkd.models._twins import lent_for_training


class EpochSeeds(keras.callbacks.Callback):
    """Seed dropout and other random layers anew in every epoch.

    Keras does not save the state of their generators with a model. Making it depend on the seed
    and the epoch's number alone lets a network that was pickled or read back from a checkpoint
    train on exactly as if it had never been away.

    Parameters
    ----------
    seed : int
        Seed of the training.
    """

    def __init__(self, seed):
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch, logs=None):
        """Set every generator's state."""
        states = [v for v in self.model.variables if v.path.endswith("seed_generator_state")]
        rng = np.random.default_rng([self.seed, epoch])
        for state in states:
            state.assign(rng.integers(2**31, size=state.shape))
        set_random_state(int(rng.integers(2**31)))


class StaysFinite(keras.callbacks.Callback):
    """Raise where training diverges, so that nobody takes what is left for a network.

    Parameters
    ----------
    checkpoint : skkd.models._checkpoint.Checkpoint or None
        What is written down of the last good epoch.
    first_epoch : int
        Epochs trained before.
    """

    def __init__(self, checkpoint, first_epoch):
        super().__init__()
        self.checkpoint = checkpoint
        self.first_epoch = first_epoch

    def on_epoch_end(self, epoch, logs=None):
        """Look at the loss."""
        loss = logs["loss"]
        if not np.isfinite(loss):
            raise ValueError(
                f"training diverged: the loss is {loss} in epoch {epoch + 1}. Lower learning_rate, "
                "or set clipnorm in an optimizer object; check that images and sample weights are "
                f"not huge{self._last_good()}"
            )

    def _last_good(self):
        """Say how to get at the last good weights, if there are any."""
        state = self.checkpoint and self.checkpoint.state
        if not state or state["epoch"] <= self.first_epoch:
            return ""
        return (
            f". The checkpoint holds the network as it was after epoch {state['epoch']}: fit with "
            f"epochs={state['epoch'] - self.first_epoch} to have it"
        )

    def on_train_end(self, logs=None):
        """Look at the weights, which the last step may have lost."""
        for variable in self.model.weights:
            values = keras.ops.convert_to_numpy(variable)
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                raise ValueError(
                    f"training diverged: weights of {variable.path!r} are not finite at its end. "
                    "Lower learning_rate, or set clipnorm in an optimizer object"
                    f"{self._last_good()}"
                )


class NetworkTrainer(BaseWrapper):
    """Builds, compiles and fits one Keras network on ready-made batches.

    SciKeras looks after compiling, callbacks, the seeds of every library involved, the training
    history and continued training. The estimator that holds a trainer has validated and encoded
    the data already, so what reaches this class is a ``keras.utils.PyDataset``.
    """

    def _validate_data(self, X=None, y=None, reset=False, y_numeric=False):
        # SciKeras 0.13 would convert the batches to an array, and relies on what scikit-learn
        # has removed since.
        return X, y

    def __getstate__(self):
        """Give the model what it needs to be read again."""
        return picklable(dict(super().__getstate__()))

    def train(
        self,
        batches,
        validation_batches=None,
        *,
        epochs,
        callbacks,
        verbose,
        early_stopping=None,
        checkpoint=None,
    ):
        """Build the network if there is none yet, and fit it for some more epochs.

        Parameters
        ----------
        batches, validation_batches : keras.utils.PyDataset
            Images, targets and weights.
        epochs : int
            Epochs to add to those of earlier calls.
        callbacks : list of keras.callbacks.Callback
            A user's, called as by ``keras.Model.fit``.
        verbose : int
            Keras's verbosity.
        early_stopping : keras.callbacks.EarlyStopping, default=None
            When to stop.
        checkpoint : skkd.models._checkpoint.Checkpoint, default=None
            Where to begin, if it was begun before, and what to write down.
        """
        begun = self.current_epoch
        last_epoch = begun + epochs
        stopping = [] if early_stopping is None else [early_stopping]
        keeping = [] if checkpoint is None else [checkpoint]
        if checkpoint is not None and checkpoint.load(last_epoch):
            self._go_back_to(checkpoint)
            if checkpoint.state["stopped"]:
                last_epoch = self.current_epoch
        self._seen_by = [*callbacks, *keeping]
        # Weights are looked at after an early stopping has put the best ones back, and before a
        # checkpoint is written.
        seeds = EpochSeeds(self.random_state)
        self.callbacks = [seeds, *callbacks, *stopping, StaysFinite(checkpoint, begun), *keeping]
        self.verbose = verbose
        self.warm_start = self.initialized_
        if self.initialized_:
            self._initialize_callbacks()
        first_epoch = self.current_epoch
        if first_epoch:
            batches.start(first_epoch)
        try:
            self._fit_batches(batches, validation_batches, first_epoch, last_epoch)
        except KeyboardInterrupt:
            checkpoint = None
            if getattr(getattr(self, "model_", None), "history", None) is None:
                raise
            self._keep_interrupted_history(first_epoch)
            warn(
                f"training was interrupted in epoch {self.current_epoch + 1}; the network is "
                "kept as it was then"
            )
        if checkpoint is not None:
            checkpoint.remove()
        self._release()

    def optimizer_state(self):
        """Return the values of the optimizer's variables, and of which weights in which order."""
        variables = self.model_.optimizer.variables
        return {
            "weights": _names(self.model_.trainable_variables),
            "values": {str(n): keras.ops.convert_to_numpy(v) for n, v in enumerate(variables)},
        }

    def go_on_from(self, history, optimizer_state):
        """Take up training that another trainer of the same network was at.

        Parameters
        ----------
        history : dict of str to list of float
            What it wrote down of each epoch.
        optimizer_state : dict or None
            What its `optimizer_state` gave.

        Returns
        -------
        found : bool
            Whether the state is that of the optimizer, which otherwise stays at its beginning: in
            a network that was read, weights may be in another order.
        """
        self.initialize(None)
        self._ensure_compiled_model()
        optimizer = self.model_.optimizer
        optimizer.build(self.model_.trainable_variables)
        names = _names(self.model_.trainable_variables)
        found = (
            optimizer_state is not None
            and optimizer_state["weights"] == names
            and len(set(names)) == len(names)
        )
        for number, variable in enumerate(optimizer.variables if found else ()):
            variable.assign(optimizer_state["values"][str(number)])
        self.history_ = history
        self._release()
        return found

    def follow(self, loss, learning_rate=None):
        """Go on with another loss or learning rate, and the optimizer as it is.

        Parameters
        ----------
        loss : keras.losses.Loss
            What to minimize from now on.
        learning_rate : float or LearningRateSchedule, default=None
            None leaves it where it is, which is where callbacks may have brought it.
        """
        model = self.model_
        before = model.loss
        if learning_rate is not None:
            model.optimizer.learning_rate = learning_rate
        elif type(loss) is type(before) and vars(loss) == vars(before):
            # Compiled functions are kept where nothing has changed.
            return
        # Keras resets a metric only once it is built into what is compiled.
        metrics = [type(metric).from_config(metric.get_config()) for metric in self.metrics]
        model.compile(optimizer=model.optimizer, loss=loss, metrics=metrics)

    def _build_keras_model(self):
        with own_seeds(self.random_state):
            return super()._build_keras_model()

    def _fit_keras_model(self, *args, **options):
        model = self.model_
        together(model)
        try:
            with alone, random_state_kept(), lent_for_training(model, self._seen_by) as self.model_:
                super()._fit_keras_model(*args, **options)
        finally:
            self.model_ = model

    def _fit_batches(self, batches, validation_batches, first_epoch, last_epoch):
        try:
            self.fit(
                batches,
                None,
                epochs=last_epoch - first_epoch,
                initial_epoch=first_epoch,
                validation_data=validation_batches,
                shuffle=False,
            )
        finally:
            put_back_weights(getattr(self, "model_", None))

    def _release(self):
        # The compiled model has its own optimizer and loss, and callbacks hold the model: without
        # these a pickle holds the network once.
        self.model = self.optimizer = self.loss = self.callbacks = self._seen_by = None
        self._fit_callbacks = self._predict_callbacks = []

    def _go_back_to(self, checkpoint):
        if not self.initialized_:
            self.initialize(None)
            self._ensure_compiled_model()
        checkpoint.restore(self.model_)
        self.history_ = checkpoint.state["history"]

    def _keep_interrupted_history(self, first_epoch):
        if first_epoch == 0:
            self.history_ = {"loss": []}
        for name, values in self.model_.history.history.items():
            self.history_.setdefault(name, []).extend(values)


def _names(variables):
    # Without the names of models around a layer, which a model that is read need not have.
    return [f"{'/'.join(v.path.split('/')[-2:])} {tuple(v.shape)}" for v in variables]
