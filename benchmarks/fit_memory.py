"""Memory that stays behind after each of many fits in one process.

Beside KDClassifier stands one training step of the same network in plain Keras, whose optimizer
leaves the graph of every training step behind.
"""

import argparse
import gc
import resource
from pathlib import Path

import keras
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier


def resident():
    """Return this process's resident memory in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fits", type=int, default=30)
    args = parser.parse_args()
    digits = load_digits()
    X, y = digits.images[:60, ..., None].astype("float32"), digits.target[:60] % 3
    network = FiveBlockCNN(filters=(4,))

    def skkd_fit():
        KDClassifier(SVC(), NetworkClassifier(network, epochs=1)).fit(X, y).predict(X)

    def keras_step():
        model = network.build((8, 8, 1), 3)
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy())
        model.train_on_batch(X, y)

    for name, fit in {"KDClassifier": skkd_fit, "plain Keras, one step": keras_step}.items():
        for number in range(args.fits):
            fit()
            gc.collect()
            if number == 2:
                after_third = resident()
        print(f"{name}: {resident() - after_third:.0f} MiB more after fit {args.fits} than after 3")


if __name__ == "__main__":
    main()
