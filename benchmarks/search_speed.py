"""CPU seconds of a search over 6 learning rates and 3 folds of 400 digits, beside other wrappers.

python -m benchmarks.search_speed [--rounds 3]
"""

import argparse
import contextlib
import os
import time

import keras
from keras.wrappers import SKLearnClassifier
from scikeras.wrappers import KerasClassifier
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from benchmarks._timing import in_turn, row
from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier

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


def rows(full=False, repeats=None):
    """Return the lines of this benchmark."""
    digits = load_digits()
    X, y = digits.images[:400, ..., None], digits.target[:400]
    repeats = repeats or (3 if full else 1)
    found = []
    taken = in_turn(silenced(searches(X, y)), repeats, time.process_time)
    for name in ("keras.wrappers", "SciKeras"):
        what = "CPU time of a search, 6 learning rates, 3 folds of 400 digits"
        found.append(row(what, taken["skkd"], name, taken[name], 0.5))

    teacher = NetworkClassifier(NETWORK, epochs=1, random_state=1).fit(X, y).model_
    grid = {"alpha": [0.3, 0.7], "temperature": [1.0, 4.0, 8.0]}
    student = NetworkClassifier(NETWORK, epochs=EPOCHS, random_state=0)
    ways = {
        name: lambda asked=asked: GridSearchCV(KDClassifier(asked, student), grid, cv=3).fit(X, y)
        for name, asked in {"with": teacher, "without": None}.items()
    }
    taken = in_turn(ways, repeats, time.process_time)
    what = "CPU time of a search, 6 pairs of alpha and T, with a Keras teacher"
    return [*found, row(what, taken["with"], "the same without", taken["without"], 1.08)]


def silenced(ways):
    """Return the ways without what they print."""

    def silent(way):
        def run():
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                way()

        return run

    return {name: silent(way) for name, way in ways.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    for line in rows(repeats=parser.parse_args().rounds):
        print(f"{line.what}: {line.seconds:.1f} s, {line.median:.2f} of {line.against}")


if __name__ == "__main__":
    main()
