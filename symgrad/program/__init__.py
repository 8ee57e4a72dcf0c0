"""The program that a risk becomes: numbered assignments of operations to values with shapes, and how they are built."""

from .counts import count
from .identities import fold
from .program import CONDITIONS, LEAVES, SAMPLE_LEAVES, Assignment, Attribute, Builder, Program
from .shapes import STRUCTURAL, Shape, shape_of, size_of
from .values import Value, over

__all__ = [
    "CONDITIONS", "LEAVES", "SAMPLE_LEAVES", "STRUCTURAL", "Assignment", "Attribute", "Builder", "Program", "Shape",
    "Value", "count", "fold", "over", "shape_of", "size_of",
]  # fmt: skip
