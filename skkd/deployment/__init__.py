"""What stands between a trained classifier and those who rely on it."""

from skkd.deployment._card import model_card
from skkd.deployment._conformal import conformal_estimator
from skkd.deployment._deferral_curve import deferral_curve
from skkd.deployment._deferral_curve_display import DeferralCurveDisplay
from skkd.deployment._deferring import DeferringClassifier
from skkd.deployment._export import export_student
from skkd.deployment._folding import fold_temperature

__all__ = [
    "DeferralCurveDisplay",
    "DeferringClassifier",
    "conformal_estimator",
    "deferral_curve",
    "export_student",
    "fold_temperature",
    "model_card",
]
