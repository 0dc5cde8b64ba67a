"""Seconds and memory as images grow in number: the time of each in a line, memory flat.

A line of this table is the seconds an image takes among many over those it takes among few.
"""

import json
import sys
import tempfile
import time

from benchmarks._timing import Row, in_new_process

TASKS = ("fit from paths", "teacher pass", "feature maps", "fidelity")
SIZE = 32


def rows(full=False):
    """Return the lines of this benchmark."""
    few, many = (1_000, 20_000) if full else (500, 4_000)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        in_new_process("benchmarks.growth", "files", folder, many)
        for task in TASKS:
            ratios = []
            for _ in range(3 if full else 2):
                seconds, peaks = zip(
                    *(in_new_process("benchmarks.growth", task, folder, n) for n in (few, many)),
                    strict=True,
                )
                ratios.append(seconds[1] / many / (seconds[0] / few))
            what = f"{task}, an image of {many:,}; {peaks[1] - peaks[0]:.0f} MB more at the peak"
            found.append(Row(what, f"an image of {few:,}", ratios, 1.1, seconds[1]))
    return found


def run(task, folder, n_images):
    """Run a task on few images, then timed on all, and print the seconds and the peak in MB."""
    import resource
    from pathlib import Path

    import numpy as np

    from skkd import FeatureMapExplainer, FiveBlockCNN, NetworkClassifier, fidelity_score
    from skkd.distillation._keras_teacher import KerasTeacher
    from skkd.images import ImagePaths

    paths = np.array(sorted(map(str, Path(folder).iterdir()))[:n_images])
    y = np.arange(n_images) % 3
    network = FiveBlockCNN(filters=(8, 16))
    student = NetworkClassifier(network, image_size=(SIZE, SIZE), epochs=1, random_state=0)
    student.fit(paths[:64], y[:64])
    explainer, teacher = FeatureMapExplainer(student).fit(), KerasTeacher(student.model_)
    ways = {
        "fit from paths": lambda n: student.fit(paths[:n], y[:n]),
        "teacher pass": lambda n: teacher.logits(
            ImagePaths(paths[:n], image_size=(SIZE, SIZE), color_mode="grayscale"), 32
        ),
        "feature maps": lambda n: [
            explainer.transform(paths[start : min(start + 500, n)]) for start in range(0, n, 500)
        ],
        "fidelity": lambda n: fidelity_score(student, paths[:n], y[:n], explainer, random_state=0),
    }
    ways[task](96)
    start = time.perf_counter()
    ways[task](n_images)
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6]))


def make_files(folder, n_images):
    from pathlib import Path

    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(n_images):
        image = rng.integers(0, 256, (SIZE, SIZE), dtype=np.uint8)
        Image.fromarray(image).save(Path(folder, f"{number:06d}.png"))


if __name__ == "__main__":
    _, job, folder, number = sys.argv[1:]
    if job == "files":
        print(json.dumps(make_files(folder, int(number))))
    else:
        run(job, folder, int(number))
