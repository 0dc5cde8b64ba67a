"""What an explanation costs."""

from collections.abc import Mapping
from time import perf_counter

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils import gen_batches
from tqdm.auto import tqdm

from skkd.metrics._batches import check_count
from skkd.metrics._explainers import explain_rows
from skkd.metrics._images import read_images
from skkd.metrics.cost._flops import count_flops


def explain_timing(
    explainers, X, y=None, *, n_repeats=5, warmup=1, batch_size=1, verbose=0
) -> pd.DataFrame:
    """Measure how long explainers take for an image, and how large their networks are.

    The paper's Table 4 [1]_: MET, the mean execution time of one explanation, beside the cost of
    one forward pass. Lower is better. A repeat explains all images in batches and copies the maps
    to NumPy; the MET is its time over the number of images. Reading files, fitting an explainer
    and compiling, which the warm-up does, are not timed.

    Parameters
    ----------
    explainers : list of explainers, or mapping of str to explainer or list of explainers
        The keys of a mapping name the models that the explainers explain, as in
        ``{"teacher": [a, b], "student": [c, d]}``; in a list the Keras model's own name is taken.
        Copies are fitted on ``X`` and timed; the explainers are left as they are.
    X : array-like of shape (n, height, width[, channels]), or paths
        Images.
    y : array-like of shape (n,), default=None
        True labels, for explainers of the true class.
    n_repeats : int, default=5
        Times that all images are explained.
    warmup : int, default=1
        Times that the first and the last batch are explained before, untimed.
    batch_size : int, default=1
        Images explained at a time: 1 for the time that somebody waits for one explanation, more
        for the throughput. An explainer's own parameter of this name is raised to it, never
        lowered: SHAP's counts the images that are made of each image.
    verbose : {0, 1}, default=0
        1 shows a progress bar.

    Returns
    -------
    timing : pandas.DataFrame
        A row for each explainer, with the columns

        - "explainer", "model": the explainer's class and the model's name;
        - "parameters": number of the model's weights;
        - "flops": operations of one forward pass of one image (`count_flops`);
        - "met", "met_std": mean and standard deviation over the repeats, in seconds an image;
        - "images_per_second": images over the mean time of a repeat;
        - "device": where Keras computes, such as "cpu:0";
        - "batch_size", "n_images", "n_repeats": what was timed.

    See Also
    --------
    TimingDisplay : Draw the table.

    References
    ----------
    .. [1] A. Chaddad et al., "Knowledge distillation and feature map visualization for medical
       image analysis", 2025, Table 4.

    Examples
    --------
    >>> import numpy as np
    >>> from skkd import FeatureMapExplainer, FiveBlockCNN
    >>> from skkd.metrics import explain_timing
    >>> model = FiveBlockCNN(filters=(4,)).build((8, 8, 1), n_classes=3)
    >>> X = np.zeros((4, 8, 8, 1))
    >>> timing = explain_timing({"student": FeatureMapExplainer(model)}, X, n_repeats=2)
    >>> timing[["explainer", "model", "parameters", "flops"]]
                 explainer    model  parameters  flops
    0  FeatureMapExplainer  student        8747  22418
    """
    for name, value in (("n_repeats", n_repeats), ("batch_size", batch_size)):
        check_count(value, name)
    if warmup != 0:
        check_count(warmup, "warmup")
    pairs = _explainers_of_models(explainers)
    rows = []
    for model_name, explainer in tqdm(pairs, desc="timing", disable=not verbose):
        row = _time(explainer, X, y, n_repeats=n_repeats, warmup=warmup, batch_size=batch_size)
        if model_name is not None:
            row["model"] = model_name
        rows.append({"explainer": type(explainer).__name__} | row)
    return pd.DataFrame(rows)


def _explainers_of_models(explainers):
    """Return pairs of a model's name, None where it has none, and an explainer."""
    if isinstance(explainers, Mapping):
        pairs = [
            (name, explainer)
            for name, group in explainers.items()
            for explainer in (group if isinstance(group, list | tuple) else [group])
        ]
    elif isinstance(explainers, list | tuple):
        pairs = [(None, explainer) for explainer in explainers]
    else:
        raise TypeError(
            "explainers must be a list, or a mapping of models' names to explainers; got "
            f"{type(explainers).__name__}"
        )
    if not pairs:
        raise ValueError("explainers must hold at least one explainer; got none")
    for _, explainer in pairs:
        if not hasattr(explainer, "transform") or not hasattr(explainer, "estimator"):
            raise TypeError(
                "explainers must hold explainers, such as FeatureMapExplainer(model); got "
                f"{type(explainer).__name__}"
            )
    return pairs


def _time(explainer, X, y, *, n_repeats, warmup, batch_size):
    """Return the figures of one explainer."""
    from skkd.models._estimators import find_model

    model = find_model(explainer.estimator)[0]
    images = read_images(explainer.estimator, X)
    # Read before the clock starts.
    images = np.asarray(images[np.arange(len(images))])
    labels = None if y is None else np.asarray(y)
    copy = clone(explainer)
    # Its own may count something else: of SHAP's the images made of each image.
    at_a_time = copy.get_params(deep=False).get("batch_size")
    if at_a_time is not None:
        copy.set_params(batch_size=max(at_a_time, batch_size))
    copy.fit(images, labels)

    # Slices, which copy nothing while the clock runs.
    batches = list(gen_batches(len(images), batch_size))
    for _ in range(warmup):
        # The last may be smaller, and is compiled by itself.
        for rows in batches[:1] + batches[1:][-1:]:
            explain_rows(copy, images, labels, rows)
    seconds = []
    for _ in range(n_repeats):
        start = perf_counter()
        for rows in batches:
            explain_rows(copy, images, labels, rows)
        seconds.append((perf_counter() - start) / len(images))
    return {
        "model": model.name,
        "parameters": model.count_params(),
        "flops": count_flops(model, images.shape[1:] if None in model.input_shape[1:] else None),
        "met": np.mean(seconds),
        "met_std": np.std(seconds),
        "images_per_second": 1 / np.mean(seconds),
        "device": _device(),
        "batch_size": batch_size,
        "n_images": len(images),
        "n_repeats": n_repeats,
    }


def _device():
    """Return the device on which Keras puts what it computes."""
    from keras import ops

    # TensorFlow's name is a path: "/job:localhost/replica:0/task:0/device:CPU:0".
    return str(ops.zeros(1).device).rpartition("device:")[2].lower()
