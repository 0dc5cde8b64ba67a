"""Images taken so many at a time."""

from numbers import Integral

from sklearn.utils import gen_batches


def row_batches(rows, batch_size):
    """Return the rows of each batch, the last one shorter where they do not come out even."""
    return [rows[part] for part in gen_batches(len(rows), check_count(batch_size))]


def check_count(value, parameter="batch_size"):
    """Raise unless a count is a whole number above 0."""
    if not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{parameter} must be a whole number above 0; got {value!r}")
    return value
