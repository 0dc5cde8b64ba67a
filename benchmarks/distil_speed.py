"""Time of a whole distillation from DenseNet121, skkd against keras.distillation.Distiller.

Both train the same student for the same number of epochs on the same images in one process, in
turn; the teacher's weights are random, which takes as long as trained ones.
"""

import argparse
import time

import keras
import numpy as np

from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier, TransferNet


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--image-size", type=int, default=128)
    args = parser.parse_args()

    rng = np.random.default_rng(0)
    shape = (args.image_size, args.image_size, 3)
    y = np.arange(args.images) % 4
    teacher = TransferNet("densenet121", weights=None).build(shape, 4)
    with_logits = keras.Model(teacher.input, teacher.get_layer("logits").output)
    before = with_logits.get_layer("densenet121").trainable

    def ours(X):
        KDClassifier(
            teacher, NetworkClassifier(FiveBlockCNN(), epochs=args.epochs, random_state=0)
        ).fit(X, y)

    def keras_distiller(X):
        student = FiveBlockCNN().build(shape, 4, normalization=(127.5, 75.0**2))
        student = keras.Model(student.input, student.get_layer("logits").output)
        distiller = keras.distillation.Distiller(
            teacher=with_logits,
            student=student,
            distillation_losses=keras.distillation.LogitsDistillation(temperature=4.0),
        )
        distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        distiller.fit(X.astype("float32"), y, epochs=args.epochs, batch_size=32, verbose=0)
        with_logits.trainable = before

    seconds = {"skkd": [], "keras.distillation": []}
    for _ in range(args.repeats):
        # Of images that the teacher has seen before, skkd would know the answers.
        X = rng.integers(0, 256, (args.images, *shape)).astype("uint8")
        for name, fit in zip(seconds, (ours, keras_distiller), strict=True):
            start = time.perf_counter()
            fit(X)
            seconds[name].append(time.perf_counter() - start)
            print(f"{name}: {seconds[name][-1]:.1f} s", flush=True)
    ratios = np.divide(*seconds.values())
    print(
        f"{args.images} images of {args.image_size} px, {args.epochs} epochs: median "
        + ", ".join(f"{name} {np.median(times):.1f} s" for name, times in seconds.items())
        + f"; ratio {np.median(ratios):.2f} (from {ratios.min():.2f} to {ratios.max():.2f})"
    )


if __name__ == "__main__":
    main()
