"""What the models of a study look at, and what that is worth."""

import json
import platform
from time import perf_counter

import numpy as np
import pandas as pd

from skkd.distillation import load_teacher
from skkd.explanation import FeatureMapExplainer, GradCAMExplainer, SHAPExplainer
from skkd.explanation._picture import to_pictures
from skkd.metrics import explain_timing, fidelity_report
from skkd.study._models import as_classifier, draw_of_each
from skkd.study._stages import Steps

# The paper explains the disease classes; what is normal is called so in its three sets.
_NORMAL = {"no_tumor", "notumor", "normal", "nondemented", "non_demented", "healthy"}
# What the titles of feature maps begin with.
LAYER = "Feature map, "
_N_TIMED = 8
_MOST_IMAGES = 32
# As the paper's SHAP has.
_N_BACKGROUND = 16


def choose_images(images, predicted, n_of_class):
    """Return test images to look at: of each class those predicted right first, then wrong ones.

    Of very many classes as many are looked at as make a report of a few megabytes.
    """
    rows = images.rows("test")
    y = images.labels[rows]
    chosen = []
    n_classes = max(2, _MOST_IMAGES // n_of_class)
    for label in images.classes[:n_classes]:
        mine = np.flatnonzero(y == label)
        right = mine[predicted[mine] == label]
        wrong = mine[predicted[mine] != label]
        n_wrong = min(len(wrong), max(n_of_class // 2, n_of_class - len(right)))
        chosen += [*right[: n_of_class - n_wrong], *wrong[:n_wrong]]
    return np.array(chosen, dtype=int)


def explain(paths, images, chosen, settings, say, folder):
    """Explain test images by every explainer, and write maps and pictures to ``maps.npz``.

    Parameters
    ----------
    paths : dict of str to path
        Saved models by name.
    images : Images
        The images.
    chosen : ndarray of int
        Which of the test images.
    settings : Settings
        Seeds.
    say : callable
        Takes a line that tells how far it is.
    folder : path
        Where to write.
    """
    steps = Steps(say, "explanations", 3 * len(paths))
    X_test, y_test, _ = images.part("test")
    X, y = np.asarray(X_test[chosen]), y_test[chosen]
    pictures, _, window = to_pictures(X)
    low, high = (0, 1) if pictures.ndim == 4 else window
    arrays = {"pictures": np.uint8(np.clip((pictures - low) / (high - low), 0, 1) * 255)}
    about = {
        "labels": y.tolist(),
        "names": images.table["name"].to_numpy()[images.rows("test")][chosen].tolist(),
    }
    about["models"] = {}
    background = _background(images, settings)
    for name, path in paths.items():
        model = load_teacher(path)
        classifier = as_classifier(model, images.classes)
        proba = classifier.predict_proba(X)
        layers = []
        for explainer in _explainers(model, settings):
            explainer.fit(background)
            explanation = explainer.explain(X)
            for title, values in _maps_of(explanation):
                layers.append(title)
                arrays[f"{name}/{title}"] = values
            steps.step()
        about["models"][name] = {"maps": layers, "proba": proba.tolist()}
    np.savez_compressed(folder / "maps.npz", **arrays)
    (folder / "maps.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")


def _background(images, settings):
    """Return training images of all classes for explainers that compare with others."""
    X, y, _ = images.part("train")
    n = max(_N_BACKGROUND, len(images.classes))
    return np.asarray(X[draw_of_each(y, n, settings.random_state)])


def _explainers(model, settings):
    return [
        FeatureMapExplainer(model),
        GradCAMExplainer(model),
        SHAPExplainer(model, n_samples=32, random_state=settings.random_state),
    ]


def _maps_of(explanation):
    """Yield the name and the maps in [-1, 1], of shape (n, height, width), of an explanation."""
    values = explanation.values
    if (
        explanation.layer_names is not None
        and values.ndim == 4
        and len(explanation.layer_names) == values.shape[1]
    ):
        for name, maps in zip(explanation.layer_names, np.moveaxis(values, 1, 0), strict=True):
            yield f"{LAYER}{name}", _to_unit(maps)
    elif values.ndim == 4:
        yield explanation.method or "SHAP", _to_unit(values.sum(axis=-1))
    else:
        yield explanation.method or "Grad-CAM", _to_unit(values)


def _to_unit(maps):
    """Return maps over their largest absolute value, image by image; unsigned ones from 0 to 1."""
    if (maps >= 0).all():
        low = maps.min(axis=(1, 2), keepdims=True)
        span = maps.max(axis=(1, 2), keepdims=True) - low
        return np.float16((maps - low) / np.where(span > 0, span, 1))
    span = np.abs(maps).max(axis=(1, 2), keepdims=True)
    return np.float16(maps / np.where(span > 0, span, 1))


def measure_fidelity(paths, images, settings, say, folder):
    """Measure how faithful explanations of each model are, and write ``fidelity.csv``."""
    X_test, y_test, groups = images.part("test")
    rows = draw_of_each(y_test, settings.n_fidelity, settings.random_state)
    X, y, groups = np.asarray(X_test[rows]), y_test[rows], groups[rows]
    diseases = [label for label in np.unique(y) if label.casefold() not in _NORMAL]
    background = _background(images, settings)
    reports, steps = [], Steps(say, "fidelity", len(paths))
    for name, path in paths.items():
        model = load_teacher(path)
        explainers = {type(e).__name__: e for e in _explainers(model, settings)}
        for explainer in explainers.values():
            explainer.fit(background)
        explainers["brightness"] = to_pictures(X)[1].astype(np.float32)
        has_several = len(np.unique(groups)) > 1
        report = fidelity_report(
            as_classifier(model, images.classes),
            X,
            y,
            explainers,
            # Of a set without a disease that is known by its name all classes count.
            classes=diseases or None,
            random_state=settings.random_state,
            confidence=settings.confidence if has_several else None,
            groups=groups if has_several else None,
            n_resamples=settings.n_resamples,
        )
        reports.append(report.reset_index().assign(model=name))
        steps.step()
    table = pd.concat(reports)
    table.insert(0, "model", table.pop("model"))
    table.to_csv(folder / "fidelity.csv", index=False)


def measure_cost(paths, images, settings, say, folder):
    """Time predictions and explainers of each model, and write ``timing.csv``."""
    X = np.asarray(images.part("test")[0][:_N_TIMED])
    tables, steps = [], Steps(say, "cost", len(paths))
    for name, path in paths.items():
        explainers = _explainers(load_teacher(path), settings)
        timing = explain_timing({name: explainers}, X, n_repeats=3)
        tables.append(
            timing.assign(
                prediction=_time_prediction(path, X),
                bytes=path.stat().st_size,
                platform=platform.platform(),
            )
        )
        steps.step()
    pd.concat(tables).to_csv(folder / "timing.csv", index=False)


def _time_prediction(path, X):
    """Return the median seconds of predicting one image."""
    model = load_teacher(path)
    seconds = []
    for repeat in range(11):
        start = perf_counter()
        model.predict_on_batch(X[:1])
        # The first compiles.
        if repeat:
            seconds.append(perf_counter() - start)
    return float(np.median(seconds))
