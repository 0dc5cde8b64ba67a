"""Draw the picture that opens the README: ``python docs/picture.py`` (minutes on two cores).

Synthetic brain slices that neither network was trained on, one with each kind of tumor, and what a
distilled student looks at in them. The dashed line is around what the tumor changed, which is known
because it was drawn in.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image
from sklearn.model_selection import train_test_split

from skkd import (
    ExplanationDisplay,
    FeatureMapExplainer,
    FiveBlockCNN,
    GradCAMExplainer,
    KDClassifier,
    NetworkClassifier,
)
from skkd.datasets import make_brain_phantoms

TUMORS = ("glioma", "meningioma", "pituitary")
PICTURE = Path(__file__).parent / "_static" / "what_a_student_sees.png"

X, y, masks = make_brain_phantoms(1600, image_size=(96, 96), return_masks=True, random_state=0)
X_train, X_test, y_train, y_test, _, masks = train_test_split(
    X, y, masks, test_size=400, stratify=y, random_state=0
)
teacher = NetworkClassifier(
    FiveBlockCNN(filters=(16, 32, 64, 128), dense=(128,)), epochs=15, random_state=0
).fit(X_train, y_train)
small = NetworkClassifier(
    FiveBlockCNN(filters=(8, 16, 32, 32), dense=(32,)), epochs=20, random_state=0
)
student = KDClassifier(teacher.model_, small, alpha=0.4, temperature=5).fit(X_train, y_train)
for name, classifier in {"teacher": teacher, "student": student}.items():
    weights, accuracy = classifier.model_.count_params(), classifier.score(X_test, y_test)
    print(f"{name}: {weights:,} weights, accuracy {accuracy:.3f} on {len(y_test)} slices")

right = student.predict(X_test) == y_test
rows = [np.flatnonzero(right & (y_test == tumor))[0] for tumor in TUMORS]
explainers = [
    FeatureMapExplainer(student, layers=["block1_conv", "block2_conv", "block3_conv"]),
    GradCAMExplainer(student, method="layercam"),
]
display = ExplanationDisplay.from_estimator(
    student, X_test, y_test, explainers=explainers, rows=rows, colorbar=False, overlay=0.6, size=1.6
)
for axes, mask in zip(display.axes_, masks[rows], strict=True):
    for ax in axes:
        ax.contour(mask, [0.5], colors="cyan", linewidths=0.8, linestyles="--")
with mpl.rc_context({"savefig.bbox": "tight", "savefig.pad_inches": 0.05}):
    display.figure_.savefig(PICTURE, dpi=120)
# 256 colors take a quarter of the space.
picture = Image.open(PICTURE).convert("RGB")
picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=5).save(PICTURE, optimize=True)
print(f"wrote {PICTURE}: {PICTURE.stat().st_size / 1e3:.0f} kB")
