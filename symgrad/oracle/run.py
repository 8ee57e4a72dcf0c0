"""One run of a tape at one precision: its values forwards, then the derivatives of the last one backwards.

Forwards every operation gets its value; backwards each gives its derivative on to those that its value came from
(Griewank and Walther, *Evaluating Derivatives*, section 3.2). What did not matter, as a branch that was not taken,
gets none. A run also tells whether its precision may have been too low to be believed (``exactness``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import mpmath

from .exactness import exact, swallowed, tied
from .functions import FUNCTIONS, apply, check_reach
from .rule import Real, Rule
from .tape import Operation

# An earlier slot, the derivative by it (None stands for one), and its place among the operation's arguments.
Edge = tuple[int, Real | None, int]

# Conditions, and what wraps them: nothing is differentiated by them.
_INERT = frozenset(["relation", "and", "or", "not", "xor", "ite", "truth", "pair"])


class Run:
    """The values of a plan (slots in order, the last one is wanted); raises OutOfReach past what can be computed.

    ``doubtful`` where rounded numbers cancelled to exactly zero, or came to lie exactly on a pole or a tie: with more
    digits they may not.
    """

    def __init__(
        self,
        context: Any,
        operations: Sequence[Operation],
        plan: Sequence[int],
        leaves: Sequence[float],
        functions: Mapping[str, Rule] = FUNCTIONS,
    ) -> None:
        self.m = context
        self.operations, self.plan, self.values = operations, plan, dict[int, Any]()  # mpf; of conditions bool or None
        self.exact: set[int] = set()
        self.doubtful = False
        self.functions, self._leaves = functions, leaves
        self._active: Collection[int] = ()
        steps = self._methods("_do_")
        for slot in plan:
            operation = operations[slot]
            values = [self.values[a] for a in operation.arguments]
            self.values[slot] = value = steps[operation.kind](operation, values)
            known = [a in self.exact for a in operation.arguments]
            if exact(context, operation, values, known, value):
                self.exact.add(slot)
                self.doubtful |= operation.kind == "relation" and tied(values, known)
            elif not self.doubtful:
                self.doubtful = swallowed(context, operation, values, known, value)

    @property
    def value(self) -> Real:
        """The value of the tape's last slot that was asked for."""
        return self.values[self.plan[-1]]

    def gradient(self, wanted: Collection[int]) -> dict[int, Real]:
        """Return the derivatives by some leaves; those that are missing are zero."""
        adjoints = {self.plan[-1]: self.m.one}
        found: dict[int, Real] = {}
        for slot, edges in self.backwards(self.depending(wanted)):
            if slot not in adjoints:
                continue
            adjoint = adjoints.pop(slot)
            if self.operations[slot].kind == "leaf":
                found[self.operations[slot].payload] = adjoint
            for argument, factor, _ in edges:
                term = adjoint if factor is None else factor * adjoint
                before = adjoints.get(argument)
                adjoints[argument] = term if before is None else before + term
                if before and not adjoints[argument]:
                    self.doubtful = True  # cancelled to nothing
        return found

    def backwards(self, active: Collection[int]) -> Iterator[tuple[int, Iterator[Edge]]]:
        """Yield the ``active`` slots, the last one first, each with its edges to other active ones."""
        self._active = active
        rules = self._methods("_by_")
        for slot in reversed(self.plan):
            if slot in active:
                operation = self.operations[slot]
                found = rules[operation.kind](operation, slot) if operation.arguments else iter(())
                yield slot, (edge for edge in found if edge[0] in active)

    def _methods(self, prefix: str) -> dict[str, Callable[..., Any]]:
        return {name.removeprefix(prefix): getattr(self, name) for name in dir(self) if name.startswith(prefix)}

    def depending(self, wanted: Collection[int]) -> set[int]:
        """Return the slots that depend on some leaves in a way that can be differentiated."""
        active: set[int] = set()
        for slot in self.plan:
            operation = self.operations[slot]
            if operation.kind == "leaf":
                if operation.payload in wanted:
                    active.add(slot)
            elif operation.kind not in _INERT and not active.isdisjoint(operation.arguments):
                active.add(slot)
        return active

    # ------------------------------------------------------------------------------------------------ the values

    def _do_leaf(self, operation: Operation, _: list[Any]) -> Real:
        return self.m.mpf(self._leaves[operation.payload])

    def _do_rational(self, operation: Operation, _: list[Any]) -> Real:
        numerator, denominator = operation.payload
        return self.m.mpf(numerator) / denominator

    def _do_float(self, operation: Operation, _: list[Any]) -> Real:
        return self.m.make_mpf(operation.payload)

    def _do_constant(self, operation: Operation, _: list[Any]) -> Real:
        raw = operation.payload._as_mpf_val(self.m.prec + 10)
        return +self.m.make_mpf(raw)

    def _do_special(self, operation: Operation, _: list[Any]) -> Real:
        return self.m.mpf(operation.payload)

    def _do_truth(self, operation: Operation, _: list[Any]) -> bool:
        return bool(operation.payload)

    def _do_pair(self, operation: Operation, values: list[Any]) -> None:
        return None  # the Piecewise around it reads the pair's own arguments

    def _do_add(self, operation: Operation, values: list[Any]) -> Real:
        return self.m.fsum(values)

    def _do_dot(self, operation: Operation, values: list[Any]) -> Real:
        return self.m.fdot(zip(values[::2], values[1::2], strict=True))

    def _do_mul(self, operation: Operation, values: list[Any]) -> Real:
        product = values[0]
        for value in values[1:]:
            product = product * value
        return product

    def _do_call(self, operation: Operation, values: list[Any]) -> Real:
        numbers = tuple(values)
        check_reach(operation.payload, numbers)
        return apply(self.functions[operation.payload].value, self.m, *numbers)

    def _do_maximum(self, operation: Operation, values: list[Any]) -> Real:
        return apply(lambda m, *xs: max(xs), self.m, *values)

    def _do_piecewise(self, operation: Operation, values: list[Any]) -> Real:
        chosen = self._chosen(operation)
        return self.m.nan if chosen is None else self.values[chosen]

    _do_select = _do_piecewise

    def _chosen(self, operation: Operation) -> int | None:
        """The slot that a Piecewise or a class label picks; None where that is undefined."""
        if operation.kind == "select":
            return self._labelled(operation)
        for branch, condition in zip(operation.arguments[::2], operation.arguments[1::2], strict=True):
            if self.values[condition] is None:
                return None
            if self.values[condition]:
                return branch
        return None

    def _labelled(self, operation: Operation) -> int | None:
        sizes, place = operation.payload, 0
        for slot, size in zip(operation.arguments, sizes, strict=False):
            index = self.values[slot]
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
        return ((argument, None, place) for place, argument in enumerate(operation.arguments))

    def _by_dot(self, operation: Operation, slot: int) -> Iterator[Edge]:
        arguments = operation.arguments
        return ((argument, self.values[arguments[place ^ 1]], place) for place, argument in enumerate(arguments))

    def _by_mul(self, operation: Operation, slot: int) -> Iterator[Edge]:
        values = [self.values[a] for a in operation.arguments]
        before = [self.m.one]  # the products of the factors on the left of each
        for value in values[:-1]:
            before.append(before[-1] * value)
        after = self.m.one
        for place in range(len(values) - 1, -1, -1):
            yield operation.arguments[place], before[place] * after, place
            after = values[place] * after

    def _by_call(self, operation: Operation, slot: int) -> Iterator[Edge]:
        name, value = operation.payload, self.values[slot]
        numbers = [self.values[a] for a in operation.arguments]
        for place, argument in enumerate(operation.arguments):
            if argument in self._active:
                partial = self.functions[name].partial(place)
                factor = apply(partial, self.m, value, *numbers) if value == value else self.m.nan
                if factor != 0 or name not in ("Max", "Min"):  # the side that loses is no part of the value
                    yield argument, factor, place

    def _by_maximum(self, operation: Operation, slot: int) -> Iterator[Edge]:
        value = self.values[slot]
        if value != value:
            return self._undefined(operation)
        greatest = [place for place, argument in enumerate(operation.arguments) if self.values[argument] == value]
        share = self.m.one / len(greatest)
        return ((operation.arguments[place], share, place) for place in greatest)

    def _by_piecewise(self, operation: Operation, slot: int) -> Iterator[Edge]:
        chosen = self._chosen(operation)
        return self._undefined(operation) if chosen is None else iter([(chosen, None, 0)])

    _by_select = _by_piecewise

    def _undefined(self, operation: Operation) -> Iterator[Edge]:
        return ((argument, self.m.nan, place) for place, argument in enumerate(operation.arguments))


@lru_cache(maxsize=32)
def context_of(digits: int) -> Any:
    """Return an mpmath context, one for each precision: the caller's is left alone."""
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
