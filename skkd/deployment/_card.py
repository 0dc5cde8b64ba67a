"""What is known of a classifier, written down for those who rely on it."""

import re
from collections.abc import Mapping
from importlib.metadata import version
from itertools import combinations

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from skkd._groups import check_groups
from skkd.deployment._card_items import ITEMS, elsewhere
from skkd.deployment._card_markdown import as_pairs, as_table, as_text
from skkd.deployment._card_output import describe_output
from skkd.deployment._export_record import preprocessing, versions
from skkd.metrics import count_flops
from skkd.models._estimators import find_model, find_reader
from skkd.models._graph import without_traces
from skkd.models._head import find_head

_TABLES = ("scores", "calibration", "subgroups", "external", "fidelity", "export")
_NOT_MEASURED = "Not measured, as far as is known here."
_NUMBERS = ("integer", "floating", "mixed-integer-float", "decimal", "boolean")


def model_card(
    estimator,
    *,
    title="Model card",
    splits=None,
    groups=None,
    leaks=None,
    scores=None,
    calibration=None,
    subgroups=None,
    external=None,
    fidelity=None,
    export=None,
    tables=None,
    fields=None,
):
    """Write down what is known of a classifier, with open fields for what only its authors know.

    Each part names the items of TRIPOD+AI [1]_ and of the 2024 update of CLAIM [2]_ that ask for
    it.

    Parameters
    ----------
    estimator : NetworkClassifier, KDClassifier, keras.Model, Pipeline or fitted search
        The fitted classifier. It is only read. Steps of a Pipeline before the network are listed.
    title : str, default="Model card"
        Heading of the card.
    splits : mapping of str to array-like of labels, default=None
        The labels of each part of the data, as in ``{"train": y_train, "test": y_test}``, of which
        images are counted.
    groups : mapping of str to array-like, default=None
        The patient of each image of these parts, numbers in all or names in all, of which patients
        are counted, and those in more than one part.
    leaks : Bunch, default=None
        What `skkd.datasets.check_split` found.
    scores, calibration, subgroups, external, fidelity, export : DataFrame, default=None
        Tables: figures with intervals (`skkd.bootstrap_scores`), calibration, figures of
        subgroups, figures of images from elsewhere, fidelity of explanations
        (`skkd.fidelity_report`), and what `export_student` returned.
    tables : mapping of str to DataFrame, default=None
        Further tables, by their headings.
    fields : mapping of str to str, default=None
        What the authors say, in Markdown, by the name of the part, such as "intended_use" or
        "reference_standard". The error for a name that is none lists all.

    Returns
    -------
    card : skops.card.Card
        ``card.render()`` is its Markdown, ``card.save(path)`` writes it, and ``card.add``,
        ``card.add_plot`` and ``card.select`` change it.

    Raises
    ------
    ImportError
        If skops is not installed.
    ValueError
        If a field is not known, parts of `splits` and `groups` do not match, patients are missing
        or numbers in one part and names in another, or the network is no classifier.

    See Also
    --------
    export_student : Write the classifier to a file for other runtimes.

    References
    ----------
    .. [1] G. S. Collins et al., "TRIPOD+AI statement: updated guidance for reporting clinical
       prediction models that use regression or machine learning methods", BMJ 385:e078378, 2024.
    .. [2] A. S. Tejani et al., "Checklist for Artificial Intelligence in Medical Imaging (CLAIM):
       2024 Update", Radiology: Artificial Intelligence 6(4):e240300, 2024.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skkd import MLP, NetworkClassifier
    >>> from skkd.deployment import model_card
    >>> X, y = load_digits(return_X_y=True)
    >>> student = NetworkClassifier(MLP(hidden=(8,)), epochs=1).fit(X[:1000], y[:1000])
    >>> card = model_card(
    ...     student,
    ...     splits={"train": y[:1000], "test": y[1000:]},
    ...     fields={"intended_use": "To read digits of 8 by 8 pixels, and no letters."},
    ... )  # doctest: +SKIP
    >>> print(card.select("Purpose").select("Intended use").content)  # doctest: +SKIP
    """
    given = {
        "scores": scores,
        "calibration": calibration,
        "subgroups": subgroups,
        "external": external,
        "fidelity": fidelity,
        "export": export,
    }
    for name, value in (("splits", splits), ("groups", groups), ("tables", tables)):
        if value is not None and not isinstance(value, Mapping):
            raise TypeError(f"{name} must be a mapping; got {type(value).__name__}")
    _check_tables(given)
    _check_tables({f"tables[{name!r}]": table for name, table in (tables or {}).items()})
    fields = _check_fields({} if fields is None else fields)
    if not hasattr(estimator, "predict_on_batch"):
        check_is_fitted(estimator)
    groups = None if groups is None else _check_groups(groups, splits)
    model, classes, before = find_model(estimator)
    with without_traces(model):
        head = find_head(model, None if classes is None else len(classes))
        classes = np.arange(head.network.output_shape[-1]) if classes is None else classes
    known = {
        "classes": _classes(classes, splits, groups, estimator),
        "leaks": _leaks(leaks),
        **_model(estimator, model, _steps(before)),
        "output": describe_output(model, head, classes, find_reader(estimator)),
        **{
            name: _NOT_MEASURED if given[name] is None else as_table(given[name])
            for name in _TABLES
        },
        "limits": _limits(splits, groups, leaks, given),
    }
    card = _new_card()
    heading = as_text(title).replace("/", r"\/")
    card.add(
        **{
            heading: "Numbers after headings are those of items of TRIPOD+AI (2024) and of CLAIM "
            f"(2024 update). Items that a paper has and this card has not: {elsewhere()}."
        }
    )
    for item in ITEMS:
        parts = [f"*{item.sources()}*", known.get(item.name, ""), fields.get(item.name, "")]
        if item.prompt and item.name not in fields:
            parts.append(f"**To be filled in by the authors:** {item.prompt}.")
        card.add(**{f"{heading}/{item.section}": "", f"{heading}/{item.section}/{item.title}": ""})
        section = card.select(f"{heading}/{item.section}/{item.title}")
        section.content = "\n\n".join(part for part in parts if part)
    for name, table in (tables or {}).items():
        name = as_text(name).replace("/", r"\/")
        card.add(**{f"{heading}/Further tables/{name}": as_table(table)})
    return card


