"""The figures of a study."""

import io
import re

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import ConfusionMatrixDisplay, RocCurveDisplay

from skkd.metrics import DecisionCurveDisplay

# Text stays text, so that it can be read out and searched; ids are of the content alone.
_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "skkd", "font.size": 9}
_MOST_CLASSES_NAMED = 12


def draw(models, named, histories):
    """Return the figures of the classifiers by name, each with what it shows in words.

    Parameters
    ----------
    models : Models
        What they say of the test images.
    named : dict of str to kind
        The models to draw.
    histories : dict of str to dict
        What training says of each epoch, by name.

    Returns
    -------
    figures : dict of str to tuple of (Figure, str)
        By the name of the file.
    """
    with mpl.rc_context(_STYLE):
        return {
            "training": _training(histories),
            "confusion": _confusion(models, named),
            "roc": _roc(models, named),
            "calibration": _calibration(models, named),
            "decision_curves": _decision_curves(models, named),
        }


def write(figures, folder):
    """Write figures as PNG and PDF, and return them as SVG with their descriptions."""
    svgs = {}
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(_STYLE):
        for name, (figure, description) in figures.items():
            for ending in ("png", "pdf"):
                figure.savefig(folder / f"{name}.{ending}", dpi=150)
            svgs[name] = (to_svg(figure, name), description)
    return svgs


def to_svg(figure, name):
    """Return a figure as an element of HTML, with ids that no other figure has."""
    with io.StringIO() as file:
        figure.savefig(file, format="svg", metadata={"Date": None})
        text = file.getvalue()
    text = text[text.index("<svg") :]
    for attribute in ('id="', 'href="#', "url(#"):
        text = text.replace(attribute, f"{attribute}{name}-")
    # The page makes it narrower where there is less room.
    head, rest = text.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    width = round(1.35 * 72 * figure.get_figwidth())
    style = f"--own: {width}px; max-width: {width}px"
    return f'{head} style="{style}" aria-hidden="true" focusable="false">{rest}'


def _row(n, height=3.0, width=3.2):
    figure = Figure(figsize=(max(1, n) * width, height), layout="constrained")
    return figure, np.atleast_1d(figure.subplots(1, n))


def _training(histories):
    # The losses of plain and distilled students are of different kinds.
    figure, (ax,) = _row(1, 3.2, 4)
    for name, history in histories.items():
        accuracy = history["val_accuracy"]
        ax.plot(range(1, len(accuracy) + 1), accuracy, label=_short(name))
    ax.set(xlabel="Epoch", ylabel="Accuracy on validation images")
    ax.legend(fontsize=8)
    return figure, "Accuracy on the validation images after each epoch of training."


def _confusion(models, named):
    figure, axes = _row(len(named), 3.4, 3.4)
    words = []
    few = len(models.classes) <= _MOST_CLASSES_NAMED
    for ax, (name, kind) in zip(axes, named.items(), strict=True):
        proba = models.first(kind)
        names = [_short(label) if few else k for k, label in enumerate(models.classes, 1)]
        ConfusionMatrixDisplay.from_predictions(
            models.y,
            models.classes[proba.argmax(axis=1)],
            labels=models.classes,
            display_labels=names,
            include_values=few,
            xticks_rotation=45 if few else 90,
            colorbar=not few,
            cmap="Blues",
            ax=ax,
        )
        if not few:
            ax.tick_params(labelsize=5)
        ax.set_title(_short(name))
        words.append(f"{name}: {int((models.classes[proba.argmax(axis=1)] == models.y).sum())}")
    return figure, (
        f"Figure 2. Confusion matrices. Predicted right of {len(models.y)} test images: "
        f"{'; '.join(words)}."
    )


def _roc(models, named):
    figure, axes = _row(len(named))
    for ax, (name, kind) in zip(axes, named.items(), strict=True):
        proba = models.first(kind)
        for k, label in enumerate(models.classes):
            if len(models.classes) == 2 and k == 0:
                continue
            mine = models.y == label
            if mine.any() and not mine.all():
                RocCurveDisplay.from_predictions(mine, proba[:, k], name=_short(label), ax=ax)
        ax.set_title(_short(name))
        ax.set(xlabel="False positive rate", ylabel="True positive rate")
        if len(models.classes) > _MOST_CLASSES_NAMED:
            ax.get_legend().remove()
        elif ax.get_legend_handles_labels()[0]:
            ax.legend(fontsize=7)
    return figure, "ROC curves of each class against the rest, on the test images."


def _calibration(models, named):
    figure, (ax,) = _row(1, 3.2, 4)
    for name, kind in named.items():
        proba = models.first(kind)
        sure = proba.max(axis=1)
        right = models.classes[proba.argmax(axis=1)] == models.y
        if right.all() or not right.any():
            # One kind of outcome alone is no curve.
            ax.plot(sure.mean(), right.mean(), "s", label=_short(name))
            continue
        CalibrationDisplay.from_predictions(
            right, sure, n_bins=5, strategy="quantile", name=_short(name), ax=ax
        )
    ax.set(xlabel="Mean probability of the predicted class", ylabel="Share predicted right")
    ax.legend(fontsize=8)
    return figure, "How often predictions are right, by how sure the models are of them."


def _decision_curves(models, named):
    figure, axes = _row(len(named))
    settings = models.settings
    for ax, (name, kind) in zip(axes, named.items(), strict=True):
        binary = len(models.classes) == 2
        DecisionCurveDisplay.from_predictions(
            models.y,
            models.first(kind),
            labels=models.classes,
            pos_label=models.classes[1] if binary else None,
            confidence=settings.confidence if binary else None,
            groups=models.groups if binary else None,
            random_state=settings.random_state,
            ax=ax,
        )
        if len(models.classes) > _MOST_CLASSES_NAMED:
            ax.get_legend().remove()
        ax.set_title(_short(name))
    return figure, "Net benefit of acting on each model, beside treating all and treating none."


def _short(name, most=24):
    # A dollar sign would begin a formula.
    text = str(name).replace("$", r"\$")
    return text if len(text) <= most else f"{text[: most - 1]}…"
