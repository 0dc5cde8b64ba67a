"""Going on with training that was cut off."""

import os
import tempfile
import uuid
from pathlib import Path

import joblib
import keras
import numpy as np

from skkd._warnings import warn
from skkd.models._copies import load_weights


def check_folder(folder):
    """Raise OSError unless a folder is there, or can be made, and can be written to."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            error.errno,
            f"checkpoint must be None or a folder to write to; got {folder}: {error.strerror}",
        ) from error


class Checkpoint(keras.callbacks.Callback):
    """Write down after every epoch all that training needs to go on to the same end.

    It must be the last callback, so that what it keeps of the others is what they are after the
    epoch.

    Parameters
    ----------
    folder : path
        Where the file is kept, until training is finished.
    key : object
        Whatever must be the same for training to be the same: parameters, seed and data. It is
        hashed into the file's name.
    epochs : int
        Epochs to train for. A file of the same training for more or fewer epochs serves too, as far
        as it goes no further; it is left as it is.
    others : list of keras.callbacks.Callback
        Callbacks whose numbers, such as an early stopping's best loss, are kept too.
    """

    def __init__(self, folder, key, epochs, others):
        super().__init__()
        self.name = f"skkd-fit-{joblib.hash(key)}"
        self.path = Path(folder) / f"{self.name}-{epochs}.joblib"
        self.others = others
        self.state = None
        self._history = {}

    def load(self, last_epoch):
        """Read the file that goes furthest, up to an epoch; return whether there is one."""
        for path in self.path.parent.glob(f"{self.name}-*.joblib"):
            try:
                state = joblib.load(path)
            # A damaged pickle fails with whatever it comes upon.
            except Exception as error:
                warn(f"the checkpoint {path} is damaged and not used: {error}")
                continue
            if (0 if self.state is None else self.state["epoch"]) < state["epoch"] <= last_epoch:
                self.state = state
                self._history = state["history"]
        return self.state is not None

    def restore(self, model):
        """Bring a new compiled model to where it was."""
        load_weights(model, self.state["weights"])
        model.optimizer.build(model.trainable_variables)
        for variable, value in zip(model.optimizer.variables, self.state["optimizer"], strict=True):
            variable.assign(value)

    def on_train_begin(self, logs=None):
        """Bring the other callbacks to where they were."""
        if self.state is not None:
            for callback, numbers in zip(self.others, self.state["callbacks"], strict=True):
                vars(callback).update(numbers)

    def on_epoch_end(self, epoch, logs=None):
        """Write the file."""
        self._history = {
            name: [*self._history.get(name, []), float(value)] for name, value in logs.items()
        }
        weights = self.model.get_weights()
        if not all(np.isfinite(values).all() for values in weights):
            # Training has diverged, which its loss has not told yet. The file of the last epoch
            # before is the last good one.
            return
        self.state = {
            "epoch": epoch + 1,
            "stopped": bool(self.model.stop_training),
            "history": self._history,
            "weights": weights,
            "optimizer": [keras.ops.convert_to_numpy(v) for v in self.model.optimizer.variables],
            "callbacks": [_numbers(callback) for callback in self.others],
        }
        try:
            self._write()
        except OSError as error:
            warn(
                f"the checkpoint {self.path} cannot be written: {error}. Training goes on; one "
                "that is cut off goes on from the last epoch written. Make room there, or let it "
                "be written to, and later epochs are written again"
            )

    def _write(self):
        # A reader, and a fit that is killed here, see the old file or the new one.
        unfinished = self.path.with_name(f"{self.path.stem}-{uuid.uuid4().hex}.part")
        try:
            joblib.dump(self.state, unfinished)
            os.replace(unfinished, self.path)
        finally:
            unfinished.unlink(missing_ok=True)

    def remove(self):
        """Delete the file, once training is finished, and what killed fits were writing."""
        for path in [self.path, *self.path.parent.glob(f"{self.path.stem}-*.part")]:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                warn(f"the checkpoint {path} is not needed any more and cannot be removed: {error}")


def _numbers(callback):
    """Return a callback's state as far as it is numbers and arrays."""
    plain = (bool, int, float, str, np.ndarray, np.generic, type(None))
    return {
        name: value
        for name, value in vars(callback).items()
        if isinstance(value, plain)
        or (isinstance(value, list) and all(isinstance(item, plain) for item in value))
    }
