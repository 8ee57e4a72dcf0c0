"""What a row of the table of operations says, and the families of rows that are alike.

`Operation` has no defaults: a row that leaves a field out is an error when it is imported. A family decides what its
rows have in common, and asks for the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Flag, auto
from typing import TypeAlias

import sympy as sp

from symgrad.program import CALL, SCALAR_CALL, STEP, Form, Place, Row, Value, flops_of_elements

# The pullback of r = f(x, ...): (c, r, x, ...) -> one cotangent for each argument, c being r's.
Pullback: TypeAlias = Callable[..., tuple[Value | float, ...]]
Lowering: TypeAlias = Callable[..., Value]
Guards: TypeAlias = Callable[..., tuple[Value, ...]]
X, Y = sp.symbols("x y", real=True)


class Tail(Flag):
    """What becomes of an operation's derivative far out, or at an end of the domain: what the backward sweep asks."""

    PLAIN = 0
    PASSING = auto()  # the pullback only passes the cotangent on: zero stays zero, whatever the arguments are
    FLAT = auto()  # the derivative vanishes somewhere far out, and so do cotangents
    BELOW_A_BAR = auto()  # the same, with respect to the second and later arguments: they are divided by
    STEEP = auto()  # the derivative can be infinite where the arguments are finite
    EXPONENTIAL = auto()  # so is the value: steep, and so are products with it
    CUSPED = (
        auto()
    )  # the derivative by the first argument can be infinite where the value is not: at an end of the domain


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Row):
    """One row of the table: all that is known of an operation.

    ``meaning`` in the placeholders `X` and `Y` (what is one function of them is what that function is traced to);
    ``pullback`` where SymPy's own derivative of the meaning does not do; ``lower`` gives the same value by other
    operations, if C lacks this one; ``guards`` are the conditions under which each argument's cotangent can differ
    from zero; ``tail`` is for the sweep.
    """

    meaning: sp.Basic | None
    pullback: Pullback | None
    lower: Lowering | None
    guards: Guards | None
    tail: Tail


def operator(
    name: str,
    meaning: sp.Basic | None,
    pullback: Pullback,
    tail: Tail,
    form: Form,
    sign: str,
    noun: str,
    guards: Guards | None = None,
    is_condition: bool = False,
) -> Operation:
    """Return the row of an operation that C writes with a sign, element by element."""
    return Operation(
        name=name,
        meaning=meaning,
        pullback=pullback,
        lower=None,
        guards=guards,
        tail=tail,
        shape=None,
        place=Place.LINE,
        flops=flops_of_elements,
        cost=STEP,
        noun=noun,
        form=form,
        text=sign,
        is_condition=is_condition,
    )


def function(
    name: str,
    meaning: sp.Basic | None,
    pullback: Pullback | None,
    tail: Tail,
    form: Form,
    text: str,
    noun: str,
    cost: float,
) -> Operation:
    """Return the row of a function that is called as ``text(x, ...)``, element by element."""
    return Operation(
        name=name,
        meaning=meaning,
        pullback=pullback,
        lower=None,
        guards=None,
        tail=tail,
        shape=None,
        place=Place.LINE,
        flops=flops_of_elements,
        cost=cost,
        noun=noun,
        form=form,
        text=text,
        is_condition=False,
    )


def vector_function(name: str, meaning: sp.Basic | None, pullback: Pullback | None, tail: Tail) -> Operation:
    """Return the row of a function of the C library that has a vector version, and whose name in C is its own."""
    return function(name, meaning, pullback, tail, Form.VECTOR_FUNCTION, name, name, CALL)


def own_function(name: str, meaning: sp.Basic | None, pullback: Pullback | None, tail: Tail) -> Operation:
    """Return the row of a function that symgrad has written itself, under its own name."""
    return function(name, meaning, pullback, tail, Form.OWN_FUNCTION, name, name, SCALAR_CALL)


def lowered(
    name: str,
    meaning: sp.Basic | None,
    pullback: Pullback | None,
    lower: Lowering,
    tail: Tail,
    guards: Guards | None = None,
) -> Operation:
    """Return the row of what C lacks and other operations give, element by element."""
    return Operation(
        name=name,
        meaning=meaning,
        pullback=pullback,
        lower=lower,
        guards=guards,
        tail=tail,
        shape=None,
        place=Place.LINE,
        flops=flops_of_elements,
        cost=STEP,
        noun=name,
        form=Form.UNWRITTEN,
        text="",
        is_condition=False,
    )
