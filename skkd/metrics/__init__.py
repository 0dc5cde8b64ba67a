"""How faithful an explanation is, what it costs, and whether a classifier is useful."""

from skkd.metrics.audit import SubgroupDisplay, shortcut_report, subgroup_report
from skkd.metrics.cost import TimingDisplay, count_flops, explain_timing
from skkd.metrics.faithfulness import (
    FidelityDisplay,
    PerturbationCurveDisplay,
    average_drop,
    deletion_curve,
    fidelity_report,
    fidelity_samples,
    fidelity_score,
    increase_in_confidence,
    insertion_curve,
    make_fidelity_scorer,
    perturb_images,
    pointing_game,
    randomization_check,
    saliency_iou,
)
from skkd.metrics.inference import bootstrap_scores, delong_test, mcnemar_test
from skkd.metrics.usefulness import (
    DecisionCurveDisplay,
    DistillationGridDisplay,
    classification_summary,
    decision_curve,
    distillation_report,
    expected_calibration_error,
    net_benefit,
)

__all__ = [
    "DecisionCurveDisplay",
    "DistillationGridDisplay",
    "FidelityDisplay",
    "PerturbationCurveDisplay",
    "SubgroupDisplay",
    "TimingDisplay",
    "average_drop",
    "bootstrap_scores",
    "classification_summary",
    "count_flops",
    "decision_curve",
    "deletion_curve",
    "delong_test",
    "distillation_report",
    "expected_calibration_error",
    "explain_timing",
    "fidelity_report",
    "fidelity_samples",
    "fidelity_score",
    "increase_in_confidence",
    "insertion_curve",
    "make_fidelity_scorer",
    "mcnemar_test",
    "net_benefit",
    "perturb_images",
    "pointing_game",
    "randomization_check",
    "saliency_iou",
    "shortcut_report",
    "subgroup_report",
]
