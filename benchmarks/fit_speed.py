"""Seconds of a fit against plain Keras's of the same network, each in a process of its own.

Plain Keras runs as it is, and with memory kept by glibc's own environment variable.

    python -m benchmarks.fit_speed [--sizes 64 96 128] [--repeats 3]
"""

import argparse
import time

from benchmarks._timing import in_new_process, row

PAD = {"MALLOC_TOP_PAD_": str(64 * 1024 * 1024)}
WAYS = {"skkd": {}, "plain Keras": {}, "plain Keras, memory kept": PAD}
TARGETS = {"plain Keras": 0.75, "plain Keras, memory kept": 1.03}


def rows(full=False, sizes=None, repeats=None):
    """Return the lines of this benchmark."""
    repeats = repeats or (3 if full else 2)
    found = []
    for size in sizes or ((64, 96, 128) if full else (64,)):
        taken = {name: [] for name in WAYS}
        for _ in range(repeats):
            for name, environment in WAYS.items():
                seconds = in_new_process("benchmarks.fit_speed", name, size, **environment)
                taken[name].append(seconds)
        for name, target in TARGETS.items():
            what = f"KDClassifier.fit, 640 images of {size} px, 4 epochs"
            found.append(row(what, taken["skkd"], f"fit of {name}", taken[name], target))
    return found


def run(name, size):
    """Fit once and return the seconds."""
    import keras
    import numpy as np

    from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier

    X = np.random.default_rng(0).integers(0, 256, (640, size, size, 3), dtype=np.uint8)
    y = np.arange(640) % 4

    def ours():
        student = NetworkClassifier(FiveBlockCNN(), epochs=4, random_state=0)
        KDClassifier(None, student).fit(X, y)

    def theirs():
        model = FiveBlockCNN().build(X.shape[1:], 4, normalization=(127.5, 75.0**2))
        loss = keras.losses.SparseCategoricalCrossentropy()
        model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
        model.fit(X, y, epochs=4, batch_size=32, verbose=0)

    start = time.perf_counter()
    (ours if name == "skkd" else theirs)()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 96, 128])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        print(run(args.run[0], int(args.run[1])))
        return
    for line in rows(sizes=args.sizes, repeats=args.repeats):
        print(f"{line.what}: {line.median:.2f} of {line.against}")


if __name__ == "__main__":
    main()
