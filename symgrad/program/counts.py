"""How many floating-point operations a variable costs."""

from .program import LEAVES, Program
from .shapes import size_of

_FREE = frozenset({"transpose", "slice", "embed", "assemble", "fill", "place"})


def count(program: Program, variable: int) -> int:
    """Return the floating-point operations of one assignment: 1 for a function, 2mkn for a product (m, k) @ (k, n)."""
    assignment = program.assignments[variable]
    shapes = [program.assignments[a].shape for a in assignment.arguments]
    if assignment.operation in LEAVES or assignment.operation in _FREE:
        return 0
    if assignment.operation == "total" and size_of(shapes[0]) == 1:
        return 0  # the element itself
    if assignment.operation == "matmul":
        return 2 * size_of(shapes[0]) * size_of(assignment.shape) // assignment.shape[0]
    return max(map(size_of, shapes), default=1)
