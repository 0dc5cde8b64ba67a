"""Whether an explanation points at what a classifier decides by."""

from skkd.metrics.faithfulness._average_drop import average_drop, increase_in_confidence
from skkd.metrics.faithfulness._fidelity import fidelity_samples, fidelity_score
from skkd.metrics.faithfulness._fidelity_display import FidelityDisplay
from skkd.metrics.faithfulness._fidelity_report import fidelity_report
from skkd.metrics.faithfulness._fidelity_scorer import make_fidelity_scorer
from skkd.metrics.faithfulness._localization import pointing_game, saliency_iou
from skkd.metrics.faithfulness._perturbation import perturb_images
from skkd.metrics.faithfulness._perturbation_curve import deletion_curve, insertion_curve
from skkd.metrics.faithfulness._perturbation_curve_display import PerturbationCurveDisplay
from skkd.metrics.faithfulness._randomization import randomization_check

__all__ = [
    "FidelityDisplay",
    "PerturbationCurveDisplay",
    "average_drop",
    "deletion_curve",
    "fidelity_report",
    "fidelity_samples",
    "fidelity_score",
    "increase_in_confidence",
    "insertion_curve",
    "make_fidelity_scorer",
    "perturb_images",
    "pointing_game",
    "randomization_check",
    "saliency_iou",
]
