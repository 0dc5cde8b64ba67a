"""Learning from a teacher."""

from skkd.distillation._classifier import KDClassifier
from skkd.distillation._teachers import load_teacher

__all__ = ["KDClassifier", "load_teacher"]
