"""Expected gradients: where to differentiate, and the sum over those points."""

import numpy as np
from keras import ops
from sklearn.utils import check_random_state

from skkd._backend import gradient, traced
from skkd.explanation._class_score import class_score


def sample_points(n_samples, n_background, sampling, seed):
    """Draw points of the lines between an image and the images of the background.

    Parameters
    ----------
    n_samples : int
        Number of points.
    n_background : int
        Number of images in the background.
    sampling : {"stratified", "independent"}
        "independent" draws each background image and each position anew, in the order in which
        `shap.GradientExplainer` does for its seed. "stratified" lays all positions on one grid
        with a random offset and takes the background images in turn, in a random order: each
        line gets equally many points, evenly spread, and the points of different lines interleave.
        Every point is uniformly distributed, so the mean is unbiased either way.
    seed : int
        Seed of the draw.

    Returns
    -------
    rows : ndarray of shape (n_samples,)
        The background image at each line's end.
    positions : ndarray of shape (n_samples,)
        Where on the line: 0 at the background image, 1 at the image explained.

    Examples
    --------
    >>> from skkd.explanation._expected_gradients import sample_points
    >>> rows, positions = sample_points(6, 3, "stratified", seed=0)
    >>> rows, positions.round(2)
    (array([2, 1, 0, 2, 1, 0]), array([0.12, 0.29, 0.45, 0.62, 0.79, 0.95]))
    """
    rng = check_random_state(seed)
    if sampling == "independent":
        pairs = [(rng.choice(n_background), rng.uniform()) for _ in range(n_samples)]
        rows, positions = zip(*pairs, strict=True)
        return np.array(rows), np.array(positions)
    numbers = np.arange(n_samples)
    rows = rng.permutation(n_background)[numbers % n_background]
    return rows, (numbers + rng.uniform()) / n_samples


def make_integral(head, model, output):
    """Compile the sum over some points of gradient times distance.

    Parameters
    ----------
    head : Head
        How the model's outputs are to be read.
    model : keras.Model
        From images to logits.
    output : {"logits", "probability"}
        What is differentiated.

    Returns
    -------
    integral : callable
        ``(images, background, positions, weights, targets) -> (values,)``: the weighted sums, of
        the images' shape, over points between each image and as many background images.
    """

    def integral(images, background, positions, weights, targets):
        distances = images[:, None] - background
        points = background + positions[:, None, None, None] * distances
        points = ops.reshape(points, (-1, *ops.shape(images)[1:]))
        targets = ops.reshape(targets[:, None] + ops.zeros_like(positions, dtype="int32"), (-1,))

        def score(points):
            return class_score(head, model(points[0], training=False), targets, output), ()

        (slopes,), _ = gradient(score, [points])
        slopes = ops.reshape(slopes, ops.shape(distances))
        return (ops.sum(weights[:, None, None, None] * distances * slopes, axis=1),)

    return traced(integral, model)


def expected_gradients(integral, images, background, rows, positions, targets, batch_size):
    """Attribute the score of one class of each image to its pixels.

    Parameters
    ----------
    integral : callable
        From `make_integral`.
    images : ndarray of shape (n, height, width, channels)
        The images, float32.
    background : ndarray of shape (n_background, height, width, channels)
        The images they are compared with.
    rows, positions : ndarray of shape (n_samples,)
        From `sample_points`.
    targets : ndarray of shape (n,), int32
        Index of the class of each.
    batch_size : int
        Points of each image that are differentiated at a time, at most; the last of them may be
        points of no weight.

    Returns
    -------
    values : ndarray of shape (n, height, width, channels)
        The mean over all points, float64.
    """
    n_calls = -(-len(rows) // batch_size)
    size = -(-len(rows) // n_calls)
    missing = n_calls * size - len(rows)
    weights = np.pad(np.full(len(rows), 1 / len(rows), np.float32), (0, missing))
    rows = np.pad(rows, (0, missing))
    positions = np.pad(positions, (0, missing)).astype(np.float32)
    values = np.zeros(images.shape)
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        values += integral(images, background[rows[part]], positions[part], weights[part], targets)[
            0
        ]
    return values
