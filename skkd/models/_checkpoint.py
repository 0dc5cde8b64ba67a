"""Going on with training that was cut off."""

import os
from pathlib import Path

import joblib
import keras
import numpy as np

from skkd.models._copies import load_weights


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
    others : list of keras.callbacks.Callback
        Callbacks whose numbers, such as an early stopping's best loss, are kept too.
    """

    def __init__(self, folder, key, others):
        super().__init__()
        self.path = Path(folder) / f"skkd-fit-{joblib.hash(key)}.joblib"
        self.others = others
        self.state = None

    def load(self):
        """Read the file if there is one; return whether there is."""
        if self.path.is_file():
            self.state = joblib.load(self.path)
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
        history = {} if self.state is None else self.state["history"]
        self.state = {
            "epoch": epoch + 1,
            "stopped": bool(self.model.stop_training),
            "history": {
                name: [*history.get(name, []), float(value)] for name, value in logs.items()
            },
            "weights": self.model.get_weights(),
            "optimizer": [keras.ops.convert_to_numpy(v) for v in self.model.optimizer.variables],
            "callbacks": [_numbers(callback) for callback in self.others],
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(f".{os.getpid()}")
        joblib.dump(self.state, unfinished)
        # A reader, and a fit that is killed here, see the old file or the new one.
        os.replace(unfinished, self.path)

    def remove(self):
        """Delete the file, once training is finished."""
        self.path.unlink(missing_ok=True)


def _numbers(callback):
    """Return a callback's state as far as it is numbers and arrays."""
    plain = (bool, int, float, str, np.ndarray, np.generic, type(None))
    return {
        name: value
        for name, value in vars(callback).items()
        if isinstance(value, plain)
        or (isinstance(value, list) and all(isinstance(item, plain) for item in value))
    }
