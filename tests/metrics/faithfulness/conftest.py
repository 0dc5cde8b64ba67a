import numpy as np
import pytest


class PatchClassifier:
    """A linear classifier that looks at one patch of an image and nowhere else."""

    classes_ = np.array(["clear", "ill"])

    def __init__(self, size=12):
        self.weights = np.zeros((size, size))
        self.weights[3:7, 4:9] = 0.5

    def predict_proba(self, X):
        X = np.asarray(X)
        logits = np.einsum("nhw,hw->n", X[..., 0] if X.ndim == 4 else X, self.weights) - 3
        ill = 1 / (1 + np.exp(-logits))
        return np.stack([1 - ill, ill], axis=1)


class WeightExplainer:
    """Says of every pixel what it adds to the logit: the attribution is known."""

    def __init__(self, estimator):
        self.estimator = estimator

    def transform(self, X):
        return X[..., 0] * self.estimator.weights


@pytest.fixture
def patch():
    """A classifier, images that it calls ill, their labels, and the true attributions."""
    classifier = PatchClassifier()
    images = np.random.default_rng(1).uniform(0.5, 1.0, (20, 12, 12, 1))
    return classifier, images, np.repeat("ill", 20), WeightExplainer(classifier).transform(images)


@pytest.fixture
def weight_explainer():
    return WeightExplainer