def _new_card():
    try:
        from skops.card import Card
    except ImportError as error:
        raise ImportError(
            "model_card needs skops: pip install 'skkd[card]'", name="skops"
        ) from error
    return Card(None, template=None)


def _check_tables(tables):
    for name, table in tables.items():
        if table is not None and not isinstance(table, pd.DataFrame):
            raise TypeError(f"{name} must be a DataFrame; got {type(table).__name__}")


def _check_fields(fields):
    open_fields = [item.name for item in ITEMS if item.prompt]
    if not isinstance(fields, Mapping):
        raise TypeError(f"fields must be a mapping; got {type(fields).__name__}")
    for name, text in fields.items():
        if name not in open_fields:
            raise ValueError(f"fields has no part {name!r}; there are {', '.join(open_fields)}")
        if not isinstance(text, str):
            raise TypeError(f"fields[{name!r}] must be a str; got {type(text).__name__}")
    return fields


def _classes(classes, splits, groups, estimator):
    text = [f"Classes, in the order of outputs: {', '.join(as_text(label) for label in classes)}."]
    if splits is not None:
        counts = {}
        for name, y in splits.items():
            y = pd.Series(np.asarray(y))
            unknown = y[~y.isin(classes)].unique().tolist()
            if unknown:
                raise ValueError(
                    f"splits[{name!r}] must hold only the classes {classes.tolist()}; got {unknown}"
                )
            counts[name] = [*(int((y == label).sum()) for label in classes), len(y)]
        counts = pd.DataFrame(counts, index=pd.Index([*classes, "all images"], name="class"))
        text.append(as_table(counts))
    if groups is not None:
        text.append(_patients(groups))
    digest = getattr(find_reader(estimator), "data_digest_", None)
    if digest is not None:
        text.append(f"Digest of the images, labels and weights of training: {as_text(digest)}.")
    return "\n\n".join(text)


def _check_groups(groups, splits):
    """Return the patients of each part as arrays that can be compared."""
    checked, kinds = {}, {}
    for name, of_images in groups.items():
        if splits is None or name not in splits:
            raise ValueError(
                f"groups[{name!r}] must have a patient for each label of splits[{name!r}]"
            )
        checked[name] = check_groups(of_images, len(splits[name]), f"groups[{name!r}]")
        kind = pd.api.types.infer_dtype(checked[name].astype(object))
        kinds[name] = "number" if kind in _NUMBERS else kind
    if len(set(kinds.values())) > 1:
        raise ValueError(
            f"groups must name patients in one way in all parts, as 1 is not '1'; got {kinds}"
        )
    return checked


def _patients(groups):
    both = [[f"in {' and in '.join(names)}", number] for names, number in _count_patients(groups)]
    return as_table(pd.DataFrame(both, columns=["patients", "number"]).set_index("patients"))


def _count_patients(groups):
    """Return the number of patients in each part, and in each two parts."""
    patients = {name: set(of_images.tolist()) for name, of_images in groups.items()}
    chosen = [names for size in (1, 2) for names in combinations(patients, size)]
    return [(names, len(set.intersection(*(patients[n] for n in names)))) for names in chosen]


