"""What a user calls images, read as an estimator takes them."""

from skkd.images._input import as_column, as_images, holds_paths


def read_images(estimator, X):
    """Return what a user calls images as an array-like with four axes.

    Parameters
    ----------
    estimator : fitted classifier, keras.Model or None
        Files are read in the size and color its network takes; with None in their own. Arrays may
        have their channels first where its network takes them so.
    X : array-like of shape (n, height, width[, channels]), or paths
        The images.

    Returns
    -------
    images : array-like of shape (n, height, width, channels)
        With shape, length and indexing by rows.
    """
    X = as_column(X)
    if estimator is not None and (holds_paths(X) or _holds_model(estimator)):
        from skkd.models._estimators import read_for

        images = read_for(estimator, X)
    else:
        images = as_images(X)
    if len(images.shape) != 4:
        raise ValueError(
            "X must be images of shape (n, height, width[, channels]) or paths of image files; "
            f"got shape {tuple(images.shape)}. A single gray image is passed as X[None], rows of "
            "flat images as X.reshape(len(X), height, width, channels)"
        )
    if len(images) == 0:
        raise ValueError("X must hold at least one image; got none")
    return images


def _holds_model(estimator):
    """Return whether there may be a Keras model inside, without importing Keras."""
    while hasattr(estimator, "best_estimator_") or hasattr(estimator, "steps"):
        estimator = getattr(estimator, "best_estimator_", estimator)
        if hasattr(estimator, "steps"):
            estimator = estimator.steps[-1][1]
    return hasattr(estimator, "predict_on_batch") or hasattr(
        getattr(estimator, "model_", None), "predict_on_batch"
    )
