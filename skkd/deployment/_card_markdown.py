"""Values and tables as Markdown that shows them as they are."""

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from skkd.deployment._export_record import plain

# In text of one line these have a meaning in Markdown, wherever they stand.
_SPECIAL = re.compile(r"([\\`*_\[\]|~#$])")
_LONGEST = 200


def as_pairs(values):
    """Return names and their values as a table in Markdown."""
    return as_table(pd.DataFrame({"value": values.values()}, index=pd.Index(values, name="what")))


def as_table(table):
    """Return a table in Markdown."""
    if table.empty:
        return "Empty."
    index = [name if name is not None else "" for name in table.index.names]
    columns = [", ".join(map(str, c)) if isinstance(c, tuple) else c for c in table.columns]
    rows = [
        [*(label if isinstance(label, tuple) else (label,)), *row]
        for label, row in zip(
            table.index, table.astype(object).itertuples(index=False, name=None), strict=True
        )
    ]
    head = [*index, *columns]
    lines = [head, ["---"] * len(head), *rows]
    cells = [[as_text(cell) for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def as_text(value):
    """Return a value as one line that Markdown and HTML show as it is."""
    if isinstance(value, Mapping):
        value = ", ".join(f"{name} {plain(item)}" for name, item in value.items())
    if isinstance(value, float | np.floating):
        value = "" if np.isnan(value) else f"{value:.4g}"
    elif value is pd.NA or value is pd.NaT:
        value = ""
    # The repr of an object that has none of its own ends in its address.
    value = re.sub(r" at 0x\w+", "", str(value))
    if len(value) > _LONGEST:
        value = f"{value[:_LONGEST]}…"
    value = " ".join(value.split())
    value = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", value)
