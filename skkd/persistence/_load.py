"""Estimators read from files that hold no code."""

import json

from sklearn.base import BaseEstimator

from skkd._scikeras import own_seeds
from skkd.persistence._archive import read_archive
from skkd.persistence._saving import FORMAT, RECORD
from skkd.persistence._values import Reader


def load(path, *, custom_objects=None):
    """Read an estimator or explainer that its method ``save`` has written.

    Nothing in the file is run: networks are read in Keras's safe mode, arrays without pickle, and
    classes are those of skkd and Keras and those that you pass. Parameters that name folders, such
    as ``checkpoint``, are used by the next fit: look at them in a file that you do not trust.

    Parameters
    ----------
    path : str or path
        The file.
    custom_objects : dict of str to object, default=None
        Classes in it that are neither of Keras nor of skkd, such as layers of your own, by name.

    Returns
    -------
    estimator : NetworkClassifier, KDClassifier or explainer
        As it was: it predicts and explains the same, and is trained on. A
        `~skkd.persistence.NotSaved` stands for a parameter that could not be written, such as a
        function.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is another one, is cut off or changed, comes from a later version, or holds
        classes that nobody has allowed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from skkd import MLP, NetworkClassifier, load
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = NetworkClassifier(MLP(hidden=(4,)), epochs=1, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     classifier.save(Path(folder, "iris.skkd"))
    ...     loaded = load(Path(folder, "iris.skkd"))
    >>> bool((loaded.predict_proba(X) == classifier.predict_proba(X)).all())
    True
    """
    if not isinstance(custom_objects, dict | None):
        raise TypeError(f"custom_objects must be a dict or None; got {custom_objects!r}")
    members = read_archive(path)
    try:
        record = json.loads(members[RECORD])
        version, content = int(record["format"]), record["content"]
        written_by = record["versions"]["skkd"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"path: {str(path)!r} was not written by save(path): {error}") from error
    if version > FORMAT:
        raise ValueError(
            f"path: {str(path)!r} is of format {version}, written by skkd {written_by}; this "
            f"version reads up to {FORMAT}: install a later one"
        )
    reader = Reader(members, custom_objects or {})
    try:
        # Layers that are made draw seeds, and nobody else's random numbers must move.
        with own_seeds(0):
            estimator = reader.decode(content)
    # What is wrong with a file that somebody else made may be anything.
    except Exception as error:
        raise ValueError(f"path: {str(path)!r} cannot be read: {error}") from error
    if not isinstance(estimator, BaseEstimator):
        raise ValueError(f"path: {str(path)!r} holds no estimator but {type(estimator).__name__}")
    return estimator
