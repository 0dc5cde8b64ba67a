"""Tables as a page shows them."""

import math

import numpy as np
import pandas as pd

_CAPTIONS = {
    "models": "Table 2. Accuracy, loss, average F1 and area under the ROC curve on test images",
    "search": "The same on the images to choose by",
    "calibration": "Expected calibration error on test images",
    "comparisons": "Differences of accuracy on the same test images",
    "leaks": "Accuracy with and without test images like those learned or chosen from",
    "fidelity": "Table 3. Fidelity of explanations: confidence in the true class that is kept",
    "timing": "Table 4. Cost of a prediction and of an explanation, in seconds",
    "subgroups": "Accuracy of the student by class, and by how files are stored",
    "shortcuts": "What gives the label away besides the disease",
}
_NOT_SHOWN = {
    "models": ("measured on", "soft loss"),
    "search": ("measured on", "soft loss"),
    "timing": ("device", "batch_size", "platform"),
    "calibration": ("groups",),
}
# Whose interval is in the columns "low" and "high".
_OF_BARE_ENDS = {
    "comparisons": "difference",
    "fidelity": "average",
    "shortcuts": "accuracy",
    "subgroups": "estimate",
}
_NUMBERS = ("T", "labels", "n_patients", "skipped")


def shown(tables):
    """Return the tables of a page: by name a caption, the columns, and rows of text.

    Parameters
    ----------
    tables : dict of str to DataFrame
        The tables of a study.
    """
    models = tables["models"]
    parts = {
        "models": models[models["measured on"] == "test"],
        "search": models[models["measured on"] != "test"],
    }
    made = {}
    for name, caption in _CAPTIONS.items():
        table = parts.get(name, tables.get(name))
        table = table.drop(columns=list(_NOT_SHOWN.get(name, ())), errors="ignore")
        if "lowest of seeds" in table:
            lowest, highest = table.pop("lowest of seeds"), table.pop("highest of seeds")
            table["difference of seeds"] = [
                f"{_end(low)} to {_end(high)}" for low, high in zip(lowest, highest, strict=True)
            ]
        columns = _columns(table, _OF_BARE_ENDS.get(name))
        rows = [list(row) for row in zip(*columns.values(), strict=True)]
        made[name] = (caption, list(columns), rows)
    return made


def as_figure(value):
    """Return a value as a table shows it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "\N{EN DASH}"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer) or (isinstance(value, float) and value.is_integer()):
        return f"{int(value):,}" if abs(value) < 1e15 else f"{value:.2g}"
    if isinstance(value, float):
        if abs(value) < 5e-4:
            return f"{value:.2g}"
        return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"
    return str(value)


def _columns(table, of_bare_ends):
    """Return the text of each column, an estimate and its interval in one.

    ``of_bare_ends`` is the column whose interval ends in the columns "low" and "high".
    """
    ends = {of_bare_ends: ("low", "high")} if of_bare_ends else {}
    for column in map(str, table.columns):
        for link in (" ", "_"):
            if f"{column}{link}low" in table.columns:
                ends[column] = f"{column}{link}low", f"{column}{link}high"
    hidden = {end for both in ends.values() for end in both}
    made = {}
    for column in map(str, table.columns):
        if column in hidden:
            continue
        text = [_figure(column, value) for value in table[column]]
        if column in ends:
            lows, highs = (table[end] for end in ends[column])
            text = [
                known if pd.isna(low) else f"{known} ({_end(low)} to {_end(high)})"
                for known, low, high in zip(text, lows, highs, strict=True)
            ]
        made[column.replace("_", " ")] = text
    return made


def _end(value):
    return f"{value:.3f}"


def _figure(column, value):
    # A share of 0 or 1 is a figure, and no number of things.
    if isinstance(value, float) and value in (0.0, 1.0) and column not in _NUMBERS:
        return f"{value:.3f}"
    return as_figure(value)
