"""How long a study will take."""

import time

import numpy as np
import pandas as pd

from skkd.study._models import grid, student_classifier, teacher_classifier

_N_TIMED = 96


def plan(settings, images, teacher):
    """Estimate the time of each part of a study, from timed epochs of few images.

    Parameters
    ----------
    settings : Settings
        What is to be done.
    images : Images
        The images.
    teacher : keras.Model or None
        The teacher where one is given.

    Returns
    -------
    parts : pandas.DataFrame
        Columns "what", "times", "seconds each" and "seconds", in the order in which it is done.
    """
    n_train = len(images.rows("train"))
    n_others = len(images.table) - n_train
    rows = images.rows("train")[:_N_TIMED]
    X, y = np.asarray(images.X[rows]), images.labels[rows]
    y = np.resize(images.classes, len(y)) if len(np.unique(y)) < len(images.classes) else y
    parts = []
    if teacher is None:
        first, an_image, asked = _time(teacher_classifier(settings), X, y)
        epochs = settings.teacher_epochs or settings.epochs
        epoch = n_train * an_image + n_others / 2 * asked
        parts.append(("train the teacher", 1, first + epochs * epoch))
    else:
        asked = _time_prediction(teacher, X)
    parts.append(("ask the teacher", 1, (n_train + n_others) * asked))
    first, an_image, predicted = _time(student_classifier(settings, 0), X, y)
    # Validation images are looked at after each epoch, and all others are predicted at the end.
    epoch = n_train * an_image + n_others / 2 * predicted
    n_kinds = 2 + len(grid(settings)) + (0 if settings.few_labels is None else 2)
    parts.append(("compile the students", 1, first))
    parts.append(
        (
            "train a student",
            n_kinds * settings.seeds,
            settings.epochs * epoch + n_others * predicted,
        )
    )
    n_maps = len(images.classes) * settings.n_explained
    # SHAP computes gradients of 32 images for each, at about three predictions a gradient.
    looked_at = (n_maps + settings.n_fidelity) * 33 * 3 * (asked + predicted)
    parts.append(("explain, measure, time and write", 1, 60 + looked_at))
    table = pd.DataFrame(parts, columns=["what", "times", "seconds each"])
    return table.assign(seconds=table["times"] * table["seconds each"])


def _time(classifier, X, y):
    """Return the seconds of beginning, of learning from an image, and of predicting one."""

    def fit(epochs):
        start = time.perf_counter()
        classifier.set_params(epochs=epochs).fit(X, y)
        return time.perf_counter() - start

    first = fit(1)
    # What every fit takes, tracing where networks do not share it, is in both.
    an_image = max(0.0, (fit(4) - fit(1)) / (3 * len(X)))
    classifier.predict_proba(X)
    start = time.perf_counter()
    classifier.predict_proba(X)
    predicted = (time.perf_counter() - start) / len(X)
    return max(0.0, first - an_image * len(X)), an_image, predicted


def _time_prediction(model, X):
    model.predict(X, verbose=0)
    start = time.perf_counter()
    model.predict(X, verbose=0)
    return (time.perf_counter() - start) / len(X)
