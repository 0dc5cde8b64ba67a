"""What a user calls images, read as an estimator takes them."""

from skkd.images._input import as_images, holds_paths


def read_images(estimator, X):
    """Return what a user calls images as an array-like with four axes.

    Parameters
    ----------
    estimator : fitted classifier, keras.Model, explainer or None
        Files are read in the size and color its network takes; with None in their own.
    X : array-like of shape (n, height, width[, channels]), or paths
        The images.

    Returns
    -------
    images : array-like of shape (n, height, width, channels)
        With shape, length and indexing by rows.
    """
    size = color_mode = None
    if estimator is not None and holds_paths(X):
        from skkd.models._estimators import find_model

        height, width, channels = find_model(estimator)[0].input_shape[1:]
        size = None if None in (height, width) else (height, width)
        color_mode = {1: "grayscale", 3: "rgb"}.get(channels)
    images = as_images(X, image_size=size, color_mode=color_mode)
    if len(images.shape) != 4:
        raise ValueError(
            "X must be images of shape (n, height, width[, channels]) or paths of image files; "
            f"got shape {tuple(images.shape)}"
        )
    if len(images) == 0:
        raise ValueError("X must hold at least one image; got none")
    return images
