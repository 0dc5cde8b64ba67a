"""How far a long training is, in lines."""

import time

import keras

SECONDS_BETWEEN_LINES = 5


def in_words(seconds):
    """Return a time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class EpochLines(keras.callbacks.Callback):
    """Say after epochs how many are done, and how long the rest will take.

    Parameters
    ----------
    say : callable
        Takes a line, no oftener than every few seconds.
    what : str
        What is trained.
    """

    def __init__(self, say, what):
        super().__init__()
        self.say = say
        self.what = what

    def on_train_begin(self, logs=None):
        """Start the clock."""
        self._said = time.monotonic()
        self._first = None

    def on_epoch_end(self, epoch, logs=None):
        """Say how far training is, the last epoch excepted."""
        now = time.monotonic()
        n_epochs = self.params.get("epochs") or epoch + 1
        # The first epoch compiles, and says little of the others.
        if self._first is None:
            self._first = epoch, now
        elif now - self._said >= SECONDS_BETWEEN_LINES and epoch + 1 < n_epochs:
            each = (now - self._first[1]) / (epoch - self._first[0])
            left = in_words(each * (n_epochs - epoch - 1))
            self.say(f"{self.what}: epoch {epoch + 1} of {n_epochs}, at most {left} left")
            self._said = now
