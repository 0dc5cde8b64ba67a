"""Whether a classifier reads the label off something else than it should."""

from numbers import Real

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from skkd._groups import check_groups
from skkd.images._input import as_column, holds_paths
from skkd.images._metadata import file_metadata
from skkd.images._paths import ImagePaths
from skkd.metrics._batches import check_count, row_batches
from skkd.metrics._confidence import TrueClassConfidence
from skkd.metrics.audit._columns import as_table
from skkd.metrics.audit._probe import as_features, gray_values, held_out_predictions
from skkd.metrics.audit._regions import (
    check_masks,
    corners,
    draw_others,
    draw_others_elsewhere,
    exchange,
    fill_masked,
    frame,
    usable,
)
from skkd.metrics.inference._bootstrap import mean_of_known
from skkd.metrics.inference._checks import check_confidence
from skkd.metrics.inference._intervals import Intervals

AS_IT_IS = "as it is"
COMMON = "most common class"
# What is exchanged, and how that is said.
_EXCHANGED = {
    "other border": ("another border", "the border"),
    "other corners": ("other corners", "the corners"),
    "other background": ("another background", "the background"),
}
# What is left alone, and how that is said.
_ALONE = {
    "background alone": "The background alone gives",
    "gray values alone": "Gray values alone give",
    "storage alone": "How the files are stored gives",
    "metadata alone": "The metadata alone give",
}


