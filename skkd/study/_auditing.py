"""What a student of a study reads besides the disease, and for whom it is worse."""

import warnings

import pandas as pd

from skkd.images import ImagePaths, file_metadata
from skkd.metrics import shortcut_report, subgroup_report
from skkd.persistence import load
from skkd.study._stages import Steps


def audit(student, images, has_files, settings, say, folder):
    """Write ``subgroups.csv`` and ``shortcuts.csv`` of the test images.

    Parameters
    ----------
    student : path
        A file that ``save`` wrote.
    images : Images
        The images.
    has_files : bool
        Whether the images are files, whose storage can tell something.
    settings : Settings
        Of the intervals.
    say : callable
        Takes a line that tells how far it is.
    folder : path
        Where to write.
    """
    steps = Steps(say, "audit", 2)
    classifier = load(student)
    X, y, groups = images.part("test")
    given = {
        "groups": groups,
        "confidence": settings.confidence,
        "n_resamples": settings.n_resamples,
        "random_state": settings.random_state,
    }
    paths = images.table["path"].to_numpy()[images.rows("test")]
    metadata = {"class": y}
    if has_files:
        stored = file_metadata(paths)
        metadata |= {
            name: stored[name] for name in ("color", "format") if stored[name].nunique() > 1
        }
    # Each class is a group, however many there are.
    most = max(10, len(classifier.classes_))
    report = subgroup_report(classifier, X, y, pd.DataFrame(metadata), max_values=most, **given)
    report.to_csv(folder / "subgroups.csv", index=False)
    steps.step()
    size = (settings.image_size,) * 2
    color_mode = "grayscale" if X.shape[-1] == 1 else "rgb"
    files = ImagePaths(paths, image_size=size, color_mode=color_mode) if has_files else X
    with warnings.catch_warnings():
        # The report says what it warns of.
        warnings.simplefilter("ignore", UserWarning)
        shortcuts = shortcut_report(classifier, files, y, **given)
    shortcuts.reset_index().to_csv(folder / "shortcuts.csv", index=False)
