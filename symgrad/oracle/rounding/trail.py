"""The trail of a gradient's computation: every number on the way with its rounding error, and what hangs on it.

A node is one rounded number, forwards or backwards. Its *charge* is the error that a careful implementation makes in
that one step: half a unit in the last place for arithmetic, a unit for a function or its derivative, of sums what their
worst order makes. ``reach`` is the running error bound (Higham, *Accuracy and Stability*, section 3.3) of all steps so
far, with every error at its worst.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..rule import Real

Wide = Any  # numpy.longdouble: the adjoints of numbers near a double's range are past it
Parent = tuple[int, Real]  # a node, and the derivative by it

LEAST = -1074  # the exponent of the smallest double
_LARGEST = 1024


@dataclass(frozen=True, slots=True)
class Number:
    """A value on the trail; ``node`` is None for an exact constant."""

    value: Real
    node: int | None = None


@dataclass(frozen=True, slots=True)
class Adjoint:
    """The derivatives of the outputs by a node, and which of them hang on it at all, if only by a factor of zero."""

    rows: NDArray[Any]
    reaches: NDArray[np.bool_]


@dataclass(slots=True)
class Trail:
    """Nodes in the order in which they were computed.

    ``origins`` tells of each node the slot that it belongs to, and in which role: "value", "slope" (the derivative of
    its operation) or "adjoint" (the derivative of the result by it).
    """

    m: Any
    values: list[Real] = field(default_factory=list)
    parents: list[Sequence[Parent]] = field(default_factory=list)
    charges: list[Real] = field(default_factory=list)
    reach: list[Real] = field(default_factory=list)
    origins: list[tuple[int, str]] = field(default_factory=list)

    def add(self, value: Real, parents: Sequence[Parent], charge: Real, origin: tuple[int, str]) -> int:
        """Append a number that rounds by ``charge``, with its derivatives by its parents; return its node."""
        m = self.m
        spread = m.fsum(abs(partial) * self.reach[node] for node, partial in parents if self.reach[node])
        if not m.isnan(value) and m.mag(value) > _LARGEST:
            charge = m.inf  # an overflow: nothing is left
        self.values.append(value)
        self.parents.append(parents)
        self.charges.append(charge)
        self.reach.append(charge + spread)
        self.origins.append(origin)
        return len(self.values) - 1

    def reach_of(self, number: Number) -> Real:
        """Return the most that a number may be off so far; nothing for one that is exact."""
        return self.m.zero if number.node is None else self.reach[number.node]

    def adjoints(self, outputs: Sequence[int]) -> list[Adjoint | None]:
        """Return how each node's error enters the outputs; None where it does not."""
        count = len(outputs)
        found: list[Adjoint | None] = [None] * len(self.values)
        for place, output in enumerate(outputs):
            start = found[output] or Adjoint(np.zeros(count, dtype=np.longdouble), np.zeros(count, dtype=bool))
            start.rows[place] += 1
            start.reaches[place] = True
            found[output] = start
        for node in range(max(outputs, default=-1), -1, -1):
            adjoint = found[node]
            if adjoint is None:
                continue
            for parent, partial in self.parents[node]:
                rows, before = adjoint.rows * wide(partial), found[parent]
                if before is None:
                    found[parent] = Adjoint(rows, adjoint.reaches)
                else:
                    found[parent] = Adjoint(before.rows + rows, before.reaches | adjoint.reaches)
        return found

    def share(self, node: int, adjoint: Adjoint) -> NDArray[Any]:
        """Return what a node's own error does to the outputs; of an overflow NaN, as it is fatal even times zero."""
        charge = self.charges[node]
        if charge == self.m.inf:
            return np.where(adjoint.reaches, np.longdouble(np.inf), np.longdouble(0))
        return abs(adjoint.rows) * wide(charge) if charge else np.zeros_like(adjoint.rows)


def half_ulp(m: Any, x: Real) -> Real:
    """Return half a unit in the last place of a number's double; of zero nothing."""
    _, mantissa, exponent, bits = x._mpf_
    return m.ldexp(m.one, max(exponent + bits - 53, LEAST) - 1) if mantissa else m.zero


def keeps_digits(factor: Real, product: Real) -> bool:
    """Return whether a product with this factor is exact, whatever the other: a power of two, no subnormal result."""
    _, mantissa, _, _ = factor._mpf_
    _, _, exponent, bits = product._mpf_
    return bool(mantissa == 1 and exponent + bits > -1021)


def is_double(x: Real) -> bool:
    """Return whether a number is a double (or no number)."""
    _, mantissa, exponent, bits = x._mpf_
    return not mantissa or (bits <= 53 and exponent >= LEAST and exponent + bits <= _LARGEST)


def span(x: Real) -> tuple[int, int]:
    """Return the exponents of a number's first and last bit; of a zero, those that no other number has."""
    _, mantissa, exponent, bits = x._mpf_
    return (exponent + bits, exponent) if mantissa else (-(10**9), 10**9)


def wide(x: Real) -> Wide:
    """Return a number as numpy.longdouble: infinite or zero past its range."""
    sign, mantissa, exponent, bits = x._mpf_
    if not mantissa:
        return np.longdouble(float(x))
    cut = max(0, bits - 53)
    scale = max(-40_000, min(40_000, exponent + cut))
    with np.errstate(over="ignore", under="ignore"):
        size = np.ldexp(np.longdouble(int(mantissa) >> cut), int(scale))
    return -size if sign else size