def shortcut_report(
    estimator,
    X,
    y,
    *,
    masks=None,
    metadata=None,
    groups=None,
    border=0.1,
    corner=0.2,
    n_repeats=5,
    probe=None,
    cv=5,
    tolerance=0.05,
    confidence=0.95,
    n_resamples=2000,
    batch_size=32,
    random_state=None,
) -> pd.DataFrame:
    """Test whether a classifier reads the label off something else than it should.

    Two questions are asked. *What does the classifier rely on?* Parts of each image that should not
    matter are taken from an image of another patient, as in permutation importance [1]_: what
    accuracy loses by that hung on the part. *What could it be read off?* A simple classifier learns
    the label from gray values, from how files are stored, or from other metadata, and predicts it
    of patients that it has not seen: what it finds is there to be learned, by any network, whether
    or not this one has [2]_.

    Parameters
    ----------
    estimator : fitted classifier or keras.Model
        Anything with ``predict_proba`` and ``classes_``, or a model whose outputs stand for the
        classes 0, 1, ...
    X : array-like of shape (n_samples, height, width[, channels]), or paths
        Images that were not trained on.
    y : array-like of shape (n_samples,)
        True labels.
    masks : array-like of bool of shape (n_samples, height, width), default=None
        True where what the label is about lies, such as the lesion or the organ, in the size in
        which the network takes the images. Images of which nothing is marked are left out of the
        rows on the background. If only the ill are marked, "background alone" has nothing to tell
        apart and says so: give the healthy masks too, such as those of the ill, shuffled.
    metadata : DataFrame, or mapping of str to array-like of shape (n_samples,), default=None
        What should not tell the label, such as site and scanner, matched by position. Of paths,
        how the files are stored (see :func:`skkd.images.file_metadata`) is looked at anyway; of
        images that were read from files, pass ``file_metadata(filenames)``.
    groups : array-like of shape (n_samples,), default=None
        The patient of each image. None takes each image as a patient.
    border : float, default=0.1
        Width of the border, as a share of the sides, in (0, 0.5).
    corner : float, default=0.2
        Sides of the four corners, where markers and letters stand, as a share of the sides of the
        image, in (0, 0.5).
    n_repeats : int, default=5
        How many other images the parts of each image are taken from.
    probe : classifier, default=None
        The simple classifier, of tables. None means a random forest of 100 trees.
    cv : int, default=5
        Most folds that it is tested in, whole patients in each; fewer where a class has fewer.
    tolerance : float, default=0.05
        Differences in accuracy that are called suspicious are larger than this by their whole
        interval. Small drops are no sign: an image made of two is unlike those trained on.
    confidence : float, default=0.95
        Confidence of the intervals, in (0, 1).
    n_resamples : int, default=2000
        Number of resamples of images, or of patients, for the intervals.
    batch_size : int, default=32
        Images at a time.
    random_state : int, RandomState instance or None, default=None
        Seed of what is exchanged, of the folds and of the resamples.

    Returns
    -------
    report : pandas.DataFrame
        A row for each of

        - "as it is": the classifier on the images;
        - "other border", "other corners": with the part from images of other patients;
        - "other background": with all from those but what is marked in one of both; with `masks`;
        - "background alone": with what is marked filled from an image in which it is not marked;
          with `masks`;
        - "gray values alone": the simple classifier, of mean, standard deviation and five quantiles
          of each image, with `masks` of what is not marked;
        - "storage alone": of size, color, type and format; with paths;
        - "metadata alone": of `metadata`;
        - "most common class": whoever always answers that;

        and the columns

        - `accuracy`, `low`, `high`: share of right predictions with its interval;
        - `n`: number of images;
        - `compared_with`: the row that `difference` is to: "as it is" where a part is exchanged,
          "most common class" where a part is left alone, each on the same images;
        - `difference`, `difference_low`, `difference_high`: accuracy less that of the other;
        - `suspicious`: whether all of the interval is below ``-tolerance`` where a part is
          exchanged, or above ``tolerance`` where it is alone;
        - `finding`: what that means in words, or why the row cannot be suspicious whatever the
          classifier reads: its images are of one class (then `difference` is NaN), or all but a
          share of `tolerance`. Empty elsewhere.

    Raises
    ------
    ValueError
        If an argument is malformed, `masks` marks nothing, or all images are of one patient.

    See Also
    --------
    subgroup_report : Accuracy by file format, site, or whatever is known.
    skkd.datasets.check_split : Whether size or format of files goes with the label.
    pointing_game : Whether explanations point at the lesion.

    Notes
    -----
    Nothing suspicious is no proof: a shortcut may lie where none of these looks, as in the texture
    that one scanner leaves all over an image. Something suspicious need not be a shortcut either:
    gray values of whole images may tell of the disease itself, and a lesion may reach the border.

    References
    ----------
    .. [1] L. Breiman, "Random Forests", Machine Learning 45(1):5-32, 2001.
    .. [2] R. Geirhos et al., "Shortcut learning in deep neural networks", Nature Machine
       Intelligence 2:665-673, 2020.

    Examples
    --------
    A classifier that looks at the pixel in the upper left corner, where a marker was left:

    >>> import numpy as np
    >>> from skkd.metrics import shortcut_report
    >>> class MarkerReader:
    ...     classes_ = np.array(["ill", "well"])
    ...
    ...     def predict_proba(self, X):
    ...         marked = X[:, 0, 0, 0] > 200
    ...         return np.column_stack([marked, ~marked]).astype(float)
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.integers(0, 200, (80, 16, 16, 1)), np.repeat(["ill", "well"], 40)
    >>> X[y == "ill", 0, 0] = 255
    >>> report = shortcut_report(MarkerReader(), X, y, random_state=0)
    >>> report[["accuracy", "difference", "suspicious"]].round(2)
                       accuracy  difference  suspicious
    test
    as it is               1.00         NaN       False
    other border           0.48       -0.52        True
    other corners          0.48       -0.52        True
    gray values alone      0.57        0.08       False
    most common class      0.50         NaN       False
    >>> print(report.loc["other corners", "finding"])
    Accuracy falls from 1.00 to 0.48 with other corners: predictions hang on the corners.
    """
    confidence = check_confidence(confidence)
    for name, count in (("n_repeats", n_repeats), ("n_resamples", n_resamples)):
        check_count(count, name)
    if check_count(cv, "cv") < 2:
        raise ValueError(f"cv must be at least 2; got {cv}")
    if not isinstance(tolerance, Real) or not 0 <= tolerance < 1:
        raise ValueError(f"tolerance must be a difference in accuracy, in [0, 1); got {tolerance}")
    classifier = TrueClassConfidence(estimator, X, y)
    n, height, width, _ = classifier.images.shape
    units = np.arange(n)
    if groups is not None:
        groups = units = pd.factorize(check_groups(groups, n))[0]
    if units.max() < 1:
        raise ValueError(
            "groups must hold at least two patients, as parts are exchanged between them; got one"
        )
    if masks is not None:
        masks = check_masks(masks, (n, height, width))
    parts = {
        "other border": frame((height, width), border, "border"),
        "other corners": corners((height, width), corner, "corner"),
    }
    random_state = check_random_state(random_state)
    tables = _tables(X, metadata, n)
    right, gray = _measure(classifier, parts, masks, units, n_repeats, batch_size, random_state)
    seed = random_state.randint(2**31 - 1)
    for name, features in {"gray values alone": gray, **tables}.items():
        predicted = held_out_predictions(
            features, classifier.codes, units, probe=probe, cv=cv, seed=seed
        )
        right[name] = (
            np.full(n, np.nan) if predicted is None else (predicted == classifier.codes) * 1.0
        )
    right[COMMON] = _is_common(classifier.codes, np.ones(n, dtype=bool))
    intervals = Intervals(
        n, confidence, groups=groups, n_resamples=n_resamples, random_state=random_state
    )
    return _report(right, classifier.codes, intervals, tolerance, masks is not None)


def _tables(X, metadata, n):
    """Return what is known of the images beside their pixels, as numbers."""
    tables = {}
    paths = X.paths if isinstance(X, ImagePaths) else as_column(X)
    if holds_paths(paths):
        table = file_metadata(paths, verbose=False)
        tables["storage alone"] = as_features(table, "metadata")
    if metadata is not None:
        table = as_table(metadata, n)
        if not len(table.columns):
            raise ValueError("metadata must have at least one column; got none")
        tables["metadata alone"] = as_features(table, "metadata")
    return tables


