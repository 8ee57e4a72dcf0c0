"""What the oracle knows of a function: its value and its partial derivatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Real = Any  # an mpf of the context at hand: mpmath ships no types
Value = Callable[..., Real]  # (context, *arguments)
Partial = Callable[..., Real]  # (context, value, *arguments)
MAX_MAGNITUDE = 20_000  # bits before the point beyond which exp or sin of an argument would cost megabytes


class OutOfReach(ArithmeticError):
    """An argument so large that the function's value cannot be computed: there is no ground truth, which is not NaN."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The value of one function and its partial derivatives, one for each argument.

    ``each`` stands in for ``partials`` where the number of arguments is free: it gives the partial for an index.
    """

    value: Value
    partials: tuple[Partial, ...] = ()
    each: Callable[[int], Partial] | None = None

    def partial(self, index: int) -> Partial:
        return self.each(index) if self.each is not None else self.partials[index]


def unary(value: Value, slope: Partial) -> Rule:
    return Rule(value, (slope,))


def nowhere(m: Any, v: Real, *xs: Real) -> Real:
    return m.nan
