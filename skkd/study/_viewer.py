"""Explanations as pictures: for the page that steps through them, and for Figures 3 and 4."""

import base64
import io
import json

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from scipy.ndimage import zoom

from skkd.explanation import ExplanationDisplay
from skkd.study._explaining import LAYER

# Pictures are no larger than this, so that the report is light.
_SIDE = 128
_MOST_ROWS = 12
# Of a network of many convolutions as many are shown, from the first to the last.
_MOST_LAYERS = 8


class Maps:
    """The maps that a study kept.

    Parameters
    ----------
    folder : path
        Where ``explain`` wrote them.
    """

    def __init__(self, folder):
        about = json.loads((folder / "maps.json").read_text(encoding="utf-8"))
        self.labels, self.names, self.models = about["labels"], about["names"], about["models"]
        with np.load(folder / "maps.npz") as arrays:
            self.pictures = _shrunk(arrays["pictures"])
            self.maps = {
                name: {
                    title: _shrunk(arrays[f"{name}/{title}"].astype(np.float32))
                    for title in _some(model["maps"])
                }
                for name, model in self.models.items()
            }

    def as_json(self):
        """Return all of it as the page takes it."""
        models = {}
        for name, maps in self.maps.items():
            shown = [
                {"title": title, "pictures": [_png(_colored(v)) for v in values]}
                for title, values in maps.items()
            ]
            proba = np.round(self.models[name]["proba"], 4).tolist()
            models[name] = {"maps": shown, "proba": proba}
        return {
            "pictures": [_png(picture) for picture in self.pictures],
            "labels": self.labels,
            "names": self.names,
            "models": models,
        }

    def figures(self):
        """Return Figures 3 and 4 of the paper: an image of each class, explained.

        Returns
        -------
        figures : dict of str to tuple of (Figure, str)
            "explanations", the teacher's Grad-CAM and SHAP beside the student's feature maps, and
            "explanations_of_the_student", its Grad-CAM and SHAP.
        """
        rows = np.unique(self.labels, return_index=True)[1][:_MOST_ROWS]
        teacher, student = self.maps["teacher"], self.maps["student"]
        both = {f"{title}, teacher": maps for title, maps in _by_attribution(teacher, True)}
        both |= dict(_by_attribution(student, False))
        return {
            "explanations": (
                self._draw(rows, both),
                "Figure 3. A test image of each class, by Grad-CAM and SHAP of the teacher and by "
                "the average feature map of each convolution of the student.",
            ),
            "explanations_of_the_student": (
                self._draw(rows, dict(_by_attribution(student, True))),
                "Figure 4. The same images, by Grad-CAM and SHAP of the student.",
            ),
        }

    def _draw(self, rows, maps):
        figure = Figure(
            figsize=(1.25 * (len(maps) + 1) + 1.4, 1.5 * len(rows)), layout="constrained"
        )
        axes = figure.subplots(len(rows), len(maps) + 1, squeeze=False)
        pictures = self.pictures[rows]
        ExplanationDisplay(
            images=pictures if pictures.ndim == 4 else pictures[..., None],
            maps=np.stack([values[rows] for values in maps.values()], axis=1),
            map_names=[title.removeprefix(LAYER) for title in maps],
            row_titles=[""] * len(rows),
            row_names=[self.labels[row] for row in rows],
        ).plot(ax=axes)
        return figure


def _some(titles):
    layers = [title for title in titles if title.startswith(LAYER)]
    n = min(_MOST_LAYERS, len(layers))
    shown = {layers[i] for i in np.linspace(0, len(layers) - 1, n).round().astype(int)}
    return [title for title in titles if title in shown or title not in layers]


def _by_attribution(maps, wanted):
    """Return the titles and maps that are attributions, or those that are feature maps."""
    return [item for item in maps.items() if item[0].startswith(LAYER) != wanted]


def _shrunk(pictures):
    """Return pictures no larger than a side."""
    side = max(pictures.shape[1:3])
    if side <= _SIDE:
        return pictures
    factor = _SIDE / side
    return zoom(pictures, (1, factor, factor, *[1] * (pictures.ndim - 3)), order=1)


def _colored(values):
    """Return a map as colors that are the clearer the more it says."""
    signed = values.min() < 0
    unit = (values + 1) / 2 if signed else values
    colors = mpl.colormaps["RdBu_r" if signed else "inferno"](unit)
    colors[..., 3] = np.clip(np.abs(values), 0, 1)
    return np.uint8(colors * 255)


def _png(picture):
    with io.BytesIO() as file:
        Image.fromarray(picture).save(file, format="png", optimize=True)
        return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
