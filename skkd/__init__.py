"""Knowledge distillation and explanation of image classifiers, as scikit-learn estimators."""

import importlib

__version__ = "0.1.0"

_PUBLIC = {
    "blocks": (),
    "datasets": (),
    "deployment": (
        "DeferralCurveDisplay",
        "DeferringClassifier",
        "conformal_estimator",
        "deferral_curve",
        "export_student",
        "fold_temperature",
        "model_card",
    ),
    "distillation": ("Hints", "KDClassifier", "Teacher"),
    "explanation": (
        "BaseExplainer",
        "Explanation",
        "ExplanationDisplay",
        "FeatureMapExplainer",
        "GradCAMExplainer",
        "SHAPExplainer",
    ),
    "images": (),
    "metrics": (
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
    ),
    "models": ("FiveBlockCNN", "KDFMVNet", "MLP", "NetworkClassifier", "TransferNet"),
    "persistence": ("load",),
    "study": (),
}
_ROOM_OF = {name: room for room, names in _PUBLIC.items() for name in names}

__all__ = ["__version__", *_PUBLIC, *_ROOM_OF]


def __getattr__(name):
    # Importing Keras takes seconds, so a room is opened when something in it is asked for.
    if name in _PUBLIC:
        return importlib.import_module(f"skkd.{name}")
    if name in _ROOM_OF:
        return getattr(importlib.import_module(f"skkd.{_ROOM_OF[name]}"), name)
    raise AttributeError(f"module 'skkd' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
