"""Names of classes, layers and models as text in a picture."""

import textwrap

# Names are no formulas: "$" and "%" stand for themselves.
AS_IT_IS = {"parse_math": False, "usetex": False}


def as_text(name):
    """Return a name as a string that can be drawn: what no font can draw is replaced."""
    lines = str(name).encode("utf-8", "replace").decode("utf-8").splitlines()
    control = dict.fromkeys([*range(32), *range(127, 160)], " ")
    return "\n".join(line.translate(control) for line in lines)


def fit_text(text, length):
    """Break the lines of a drawn text that are longer than a number of pixels.

    Parameters
    ----------
    text : matplotlib.text.Text
        The text, written horizontally or upwards.
    length : float
        The most that a line may take.

    Returns
    -------
    text : matplotlib.text.Text
        The same.
    """
    side = "height" if text.get_rotation() % 180 == 90 else "width"

    def extent(string):
        text.set_text(string)
        return getattr(text.get_window_extent(), side)

    lines = []
    for line in text.get_text().split("\n"):
        broken, n_characters = [line], len(line)
        while n_characters > 1 and (drawn := extent("\n".join(broken))) > length:
            n_characters = max(1, min(n_characters - 1, int(n_characters * length / drawn)))
            broken = textwrap.wrap(line, n_characters, replace_whitespace=False) or [line]
            n_characters = max(map(len, broken))
        lines += broken
    text.set_text("\n".join(lines))
    return text


def ink(ax):
    """Return the color that the axes are labeled in, dark on light styles and light on dark."""
    return ax.xaxis.label.get_color()


def legend_label(name):
    """Return a name as the label of a line, of which a legend drops those that begin with "_"."""
    name = as_text(name)
    return f" {name}" if name.lstrip(" ")[:1] in ("", "_") else name


def draw_legend(ax):
    """Draw a legend with every name as it is: beside the axes where it would hide the half of it.

    Lines are labeled with `legend_label`.
    """
    legend = ax.legend()
    size = ax.get_window_extent()

    def write():
        for text in legend.get_texts():
            text.set(**AS_IT_IS)
            if text.get_text().lstrip(" ")[:1] in ("", "_"):
                text.set_text(text.get_text()[1:])
            fit_text(text, size.width / 2)

    write()
    taken = legend.get_window_extent()
    if taken.height > size.height or taken.width * taken.height > size.width * size.height / 2:
        points = legend.get_texts()[0].get_fontsize() * min(1, size.height / taken.height)
        legend = ax.legend(
            loc="upper left", bbox_to_anchor=(1, 1), borderaxespad=0, fontsize=max(points, 3)
        )
        write()
    return legend
