"""The program that a risk becomes: numbered assignments of operations to values with shapes, and how they are built."""

from .counts import count
from .identities import fold
from .program import Assignment, Attribute, Builder, Program
from .rows import CALL, LEAVES, PRODUCT_STEP, SAMPLE_LEAVES, SCALAR_CALL, STEP, Flops, Form, Place, Row, ShapeRule

from .rows import enter, flops_of_elements, no_flops, row_of, shape_of  # isort: skip
from .shapes import Shape, size_of
from .values import Value, over

__all__ = [
    "CALL", "LEAVES", "PRODUCT_STEP", "SAMPLE_LEAVES", "SCALAR_CALL", "STEP", "Assignment", "Attribute", "Builder",
    "Flops", "Form", "Place", "Program", "Row", "Shape", "ShapeRule", "Value", "count", "enter", "flops_of_elements",
    "fold", "no_flops", "over", "row_of", "shape_of", "size_of",
]  # fmt: skip