def _leaks(leaks):
    if leaks is None:
        return "Not looked for, as far as is known here."
    if not all(hasattr(leaks, name) for name in ("summary", "metadata", "shared")):
        raise TypeError(
            f"leaks must be what skkd.datasets.check_split returned; got {type(leaks).__name__}"
        )
    lines = [f"- {as_text(line)}" for line in leaks.summary.splitlines()]
    return "\n".join(lines) + ("" if leaks.metadata.empty else f"\n\n{as_table(leaks.metadata)}")


def _steps(before):
    """Return what stands before the network in a pipeline."""
    steps = [] if before is None else [step for _, step in before.steps]
    return [step for step in steps if step not in (None, "passthrough")]


def _model(estimator, model, steps_before):
    reader = find_reader(estimator)
    layers = model._flatten_layers(include_self=False)
    network = {
        "name": model.name,
        "layers": sum(1 for layer in layers if layer.weights),
        "weights": model.count_params(),
        "operations of an image": count_flops(model),
    }
    shape = tuple(model.input_shape[1:])
    inputs = {
        "shape of an image": " x ".join(map(str, shape)),
        "values": "what the steps below make of it" if steps_before else "raw, as in training",
        "type in training": getattr(reader, "_files_dtype", None) or "not known",
        "window": getattr(reader, "window", None),
    }
    outside = [
        "Before the network, and in no file of the network alone:",
        "",
        *(f"- {as_text(step)}" for step in steps_before),
    ]
    steps = [
        f"- {as_text(step.pop('layer'))}: {as_text(step) if step else 'no settings'}"
        for step in preprocessing(model)
    ]
    inside = ["Within the network, before the first layer that learned:", "", *steps]
    parts = ["\n".join(outside)] if steps_before else []
    parts += ["\n".join(inside)] if steps else []
    owner = _inner(estimator)
    return {
        "input": "\n\n".join([as_pairs(inputs), *parts]),
        "network": as_pairs(network),
        "training": _training(owner, reader),
        "teacher": _teacher(owner),
        "imbalance": _imbalance(reader),
        "software": as_pairs(versions() | {"scikit-learn": version("scikit-learn")}),
    }


def _inner(estimator):
    while hasattr(estimator, "best_estimator_") or hasattr(estimator, "steps"):
        estimator = getattr(estimator, "best_estimator_", estimator)
        estimator = estimator[-1] if hasattr(estimator, "steps") else estimator
    return estimator


def _training(owner, reader):
    if not hasattr(owner, "get_params"):
        return "Not known of a bare Keras model."
    hidden = ("teacher", "student", "verbose", "memory", "checkpoint", "image_cache", "callbacks")
    settings = {}
    for part in dict.fromkeys((owner, reader) if reader is not None else (owner,)):
        params = part.get_params(deep=False)
        settings |= {name: value for name, value in params.items() if name not in hidden}
    fitted = {
        "epochs trained": getattr(owner, "n_iter_", "not known"),
        **{
            f"last {name}": values[-1]
            for name, values in getattr(owner, "history_", {}).items()
            if len(values)
        },
    }
    return as_pairs(settings | fitted)


def _teacher(owner):
    params = owner.get_params(deep=False) if hasattr(owner, "get_params") else {}
    if params.get("teacher") is None:
        return "None, as far as is known here."
    teachers = params["teacher"]
    teachers = teachers if isinstance(teachers, list | tuple) else [teachers]
    return "\n".join(f"- {as_text(_named(teacher))}" for teacher in teachers)


def _named(teacher):
    if isinstance(teacher, str) or hasattr(teacher, "__fspath__"):
        # Folders are nobody's business.
        return re.split(r"[\\/]", str(teacher))[-1]
    if hasattr(teacher, "count_params"):
        return f"{type(teacher).__name__} {teacher.name} of {teacher.count_params()} weights"
    return teacher


def _imbalance(reader):
    weight = getattr(reader, "class_weight", None)
    if weight is None:
        return "Classes were not weighted in training."
    return f"Classes were weighted in training: {as_text(weight)}."


def _limits(splits, groups, leaks, given):
    lines = []
    if splits is None:
        lines.append("How many images of each class there were is not written down here.")
    if groups is None:
        lines.append(
            "Images are not told apart by patient here; intervals over images of the same patient "
            "are too narrow."
        )
    else:
        lines += [
            f"{number} patients are in {as_text(names[0])} and in {as_text(names[1])}."
            for names, number in _count_patients(groups)
            if len(names) == 2 and number
        ]
    if leaks is None:
        lines.append("Whether test images are also in training was not checked here.")
    elif len(leaks.shared):
        lines.append(f"{len(leaks.shared)} test images are also in training.")
    if len(getattr(leaks, "shared_groups", ())):
        lines.append(f"{len(leaks.shared_groups)} test patients are also in training.")
    if given["scores"] is None:
        lines.append("No figures are given.")
    if given["external"] is None:
        lines.append("No figures of images from elsewhere are given.")
    lines.append("skkd is a research tool, not a medical device, and so is what it trains.")
    return "\n".join(f"- {line}" for line in lines)
