"""The rooms of skkd and which of them import which, read off the code."""

import ast
from pathlib import Path

import matplotlib.pyplot as plt

import skkd

# Center of each room's box.
PLACES = {
    "study": (1.6, 5),
    "deployment": (4.6, 5),
    "metrics": (6.0, 4),
    "blocks": (3.2, 4),
    "distillation": (0.9, 3.2),
    "explanation": (7.8, 3.1),
    "datasets": (-1.2, 2.3),
    "models": (4.2, 2.4),
    "_scikeras": (1.1, 0.7),
    "images": (5.8, 0),
    "persistence": (3.5, 0.9),
    "_backend": (8.3, 0.7),
}


def read_imports():
    """Return (importing room, imported room) for every import between two rooms."""
    top = Path(skkd.__file__).parent
    arrows = set()
    for file in top.rglob("*.py"):
        parts = file.relative_to(top).parts
        names = [parts[0].removesuffix(".py")]
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("skkd."):
                names.append(node.module.split(".")[1])
        importing, *imported = names
        arrows |= {(importing, name) for name in imported if name != importing}
    return arrows


fig, ax = plt.subplots(figsize=(9, 5.4), layout="constrained")
ax.set(xlim=(-2.4, 9.4), ylim=(-0.35, 5.35))
ax.set_axis_off()
boxes = {}
for name, (x, y) in PLACES.items():
    color = "0.35" if name.startswith("_") else "tab:blue"
    box = plt.Rectangle((x - 1.05, y - 0.27), 2.1, 0.54, fc="white", ec=color, lw=1.5, zorder=2)
    boxes[name] = ax.add_patch(box)
    ax.text(x, y, name, ha="center", va="center", color=color, family="monospace", zorder=3)
for importing, imported in sorted(read_imports()):
    # All rooms may warn, so arrows to that would say nothing.
    if importing in PLACES and imported in PLACES:
        ax.annotate(
            "",
            PLACES[imported],
            PLACES[importing],
            arrowprops={
                "arrowstyle": "-|>",
                "color": "0.6",
                "patchA": boxes[importing],
                "patchB": boxes[imported],
                "shrinkA": 0,
                "shrinkB": 1,
            },
        )
plt.show()
