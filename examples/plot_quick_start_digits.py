"""
==========================================
A support vector machine teaches a network
==========================================

A support vector machine reads handwritten digits well, but nobody can see what it looks at. Here
it teaches a network of two small convolutions, and the network shows its feature maps.
"""

# %%
# Images and teacher
# ------------------
# The digits are 8 x 8 pixels. `~skkd.KDClassifier` takes images of shape (height, width,
# channels), so they are given a channel. The teacher is any scikit-learn classifier: it is cloned
# and fitted on the same images as the student, so the test images stay unseen by both.

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

digits = load_digits()
X_train, X_test, y_train, y_test = train_test_split(
    digits.images[..., None], digits.target, random_state=0
)
teacher = SVC(gamma=0.001)

# %%
# Distilling
# ----------
# ``alpha`` weighs the labels against the teacher; ``temperature`` softens the probabilities of
# both.

from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier

student = KDClassifier(
    teacher,
    NetworkClassifier(FiveBlockCNN(filters=(8, 16)), epochs=15, random_state=0),
    alpha=0.4,
    temperature=5,
).fit(X_train, y_train)
print(f"teacher {student.teacher_.score(X_test.reshape(len(X_test), -1), y_test):.3f}")
print(f"student {student.score(X_test, y_test):.3f}")

# %%
# What the student looks at
# -------------------------
# One row a digit, one column a convolution: the mean of its filters' responses, laid over the
# image. The first follows the strokes, the second gathers them in a few coarse places. A feature
# map is the same whichever class is asked about; `~skkd.GradCAMExplainer` explains one class.

import numpy as np

from skkd import FeatureMapExplainer

rows = [np.flatnonzero(y_test == digit)[0] for digit in (0, 3, 4, 7)]
explanation = FeatureMapExplainer(student).fit().explain(X_test[rows], y_test[rows])
display = explanation.plot(size=1.6)
