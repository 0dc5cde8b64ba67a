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

from benchmarks._timing import in_new_process, row
from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier

NETWORK = FiveBlockCNN(filters=(8, 16))
RATES = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2]
EPOCHS = 5
PEERS = ("keras.wrappers", "SciKeras")


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


def with_teacher(X, y):
    """Return a function that searches with a teacher, and one without."""
    teacher = NetworkClassifier(NETWORK, epochs=1, random_state=1).fit(X, y).model_
    grid = {"alpha": [0.3, 0.7], "temperature": [1.0, 4.0, 8.0]}
    student = NetworkClassifier(NETWORK, epochs=EPOCHS, random_state=0)
    return {
        name: lambda asked=asked: GridSearchCV(KDClassifier(asked, student), grid, cv=3).fit(X, y)
        for name, asked in {"a teacher": teacher, "no teacher": None}.items()
    }


def rows(full=False, repeats=None):
    """Return the lines of this benchmark."""
    taken = {name: [] for name in ("skkd", *PEERS, "a teacher", "no teacher")}
    for _ in range(repeats or (3 if full else 1)):
        for name, seconds in taken.items():
            seconds.append(in_new_process("benchmarks.search_speed", name))
    what = "CPU time of a search, 6 learning rates, 3 folds of 400 digits"
    found = [row(what, taken["skkd"], name, taken[name], 0.5) for name in PEERS]
    what = "CPU time of a search, 6 pairs of alpha and T, with a Keras teacher"
    return [*found, row(what, taken["a teacher"], "the same without", taken["no teacher"], 1.08)]


def run(name):
    """Search once and return the CPU seconds."""
    digits = load_digits()
    X, y = digits.images[:400, ..., None], digits.target[:400]
    search = (with_teacher if "teacher" in name else searches)(X, y)[name]
    start = time.process_time()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        search()
    return time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        print(run(args.run))
        return
    for line in rows(repeats=args.rounds):
        print(f"{line.what}: {line.seconds:.1f} s, {line.median:.2f} of {line.against}")


if __name__ == "__main__":
    main()
