"""Images of another shape than a network takes."""

import math


def check_image_shape(images, wanted, text, name="X"):
    """Refuse images of another shape than a network takes, and say what to do.

    Parameters
    ----------
    images : array-like with ``shape``
        What `as_images` returned.
    wanted : tuple of int
        Shape of one image, (height, width, channels) with None where any will do, or of a row.
    text : str
        Who wants that, as the second half of the sentence.
    name : str, default="X"
        What the user calls the images.

    Raises
    ------
    ValueError
        If they are of another shape.
    """
    shape = tuple(images.shape)
    if _fits(shape[1:], wanted):
        return
    what = f"images of shape {shape[1:]}" if len(shape) > 2 else f"rows of {shape[1]} numbers"
    way = _way_out(shape, tuple(wanted), name)
    raise ValueError(f"{name} has {what}, but {text}" + (f". {way}" if way else ""))


def _fits(have, wanted):
    return len(have) == len(wanted) and all(
        want in (None, side) for side, want in zip(have, wanted, strict=True)
    )


def _way_out(shape, wanted, name):
    """Return how data of a shape become images of the shape wanted, as far as it can be known."""
    have = shape[1:]
    if len(wanted) == 1:
        return f"Pass {name}.reshape(len({name}), -1)" if math.prod(have) == wanted[0] else None
    if len(wanted) != 3 or len(have) not in (1, 3):
        return None
    # A single gray image has been taken for a table, one with channels for many gray images.
    gray = len(have) == 1 and wanted[2] in (None, 1) and shape == wanted[:2]
    if gray or (have[-1] == 1 and shape[:3] == wanted):
        return f"If it is a single image, pass {name}[None]"
    if len(have) == 1:
        if None not in wanted and have[0] == math.prod(wanted):
            return f"If each row is an image, pass {name}.reshape{(-1, *wanted)}"
        return f"If it is a single gray image, pass {name}[None]"
    if _fits((*have[1:], have[0]), wanted):
        return f"Put the channels last with np.moveaxis({name}, 1, -1)"
    ways = []
    if not _fits(have[:2], wanted[:2]):
        size = tuple(want or side for side, want in zip(have, wanted[:2], strict=False))
        ways.append(f"resize them with keras.ops.image.resize({name}, {size})")
    if wanted[2] not in (None, have[2]):
        change = {
            (1, 3): f"repeat their gray channel with np.repeat({name}, 3, axis=-1)",
            (3, 1): f"make them gray with keras.ops.image.rgb_to_grayscale({name})",
            (4, 3): f"leave out their alpha channel with {name}[..., :3]",
        }
        ways.append(change.get((have[2], wanted[2]), f"bring them to {wanted[2]} channels"))
    way = " and ".join(ways)
    return f"{way[0].upper()}{way[1:]}, or pass the paths of their files, which are read to fit"
