"""Runs a Kernel as data, for one sample, in any arithmetic: its pieces in order, through rows, as the text would.

What is read has to be there: a leaf, a row that was written before, or a line of the same turn of the loop. Rows are
written in the order in which the text writes them, so that a row that is used again too early gives a wrong value.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from symgrad.program import LEAVES
from symgrad.schedule import Kernel, LaneFunction, Loop, Piece, Whole

from .evaluate import MATRICES, Arithmetic, Leaves, elements

MISSING = object()
GROWING = ("total", "largest")


class Runner:
    """One function of a kernel: ``None`` is the one that runs once for a theta; ``invariants`` is what that left."""

    def __init__(
        self,
        kernel: Kernel,
        function: LaneFunction | None,
        arithmetic: Arithmetic,
        leaves: Leaves,
        invariants: Sequence[Any] = (),
    ) -> None:
        self.kernel, self.arithmetic, self.leaves = kernel, arithmetic, leaves
        self.once = function is None
        self.places: Mapping[int, int] = kernel.slots if function is None else function.places
        self.pieces: tuple[Piece, ...] = kernel.once if function is None else function.pieces
        size = kernel.n_invariants if function is None else function.rows + function.scratch
        self.rows: list[Any] = [MISSING] * size
        self.invariants = self.rows if function is None else invariants
        self.numbers: dict[int, Any] = {}  # in the function that runs once, a scalar's name lasts
        self.singles = dict.fromkeys(() if function is None else function.singles, MISSING)

    def run(self) -> list[Any]:
        for piece in self.pieces:
            self._loop(piece) if isinstance(piece, Loop) else self._whole(piece)
        return self.rows

    def value(self, variable: int, given: bool = True) -> list[Any]:
        """The elements of a variable that was computed before; from rows alone unless it may be given, as theta is."""
        variable, start = self.kernel.homes[variable], 0
        count = prod(self.kernel.shape(variable))
        if self.once and given and variable in self.numbers:
            return [self.numbers[variable]]
        base = variable
        while not self._lies(base, given):
            step = self.kernel.program.assignments[base]
            assert step.operation == "slice", f"v{variable} is read, and was not kept"
            (parent,) = step.arguments
            top, left, rows, columns = step.attribute  # type: ignore[misc]
            width = self.kernel.shape(parent)[1]
            assert rows == 1 or columns == width, f"v{variable} is no rows that follow one another"
            start += top * width + left
            base = self.kernel.homes[parent]
        found = self._rows(base)[start : start + count]
        assert len(found) == count
        assert MISSING not in found, f"v{variable} is read before it is written"
        return found

    def _lies(self, variable: int, given: bool) -> bool:
        operation = self.kernel.program.assignments[variable].operation
        if variable in self.places or variable in self.singles or (not self.once and variable in self.kernel.slots):
            return True
        return operation in LEAVES and (given or operation != "parameter")

    def _rows(self, variable: int) -> list[Any]:
        step = self.kernel.program.assignments[variable]
        count = prod(self.kernel.shape(variable))
        if step.operation == "constant":
            return [self.arithmetic.number(step.attribute)]  # type: ignore[arg-type]
        if step.operation in ("input", "target", "weight", "cotangent", *["parameter"] * self.once):
            first = int(step.attribute or 0)  # type: ignore[arg-type]
            row = self.leaves.get(step.operation, [self.arithmetic.number(1.0)])
            return list(row[first : first + count])
        if variable in self.singles:
            return [self.singles[variable]]
        rows, places = (self.rows, self.places) if variable in self.places else (self.invariants, self.kernel.slots)
        return list(rows[places[variable] : places[variable] + count])

    def _loop(self, loop: Loop) -> None:
        here: dict[int, Any] = {}
        grown = [v for v in loop.body if self._operation(v) in GROWING]
        for variable in grown:  # a row where it grows; what lay there is gone
            self._grow(variable, None)
        for element in range(loop.size):
            here = {}
            for variable in (v for v in loop.body if v not in grown):
                here[variable] = self._line(variable, element, loop, here)
            for variable, row in loop.writes:
                self.rows[row + element] = self._element(variable, element, loop, here)
            self.singles |= {variable: here[variable] for variable in self.singles.keys() & here.keys()}
            for variable in grown:
                (argument,) = self.kernel.program.assignments[variable].arguments
                self._grow(variable, self._element(argument, element, loop, here))
        if loop.size == 1:
            self.numbers |= here

    def _operation(self, variable: int) -> str:
        return self.kernel.program.assignments[variable].operation

    def _grow(self, variable: int, more: Any) -> None:
        """A sum, or the greatest so far, with one element more; ``None``: with none yet."""
        if more is None:
            value = MISSING
        elif self.numbers[variable] is MISSING:
            value = more
        else:
            both = self.arithmetic.array([self.numbers[variable], more], (2, 1))
            value = MATRICES[self._operation(variable)](self.arithmetic, both)
        self.numbers[variable] = value
        if variable in self.singles:
            self.singles[variable] = value
        elif variable in self.places:
            self.rows[self.places[variable]] = value

    def _element(self, variable: int, element: int, loop: Loop, here: Mapping[int, Any]) -> Any:
        """A variable in one turn of a loop: its element, or a number that is the same in each turn."""
        variable = self.kernel.homes[variable]
        if variable in here:
            return here[variable]
        step = self.kernel.program.assignments[variable]
        if step.operation == "place":
            return self.arithmetic.number(float(element))
        found = self.value(variable)
        assert len(found) in (1, loop.size), f"v{variable} has {len(found)} elements in a loop over {loop.size}"
        return found[element] if len(found) > 1 else found[0]

    def _line(self, variable: int, element: int, loop: Loop, here: Mapping[int, Any]) -> Any:
        step = self.kernel.program.assignments[variable]
        assert prod(step.shape) == loop.size, f"v{variable} in a loop over {loop.size}"
        if step.operation == "place":
            return self.arithmetic.number(float(element))
        operands = [self._element(a, element, loop, here) for a in step.arguments]
        if step.operation == "fill":
            return operands[0]
        attribute = () if step.attribute is None else (step.attribute,)
        return self.arithmetic.operations[step.operation](*operands, *attribute)

    def _whole(self, whole: Whole) -> None:
        step = self.kernel.program.assignments[whole.variable]
        if whole.row is not None:  # it is written while it is read
            self.rows[whole.row : whole.row + prod(step.shape)] = [MISSING] * prod(step.shape)
        operands = [
            self.arithmetic.array(self.value(a, given=False), self.kernel.shape(a) or (1, 1)) for a in step.arguments
        ]
        value = elements(self.arithmetic.apply(step, operands))
        if whole.row is None:
            (self.singles[whole.variable],) = value
        else:
            self.rows[whole.row : whole.row + len(value)] = value


def run_once(kernel: Kernel, arithmetic: Arithmetic, leaves: Leaves) -> list[Any]:
    """What is computed once for a theta, by its rows: the penalty and its gradient first."""
    return Runner(kernel, None, arithmetic, leaves).run()


def run_function(kernel: Kernel, name: str, arithmetic: Arithmetic, leaves: Leaves, whole: bool = True) -> list[Any]:
    """The rows that a function fills for one sample; ``whole``: of ``gradients`` loss and flat gradient, pulled."""
    (function,) = (f for f in kernel.functions if f.name == name)
    runner = Runner(kernel, function, arithmetic, leaves, run_once(kernel, arithmetic, leaves))
    rows = runner.run()
    if name != "gradients" or not whole:
        return rows[: function.rows]
    gradient = [arithmetic.number(0.0)] * kernel.starts[-1]
    for segment in kernel.segments:
        for place in range(segment.size):
            gradient[segment.at + place] += rows[segment.row + place]
    for outer in kernel.outers:
        left = arithmetic.array(runner.value(outer.left, given=False), (outer.m, outer.p))
        right = arithmetic.array(runner.value(outer.right, given=False), (outer.p, outer.k))
        for place, number in enumerate(elements(MATRICES["matmul"](arithmetic, left, right))):
            gradient[outer.at + place] += number
    if kernel.pull is not None:
        gradient = run_function(kernel, "pull", arithmetic, {**leaves, "cotangent": gradient})
    return [rows[0], *gradient]
