"""Names for the columns of a target or a prediction."""

import numpy as np


class Columns:
    """A layout of named parts that stand side by side in one array.

    Plain ``keras.Model.fit`` takes one target and one prediction. What a loss compares, such as
    labels and a teacher's logits, is packed into one array here and split again there.

    Parameters
    ----------
    **widths : int
        Number of columns of each part, in their order.

    Examples
    --------
    >>> import numpy as np
    >>> from skkd.models._columns import Columns
    >>> columns = Columns(labels=2, weight=1)
    >>> packed = columns.pack(weight=np.ones((3, 1)), labels=np.zeros((3, 2)))
    >>> packed.shape, columns.split(packed)["weight"].ravel()
    ((3, 3), array([1., 1., 1.]))
    """

    def __init__(self, **widths):
        self.widths = widths

    def pack(self, **parts):
        """Return the parts side by side, an ndarray of shape (n, sum of widths)."""
        ordered = [parts[name] for name in self.widths]
        return ordered[0] if len(ordered) == 1 else np.concatenate(ordered, axis=1)

    def split(self, packed):
        """Return the parts of an array or tensor by name, each of shape (n, width)."""
        parts, start = {}, 0
        for name, width in self.widths.items():
            parts[name] = packed[:, start : start + width]
            start += width
        return parts
