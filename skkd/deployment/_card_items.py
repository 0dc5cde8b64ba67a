"""What a model card is to say, with the items of two checklists that ask for it."""

from dataclasses import dataclass

# Numbers as in Table 2 of Collins et al., BMJ 385:e078378, 2024, and in the checklist of Tejani et
# al., Radiology: Artificial Intelligence 6(4):e240300, 2024.
_TRIPOD_AI = dict.fromkeys(range(1, 28), "") | {
    **dict.fromkeys((3, 6, 8, 9, 20, 27), "abc"),
    **dict.fromkeys((5, 23), "ab"),
    12: "abcdefg",
    18: "abcdef",
}
_TRIPOD_AI = [f"{number}{part}" for number, parts in _TRIPOD_AI.items() for part in parts or [""]]
_CLAIM = [str(number) for number in range(1, 45)]


@dataclass(frozen=True)
class Item:
    """A part of a card.

    Attributes
    ----------
    name : str
        What it is called in code.
    section, title : str
        Where it stands.
    prompt : str
        What only authors know of it; "" where there is nothing.
    tripod, claim : str
        Items of TRIPOD+AI and of CLAIM's update of 2024 that ask for it, separated by spaces.
    """

    name: str
    section: str
    title: str
    prompt: str
    tripod: str
    claim: str

    def sources(self):
        """Return the items in words."""
        named = (("TRIPOD+AI", self.tripod), ("CLAIM", self.claim))
        return "; ".join(f"{name} {', '.join(items.split())}" for name, items in named if items)


_ITEMS = {
    "Purpose": [
        (
            *("intended_use", "Intended use"),
            "for which patients and which decision, at which point of care, by whom, and for what "
            "not",
            *("3a 3b", "3 41"),
        ),
        ("objectives", "Study", "its aims, and whether it looked back or ahead", "4", "4 5 6"),
        (
            *("inequalities", "Known inequalities"),
            "what is known of differences in health between groups of patients",
            *("3c", ""),
        ),
    ],
    "Data": [
        ("classes", "Classes and images", "", "21", ""),
        (
            *("sources", "Sources"),
            "where the images come from, of training and of testing, why these, and whom they "
            "represent",
            *("5a", "7"),
        ),
        ("dates", "Dates", "first and last date of the images", "5b", ""),
        ("setting", "Setting", "kinds, number and places of the institutions", "6a", ""),
        (
            *("eligibility", "Eligibility"),
            "who and what was included and excluded, and which part of it was taken",
            *("6b", "8 10"),
        ),
        ("treatments", "Treatments", "treatments before the images, where they matter", "6c", ""),
        ("acquisition", "Acquisition", "scanners, sequences, parameters, formats", "9b", "13"),
        ("deidentification", "De-identification", "how identities were removed", "", "11"),
        (
            *("reference_standard", "Reference standard"),
            "what decides the true label of an image, how and when, and why that",
            *("8a", "14 15"),
        ),
        (
            *("annotators", "Annotators"),
            "who labeled, with which training, blind to what, and how far they agreed",
            *("8b 8c", "16 17 18"),
        ),
        (
            "missing_data",
            "Missing data",
            "how it was dealt with, and what was left out",
            "11",
            "12",
        ),
        ("sample_size", "Sample size", "how it was arrived at, and why it suffices", "10", "21"),
        (
            *("participants", "Patients"),
            "flow of patients, with their characteristics in each part",
            *("20a 20b 20c", "35 36"),
        ),
        (
            *("partition", "Partition"),
            "how images came to training, validation and testing, and at which level these are "
            "disjoint",
            *("12a", "19 20"),
        ),
        ("leaks", "Leaks", "", "12a", "20"),
        (
            *("shift", "Differences between training and testing"),
            "in setting, eligibility, reference standard and images",
            *("16", ""),
        ),
    ],
    "Model": [
        ("input", "Input and preprocessing", "", "7 12b", "9"),
        ("network", "Network", "", "12c", "22"),
        ("output", "Output", "thresholds of decisions, and how they were found", "15", ""),
        ("training", "Training", "", "12c", "24 25"),
        ("teacher", "Teacher", "", "12c", "25 27"),
        ("imbalance", "Class imbalance", "", "13", ""),
        (
            *("selection", "Selection of the model"),
            "how many were trained, and how hyperparameters and this one were chosen",
            *("12c", "26"),
        ),
        ("software", "Software", "", "", "23"),
    ],
    "Performance": [
        ("scores", "Figures", "why these measures", "12e 23a", "28 29 32 37 38"),
        ("calibration", "Calibration", "", "12e 23a", ""),
        ("subgroups", "Subgroups", "what was done for fairness, and why", "14 23a", ""),
        ("external", "External validation", "figures of images from elsewhere", "", "33"),
        ("fidelity", "Explanations", "how they were judged by those who read them", "", "31"),
        ("robustness", "Robustness", "what was varied, and what came of it", "", "30"),
        ("failures", "Failures", "which images are classified wrongly", "", "39"),
        ("export", "The exported model", "", "12g 22", ""),
    ],
    "Use": [
        ("limits", "Limits", "what else limits what the figures say", "26", "40"),
        ("interpretation", "Interpretation", "what the figures mean, and for whom", "25", ""),
        (
            *("usability", "In practice"),
            "what to do with images that are poor or missing, and what users must know",
            *("27a 27b", ""),
        ),
        ("next_steps", "Next steps", "what would have to be shown next", "27c", ""),
    ],
    "Openness": [
        ("ethics", "Ethical approval", "committee, and consent or its waiver", "17", ""),
        ("funding", "Funding", "sources, and the role of the funders", "18a", "44"),
        ("conflicts", "Conflicts of interest", "of all authors", "18b", ""),
        ("protocol", "Protocol", "where it is, or that there is none", "18c", "42"),
        ("registration", "Registration", "register and number, or that there is none", "18d", "34"),
        ("availability", "Availability", "of data, code and the model", "18e 18f", "43"),
        (
            "involvement",
            "Involvement of patients",
            "of patients and the public, or that there was none",
            "19",
            "",
        ),
    ],
}
ITEMS = [Item(name, section, *rest) for section, rows in _ITEMS.items() for name, *rest in rows]


def elsewhere():
    """Return the items of both checklists for which a card has no place, in words."""
    missing = []
    for name, numbers, asked in (
        ("TRIPOD+AI", _TRIPOD_AI, [item.tripod for item in ITEMS]),
        ("CLAIM", _CLAIM, [item.claim for item in ITEMS]),
    ):
        here = set(" ".join(asked).split())
        missing.append(f"{name} {', '.join(n for n in numbers if n not in here)}")
    return "; ".join(missing)
