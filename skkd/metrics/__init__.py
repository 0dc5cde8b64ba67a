"""How faithful an explanation is, what it costs, and whether a classifier is useful."""

from skkd.metrics._average_drop import average_drop, increase_in_confidence
from skkd.metrics._decision_curve import decision_curve, net_benefit
from skkd.metrics._decision_curve_display import DecisionCurveDisplay
from skkd.metrics._distillation_grid_display import DistillationGridDisplay
from skkd.metrics._distillation_report import distillation_report
from skkd.metrics._fidelity import (
    fidelity_report,
    fidelity_samples,
    fidelity_score,
)
from skkd.metrics._fidelity_display import FidelityDisplay
from skkd.metrics._fidelity_scorer import make_fidelity_scorer
from skkd.metrics._flops import count_flops
from skkd.metrics._localization import pointing_game, saliency_iou
from skkd.metrics._perturbation import perturb_images
from skkd.metrics._perturbation_curve import deletion_curve, insertion_curve
from skkd.metrics._perturbation_curve_display import PerturbationCurveDisplay
from skkd.metrics._randomization import randomization_check
from skkd.metrics._summary import classification_summary
from skkd.metrics._timing import explain_timing
from skkd.metrics._timing_display import TimingDisplay

__all__ = [
    "DecisionCurveDisplay",
    "DistillationGridDisplay",
    "FidelityDisplay",
    "PerturbationCurveDisplay",
    "TimingDisplay",
    "average_drop",
    "classification_summary",
    "count_flops",
    "decision_curve",
    "deletion_curve",
    "distillation_report",
    "explain_timing",
    "fidelity_report",
    "fidelity_samples",
    "fidelity_score",
    "increase_in_confidence",
    "insertion_curve",
    "make_fidelity_scorer",
    "net_benefit",
    "perturb_images",
    "pointing_game",
    "randomization_check",
    "saliency_iou",
]
