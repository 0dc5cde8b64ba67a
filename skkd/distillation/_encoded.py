"""Labels that a wrapper encoded, met by teachers that know the labels themselves."""

import numpy as np

from skkd.images._blocks import read_blocks

# Images looked at, and as how many of them a mistake is no chance.
_LOOKED_AT, _FEWEST = 1024, 8

_WRAPPERS = (
    "VotingClassifier, StackingClassifier and BaggingClassifier pass labels on as 0, 1, ..., and "
    "OneVsRestClassifier, OneVsOneClassifier and OutputCodeClassifier as 0 and 1"
)


def check_not_encoded(teachers, lessons, memory):
    """Ask teachers about a few images where the labels may be others than they look."""
    classes = teachers.classes
    for member in teachers.members:
        if not may_be_encoded(member.labels, classes):
            continue
        rows = _some_of_each(lessons.rows, lessons.labels[lessons.rows], len(classes))
        with teachers.remembering_one(member, memory) as ask:
            blocks = read_blocks(lessons.images, rows, teachers.batch_size)
            logits = np.concatenate([ask(block, digests) for _, block, digests in blocks])
        check_agreement(logits, member.labels, lessons.labels[rows], classes)


def may_be_encoded(labels, classes):
    """Whether y's classes are 0, 1, ... and a teacher's labels are these and others."""
    if labels is None or classes.dtype.kind not in "iu":
        return False
    labels = np.asarray(labels)
    return (
        labels.dtype.kind in "iuf"
        and len(labels) > len(classes)
        and np.array_equal(classes, np.arange(len(classes)))
        and np.isin(classes, labels).all()
    )


def check_agreement(logits, labels, y, classes):
    """Raise if a teacher's answers fit y much better as the codes of other labels.

    Parameters
    ----------
    logits : ndarray of shape (n, n_outputs)
        The teacher's answers.
    labels : array-like of shape (n_outputs,)
        Class label of each of its outputs; `may_be_encoded` holds.
    y : ndarray of shape (n,)
        Labels of the images.
    classes : ndarray of shape (n_classes,)
        0, 1, ..., the classes of y.

    Notes
    -----
    y is compared with three readings of it: the labels themselves; codes of some of the teacher's
    labels in their order, as scikit-learn's LabelEncoder gives; and one label against the rest. A
    teacher that is merely weak errs in many ways. Refused is one that gives another class, always
    the same, to most images of a label, and its own at most a third as often, if that reading
    also halves the error among the classes of y alone.
    """
    order = np.argsort(labels)
    logits, labels = np.asarray(logits)[:, order], np.asarray(labels)[order]
    own = np.searchsorted(labels, classes)
    said = logits.argmax(axis=1)
    counts = np.stack([np.bincount(said[y == c], minlength=len(labels)) for c in classes])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    as_named = _balanced(logits[:, own].argmax(axis=1), y, classes)

    codes = _in_order(shares)
    readings = [(codes, _balanced(logits[:, codes].argmax(axis=1), y, classes))]
    if len(classes) == 2:
        one = np.where(np.arange(len(labels)) == own[1], -1, shares[1]).argmax()
        readings.append((np.array([own[0], one]), _balanced(said == one, y, classes)))
    for meant, agreement in readings:
        other = np.flatnonzero(meant != own)
        if not len(other):
            continue
        named, as_other = shares[other, own[other]].mean(), shares[other, meant[other]].mean()
        gain = agreement - as_named
        if (
            as_other >= 0.5
            and named <= as_other / 3
            and counts[other, meant[other]].sum() >= _FEWEST
            and gain >= max(0.1 * len(other) / len(classes), (1 - as_named) / 2)
        ):
            _refuse(classes, labels, own, meant, shares, other)


def _refuse(classes, labels, own, meant, shares, other):
    worst = other[shares[other, meant[other]].argmax()]
    raise ValueError(
        f"the labels in y seem to be encoded: of the images with label {classes[worst]} the "
        f"teacher says {labels[meant[worst]]} for {shares[worst, meant[worst]]:.0%} and "
        f"{classes[worst]} for {shares[worst, own[worst]]:.0%}. {_WRAPPERS}. Name the "
        "teacher's classes as the first three encode them, Teacher(model, classes=[...]), with "
        "-1, -2, ... for those that y does not have, and put none into the others. If y is right, "
        f"pass a function of images that gives the teacher's outputs for {classes.tolist()} alone"
    )


def note_on_unknown(classes):
    """Return what to add where a teacher does not know the classes of y."""
    if classes.dtype.kind not in "iu" or not np.array_equal(classes, np.arange(len(classes))):
        return ""
    return (
        f". If y is not what was passed to fit, a wrapper encoded it: {_WRAPPERS}. Name the "
        "teacher's classes as the first three encode them, Teacher(model, classes=[...]), and put "
        "none into the others"
    )


def _some_of_each(rows, y, n_classes):
    """Return rows of each class, evenly spread and few altogether."""
    most = max(_LOOKED_AT // n_classes, _FEWEST)
    chosen = []
    for label in np.unique(y):
        of_label = rows[y == label]
        at = np.linspace(0, len(of_label) - 1, min(most, len(of_label))).astype(int)
        chosen.append(of_label[at])
    return np.sort(np.concatenate(chosen))


def _balanced(predicted, y, classes):
    """Return the mean over classes of the share of images predicted right."""
    right = classes[predicted.astype(int)] == y
    return np.mean([right[y == c].mean() for c in np.unique(y)])


def _in_order(shares):
    """Return an output for each class, in increasing order, for the largest sum of shares."""
    n_outputs = shares.shape[1]
    best, gains = np.zeros(n_outputs + 1), []
    for share in shares:
        gains.append(best[:-1] + share)
        best = np.concatenate([[-np.inf], np.maximum.accumulate(gains[-1])])
    chosen, end = [], n_outputs
    for gain in reversed(gains):
        end = int(gain[:end].argmax())
        chosen.append(end)
    return np.array(chosen[::-1])
