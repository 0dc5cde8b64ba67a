"""The whole job, from images to a report."""

from skkd.study._run import run_study

__all__ = ["run_study"]
