"""What a study adds where the packages for it are installed: a model card, and a file of ONNX."""

import warnings

import numpy as np
import pandas as pd

from skkd.deployment import export_student, model_card
from skkd.persistence import load


def write_extras(found, out, say):
    """Write ``models/student.onnx`` and ``model_card.md``, or say what each lacks.

    Parameters
    ----------
    found : Found
        What the study found.
    out : path
        Folder of the study.
    say : callable
        Takes a line.

    Returns
    -------
    card : str or None
        The card as HTML.
    """
    exported = card = None
    try:
        exported = _write_onnx(found, out)
    # What stands beside the report shall not cost it.
    except (ImportError, ValueError) as error:
        say(f"models/student.onnx is left out: {error}")
    try:
        card = _write_card(found, out, exported)
    except ImportError as error:
        say(f"the model card is left out: {error}")
    return card


def _write_onnx(found, out):
    X, y, groups = found.images.part("test")
    with warnings.catch_warnings():
        # TensorFlow's converter warns of itself.
        warnings.simplefilter("ignore", DeprecationWarning)
        return export_student(
            load(found.student),
            out / "models" / "student.onnx",
            format="onnx",
            X=np.asarray(X),
            y=y,
            groups=groups,
            confidence=found.settings.confidence,
            random_state=found.settings.random_state,
        )


def _write_card(found, out, exported):
    tables = found.tables
    models = tables["models"]
    scores = models[models["model"] == "distilled student"].set_index("measured on")
    parts = ("train", "validation", "test")
    card = model_card(
        load(found.student),
        title=f"Model card: {found.title}",
        splits={part: found.images.part(part)[1] for part in parts},
        scores=scores.drop(columns=["model", "soft loss", "labels"]).T.rename_axis("figure"),
        calibration=tables["calibration"].set_index("model"),
        subgroups=tables["subgroups"].set_index(["column", "value"]),
        fidelity=tables["fidelity"].set_index(["model", "explainer"]),
        export=exported,
        tables={"Leaks": pd.DataFrame({"number": found.leaks}).rename_axis("what")},
    )
    text = card.render()
    (out / "model_card.md").write_text(text, encoding="utf-8")
    return _as_html(text)


def _as_html(text):
    try:
        from markdown_it import MarkdownIt
    except ImportError as error:
        raise ImportError(
            "it is not in the report, which needs markdown-it-py: pip install 'skkd[card]'",
            name="markdown-it-py",
        ) from error
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    for token in tokens:
        # Below the headings of the page.
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
        elif token.type == "table_open":
            # A wide one is scrolled, by the keyboard too.
            token.attrSet("tabindex", "0")
    return markdown.renderer.render(tokens, markdown.options, {})
