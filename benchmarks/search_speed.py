"""CPU seconds of a search over 6 learning rates and 3 folds of 400 digits, beside other wrappers.

python benchmarks/search_speed.py [--rounds 3]
"""

import argparse
import contextlib
import os
import statistics
import time

import keras
from keras.wrappers import SKLearnClassifier
from scikeras.wrappers import KerasClassifier
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from skkd import FiveBlockCNN, NetworkClassifier

NETWORK = FiveBlockCNN(filters=(8, 16))
RATES = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2]
EPOCHS = 5


def compiled(X=None, y=None, learning_rate=1e-3, loss="categorical_crossentropy"):
    """Return the same network on rows of 64 pixels, which Keras's own wrapper takes alone."""
    inputs = keras.Input((64,))
    x = keras.layers.Reshape((8, 8, 1))(keras.layers.Rescaling(1 / 16)(inputs))
    model = keras.Model(inputs, NETWORK.build((8, 8, 1), 10)(x))
    model.compile(keras.optimizers.Adam(learning_rate), loss, metrics=["accuracy"])
    return model


def searches(X, y):
    """Return a function for each package that searches once."""
    rows = X.reshape(len(X), -1).astype("float32")
    ours = NetworkClassifier(NETWORK, epochs=EPOCHS, random_state=0)
    of_scikeras = KerasClassifier(
        compiled,
        model__learning_rate=1e-3,
        model__loss="sparse_categorical_crossentropy",
        loss="sparse_categorical_crossentropy",
        epochs=EPOCHS,
        verbose=0,
    )
    # Clones of Keras's own lose fit_kwargs, so the epochs go through fit.
    of_keras = SKLearnClassifier(compiled, model_kwargs={})
    rates = [{"learning_rate": rate} for rate in RATES]
    return {
        "skkd": lambda: GridSearchCV(ours, {"learning_rate": RATES}, cv=3).fit(X, y),
        "keras.wrappers": lambda: GridSearchCV(of_keras, {"model_kwargs": rates}, cv=3).fit(
            rows, y, epochs=EPOCHS, verbose=0
        ),
        "SciKeras": lambda: GridSearchCV(of_scikeras, {"model__learning_rate": RATES}, cv=3).fit(
            rows, y
        ),
    }


def main():
    """Take the packages in turn and print the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    digits = load_digits()
    runs = searches(digits.images[:400, ..., None], digits.target[:400])
    seconds = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.process_time()
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                run()
            seconds[name].append(time.process_time() - start)
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    for name, median in medians.items():
        spread = f"{min(seconds[name]):.1f} to {max(seconds[name]):.1f}"
        print(
            f"{name:15} {median:6.1f} CPU s ({spread}), skkd takes {medians['skkd'] / median:.2f}"
        )


if __name__ == "__main__":
    main()
