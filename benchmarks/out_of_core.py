"""Memory and time of learning from image files instead of an array.

Peak resident memory of training for one epoch and of explaining, with few and with many files, and
the time per epoch from files, for each way of keeping them decoded, against that from an array.
Every measurement runs in a process of its own. The files are phantoms; many files are many names
of fewer distinct ones, each of which is opened and decoded by itself.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path


def make_files(folder, distinct, names, image_size):
    from PIL import Image

    from skkd.datasets import make_fundus_phantoms

    X, y = make_fundus_phantoms(distinct, image_size=(image_size, image_size), random_state=0)
    for number, (image, label) in enumerate(zip(X, y, strict=True)):
        first = Path(folder) / f"{number:06d}_{label}.jpg"
        Image.fromarray(image).save(first, quality=90)
        for copy in range(number + distinct, names, distinct):
            (Path(folder) / f"{copy:06d}_{label}.jpg").symlink_to(first)


def list_files(folder, n_images):
    import numpy as np

    paths = np.array(sorted(map(str, Path(folder).iterdir()))[:n_images])
    return paths, np.array([Path(path).stem.partition("_")[2] for path in paths])


def make_student(image_size, **params):
    from skkd import FiveBlockCNN, NetworkClassifier

    network = FiveBlockCNN(filters=(8, 16, 32))
    return NetworkClassifier(
        network, image_size=(image_size, image_size), color_mode="rgb", random_state=0, **params
    )


def peak():
    # Kibibytes, but bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def memory(folder, n_images, image_size, cache, explained_at_once):
    from skkd import FeatureMapExplainer

    paths, y = list_files(folder, n_images)
    loaded = peak()
    student = make_student(image_size, epochs=1, image_cache=cache).fit(paths, y)
    trained = peak()
    explainer = FeatureMapExplainer(student).fit()
    for start in range(0, n_images, explained_at_once):
        explainer.transform(paths[start : start + explained_at_once])
    return {"loaded": loaded, "trained": trained, "explained": peak()}


def speed(folder, n_images, image_size, cache, epochs, repeats):
    import time

    import keras
    import numpy as np

    from skkd.images import ImagePaths

    class Times(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seconds.clear()

        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            seconds.append(time.perf_counter() - self.start)

    paths, y = list_files(folder, n_images)
    images = ImagePaths(paths, image_size=(image_size, image_size), color_mode="rgb")[:]
    student = make_student(image_size, epochs=epochs, callbacks=[Times()], image_cache=cache)
    seconds, medians = [], []
    for _ in range(repeats):
        pair = []
        for X in (images, paths):
            student.fit(X, y)
            pair.append(float(np.median(seconds[1:])))
        medians.append(pair)
    array, files = np.median(medians, axis=0)
    return {"array": array, "files": files, "ratios": [b / a for a, b in medians]}


def in_new_process(function, **arguments):
    # Peak memory is inherited from the parent, so the parent imports nothing big.
    command = [sys.executable, __file__, "--run", json.dumps([function.__name__, arguments])]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--few", type=int, default=2000, help="files in the small folder")
    parser.add_argument("--many", type=int, default=20_000, help="files in the large folder")
    parser.add_argument("--distinct", type=int, default=500, help="different files among them")
    parser.add_argument("--image-size", type=int, default=128, help="of the files, for memory")
    parser.add_argument("--explained-at-once", type=int, default=500)
    parser.add_argument("--timed-images", type=int, default=1000)
    parser.add_argument("--timed-size", type=int, default=96, help="read at, for time")
    parser.add_argument("--epochs", type=int, default=6, help="for time; the first is left out")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=["memory", "time"])
    parser.add_argument("--run", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        name, arguments = json.loads(args.run)
        print(json.dumps(globals()[name](**arguments)))
        return

    with tempfile.TemporaryDirectory() as top:
        files, kept = Path(top, "files"), str(Path(top, "kept"))
        files.mkdir()
        in_new_process(
            make_files,
            folder=str(files),
            distinct=args.distinct,
            names=max(args.many, args.timed_images),
            image_size=args.image_size,
        )
        if args.only != "time":
            for cache in (None, kept):
                peaks = [
                    in_new_process(
                        memory,
                        folder=str(files),
                        n_images=n_images,
                        image_size=args.image_size,
                        cache=cache,
                        explained_at_once=args.explained_at_once,
                    )
                    for n_images in (args.few, args.many)
                ]
                print(f"peak memory, files of {args.image_size} px, cache {cache and 'folder'}:")
                for step in peaks[0]:
                    few, many = (at[step] for at in peaks)
                    print(
                        f"  {step}: {args.few} files {few:.0f} MB, {args.many} files {many:.0f} MB,"
                        f" difference {many - few:.0f} MB",
                        flush=True,
                    )
        if args.only != "memory":
            for cache in (None, "memory", kept):
                timed = in_new_process(
                    speed,
                    folder=str(files),
                    n_images=args.timed_images,
                    image_size=args.timed_size,
                    cache=cache,
                    epochs=args.epochs,
                    repeats=args.repeats,
                )
                ratios = sorted(timed["ratios"])
                print(
                    f"an epoch of {args.timed_images} files at {args.timed_size} px, cache "
                    f"{'folder' if cache == kept else cache}: files {timed['files']:.2f} s, array "
                    f"{timed['array']:.2f} s, ratio {ratios[len(ratios) // 2]:.2f} "
                    f"(from {ratios[0]:.2f} to {ratios[-1]:.2f})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
