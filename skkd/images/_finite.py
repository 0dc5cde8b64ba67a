"""Values that are no numbers."""

import numpy as np


def check_finite_images(images, rows, name="X"):
    """Return images; raise a ValueError that says which of them hold NaN or infinity.

    Parameters
    ----------
    images : ndarray of shape (n, ...)
        Some images.
    rows : sequence of int
        Where they are among all images.
    name : str, default="X"
        What their user calls them.

    Returns
    -------
    images : ndarray of shape (n, ...)
        The same.
    """
    if images.dtype.kind == "f":
        bad = ~np.isfinite(images.reshape(len(images), -1)).all(axis=1)
        if bad.any():
            raise ValueError(
                f"{name} has NaN or infinity in image {rows[int(bad.argmax())]}, and in "
                f"{int(bad.sum())} of the {len(images)} images read with it; mend or drop them"
            )
    return images
