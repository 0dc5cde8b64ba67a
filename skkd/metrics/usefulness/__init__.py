"""Whether a classifier is of use."""

from skkd.metrics.usefulness._calibration_error import expected_calibration_error
from skkd.metrics.usefulness._decision_curve import decision_curve, net_benefit
from skkd.metrics.usefulness._decision_curve_display import DecisionCurveDisplay
from skkd.metrics.usefulness._distillation_grid_display import DistillationGridDisplay
from skkd.metrics.usefulness._distillation_report import distillation_report
from skkd.metrics.usefulness._summary import classification_summary

__all__ = [
    "DecisionCurveDisplay",
    "DistillationGridDisplay",
    "classification_summary",
    "decision_curve",
    "distillation_report",
    "expected_calibration_error",
    "net_benefit",
]
