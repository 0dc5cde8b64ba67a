"""Trained estimators in files that hold no code."""

from skkd.persistence._load import load
from skkd.persistence._values import NotSaved

__all__ = ["NotSaved", "load"]
