"""A trained classifier made ready for use: calibrated, and asking where it is not sure."""

from skkd.deployment._conformal import conformal_estimator
from skkd.deployment._deferral_curve import deferral_curve
from skkd.deployment._deferral_curve_display import DeferralCurveDisplay
from skkd.deployment._deferring import DeferringClassifier
from skkd.deployment._folding import fold_temperature

__all__ = [
    "DeferralCurveDisplay",
    "DeferringClassifier",
    "conformal_estimator",
    "deferral_curve",
    "fold_temperature",
]
