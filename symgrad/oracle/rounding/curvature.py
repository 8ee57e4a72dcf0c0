"""Second derivatives of one sample's loss, and what rounding may do to them: a forward sweep over the backward one.

For each column of the Hessian every value gets its derivative by that column's leaf (its *tangent*), and every adjoint
the derivative of the adjoint: of the slope that it was multiplied by, times the adjoint, and the slope times what the
adjoint before it changes by (Griewank and Walther, *Evaluating Derivatives*, section 5.2). All of it stands on the
trail, so that its errors are known as those of the gradient are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from ..functions import STEPS
from ..rule import OutOfReach, Real
from ..run import Edge, Run
from .bound import BEYOND, Rounding, difference
from .trail import Number, half_ulp, is_double


class Curvature(Rounding):
    """The derivatives of some columns of the Hessian; results are named by (row, column), the loss by None.

    ``doubtful`` where numbers cancelled to exactly zero: with more digits they may not. Raises `OutOfReach` where a
    function's argument is past what can be computed.
    """

    def __init__(self, run: Run, wanted: Collection[int], columns: Sequence[int]) -> None:
        super().__init__(run, {*wanted, *columns})
        self.doubtful = run.doubtful
        self._active = run.depending({*wanted, *columns})
        self._edges: dict[int, list[Edge]] = {slot: list(found) for slot, found in run.backwards(self._active)}
        self._slopes: dict[tuple[int, int], Number] = {}
        self._bent: dict[tuple[int, int], list[tuple[Number, int]]] = {}
        for column in columns:
            self._column(column, wanted)

    def value(self, row: int, column: int) -> Real:
        """Return the second derivative by two leaves."""
        return self._results.get((row, column), Number(self.m.zero)).value

    def _column(self, column: int, wanted: Collection[int]) -> None:
        tangents = self._tangents(column)
        terms: dict[int, list[Number]] = {}
        for slot, edges in self._edges.items():  # the last one first
            found = self._sum(slot, terms.pop(slot)) if slot in terms else None
            operation = self._run.operations[slot]
            if operation.kind == "leaf" and operation.payload in wanted and found is not None:
                self._results[operation.payload, column] = found
            for argument, factor, place in edges if slot in self._adjoints else ():
                new = [] if found is None else [self._through(slot, place, factor, found)]
                for bend, other in self._bends(slot, place):
                    if other in tangents:
                        moved = self._times(slot, bend, tangents[other])
                        new.append(self._times(slot, moved, self._adjoints[slot]))
                if new:
                    terms.setdefault(argument, []).extend(new)

    def _tangents(self, column: int) -> dict[int, Number]:
        """The derivatives of the values by a leaf; those that are missing are zero."""
        tangents: dict[int, Number] = {}
        for slot, edges in reversed(self._edges.items()):
            operation = self._run.operations[slot]
            if operation.kind == "leaf" and operation.payload == column:
                tangents[slot] = Number(self.m.one)
            terms = [self._through(slot, place, factor, tangents[a]) for a, factor, place in edges if a in tangents]
            if terms:
                tangents[slot] = self._sum(slot, terms)
        return tangents

    def _sum(self, slot: int, terms: Sequence[Number]) -> Number:
        total = self._total(slot, terms)
        self.doubtful |= bool(total.value == 0 and any(term.value != 0 for term in terms))
        return total

    def _through(self, slot: int, place: int, factor: Real | None, number: Number) -> Number:
        """A derivative handed on by an operation, forwards or backwards."""
        if factor is None:
            return number
        if (slot, place) not in self._slopes:
            self._slopes[slot, place] = self._slope(slot, place, factor)
        return self._times(slot, self._slopes[slot, place], number)

    def _bends(self, slot: int, place: int) -> list[tuple[Number, int]]:
        """The derivatives of an operation's slope by its arguments, each with the argument."""
        if (slot, place) not in self._bent:
            self._bent[slot, place] = list(self._found_bends(slot, place))
        return self._bent[slot, place]

    def _found_bends(self, slot: int, place: int) -> Iterator[tuple[Number, int]]:
        operation = self._run.operations[slot]
        arguments, name = operation.arguments, operation.payload
        if operation.kind == "dot":
            yield Number(self.m.one), arguments[place ^ 1]
        for other, argument in enumerate(arguments):
            if argument not in self._active:
                continue
            if operation.kind == "mul" and other != place:
                rest = [a for i, a in enumerate(arguments) if i not in (place, other)]
                factor = self.m.fprod(self._run.values[a] for a in rest)
                yield self._product(slot, rest, factor), argument
            if operation.kind == "call" and name not in STEPS and name not in ("Max", "Min"):
                yield self._bend(slot, place, other), argument

    def _bend(self, slot: int, place: int, other: int) -> Number:
        """The second derivative of a function, as a number with an error of its own.

        It may be a product of two slopes (of a softmax: of two shares): each is rounded, and the product.
        """
        operation, m = self._run.operations[slot], self.m
        values = [self._run.values[a] for a in operation.arguments]
        if any(x and m.isfinite(x) and abs(m.mag(x)) > BEYOND for x in values):
            raise OutOfReach
        value = self._curvature(operation.payload, place, other, values)
        parents = []
        for at, argument in enumerate(operation.arguments):
            node = self._nodes[argument].node
            if node is not None:
                third = difference(m, lambda *xs: self._curvature(operation.payload, place, other, xs), values, at)
                parents.append((node, third))
        self.doubtful |= bool(value == 0)  # a difference of two numbers that may be unequal with more digits
        if is_double(value) and not any(third for _, third in parents):
            return Number(value)
        return Number(value, self._trail.add(value, parents, 3 * half_ulp(m, value), (slot, "slope")))
