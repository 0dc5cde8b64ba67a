"""Accuracy on real brain MRI with 300 labeled images, with and without 3,000 unlabeled ones.

The images are those of ``fetch_brain_tumor`` under the folder that SKKD_DATA names; the teacher is
any Keras model of its four classes. Images that occur more than once are taken once.
"""

import argparse

import keras
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import train_test_split

from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier
from skkd.datasets import fetch_brain_tumor


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", required=True, help="path of a .keras file")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20, help="passes over 3,300 images")
    parser.add_argument("--image-size", type=int, default=96)
    args = parser.parse_args()

    size = (args.image_size, args.image_size)
    parts = [
        fetch_brain_tumor(subset=subset, image_size=size, color_mode="rgb")
        for subset in ("train", "validation", "test")
    ]
    X = np.concatenate([part.data for part in parts])
    y = np.concatenate([part.target for part in parts])
    _, first = np.unique(X.reshape(len(X), -1), axis=0, return_index=True)
    X, y = X[first], y[first]
    teacher = keras.saving.load_model(args.teacher, compile=False)
    rows = []
    for seed in range(args.seeds):
        labeled, others = train_test_split(
            np.arange(len(y)), train_size=300, stratify=y, random_state=seed
        )
        unlabeled, test = train_test_split(
            others, train_size=3000, stratify=y[others], random_state=seed
        )
        student = NetworkClassifier(FiveBlockCNN(), epochs=args.epochs, random_state=seed)
        # As many gradient steps for each: an epoch with unlabeled images is 11 times as long.
        longer = clone(student).set_params(epochs=args.epochs * 11)
        fits = {
            "labels alone": (clone(longer), {}),
            "labels and teacher": (KDClassifier(teacher, longer, alpha=0.1), {}),
            "labels, teacher, unlabeled": (
                KDClassifier(teacher, student, alpha=0.1),
                {"X_unlabeled": X[unlabeled]},
            ),
        }
        for name, (classifier, options) in fits.items():
            classifier.fit(X[labeled], y[labeled], **options)
            accuracy = classifier.score(X[test], y[test])
            print(f"seed {seed}: {name}: {accuracy:.4f} on {len(test)} images", flush=True)
            rows.append({"trained on": name, "accuracy": accuracy})
    table = pd.DataFrame(rows).groupby("trained on", sort=False)["accuracy"].agg(["mean", "std"])
    print(table.to_string(float_format="{:.4f}".format))


if __name__ == "__main__":
    main()
