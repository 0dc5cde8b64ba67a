"""Learning from a teacher."""

from skkd.distillation._classifier import KDClassifier
from skkd.distillation._hints import Hints
from skkd.distillation._keras_teacher import load_teacher
from skkd.distillation._teacher import Teacher

__all__ = ["Hints", "KDClassifier", "Teacher", "load_teacher"]
