"""How far rounding may carry a formula: its running error bound, and where it loses its digits.

The bound belongs to the formula as declared, with what symgrad promises to compute well in one piece
(``forms``), and to its derivative as reverse mode gives it. Every operation on the way errs by its charge
(``trail``), and what that does to the result is its derivative by that operation: to first order exact, so
that errors which cancel are not counted. Where a number has hardly a digit left the next order counts too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..functions import STEPS, apply, power
from ..rule import Real
from ..run import Run
from ..tape import Operation
from .trail import Number, half_ulp, is_double, keeps_digits, wide
from .values import CHAIN, Values, product_remainder

Result = int | tuple[int, int] | None  # a derivative by a leaf, a second one by two; the loss
BEYOND = 2048  # the exponent of numbers that no double has anything to do with


@dataclass(frozen=True, slots=True)
class Bound:
    """What rounding may do to one result, in units in its last place.

    ``error`` is the running error bound; infinite where a number on the way is past a double's range, and ``within`` is
    the bound without those. ``conditioning`` is how far the true result moves when every datum moves by half a unit
    in its last place: what no formula can avoid.
    """

    error: float
    conditioning: float = 0.0
    within: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """The operation in which a result's digits are lost: its slot, and its role (see ``Trail``).

    ``beyond`` says whether it "overflows" or "underflows"; else it magnifies errors of what it is made of.
    """

    slot: int
    role: str
    beyond: str = ""


class Rounding(Values):
    """The rounding errors of one sample's loss and of its derivatives by some parameters, at one precision.

    ``run`` is a run of the tape with the promised forms in it. Results are named by the leaf that is differentiated
    by, the loss by None.
    """

    def __init__(self, run: Run, wanted: Collection[int]) -> None:
        super().__init__(run)
        self._results: dict[Result, Number] = {None: self._nodes[run.plan[-1]]}
        self._adjoints: dict[int, Number] = {}
        self._undecided: int | None = None  # a choice that derivatives hang on, and that rounding may make otherwise
        self._backwards(wanted)

    def bounds(self, results: Sequence[Result]) -> list[Bound]:
        """Return the bounds of some results."""
        trail, numbers = self._trail, [self._results.get(r, Number(self.m.zero)) for r in results]
        if self._undecided is not None:
            return [Bound(math.inf)] * len(results)
        places = [i for i, number in enumerate(numbers) if number.node is not None]
        outputs = [number.node for number in numbers if number.node is not None]
        total, within, moved = (np.zeros(len(outputs), dtype=np.longdouble) for _ in range(3))
        with np.errstate(all="ignore"):
            for node, adjoint in enumerate(trail.adjoints(outputs)):
                if adjoint is not None:
                    share = trail.share(node, adjoint)
                    total += share
                    within += share if trail.charges[node] != self.m.inf else 0
                    if self._is_leaf(node):
                        moved += abs(adjoint.rows) * wide(half_ulp(self.m, trail.values[node]))
            found = [Bound(0.0)] * len(results)
            for k, i in enumerate(places):
                unit = 2 * wide(half_ulp(self.m, numbers[i].value) or self.m.ldexp(self.m.one, -1075))
                found[i] = Bound(*(_number(x[k] / unit) for x in (total, moved, within)))
        return found

    def place(self, result: Result) -> Place | None:
        """Return where a result loses most: on the way from the step that errs most, the one that magnifies most."""
        number, trail = self._results.get(result, Number(self.m.zero)), self._trail
        if self._undecided is not None:
            return Place(self._undecided, "value")
        if number.node is None:
            return None
        with np.errstate(all="ignore"):
            found = trail.adjoints([number.node])
            shares = [np.longdouble(0) if a is None else trail.share(n, a)[0] for n, a in enumerate(found)]
            adjoints = [None if a is None else abs(a.rows[0]) for a in found]
            node = next((n for n, share in enumerate(shares) if not share < np.inf), int(np.argmax(shares)))
            value = trail.values[node]
            if not shares[node] < np.inf:
                slot, role = trail.origins[node]
                return Place(slot, role, "" if slot in self._unsure else "overflows")
            if value and self.m.mag(value) < -1021:
                return Place(*trail.origins[node], "underflows")
            return self._magnified(node, adjoints)

    def _magnified(self, start: int, adjoints: Sequence[Any]) -> Place:
        trail = self._trail
        children: dict[int, list[tuple[int, Any]]] = {}
        for child, row in enumerate(adjoints):
            if row is not None:
                for parent, partial in trail.parents[child]:
                    children.setdefault(parent, []).append((child, abs(wide(partial))))
        size = _size(trail.values[start])
        worst, found, node = wide(trail.charges[start]) / size * 2.0**52, start, start
        while node in children:
            child, partial = max(children[node], key=lambda edge: _comparable(edge[1] * adjoints[edge[0]]))
            factor = partial * _size(trail.values[node]) / _size(trail.values[child])
            if factor > worst:
                worst, found = factor, child
            node = child
        return Place(*trail.origins[found])

    # ----------------------------------------------------------------------------------------- the derivatives

    def _backwards(self, wanted: Collection[int]) -> None:
        run, m = self._run, self.m
        active = run.depending(wanted)
        terms: dict[int, list[Number]] = {run.plan[-1]: [Number(m.one)]}
        for slot, edges in run.backwards(active):
            if slot not in terms:
                continue
            adjoint = self._adjoints[slot] = self._total(slot, terms.pop(slot))
            if run.operations[slot].kind == "leaf":
                self._results[run.operations[slot].payload] = adjoint
            if run.operations[slot].kind in ("piecewise", "select") and slot in self._unsure:
                self._undecided = slot
            for argument, factor, place in (*edges, *self._losers(slot, active)):
                term = adjoint if factor is None else self._times(slot, self._slope(slot, place, factor), adjoint)
                terms.setdefault(argument, []).append(term)

    def _losers(self, slot: int, active: Collection[int]) -> Iterator[Any]:
        """The sides of a Max or Min that lose, but that rounding may let win."""
        operation, values = self._run.operations[slot], self._run.values
        if operation.kind == "maximum" or operation.payload in ("Max", "Min"):
            for place, argument in enumerate(operation.arguments):
                loses = values[argument] != values[slot] and argument in active
                if loses and self._near(
                    values[slot] - values[argument], *(self._nodes[a] for a in operation.arguments)
                ):
                    yield argument, self.m.zero, place

    def _total(self, slot: int, terms: Sequence[Number]) -> Number:
        """The derivative by a slot, from those by its uses."""
        if len(terms) == 1:
            return terms[0]
        value = self.m.fsum(t.value for t in terms)
        parents = [(t.node, self.m.one) for t in terms if t.node is not None]
        charge = self._sum_charge(None, [t.value for t in terms])
        return Number(value, self._trail.add(value, parents, charge, (slot, "adjoint"))) if parents else Number(value)

    def _times(self, slot: int, slope: Number, adjoint: Number) -> Number:
        for one, other in ((slope, adjoint), (adjoint, slope)):
            if one.node is None and one.value == 1:
                return other
        value = slope.value * adjoint.value
        parents = [(a.node, b.value) for a, b in ((slope, adjoint), (adjoint, slope)) if a.node is not None]
        exact = is_double(value) or keeps_digits(slope.value, value) or keeps_digits(adjoint.value, value)
        charge = self.m.zero if exact else half_ulp(self.m, value)
        reach = [self._trail.reach_of(slope), self._trail.reach_of(adjoint)]
        if all(reach) and self.m.inf not in reach:
            charge += reach[0] * reach[1]
        return Number(value, self._trail.add(value, parents, charge, (slot, "slope"))) if parents else Number(value)

    def _slope(self, slot: int, place: int, factor: Real) -> Number:
        """The derivative of an operation by one of its arguments, as a number with an error of its own."""
        operation = self._run.operations[slot]
        others = [a for i, a in enumerate(operation.arguments) if i != place]
        if operation.kind == "dot":
            return self._nodes[operation.arguments[place ^ 1]]
        if operation.kind == "mul":
            return self._product(slot, others, factor)
        if operation.kind == "maximum" or operation.payload in STEPS:
            return self._step(slot, operation, factor)
        parents = list(self._curvatures(operation, place))
        charge = self.m.zero if slot in self._run.exact and is_double(factor) else 2 * half_ulp(self.m, factor)
        if operation.payload == "Pow" and place == 0:
            exponent = self._run.values[operation.arguments[1]]
            if self.m.isint(exponent) and abs(exponent) < CHAIN:
                charge = 0 if exponent == 2 else abs(int(exponent)) * half_ulp(self.m, factor)
        charge = self.m.mpf(charge) + self._slope_remainder(operation, place, factor)
        return Number(factor, self._trail.add(factor, parents, charge, (slot, "slope")))

    def _product(self, slot: int, others: Sequence[int], factor: Real) -> Number:
        numbers = [self._nodes[a] for a in others]
        if len(numbers) == 1:
            return numbers[0]
        parents = []
        for i, number in enumerate(numbers):
            if number.node is not None:
                parents.append((number.node, self.m.fprod(n.value for j, n in enumerate(numbers) if j != i)))
        charge = (len(numbers) - 1) * half_ulp(self.m, factor)
        charge += product_remainder(self.m, [n.value for n in numbers], [self._trail.reach_of(n) for n in numbers])
        return Number(factor, self._trail.add(factor, parents, charge, (slot, "slope"))) if parents else Number(factor)

    def _step(self, slot: int, operation: Operation, factor: Real) -> Number:
        """A slope that is constant but for a jump, on which side of which it may be rounding that decides."""
        numbers = [self._nodes[a] for a in operation.arguments]
        winner = self._run.values[slot]
        if operation.payload == "Abs":
            unsure = self._near(numbers[0].value, numbers[0])
        elif operation.kind == "maximum" or operation.payload in ("Max", "Min"):
            unsure = sum(self._near(winner - n.value, *numbers) for n in numbers) > 1
        else:
            return Number(factor)
        if not unsure:
            return Number(factor)
        return Number(factor, self._trail.add(factor, [], self.m.mpf(2), (slot, "slope")))

    def _curvatures(self, operation: Operation, place: int) -> Iterator[tuple[int, Real]]:
        """The derivatives of an operation's slope by its arguments."""
        values = [self._run.values[a] for a in operation.arguments]
        for other, argument in enumerate(operation.arguments):
            node = self._nodes[argument].node
            if node is not None:
                yield node, self._curvature(operation.payload, place, other, values)

    def _curvature(self, name: str, place: int, other: int, values: Sequence[Real]) -> Real:
        m = self.m
        if name == "logsumexp":
            total = self._log_sum(values)
            shares = [apply(self._run.functions[name].partial(p), m, total, *values) for p in range(len(values))]
            if place != other:
                return -shares[place] * shares[other]
            return shares[place] * m.fsum(share for p, share in enumerate(shares) if p != place)  # one less it, exactly
        if name == "Pow" and place == other == 0:
            base, exponent = values
            return exponent * (exponent - 1) * power(m, base, exponent - 2) if exponent != 1 else m.zero
        if m.mag(values[other]) > BEYOND:
            return m.zero  # far past a double's range, which is counted elsewhere
        return difference(m, lambda *xs: self._slope_at(name, place, xs), values, other)

    def _log_sum(self, values: Sequence[Real]) -> Real:
        return apply(self._run.functions["logsumexp"].value, self.m, *values)

    def _slope_at(self, name: str, place: int, values: Sequence[Real]) -> Real:
        rule = self._run.functions[name]
        value = apply(rule.value, self.m, *values)
        return apply(rule.partial(place), self.m, value, *values) if value == value else value

    def _slope_remainder(self, operation: Operation, place: int, factor: Real) -> Real:
        reach = [self._trail.reach_of(self._nodes[a]) for a in operation.arguments]
        if not any(reach) or self.m.inf in reach:
            return self.m.zero
        values = [self._run.values[a] for a in operation.arguments]
        return self._curved(lambda *xs: self._slope_at(operation.payload, place, xs), factor, values, reach)

    def _is_leaf(self, node: int) -> bool:
        slot, role = self._trail.origins[node]
        return role == "value" and self._run.operations[slot].kind == "leaf"


def difference(m: Any, function: Callable[..., Real], values: Sequence[Real], place: int) -> Real:
    """Return the derivative of a smooth function by one argument, by a central difference (or one side's)."""
    x, precision = values[place], m.prec
    size = m.mag(x) if x and m.isfinite(x) else 0
    with m.extraprec(
        max(size, min(-2 * size, 2 * BEYOND))
    ):  # near zero an even slope moves by the square of a small step
        step = m.ldexp(min(abs(x), m.one) or m.one, -precision // 2)
        low, middle, high = (function(*values[:place], x + shift, *values[place + 1 :]) for shift in (-step, 0, step))
        if m.isfinite(low) and m.isfinite(high):
            return (high - low) / (2 * step)
        return (high - middle) / step if m.isfinite(high) else (middle - low) / step


def _size(x: Real) -> Any:
    return abs(wide(x)) or np.longdouble(2) ** -1074


def _comparable(x: Any) -> float:
    return float(-1.0 if x != x else min(x, np.longdouble(1e300)))


def _number(x: Any) -> float:
    return float("inf") if x != x else float(x)
