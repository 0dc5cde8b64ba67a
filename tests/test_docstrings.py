import inspect
import re

import pytest

from skkd import (
    BaseExplainer,
    FeatureMapExplainer,
    GradCAMExplainer,
    KDClassifier,
    NetworkClassifier,
    SHAPExplainer,
)

METHODS = ["fit", "partial_fit", "predict", "predict_proba", "decision_function"]


def entries(documented, section):
    """Return the text of each entry, with its type, in a section of a numpydoc docstring."""
    text = inspect.getdoc(documented)
    body = re.search(rf"^{section}\n-+\n(.*?)(?=^\S[^\n]*\n-+\n|\Z)", text, re.M | re.S).group(1)
    return {
        entry.partition(" : ")[0]: entry.strip()
        for entry in re.split(r"^(?=\S)", body, flags=re.M)
        if entry.strip()
    }


@pytest.mark.parametrize("method", METHODS)
def test_both_classifiers_tell_of_what_a_method_takes_in_the_same_words(method):
    plain = entries(getattr(NetworkClassifier, method), "Parameters")
    distilled = entries(getattr(KDClassifier, method), "Parameters")
    if method == "fit":
        # That weights count in the soft loss too.
        assert "whole loss" in distilled.pop("sample_weight")
        del plain["sample_weight"]
    assert plain == {name: distilled.get(name) for name in plain}


@pytest.mark.parametrize(
    "name", ["classes_", "history_", "n_iter_", "n_features_in_", "feature_names_in_"]
)
def test_both_classifiers_tell_of_what_a_fit_leaves_in_the_same_words(name):
    plain = entries(NetworkClassifier, "Attributes")[name]
    assert entries(KDClassifier, "Attributes")[name] == plain


# In SHAPExplainer batch_size counts the images that it makes of each image.
@pytest.mark.parametrize(
    ("name", "explainers"),
    [
        ("estimator", [BaseExplainer, FeatureMapExplainer, GradCAMExplainer, SHAPExplainer]),
        ("verbose", [BaseExplainer, FeatureMapExplainer, GradCAMExplainer, SHAPExplainer]),
        ("batch_size", [BaseExplainer, FeatureMapExplainer, GradCAMExplainer]),
        ("target", [GradCAMExplainer, SHAPExplainer]),
    ],
)
def test_explainers_tell_of_a_parameter_in_the_same_words(name, explainers):
    assert len({entries(explainer, "Parameters")[name] for explainer in explainers}) == 1
