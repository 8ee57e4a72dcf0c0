"""From the program to the kernel: what is computed when, in which rows, and which sums are products of matrices."""

from .kernel import WITHOUT_LANES, Kernel, LaneFunction, Loop, Outer, Piece, Predictor, Whole, computed
from .plan import schedule
from .steps import is_reduction, view

__all__ = [
    "WITHOUT_LANES", "Kernel", "LaneFunction", "Loop", "Outer", "Piece", "Predictor", "Whole", "computed",
    "is_reduction", "schedule", "view",
]  # fmt: skip
