"""Learning from a teacher."""

from skkd.distillation._classifier import KDClassifier

__all__ = ["KDClassifier"]
