"""Which operations share a loop, and in which order loops, matrix products and copies follow one another.

A loop runs over the elements of matrices of one size: all that works element by element, and the sums over elements
that it feeds. Scalars are the loops of one element. Products and copies are steps of their own, between whole matrices.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from symgrad.program import LEAVES, Assignment, Place, Program, row_of, size_of


@dataclass(slots=True)
class Step:
    """A piece before it has places: a loop over ``size`` elements or, with ``size`` 0, one product or copy."""

    size: int
    variables: list[int] = field(default_factory=list)


def same_elements(program: Program) -> tuple[int, ...]:
    """Return for each variable the one whose elements it has, in the same order: a transposed column is that column."""
    homes: list[int] = []
    for variable, assignment in enumerate(program.assignments):
        home = homes[assignment.arguments[0]] if assignment.arguments else variable
        homes.append(home if _keeps_order(program, assignment) else variable)
    return tuple(homes)


def _keeps_order(program: Program, assignment: Assignment) -> bool:
    if assignment.operation == "transpose":
        return 1 in assignment.shape
    if assignment.operation in ("total", "fill"):
        argument = program.assignments[assignment.arguments[0]]
        # a constant has no row, but a matrix of one needs one: products and copies read it there
        return argument.operation != "constant" and size_of(assignment.shape) == size_of(argument.shape) == 1
    return False


def view(program: Program, variable: int) -> int | None:
    """Return the row of its argument at which a slice of consecutive rows begins; ``None`` for anything else."""
    assignment = program.assignments[variable]
    if assignment.operation != "slice":
        return None
    assert isinstance(assignment.attribute, tuple)
    row, column, rows, columns = assignment.attribute
    width = program.assignments[assignment.arguments[0]].shape[1]
    return row * width + column if rows == 1 or columns == width else None


def is_elementwise(assignment: Assignment) -> bool:
    """Is it a line of a loop over its own elements? (An assembled matrix is one of the loop over its scalars.)"""
    return row_of(assignment.operation).place is Place.LINE


def is_reduction(assignment: Assignment) -> bool:
    """Return whether it is done in a loop over its argument's elements, and is there when that has ended."""
    return row_of(assignment.operation).place is Place.REDUCTION


class Sequencer:
    """Puts variables into steps, each as early as what it needs allows."""

    def __init__(self, program: Program, homes: Sequence[int], longest: float) -> None:
        self.steps: list[Step] = []
        self._longest = longest
        self._program = program
        self._homes = homes
        self._step: dict[int, int] = {}
        self._open: dict[int, list[int]] = {}  # the loops of each size that have room, in order

    def add(self, variable: int) -> None:
        """Put the next variable into a step; it depends on those added before and on what is there already."""
        if self._homes[variable] != variable:
            return
        assignment = self._program.assignments[variable]
        size = self._loop_size(assignment)
        earliest = max((self._ready(self._homes[a], size) for a in assignment.arguments), default=0)
        if view(self._program, variable) is not None:
            self._step[variable] = earliest - 1  # it is there as soon as the whole is
            return
        place = self._fitting(earliest, size) if size else None
        if place is None:
            place = len(self.steps)
            self.steps.append(Step(size))
            self._open.setdefault(size, []).append(place)
        variables = self.steps[place].variables
        variables.append(variable)
        self._step[variable] = place
        if size and len(variables) >= self._longest:
            self._open[size].remove(place)

    def _loop_size(self, assignment: Assignment) -> int:
        """The number of elements of the loop that it is a line of; 0 for a step of its own."""
        if assignment.operation == "assemble":
            return 1
        if is_reduction(assignment):
            return size_of(self._program.assignments[assignment.arguments[0]].shape)
        return size_of(assignment.shape) if is_elementwise(assignment) else 0

    def _ready(self, argument: int, size: int) -> int:
        """The first step in which an argument can be used, by a loop of that size."""
        made = self._step.get(argument)
        if made is None:
            return 0
        assignment = self._program.assignments[argument]
        local = is_elementwise(assignment) and assignment.operation != "assemble" and self.steps[made].size == size
        return made if local else made + 1

    def _fitting(self, earliest: int, size: int) -> int | None:
        """The first loop of that size, from a step on, that has room. (Looked up: steps are many in a long program.)"""
        places = self._open.get(size, [])
        number = bisect_left(places, earliest)
        return places[number] if number < len(places) else None


def sequence(
    program: Program, homes: Sequence[int], variables: Iterable[int], longest: float = inf
) -> tuple[Step, ...]:
    """Return the steps that compute the variables, given in the program's order; leaves are there already.

    ``longest`` is the number of operations in a loop.
    """
    sequencer = Sequencer(program, homes, longest)
    for variable in variables:
        if program.assignments[variable].operation not in LEAVES:
            sequencer.add(variable)
    return tuple(sequencer.steps)
