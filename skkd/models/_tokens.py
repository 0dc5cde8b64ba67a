"""Which tokens of a vision transformer are about which places of the image."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

# Tokens beside those of the image: of the class, of distillation, and registers.
_MOST_OTHERS = 16
# How far from its corner, as a share of the side, a change of a corner may be found.
_NEAR = 0.3


@dataclass(frozen=True)
class Grid:
    """A range of tokens that lie row by row over the image.

    Attributes
    ----------
    start : int
        Number of tokens before them.
    height, width : int
        Rows and columns.
    """

    start: int
    height: int
    width: int


def find_grids(graph):
    """Find out how the tokens of a network lie over its images.

    Nothing in a network says so. It is asked: the corners of an image are changed one by one, and
    the tokens that change with them are those of the corners.

    Parameters
    ----------
    graph : FlatGraph
        The graph of a network that takes images of a known size.

    Returns
    -------
    grids : dict of int to Grid
        By number of tokens. Empty for a network without tokens, and for one whose tokens have no
        places in the image.
    """
    firsts, grids = {}, {}
    for call in graph.calls:
        shape = call.output.shape
        if len(shape) == 3 and None not in shape[1:] and shape[1] > 1:
            firsts.setdefault(shape[1], call.output)
    inputs = keras.tree.flatten(graph.input)
    if not firsts or len(inputs) != 1 or None in inputs[0].shape[1:] or len(inputs[0].shape) != 4:
        return grids
    images = _corner_images(inputs[0].shape[1:])
    for n_tokens, tensor in firsts.items():
        grid = _merged(n_tokens, grids)
        if grid is None:
            tokens = graph.model(tensor)(ops.cast(images, inputs[0].dtype), training=False)
            grid = _best_grid(ops.convert_to_numpy(ops.cast(tokens, "float32")))
        if grid is not None:
            grids[n_tokens] = grid
    return grids


def _corner_images(shape):
    """Return a noise image and four copies, each with another of its corners changed."""
    height, width = shape[:2]
    rows, columns = max(1, height // 8), max(1, width // 8)
    images = np.repeat(np.random.default_rng(0).random((1, *shape)), 5, axis=0)
    for number, (top, left) in enumerate(_CORNERS, start=1):
        corner = (
            slice(0, rows) if top else slice(height - rows, height),
            slice(0, columns) if left else slice(width - columns, width),
        )
        images[number][corner] = 1 - images[number][corner]
    return images.astype("float32")


# Top or bottom, left or right.
_CORNERS = ((True, True), (True, False), (False, True), (False, False))


def _best_grid(tokens):
    """Return the grid in which each change is nearest to its corner, None if none is near."""
    changes = np.square(tokens[1:] - tokens[:1]).sum(axis=-1)
    if not np.isfinite(changes).all() or (changes.max(axis=1) == 0).any():
        return None
    n_tokens = changes.shape[1]
    best, nearest = None, _NEAR
    for n_others in range(min(_MOST_OTHERS, n_tokens - 2) + 1):
        n_places = n_tokens - n_others
        for height in (h for h in range(1, n_places + 1) if n_places % h == 0):
            for start in {0, n_others}:
                grid = Grid(start, height, n_places // height)
                distance = _distance(grid, changes)
                if distance < nearest:
                    best, nearest = grid, distance
    return best


def _distance(grid, changes):
    """Return how far from its corner, at most, the middle of a change lies in a grid."""
    places = changes[:, grid.start : grid.start + grid.height * grid.width]
    maps = places.reshape(-1, grid.height, grid.width)
    # What changes beside the image's tokens counts as far away.
    totals = changes.sum(axis=1)
    rows = (np.arange(grid.height) + 0.5) / grid.height
    columns = (np.arange(grid.width) + 0.5) / grid.width
    distances = []
    for shares, total, (top, left) in zip(maps, totals, _CORNERS, strict=True):
        down = (shares.sum(axis=1) * (rows if top else 1 - rows)).sum() / total
        across = (shares.sum(axis=0) * (columns if left else 1 - columns)).sum() / total
        distances.append(max(down, across) + 1 - shares.sum() / total)
    return max(distances)


def _merged(n_tokens, grids):
    """Return the grid of tokens that were merged alike along both sides, as from earlier ones."""
    for grid in grids.values():
        for factor in range(2, min(grid.height, grid.width) + 1):
            height, width = grid.height // factor, grid.width // factor
            if height * width > 1 and grid.start + height * width == n_tokens:
                return Grid(grid.start, height, width)
    return None
