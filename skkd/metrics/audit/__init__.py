"""Whether a classifier holds for everybody, and whether it looks at the right thing."""

from skkd.metrics.audit._shortcuts import shortcut_report
from skkd.metrics.audit._subgroup_display import SubgroupDisplay
from skkd.metrics.audit._subgroups import subgroup_report

__all__ = ["SubgroupDisplay", "shortcut_report", "subgroup_report"]
