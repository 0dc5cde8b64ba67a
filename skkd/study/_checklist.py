"""What reporting guidelines ask of a study, and where its report answers."""

from skkd.deployment._card_items import ITEMS

# Parts of the page, by the items of a model card that they answer.
_ANSWERED = {
    "classes": "models",
    "partition": "models",
    "leaks": "leaks",
    "input": "made",
    "network": "timing",
    "output": "figures",
    "training": "made",
    "teacher": "made",
    "selection": "models",
    "software": "made",
    "scores": "models",
    "calibration": "models",
    "subgroups": "subgroups",
    "fidelity": "fidelity",
    "robustness": "subgroups",
    "failures": "viewer",
}


def checklist():
    """Return what TRIPOD+AI and CLAIM ask.

    Returns
    -------
    rows : list of tuple of str
        What is asked, the items of the guidelines, the part of the page that answers it ("" where
        none does), and what the authors must write ("" where nothing).
    """
    return [
        (item.title, item.sources(), _ANSWERED.get(item.name, ""), item.prompt) for item in ITEMS
    ]
