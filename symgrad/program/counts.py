"""How many floating-point operations a variable costs."""

from .program import Program
from .rows import row_of


def count(program: Program, variable: int) -> int:
    """Return the floating-point operations of one assignment: 1 for a function, 2mkn for a product (m, k) @ (k, n)."""
    assignment = program.assignments[variable]
    shapes = [program.assignments[a].shape for a in assignment.arguments]
    return row_of(assignment.operation).flops(shapes, assignment.shape)
