"""What a network looks at."""

from skkd.explanation._base import BaseExplainer
from skkd.explanation._comparison import ExplanationDisplay
from skkd.explanation._explanation import Explanation
from skkd.explanation._feature_maps import FeatureMapExplainer
from skkd.explanation._grad_cam import GradCAMExplainer
from skkd.explanation._shap import SHAPExplainer

__all__ = [
    "BaseExplainer",
    "Explanation",
    "ExplanationDisplay",
    "FeatureMapExplainer",
    "GradCAMExplainer",
    "SHAPExplainer",
]
