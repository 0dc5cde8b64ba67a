"""What stands between a trained classifier and those who rely on it."""

from skkd.deployment._card import model_card
from skkd.deployment._export import export_student

__all__ = ["export_student", "model_card"]
