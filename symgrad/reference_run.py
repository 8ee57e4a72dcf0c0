"""One run of a tape at one precision: its values forwards, then the derivatives of the last one backwards.

Forwards every operation gets its value; backwards each gives its derivative on to those that its value came from
(Griewank and Walther, *Evaluating Derivatives*, section 3.2). What did not matter, as a branch that was not taken,
gets none. Values are mpmath's, exact or with the rounding errors of double precision.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache
from typing import Any

import mpmath
from mpmath.libmp import mpf_pos, mpf_shift

from .reference_functions import FUNCTIONS, Real, apply, check_reach
from .reference_tape import Operation

Edge = tuple[int, Real | None]  # an earlier slot, and the derivative by it; None stands for one

# Conditions, and what wraps them: nothing is differentiated by them.
_INERT = frozenset(["relation", "and", "or", "not", "xor", "ite", "truth", "pair"])


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
    """The values of a plan (slots in order, the last one is wanted); raises OutOfReach past what can be computed."""

    def __init__(
        self,
        context: Any,
        operations: Sequence[Operation],
        plan: Sequence[int],
        leaves: Sequence[float],
        noise: RandomRounding | None = None,
    ) -> None:
        self.m = context
        self._operations, self._plan, self._leaves, self._noise = operations, plan, leaves, noise
        self._slot = 0
        self._spans: dict[int, tuple[int, int]] = {}  # of the sums' terms, in a run with noise
        self._values: dict[int, Any] = {}  # mpf; bool or None (undefined) for a condition
        self._active: Collection[int] = ()
        steps = self._methods("_do_")
        for slot in plan:
            operation, self._slot = operations[slot], slot
            self._values[slot] = steps[operation.kind](operation, [self._values[a] for a in operation.arguments])

    @property
    def value(self) -> Real:
        return self._values[self._plan[-1]]

    def gradient(self, wanted: Collection[int]) -> dict[int, Real]:
        """The derivatives by some leaves; those that are missing are zero."""
        self._active = self._depending(wanted)
        edges = self._methods("_by_")
        adjoints = {self._plan[-1]: self.m.one}
        found: dict[int, Real] = {}
        for slot in reversed(self._plan):
            if slot not in adjoints or slot not in self._active:
                continue
            adjoint, operation = adjoints.pop(slot), self._operations[slot]
            if operation.kind == "leaf":
                found[operation.payload] = adjoint
                continue
            for argument, factor in edges[operation.kind](operation, slot):
                if argument in self._active:
                    term = adjoint if factor is None else self._rounded(factor * adjoint)
                    adjoints[argument] = self._rounded(adjoints[argument] + term) if argument in adjoints else term
        return found

    def tainted(self) -> bool:
        """Whether the value came through an infinity: past a double's range, or at a pole."""
        if not any(self._infinite(slot) for slot in self._plan):
            return False
        self._active = {slot for slot in self._plan if self._operations[slot].kind not in _INERT}
        edges, reached = self._methods("_by_"), {self._plan[-1]}
        for slot in reversed(self._plan):
            if slot in reached:
                if self._infinite(slot):
                    return True
                operation = self._operations[slot]
                if operation.arguments:
                    found = (argument for argument, _ in edges[operation.kind](operation, slot))
                    reached.update(argument for argument in found if argument in self._active)
        return False

    def _methods(self, prefix: str) -> dict[str, Callable[..., Any]]:
        return {name.removeprefix(prefix): getattr(self, name) for name in dir(self) if name.startswith(prefix)}

    def _depending(self, wanted: Collection[int]) -> set[int]:
        """The slots that depend on some leaves in a way that can be differentiated."""
        active: set[int] = set()
        for slot in self._plan:
            operation = self._operations[slot]
            if operation.kind == "leaf":
                if operation.payload in wanted:
                    active.add(slot)
            elif operation.kind not in _INERT and not active.isdisjoint(operation.arguments):
                active.add(slot)
        return active

    def _infinite(self, slot: int) -> bool:
        value = self._values[slot]
        return value is not None and not isinstance(value, bool) and bool(self.m.isinf(value))

    def _rounded(self, x: Real) -> Real:
        return x if self._noise is None else self._noise(self.m, x)

    # ------------------------------------------------------------------------------------------------ the values

    def _do_leaf(self, operation: Operation, _: list[Any]) -> Real:
        return self.m.mpf(self._leaves[operation.payload])

    def _do_rational(self, operation: Operation, _: list[Any]) -> Real:
        numerator, denominator = operation.payload
        return self._rounded(self.m.mpf(numerator) / denominator)

    def _do_float(self, operation: Operation, _: list[Any]) -> Real:
        return self._rounded(self.m.make_mpf(operation.payload))

    def _do_constant(self, operation: Operation, _: list[Any]) -> Real:
        raw = operation.payload._as_mpf_val(self.m.prec + 10)
        return self._rounded(+self.m.make_mpf(raw))

    def _do_special(self, operation: Operation, _: list[Any]) -> Real:
        return self.m.mpf(operation.payload)

    def _do_truth(self, operation: Operation, _: list[Any]) -> bool:
        return bool(operation.payload)

    def _do_pair(self, operation: Operation, values: list[Any]) -> None:
        return None  # the Piecewise around it reads the pair's own arguments

    def _do_add(self, operation: Operation, values: list[Any]) -> Real:
        if self._noise is None:
            return self.m.fsum(values)
        spans = [self._spans.get(slot) or _span(x) for slot, x in zip(operation.arguments, values, strict=True)]
        return self._in_any_order(values, spans, self._noise)

    def _do_dot(self, operation: Operation, values: list[Any]) -> Real:
        pairs = zip(values[::2], values[1::2], strict=True)
        if self._noise is None:
            return self.m.fdot(pairs)
        terms = [self._rounded(a * b) for a, b in pairs]
        return self._in_any_order(terms, [_span(x) for x in terms], self._noise)

    def _in_any_order(self, terms: list[Real], spans: list[tuple[int, int]], noise: RandomRounding) -> Real:
        """The sum with the error that some order of its terms (and of those of sums within it) would have made.

        Sums within sums may be taken apart by any fair implementation. Where all the terms' bits lie within 53, every
        order is exact, and so is the sum.
        """
        total: Real = self.m.zero
        for term in terms:
            total = noise(self.m, total + term)
        high, low = max(h for h, _ in spans), min(w for _, w in spans)
        self._spans[self._slot] = (high, low)
        return total if high - low <= 53 else noise(self.m, total + noise.sign() * self.m.ldexp(1, high - 53))

    def _do_mul(self, operation: Operation, values: list[Any]) -> Real:
        product = values[0]
        for value in values[1:]:
            product = self._rounded(product * value)
        return product

    def _do_call(self, operation: Operation, values: list[Any]) -> Real:
        numbers = tuple(values)
        check_reach(operation.payload, numbers)
        return self._rounded(apply(FUNCTIONS[operation.payload].value, self.m, *numbers))

    def _do_maximum(self, operation: Operation, values: list[Any]) -> Real:
        return apply(lambda m, *xs: max(xs), self.m, *values)

    def _do_piecewise(self, operation: Operation, values: list[Any]) -> Real:
        chosen = self._chosen(operation)
        return self.m.nan if chosen is None else self._values[chosen]

    _do_select = _do_piecewise

    def _chosen(self, operation: Operation) -> int | None:
        """The slot that a Piecewise or a class label picks; None where that is undefined."""
        if operation.kind == "select":
            return self._labelled(operation)
        for branch, condition in zip(operation.arguments[::2], operation.arguments[1::2], strict=True):
            if self._values[condition] is None:
                return None
            if self._values[condition]:
                return branch
        return None

    def _labelled(self, operation: Operation) -> int | None:
        sizes, place = operation.payload, 0
        for slot, size in zip(operation.arguments, sizes, strict=False):
            index = self._values[slot]
            if not self.m.isint(index) or not 0 <= index < size:
                return None
            place = place * size + int(index)
        return operation.arguments[len(sizes) + place]

    def _do_relation(self, operation: Operation, values: list[Any]) -> bool | None:
        left, right = values
        if left is None or right is None:
            return None
        # of a NaN all are false but "ne", as in IEEE arithmetic
        relations = {
            "eq": left == right, "ne": left != right, "lt": left < right,
            "le": left <= right, "gt": left > right, "ge": left >= right,
        }  # fmt: skip
        return bool(relations[operation.payload])

    def _do_and(self, operation: Operation, values: list[Any]) -> bool | None:
        return _all(values)

    def _do_or(self, operation: Operation, values: list[Any]) -> bool | None:
        return _not(_all([_not(condition) for condition in values]))

    def _do_not(self, operation: Operation, values: list[Any]) -> bool | None:
        return _not(values[0])

    def _do_xor(self, operation: Operation, values: list[Any]) -> bool | None:
        return None if None in values else sum(map(bool, values)) % 2 == 1

    def _do_ite(self, operation: Operation, values: list[Any]) -> Any:
        condition, yes, no = values
        return None if condition is None else (yes if condition else no)

    # ------------------------------------- the derivatives of an operation, by those arguments that its value came from

    def _by_add(self, operation: Operation, slot: int) -> Iterator[Edge]:
        return ((argument, None) for argument in operation.arguments)

    def _by_dot(self, operation: Operation, slot: int) -> Iterator[Edge]:
        for a, b in zip(operation.arguments[::2], operation.arguments[1::2], strict=True):
            yield a, self._values[b]
            yield b, self._values[a]

    def _by_mul(self, operation: Operation, slot: int) -> Iterator[Edge]:
        values = [self._values[a] for a in operation.arguments]
        before = [self.m.one]  # the products of the factors on the left of each
        for value in values[:-1]:
            before.append(self._rounded(before[-1] * value))
        after = self.m.one
        for place in range(len(values) - 1, -1, -1):
            yield operation.arguments[place], self._rounded(before[place] * after)
            after = self._rounded(values[place] * after)

    def _by_call(self, operation: Operation, slot: int) -> Iterator[Edge]:
        name, value = operation.payload, self._values[slot]
        numbers = [self._values[a] for a in operation.arguments]
        for index, argument in enumerate(operation.arguments):
            if argument in self._active:
                partial = FUNCTIONS[name].partial(index)
                factor = apply(partial, self.m, value, *numbers) if value == value else self.m.nan
                if factor != 0 or name not in ("Max", "Min"):  # the side that loses is no part of the value
                    yield argument, self._rounded(factor)

    def _by_maximum(self, operation: Operation, slot: int) -> Iterator[Edge]:
        value = self._values[slot]
        if value != value:
            return self._undefined(operation)
        greatest = [argument for argument in operation.arguments if self._values[argument] == value]
        share = self._rounded(self.m.one / len(greatest))
        return ((argument, share) for argument in greatest)

    def _by_piecewise(self, operation: Operation, slot: int) -> Iterator[Edge]:
        chosen = self._chosen(operation)
        return self._undefined(operation) if chosen is None else iter([(chosen, None)])

    _by_select = _by_piecewise

    def _undefined(self, operation: Operation) -> Iterator[Edge]:
        return ((argument, self.m.nan) for argument in operation.arguments)


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
