"""What a study found, in sentences for somebody who reads nothing else."""

import numpy as np

from skkd.study._results import OTHER

# Of fewer groups than this, patients or images alike, differences say little of others, however
# narrow an interval over them is.
_FEWEST_GROUPS = 10


def in_words(found):
    """Return sentences: what was learned, how good it is, how small and fast, and how sure."""
    images = found.images
    return [
        f"A network, the student, learned to tell {len(images.classes)} classes apart "
        f"({', '.join(images.classes)}) from {len(images.rows('train')):,} images: by their "
        "labels, and by what another network, the teacher, says of them.",
        _good(found),
        _smaller(found.tables["timing"].drop_duplicates("model").set_index("model")),
        _helped(found),
        *_with_few_labels(found),
        _searched(found),
        *_leaks(found),
        *_doubts(found),
    ]


def verdict(row, better, worse, open_):
    """Return which of three is the case of a difference: its interval and all seeds must agree.

    Parameters
    ----------
    row : mapping
        A row of the table of comparisons.
    better, worse, open_ : str
        What to say.
    """
    if row["groups"] < _FEWEST_GROUPS:
        return open_
    if row["low"] > 0 and row["lowest of seeds"] > 0:
        return better
    if row["high"] < 0 and row["highest of seeds"] < 0:
        return worse
    return open_


def _doubts(found):
    """Return what makes the figures less sure than they look."""
    sentences = []
    n_groups = len(np.unique(found.images.part("test")[2]))
    known, n = found.leaks["n_with_patient"], found.leaks["n_images"]
    if n_groups < _FEWEST_GROUPS:
        sentences.append(
            f"The images to report on are of {n_groups} patients or groups of images alike only: "
            "intervals over so few say little."
        )
    if known < n:
        whose = "" if known == 0 else f" of {n - known:,} of the {n:,} images"
        sentences.append(
            f"Which images are of one patient is not known here{whose}. If some are, the figures "
            "are too good and the intervals too narrow."
        )
    models = found.tables["models"]
    accuracy = models[models["measured on"] == "test"].set_index("model")["accuracy"]
    if accuracy["teacher"] < accuracy["plain student"]:
        sentences.append(
            "The teacher is right less often than the student that learned without one: little "
            "can be learned from it before it is trained better."
        )
    if found.settings.teacher is not None:
        sentences.append(
            "The teacher came as a file, and what it was trained on is not known here. If it has "
            "seen the images it is measured on, its own figures are too good."
        )
    if found.left_out:
        sentences.append(
            f"There was no time for {len(found.left_out)} of the students: see how it was made."
        )
    return sentences


def _good(found):
    models = found.tables["models"]
    test = models[models["measured on"] == "test"].set_index("model")
    student, teacher = test.loc["distilled student"], test.loc["teacher"]
    return (
        f"It is right about {_percent(student['accuracy'])} of {int(student['n']):,} images that "
        f"it was not trained on ({_interval(student, 'accuracy')}), the teacher about "
        f"{_percent(teacher['accuracy'])} ({_interval(teacher, 'accuracy')})."
    )


def _smaller(timing):
    teacher, student = timing.loc["teacher"], timing.loc["student"]
    fewer = teacher["parameters"] / student["parameters"]
    cheaper = teacher["flops"] / student["flops"]
    faster = teacher["prediction"] / student["prediction"]
    said = (
        f"Compared with the teacher, the student has {int(student['parameters']):,} weights "
        f"({_times(fewer, 'fewer', 'more')}), needs "
        f"{student['flops'] / 1e6:,.1f} million operations for an image "
        f"({_times(cheaper, 'fewer', 'more')}), and predicts it in "
        f"{1000 * student['prediction']:.1f} ms ({_times(faster, 'faster', 'slower')}) on the "
        "machine that measured it."
    )
    if cheaper < 1 or fewer < 1:
        said += " So it is not the smaller of the two in all respects."
    return said


def _times(ratio, up, down):
    if 0.95 < ratio < 1.05:
        return "about the same"
    return f"{ratio:.1f} times {up}" if ratio >= 1 else f"{1 / ratio:.1f} times {down}"


def _helped(found):
    row = _comparison(found, "distilled student", "plain student")
    said = verdict(
        row,
        "Distillation helped",
        "Distillation did harm",
        "Whether distillation helped cannot be told from these images",
    )
    models = found.tables["models"]
    loss = models[models["measured on"] == "test"].set_index("model")["loss"]
    return (
        f"{said}: beside the same network trained on the labels alone, accuracy differs by "
        f"{_points(row)}{_seeds(row)}. The loss, by which wrong answers count the more the surer "
        f"they are, is {loss['distilled student']:.3f} in place of {loss['plain student']:.3f}."
    )


def _with_few_labels(found):
    n = found.n_labels
    if n is None:
        return []
    row = _comparison(found, f"distilled student, {n} labels", f"plain student, {n} labels")
    said = verdict(row, "it helped", "it did harm", "whether it helped cannot be told")
    whose = (
        "had all labels"
        if found.settings.teacher is None
        else "came as a file and may have had more labels"
    )
    return [
        f"Where the student has {n} labels only, and all other images without theirs, about which "
        f"the teacher is asked, {said}: accuracy is {_percent(row['accuracy'])} in place of "
        f"{_percent(row[OTHER])}, a difference of {_points(row)}{_seeds(row)}. The teacher {whose}."
    ]


def _searched(found):
    best, second = found.ranked[:2]
    n = len(found.ranked)
    if verdict(found.search, True, False, False):
        said = f"{best} did best on the images to choose by, beyond what chance explains"
    else:
        said = (
            f"the best on the images to choose by ({best}) is no better than the second ({second}) "
            "beyond chance, so the choice says little"
        )
    taught = next(kind for kind in found.ranked if not kind.is_plain)
    return f"Of {n} ways to train, {said}. The student reported on learned with {taught}."


def _leaks(found):
    leaks = found.leaks
    if not leaks["n_leaked"]:
        return []
    which = "nearly the same as one that was learned or chosen from"
    if leaks["n_with_patient"]:
        which = "like one that was learned or chosen from, or of its patient"
    row = found.tables["leaks"].set_index("model").loc["distilled student"]
    said = f"{leaks['n_leaked']} of the {leaks['n_test']} test images are {which}."
    if np.isnan(row["without leaked"]):
        return [f"{said} Too few are left to say how good the student is on new images."]
    return [
        f"{said} Without them the student is right about {_percent(row['without leaked'])}, in "
        f"place of {_percent(row['all'])}."
    ]


def _comparison(found, one, other):
    table = found.tables["comparisons"]
    rows = table[(table["model"] == one) & (table["against"] == other)]
    return rows.iloc[0]


def _seeds(row):
    if row["seeds"] == 1:
        return "; one student of each was trained, and what other seeds would change is not known"
    return (
        f"; from {100 * row['lowest of seeds']:+.1f} to {100 * row['highest of seeds']:+.1f} in "
        f"the {row['seeds']} seeds"
    )


def _points(row):
    return (
        f"{100 * row['difference']:+.1f} percentage points ({100 * row['low']:+.1f} to "
        f"{100 * row['high']:+.1f})"
    )


def _percent(share):
    return "\N{EN DASH}" if np.isnan(share) else f"{100 * share:.1f} %"


def _interval(row, column):
    return f"{100 * row[f'{column} low']:.1f} to {100 * row[f'{column} high']:.1f} %"
