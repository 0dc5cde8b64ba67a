"""How sure the figures are."""

from skkd.metrics.inference._bootstrap import bootstrap_scores
from skkd.metrics.inference._paired_tests import delong_test, mcnemar_test

__all__ = ["bootstrap_scores", "delong_test", "mcnemar_test"]
