"""What a network looks at."""

from skkd.explanation._display import ExplanationDisplay
from skkd.explanation._explanation import Explanation
from skkd.explanation._feature_maps import FeatureMapExplainer
from skkd.explanation._grad_cam import GradCAMExplainer
from skkd.explanation._shap import SHAPExplainer

__all__ = [
    "Explanation",
    "ExplanationDisplay",
    "FeatureMapExplainer",
    "GradCAMExplainer",
    "SHAPExplainer",
]
