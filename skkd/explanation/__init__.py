"""What a network looks at."""

from skkd.explanation._display import ExplanationDisplay
from skkd.explanation._explanation import Explanation
from skkd.explanation._feature_maps import FeatureMapExplainer

__all__ = ["Explanation", "ExplanationDisplay", "FeatureMapExplainer"]
