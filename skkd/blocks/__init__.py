"""Functions of a block of image files, for engines that spread blocks over many machines."""

from skkd.blocks._functions import explain_block, predict_block, teacher_block
from skkd.blocks._parts import write_block

__all__ = ["explain_block", "predict_block", "teacher_block", "write_block"]
