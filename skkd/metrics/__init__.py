"""How faithful an explanation is, what it costs, and whether a classifier is useful."""

from skkd.metrics._decision_curve import decision_curve, net_benefit

__all__ = ["decision_curve", "net_benefit"]
