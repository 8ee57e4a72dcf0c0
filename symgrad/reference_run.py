"""One forward sweep over a tape: dual numbers in mpmath, exactly or with the rounding errors of double precision."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import mpmath
from mpmath.libmp import mpf_pos, mpf_shift

from .reference_functions import FUNCTIONS, Real, apply, check_reach
from .reference_tape import Operation

Dual = tuple[Any, dict[int, Any]]  # a value (mpf, or bool or None for a condition), and its partial derivatives

TAINT = -1  # the "parameter" in which a result that came through an infinity has a derivative (NaN)
_NOTHING: dict[int, Any] = {}


class RandomRounding:
    """Rounds to a double, up or down at random; what is a double already stays.

    Subnormal numbers are rounded 5 bits coarser than they are: how far below the range a product dips, and so how many
    digits it loses, depends on the order of its factors, and each order is a fair implementation.
    """

    def __init__(self, seed: int) -> None:
        self._bits = random.Random(seed).getrandbits

    def sign(self) -> int:
        return 2 * self._bits(1) - 1

    def __call__(self, m: Any, x: Any) -> Any:
        sign, mantissa, exponent, bits = x._mpf_
        if not mantissa:
            return x  # zero, an infinity, NaN
        if exponent + bits > 1024:
            return -m.inf if sign else m.inf
        keep = min(53, exponent + bits + 1069)  # fewer near the smallest numbers: see the class
        if bits <= keep:
            return x
        up = self._bits(1)
        if keep <= 0:
            smallest = mpf_shift((sign, 1, 0, 1), -1069)
            return m.make_mpf(smallest) if up else m.zero
        rounded = m.make_mpf(mpf_pos(x._mpf_, keep, "u" if up else "d"))
        return rounded if rounded._mpf_[2] + rounded._mpf_[3] <= 1024 else m.inf * m.sign(rounded)


class Run:
    """One forward sweep over a tape at one precision."""

    def __init__(self, context: Any, values: Sequence[float], count: int, noise: RandomRounding | None) -> None:
        self.m = context
        self._values, self._count, self._noise = values, count, noise
        self._slot = 0
        self._spans: dict[int, tuple[int, int]] = {}  # of the sums' terms, in a run with noise
        self._steps: dict[str, Callable[[Operation, list[Dual]], Dual]] = {
            name.removeprefix("_do_"): getattr(self, name) for name in dir(self) if name.startswith("_do_")
        }

    def of(self, operations: Sequence[Operation], plan: Sequence[int]) -> Dual:
        """The value and partial derivatives of the last slot of a plan, from those before it."""
        duals: dict[int, Dual] = {}
        steps = self._steps
        for slot in plan:
            operation, self._slot = operations[slot], slot
            dual = steps[operation.kind](operation, [duals[a] for a in operation.arguments])
            duals[slot] = dual if self._noise is None else self._tainted(dual)
        return duals[plan[-1]]

    def _tainted(self, dual: Dual) -> Dual:
        """Marks an infinite value, and through the partial derivatives all that is computed from it."""
        value, partials = dual
        if value is None or isinstance(value, bool) or not self.m.isinf(value):
            return dual
        return value, {**partials, TAINT: self.m.nan}

    def _rounded(self, x: Real) -> Real:
        return x if self._noise is None else self._noise(self.m, x)

    def _do_leaf(self, operation: Operation, _: list[Dual]) -> Dual:
        number = operation.payload
        partials = {number: self.m.one} if number < self._count else _NOTHING
        return self.m.mpf(self._values[number]), partials

    def _do_rational(self, operation: Operation, _: list[Dual]) -> Dual:
        numerator, denominator = operation.payload
        return self._rounded(self.m.mpf(numerator) / denominator), _NOTHING

    def _do_float(self, operation: Operation, _: list[Dual]) -> Dual:
        return self._rounded(self.m.make_mpf(operation.payload)), _NOTHING

    def _do_constant(self, operation: Operation, _: list[Dual]) -> Dual:
        raw = operation.payload._as_mpf_val(self.m.prec + 10)
        return self._rounded(+self.m.make_mpf(raw)), _NOTHING

    def _do_special(self, operation: Operation, _: list[Dual]) -> Dual:
        return self.m.mpf(operation.payload), _NOTHING

    def _do_truth(self, operation: Operation, _: list[Dual]) -> Dual:
        return operation.payload, _NOTHING

    def _do_pair(self, operation: Operation, arguments: list[Dual]) -> Dual:
        return None, _NOTHING  # the Piecewise around it reads the pair's own arguments

    def _do_add(self, operation: Operation, arguments: list[Dual]) -> Dual:
        total: Real = self.m.zero
        sums: dict[int, Any] = {}
        for value, partials in arguments:
            total = self._rounded(total + value)
            for i, p in partials.items():
                sums[i] = self._rounded(sums[i] + p) if i in sums else p
        if self._noise is not None:
            total = self._in_any_order(operation, total, [value for value, _ in arguments], self._noise)
        return total, sums

    def _in_any_order(self, operation: Operation, total: Real, terms: list[Real], noise: RandomRounding) -> Real:
        """The sum with the error that some order of its terms (and of those of sums within it) would have made.

        Sums within sums may be taken apart by any fair implementation. Where all the terms' bits lie within 53, every
        order is exact, and so is the sum.
        """
        spans = [self._spans.get(slot) or _span(x) for slot, x in zip(operation.arguments, terms, strict=True)]
        high, low = max(h for h, _ in spans), min(w for _, w in spans)
        self._spans[self._slot] = (high, low)
        return total if high - low <= 53 else noise(self.m, total + noise.sign() * self.m.ldexp(1, high - 53))

    def _do_mul(self, operation: Operation, arguments: list[Dual]) -> Dual:
        product, partials = arguments[0]
        for value, others in arguments[1:]:
            merged = {i: self._rounded(p * value) for i, p in partials.items()}
            self._accumulate(merged, product, others)
            product, partials = self._rounded(product * value), merged
        return product, partials

    def _accumulate(self, sums: dict[int, Any], factor: Real, partials: dict[int, Any]) -> None:
        for i, p in partials.items():
            term = self._rounded(factor * p)
            sums[i] = self._rounded(sums[i] + term) if i in sums else term

    def _do_call(self, operation: Operation, arguments: list[Dual]) -> Dual:
        rule, numbers = FUNCTIONS[operation.payload], tuple(value for value, _ in arguments)
        check_reach(operation.payload, numbers)
        value = apply(rule.value, self.m, *numbers)
        sums: dict[int, Any] = {}
        for index, (_, partials) in enumerate(arguments):
            if partials:
                factor = apply(rule.partial(index), self.m, value, *numbers) if value == value else self.m.nan
                if factor == 0 and operation.payload in ("Max", "Min"):
                    continue  # the side that loses is no part of the value: even an infinite slope outside is not its
                self._accumulate(sums, self._rounded(factor), partials)
        return self._rounded(value), sums

    def _do_piecewise(self, operation: Operation, arguments: list[Dual]) -> Dual:
        for branch, (condition, _) in zip(arguments[::2], arguments[1::2], strict=True):
            if condition is None:
                return self._undefined(arguments)
            if condition:
                return branch
        return self._undefined(arguments)

    def _undefined(self, arguments: list[Dual]) -> Dual:
        return self.m.nan, {i: self.m.nan for _, partials in arguments for i in partials}

    def _do_select(self, operation: Operation, arguments: list[Dual]) -> Dual:
        sizes = operation.payload
        place = 0
        for (index, _), size in zip(arguments, sizes, strict=False):
            if not self.m.isint(index) or not 0 <= index < size:
                return self._undefined(arguments)
            place = place * size + int(index)
        return arguments[len(sizes) + place]

    def _do_relation(self, operation: Operation, arguments: list[Dual]) -> Dual:
        (left, _), (right, _) = arguments
        if left is None or right is None:
            return None, _NOTHING
        # of a NaN all are false but "ne", as in IEEE arithmetic
        relations = {
            "eq": left == right, "ne": left != right, "lt": left < right,
            "le": left <= right, "gt": left > right, "ge": left >= right,
        }  # fmt: skip
        return relations[operation.payload], _NOTHING

    def _do_and(self, operation: Operation, arguments: list[Dual]) -> Dual:
        return _all([condition for condition, _ in arguments]), _NOTHING

    def _do_or(self, operation: Operation, arguments: list[Dual]) -> Dual:
        return _not(_all([_not(condition) for condition, _ in arguments])), _NOTHING

    def _do_not(self, operation: Operation, arguments: list[Dual]) -> Dual:
        return _not(arguments[0][0]), _NOTHING

    def _do_xor(self, operation: Operation, arguments: list[Dual]) -> Dual:
        conditions = [condition for condition, _ in arguments]
        return (None if None in conditions else sum(map(bool, conditions)) % 2 == 1), _NOTHING

    def _do_ite(self, operation: Operation, arguments: list[Dual]) -> Dual:
        (condition, _), yes, no = arguments
        return (None, _NOTHING) if condition is None else (yes if condition else no)


def _span(x: Any) -> tuple[int, int]:
    """The exponents of a number's first and last bit; of a zero, those that no other number has."""
    _, mantissa, exponent, bits = x._mpf_
    return (exponent + bits, exponent) if mantissa else (-(10**9), 10**9)


@lru_cache(maxsize=32)
def context_of(digits: int) -> Any:
    """An mpmath context of its own for each precision: the caller's is left alone."""
    context = mpmath.ctx_mp.MPContext()
    context.dps = digits
    return context


def _all(conditions: list[bool | None]) -> bool | None:
    """Kleene's "and": one that is false decides, whatever the undefined ones would have been."""
    if any(condition is False for condition in conditions):
        return False
    return None if None in conditions else True


def _not(condition: bool | None) -> bool | None:
    return None if condition is None else not condition
