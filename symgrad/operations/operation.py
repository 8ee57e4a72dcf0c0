"""What a row of the table of operations says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sympy as sp

from symgrad.program import Value

# The pullback of r = f(x, ...): (c, r, x, ...) -> one cotangent for each argument, c being r's.
Pullback = Callable[..., tuple[Value | float, ...]]
X, Y = sp.symbols("x y", real=True)


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the table.

    ``meaning`` in the placeholders `X` and `Y`; ``guards`` are the conditions under which each argument's cotangent
    can differ from zero; ``lower`` gives the same value by other operations.
    """

    name: str
    meaning: sp.Basic | None
    pullback: Pullback | None = None
    lower: Callable[..., Value] | None = None
    guards: Callable[..., tuple[Value, ...]] | None = None
