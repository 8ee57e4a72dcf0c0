"""How many floating-point operations a variable costs."""

from .program import Program
from .rows import row_of


def count(program: Program, variable: int) -> int:
    """The operations of one assignment: a function is one, a product of (m, k) and (k, n) matrices is 2 m k n."""
    assignment = program.assignments[variable]
    shapes = [program.assignments[a].shape for a in assignment.arguments]
    return row_of(assignment.operation).flops(shapes, assignment.shape)
