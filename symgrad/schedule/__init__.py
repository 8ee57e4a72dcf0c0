"""From the program to the kernel: what is computed when, in which rows, and which sums are products of matrices."""

from .kernel import Kernel, LaneFunction, Loop, Outer, Piece, Whole, computed
from .plan import schedule
from .steps import REDUCTIONS, view

__all__ = ["REDUCTIONS", "Kernel", "LaneFunction", "Loop", "Outer", "Piece", "Whole", "computed", "schedule", "view"]
