"""Names of the rows and columns of a table."""

from collections import Counter
from collections.abc import Mapping


def name_by_class(objects, parameter):
    """Return objects by name, those of a list named after their class.

    Parameters
    ----------
    objects : mapping of str to object, or list of objects
        What the rows are about.
    parameter : str
        What the user calls them, for error messages; a plural such as "estimators".

    Returns
    -------
    named : dict
        The objects in the order given. In a list, a class that occurs more than once is numbered.
    """
    if not isinstance(objects, Mapping | list | tuple):
        raise TypeError(
            f"{parameter} must be a mapping of names to {parameter}, or a list; "
            f"got {type(objects).__name__}"
        )
    if not objects:
        raise ValueError(f"{parameter} must hold at least one {parameter[:-1]}; got none")
    if isinstance(objects, Mapping):
        return dict(objects)
    kinds = [type(item).__name__ for item in objects]
    total, seen, named = Counter(kinds), Counter(), {}
    for kind, item in zip(kinds, objects, strict=True):
        seen[kind] += 1
        named[kind if total[kind] == 1 else f"{kind}-{seen[kind]}"] = item
    return named


def apart_from(taken, name, kind):
    """Return a name, after its kind, as in "class average", as long as it is one of those taken."""
    while name in taken:
        name = f"{kind} {name}"
    return name
