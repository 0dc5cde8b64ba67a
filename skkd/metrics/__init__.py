"""How faithful an explanation is, what it costs, and whether a classifier is useful."""

from skkd.metrics._decision_curve import decision_curve, net_benefit
from skkd.metrics._decision_curve_display import DecisionCurveDisplay
from skkd.metrics._fidelity import (
    fidelity_report,
    fidelity_samples,
    fidelity_score,
)
from skkd.metrics._fidelity_scorer import make_fidelity_scorer
from skkd.metrics._flops import count_flops
from skkd.metrics._perturbation import perturb_images
from skkd.metrics._summary import classification_summary

__all__ = [
    "DecisionCurveDisplay",
    "classification_summary",
    "count_flops",
    "decision_curve",
    "fidelity_report",
    "fidelity_samples",
    "fidelity_score",
    "make_fidelity_scorer",
    "net_benefit",
    "perturb_images",
]
