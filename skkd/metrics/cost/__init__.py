"""What an explanation costs."""

from skkd.metrics.cost._flops import count_flops
from skkd.metrics.cost._timing import explain_timing
from skkd.metrics.cost._timing_display import TimingDisplay

__all__ = ["TimingDisplay", "count_flops", "explain_timing"]
