"""Time of a whole distillation from DenseNet121, beside other ways to do it.

`keras.distillation.Distiller` with its KL made right, and the paper's loop, which is not compiled
and asks the teacher in every epoch, train the same student for the same number of epochs on the
same images; the teacher's weights are random, which takes as long as trained ones.

    python -m benchmarks.distil_speed [--images 128] [--epochs 10] [--repeats 3]
"""

import argparse
import time

import keras
import numpy as np

from benchmarks._timing import in_turn, row
from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier, TransferNet
from skkd.distillation._keras_teacher import KerasTeacher


def rows(full=False, n_images=None, epochs=None, repeats=None, size=128):
    """Return the lines of this benchmark."""
    n_images = n_images or (128 if full else 64)
    epochs = epochs or (10 if full else 4)
    repeats = repeats or (3 if full else 1)
    rng = np.random.default_rng(0)
    shape = (size, size, 3)
    y = np.arange(n_images) % 4
    teacher = TransferNet("densenet121", weights=None).build(shape, 4)
    with_logits = keras.Model(teacher.input, teacher.get_layer("logits").output)

    def skkd(X):
        KDClassifier(teacher, NetworkClassifier(FiveBlockCNN(), epochs=epochs, random_state=0)).fit(
            X, y
        )

    ways = {"skkd": skkd}
    ways["Distiller"] = lambda X: fit_distiller(with_logits, X, y, epochs)
    targets = {"Distiller": 0.40}
    if keras.backend.backend() == "tensorflow":
        ways["the paper's loop"] = lambda X: fit_eagerly(with_logits, X, y, epochs)
        targets["the paper's loop"] = 0.25
    taken = {name: [] for name in ways}
    for _ in range(repeats):
        # Of images that the teacher has seen before, skkd would know the answers.
        X = rng.integers(0, 256, (n_images, *shape)).astype("uint8")
        for name, fit in ways.items():
            start = time.perf_counter()
            fit(X)
            taken[name].append(time.perf_counter() - start)
    what = f"distilling DenseNet121, {n_images} images of {size} px, {epochs} epochs"
    found = [row(what, taken["skkd"], name, taken[name], at) for name, at in targets.items()]

    ours = KerasTeacher(with_logits)
    asking = {
        "ours": lambda: ours.logits(X, 32),
        "predict": lambda: with_logits.predict(X, verbose=0),
    }
    taken = in_turn(asking, max(repeats, 3))
    what = f"teacher pass of DenseNet121, {n_images} images of {size} px"
    return [*found, row(what, taken["ours"], "teacher.predict", taken["predict"], 1.03)]


def softened_kl(y_true, y_pred):
    """KL of probabilities, for Keras's LogitsDistillation, which has divided by T already."""
    return keras.losses.kl_divergence(keras.ops.softmax(y_true), keras.ops.softmax(y_pred))


def make_student(shape):
    student = FiveBlockCNN().build(shape, 4, normalization=(127.5, 75.0**2))
    return keras.Model(student.input, student.get_layer("logits").output)


def fit_distiller(teacher, X, y, epochs):
    before = teacher.get_layer("densenet121").trainable
    distiller = keras.distillation.Distiller(
        teacher=teacher,
        student=make_student(X.shape[1:]),
        distillation_losses=keras.distillation.LogitsDistillation(
            temperature=4.0, loss=softened_kl
        ),
    )
    distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    distiller.fit(X.astype("float32"), y, epochs=epochs, batch_size=32, verbose=0)
    teacher.trainable = before


def fit_eagerly(teacher, X, y, epochs):
    import tensorflow as tf

    student, optimizer = make_student(X.shape[1:]), keras.optimizers.Adam()
    hard = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    batches = tf.data.Dataset.from_tensor_slices((X.astype("float32"), y)).batch(32)
    for _ in range(epochs):
        for images, labels in batches:
            answers = teacher(images, training=False)
            with tf.GradientTape() as tape:
                logits = student(images, training=True)
                soft = tf.reduce_mean(softened_kl(answers / 4.0, logits / 4.0)) * 16.0
                loss = 0.5 * hard(labels, logits) + 0.5 * soft
            gradients = tape.gradient(loss, student.trainable_variables)
            optimizer.apply_gradients(zip(gradients, student.trainable_variables, strict=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--image-size", type=int, default=128)
    args = parser.parse_args()
    lines = rows(
        n_images=args.images, epochs=args.epochs, repeats=args.repeats, size=args.image_size
    )
    for line in lines:
        print(f"{line.what}: {line.seconds:.1f} s, {line.median:.2f} of {line.against}")


if __name__ == "__main__":
    main()