def _measure(classifier, parts, masks, units, n_repeats, batch_size, random_state):
    """Return the share of right predictions of each image, by test, and its gray values."""
    n = len(units)
    right = {name: np.full(n, np.nan) for name in (AS_IT_IS, *parts)}
    if masks is not None:
        marked = usable(masks)
        right |= {name: np.full(n, np.nan) for name in ("other background", "background alone")}
    gray = []

    def is_right(images, rows):
        return classifier.predict(images, rows).argmax(axis=1) == classifier.codes[rows]

    for rows in row_batches(np.arange(n), batch_size):
        images = classifier.read(rows)
        gray.append(gray_values(images, None if masks is None else masks[rows]))
        right[AS_IT_IS][rows] = is_right(images, rows)
        found = {name: [] for name in right if name != AS_IT_IS}
        for _ in range(n_repeats):
            others = draw_others(rows, units, random_state)
            other_images = classifier.read(others)
            for name, part in parts.items():
                found[name].append(is_right(exchange(images, other_images, part), rows))
            if masks is not None and marked[rows].any():
                some = marked[rows]
                here = rows[some]
                either = masks[here] | masks[others[some]]
                changed = exchange(images[some], other_images[some], ~either)
                found["other background"].append(is_right(changed, here))
                others = draw_others_elsewhere(here, units, masks, random_state)
                changed = fill_masked(
                    images[some], classifier.read(others), masks[here], masks[others]
                )
                found["background alone"].append(is_right(changed, here))
        for name, repeats in found.items():
            if repeats:
                where = rows if name in parts else rows[marked[rows]]
                right[name][where] = np.mean(repeats, axis=0)
    return right, np.concatenate(gray)


def _is_common(codes, known):
    """Return 1 where the label is the most common of those that are known, 0 elsewhere."""
    return (codes == np.bincount(codes[known]).argmax()).astype(float)


def _report(right, codes, intervals, tolerance, has_masks):
    nothing = np.full(len(codes), np.nan)
    compared, common = {}, {}
    for name, values in right.items():
        known = np.isfinite(values)
        if name in _EXCHANGED:
            compared[name] = AS_IT_IS, values - right[AS_IT_IS]
        elif name in _ALONE and known.any():
            is_common = _is_common(codes, known)
            common[name] = is_common[known].mean()
            # Of one class alone all answers are right, and a difference of 0 would look like one.
            compared[name] = COMMON, nothing if common[name] == 1 else values - is_common
        else:
            compared[name] = "", nothing
    # The mean of each test, and of what it is different by, over the same images.
    means = [mean_of_known(v) for name in right for v in (right[name], compared[name][1])]
    whole = np.ones((1, len(codes)))
    shares = np.array([mean(whole)[0] for mean in means]).reshape(-1, 2)
    ends = intervals.ends(means).reshape(2, -1, 2)
    rows = {}
    for k, name in enumerate(right):
        (accuracy, difference), ((low, fewer), (high, more)) = shares[k], ends[:, k]
        suspicious = more < -tolerance if name in _EXCHANGED else fewer > tolerance
        finding = ""
        if suspicious:
            finding = _say(name, accuracy, difference, has_masks)
        elif common.get(name, 0) + tolerance > 1 - 1e-9:
            finding = _say_untold(name, common[name], tolerance)
        rows[name] = {
            "accuracy": accuracy,
            "low": low,
            "high": high,
            "n": int(np.isfinite(right[name]).sum()),
            "compared_with": compared[name][0],
            "difference": difference,
            "difference_low": fewer,
            "difference_high": more,
            "suspicious": bool(suspicious),
            "finding": finding,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("test")


def _say(name, accuracy, difference, has_masks):
    """Return what a suspicious row means."""
    # Rounded as pandas does.
    reference, accuracy = (
        f"{np.round(share, 2):.2f}" for share in (accuracy - difference, accuracy)
    )
    if name in _EXCHANGED:
        other, part = _EXCHANGED[name]
        return (
            f"Accuracy falls from {reference} to {accuracy} with {other}: predictions hang on "
            f"{part}."
        )
    told = (
        f"{_ALONE[name]} a share of {accuracy} right answers, and always the most common class "
        f"{reference}"
    )
    if name == "background alone":
        return f"{told}: predictions hang on the background."
    if name == "gray values alone" and not has_masks:
        return f"{told}: brightness or contrast goes with the label, by the disease or beside it."
    return f"{told}: the label can be read off that."


def _say_untold(name, common, tolerance):
    """Return why a row cannot be suspicious."""
    which = " of which a part is marked" if name == "background alone" else ""
    if common == 1:
        told = f"All images{which} are of one class, which any answer could hang on"
    else:
        told = (
            f"A share of {np.round(common, 3)} of the images{which} is of one class, which nothing "
            f"can beat by more than tolerance={tolerance}"
        )
    what = "masks" if which else "images"
    return f"{told}: this tells nothing without (more) {what} of other classes."
