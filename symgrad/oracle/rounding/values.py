"""The rounding errors of a formula's values: what every step errs by, and what is unsure because of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..functions import STEPS, apply
from ..rule import Real
from ..run import Run
from ..tape import Operation
from .trail import Number, Trail, half_ulp, is_double, keeps_digits, span

_UNSURE = 4  # comparisons are unsure within this many times the running error of their sides
_FEW_DIGITS = 2.0**-10  # a relative error from which on the second order counts
_BRANCHED = ("and", "or", "not", "xor", "ite", "pair")
CHAIN = 64  # whole powers below this are chains of products


class Values:
    """The trail of a run's values, forwards."""

    def __init__(self, run: Run) -> None:
        self.m, self._run = run.m, run
        self._trail = Trail(run.m)
        self._nodes: dict[int, Number] = {}
        self._sums: dict[int, tuple[int, Real, tuple[int, int]]] = {}  # terms, their sizes' sum, their first, last bit
        self._unsure: set[int] = set()
        self._noisy = self._noisy_slots()
        edges = {slot: list(found) for slot, found in run.backwards(self._noisy)}
        for slot in run.plan:
            self._forwards(slot, edges.get(slot, []))

    def _noisy_slots(self) -> set[int]:
        """The slots that depend on data or on a number that is no double."""
        run = self._run
        leaves = {run.operations[slot].payload for slot in run.plan if run.operations[slot].kind == "leaf"}
        noisy = run.depending(leaves)
        for slot in run.plan:
            operation = run.operations[slot]
            rounded = operation.kind in ("rational", "float", "constant") and not is_double(run.values[slot])
            if rounded or (
                operation.kind not in ("relation", *_BRANCHED) and not noisy.isdisjoint(operation.arguments)
            ):
                noisy.add(slot)
        return noisy

    def _forwards(self, slot: int, edges: Sequence[Any]) -> None:
        operation, value = self._run.operations[slot], self._run.values[slot]
        self._compare(slot, operation)
        if slot not in self._noisy:
            self._nodes[slot] = Number(value)
            return
        parents = [
            (number.node, self.m.one if partial is None else partial)
            for argument, partial, _ in edges
            if (number := self._nodes[argument]).node is not None
        ]
        charge = self._charge(slot, operation, value) + self._remainder(operation, value)
        self._nodes[slot] = Number(value, self._trail.add(value, parents, charge, (slot, "value")))

    def _charge(self, slot: int, operation: Operation, value: Real) -> Real:
        """What the one step errs by."""
        m, kind = self.m, operation.kind
        half = half_ulp(m, value)
        if kind == "add":
            return self._sum_charge(slot, [self._run.values[a] for a in operation.arguments], operation.arguments)
        if kind == "dot":
            values = [self._run.values[a] for a in operation.arguments]
            terms = [a * b for a, b in zip(values[::2], values[1::2], strict=True)]
            products = m.fsum(m.zero if is_double(t) else half_ulp(m, t) for t in terms)
            return products + self._sum_charge(slot, terms)
        if kind == "mul":
            trivial = [a for a in operation.arguments if keeps_digits(self._run.values[a], value)]
            count = len(operation.arguments) - 1 - len(trivial)
            return m.zero if is_double(value) and count == 1 else max(0, count) * half + self._dip(operation)
        if kind == "call":
            return m.zero if slot in self._run.exact and is_double(value) else self._call_charge(operation, half)
        if kind in ("piecewise", "select"):
            return m.inf if slot in self._unsure else m.zero
        return half if kind in ("rational", "float", "constant") and not is_double(value) else m.zero

    def _call_charge(self, operation: Operation, half: Real) -> Real:
        if operation.payload in STEPS:
            return self.m.one if self._jumps(operation) else self.m.zero
        if operation.payload == "Pow":
            base, exponent = (self._run.values[a] for a in operation.arguments)
            if self.m.isint(exponent) and abs(exponent) < CHAIN:  # a chain of products
                if exponent < 0 and base and (self.m.mag(base) - 1) * -exponent > 1023:
                    return self.m.inf  # of what is divided by
                return max(1, abs(int(exponent)) - 1) * half
        return 2 * half

    def _dip(self, operation: Operation) -> Real:
        """What several factors lose in their worst order: the small ones first, below the range, or the large ones."""
        sizes = [abs(self._run.values[a]) for a in operation.arguments]
        small = self.m.fprod(x for x in sizes if x < 1)
        large = self.m.fprod(x for x in sizes if x >= 1)
        if len(sizes) > 2 and self.m.mag(large) > 1024:
            return self.m.inf
        if len(sizes) < 3 or not small or self.m.mag(small) > -1021:
            return self.m.zero
        return large * self.m.ldexp(self.m.one, -1074)

    def _sum_charge(self, slot: int | None, terms: Sequence[Real], slots: Sequence[int] = ()) -> Real:
        """Of a sum in its worst order, sums within it taken apart; nothing where every order is exact."""
        m = self.m
        count, mass, high, low = 0, m.zero, -(10**9), 10**9
        for place, term in enumerate(terms):
            inner = self._sums.get(self._unsigned(slots[place]) if slots else -1, (1, abs(term), span(term)))
            count, mass = count + inner[0], mass + inner[1]
            high, low = max(high, inner[2][0]), min(low, inner[2][1])
        if slot is not None:
            self._sums[slot] = count, mass, (high, low)
        if high - low + count.bit_length() <= 53:
            return m.zero
        value = m.fsum(terms)
        if count <= 2:
            return m.zero if is_double(value) else half_ulp(m, value)
        return (count - 1) * half_ulp(m, mass)

    def _unsigned(self, slot: int) -> int:
        """A sum behind a minus sign."""
        operation = self._run.operations[slot]
        if operation.kind == "mul" and len(operation.arguments) == 2:
            for sign, other in (operation.arguments, operation.arguments[::-1]):
                if self._run.values[sign] == -1:
                    return other
        return slot

    # ----------------------------------------------------------------------------------------- beyond first order

    def _remainder(self, operation: Operation, value: Real) -> Real:
        """What an operation adds to its arguments' errors beyond the first order."""
        m, reach = self.m, [self._trail.reach_of(self._nodes[a]) for a in operation.arguments]
        values = [self._run.values[a] for a in operation.arguments]
        if not any(reach) or m.inf in reach or value != value:
            return m.zero
        if operation.kind == "dot":
            return m.fsum(a * b for a, b in zip(reach[::2], reach[1::2], strict=True))
        if operation.kind == "mul":
            return product_remainder(m, values, reach)
        if operation.kind == "call" and operation.payload not in STEPS:
            rule = self._run.functions[operation.payload]
            return self._curved(lambda *xs: apply(rule.value, m, *xs), value, values, reach)
        return m.zero

    def _curved(
        self, function: Callable[..., Real], value: Real, values: Sequence[Real], reach: Sequence[Real]
    ) -> Real:
        m = self.m
        worst = m.zero
        for place, (x, error) in enumerate(zip(values, reach, strict=True)):
            if error > min(abs(x), 1) * _FEW_DIGITS:
                for moved in (x - error, x + error):
                    change = abs(function(*values[:place], moved, *values[place + 1 :]) - value)
                    worst = max(worst, change if change < m.inf else m.ldexp(1, 2000))  # NaN too: no digit is left
        return worst

    def _compare(self, slot: int, operation: Operation) -> None:
        """Remember a comparison that rounding may decide either way, and the choices that hang on it."""
        unsure = not self._unsure.isdisjoint(operation.arguments)
        if operation.kind == "relation" and None not in [self._run.values[a] for a in operation.arguments]:
            left, right = (self._nodes[a] for a in operation.arguments)
            unsure = self._near(left.value - right.value, left, right)
        if unsure and operation.kind in ("relation", *_BRANCHED, "piecewise"):
            self._unsure.add(slot)

    def _near(self, difference: Real, *numbers: Number) -> bool:
        error = self.m.fsum(self._trail.reach_of(number) for number in numbers)
        return bool(error and not abs(difference) > _UNSURE * error)

    def _jumps(self, operation: Operation) -> bool:
        """Whether rounding may put a step on its other side."""
        numbers = [self._nodes[a] for a in operation.arguments]
        x = numbers[0].value
        if operation.payload in ("sign", "Heaviside"):
            return self._near(x, numbers[0])
        return operation.payload in ("floor", "ceiling") and self._near(x - self.m.nint(x), numbers[0])


def product_remainder(m: Any, values: Sequence[Real], reach: Sequence[Real]) -> Real:
    """Return the most that a product moves when every factor moves, less what it moves for one at a time."""
    if sum(1 for r in reach if r) < 2:
        return m.zero
    if m.inf in reach:
        return m.zero
    plain = m.fprod(abs(x) for x in values)
    moved = m.fprod(abs(x) + r for x, r in zip(values, reach, strict=True))
    single = m.fsum(r * m.fprod(abs(v) for j, v in enumerate(values) if j != i) for i, r in enumerate(reach) if r)
    return max(m.zero, moved - plain - single)
