"""Sums and products, roundings, choices and conditions."""

from __future__ import annotations

import sympy as sp
from sympy.codegen import cfunctions

from symgrad.program import STEP, Form, Value, over

from .operation import Operation, Tail, X, Y, function, lowered, operator, vector_function


def _split(c: Value, wins: Value, loses: Value, ties: Value) -> Value:
    """The cotangent of one side of a Max or Min: a tie is halved, and a NaN stays one."""
    return wins.choose(c, loses.choose(0.0, ties.choose(c * 0.5, float("nan"))))


def _max_pullback(c: Value, r: Value, x: Value, y: Value) -> tuple[Value, Value]:
    return _split(c, x > y, x < y, x.equals(y)), _split(c, x < y, x > y, x.equals(y))


def _min_pullback(c: Value, r: Value, x: Value, y: Value) -> tuple[Value, Value]:
    return _split(c, x < y, x > y, x.equals(y)), _split(c, x > y, x < y, x.equals(y))


def _not_beaten(x: Value, y: Value) -> tuple[Value, Value]:
    """Where each side of a Max can matter; a NaN on either side lets both through."""
    return (x < y).call("not"), (y < x).call("not")


def _max(x: Value, y: Value) -> Value:
    return (x > y).choose(x, (y >= x).choose(y, x + y))


def _min(x: Value, y: Value) -> Value:
    return (x < y).choose(x, (y <= x).choose(y, x + y))


def _sign(x: Value) -> Value:
    return (x > 0).choose(1.0, (x < 0).choose(-1.0, x))


def _mod(x: Value, y: Value) -> Value:
    """SymPy's ``Mod`` has the sign of the divisor, C's ``fmod`` that of the dividend."""
    rest = x.call("fmod", y)
    opposed = (rest < 0).call("ne", y < 0).call("and", rest.call("ne", 0.0))
    return opposed.choose(rest + y, rest)


def _mod_pullback(c: Value, r: Value, x: Value, y: Value) -> tuple[Value, Value]:
    # floor(x/y), from the rest: the quotient itself may underflow, or round up to the next integer
    return c, -(c * ((x - r) / y + 0.5).call("floor"))


def _hypot_pullback(c: Value, r: Value, x: Value, y: Value) -> tuple[Value, Value]:
    """The slope is a direction; at (0, 0), where there is none, 0. A leg that is a number other than 0 is not there."""
    slopes = x.call("direction", y), y.call("direction", x)
    if x.constant or y.constant:
        return c * slopes[0], c * slopes[1]
    at_zero = r.equals(0)
    return c * at_zero.choose(0.0, slopes[0]), c * at_zero.choose(0.0, slopes[1])


def _flat(c: Value, r: Value, *xs: Value) -> tuple[float, ...]:
    return (0.0,) * len(xs)


ROWS: tuple[Operation, ...] = (
    operator("add", X + Y, lambda c, r, x, y: (c, c), Tail.PASSING, Form.SUM, "+", "sum"),
    operator("sub", X - Y, lambda c, r, x, y: (c, -c), Tail.PASSING, Form.SUM, "-", "difference"),
    operator("mul", X * Y, lambda c, r, x, y: (c * y, c * x), Tail.PLAIN, Form.PRODUCT, "*", "product"),
    operator(
        "div",
        X / Y,
        lambda c, r, x, y: (over(c, y), -(over(c, y) * r)),
        Tail.BELOW_A_BAR,
        Form.PRODUCT,
        "/",
        "quotient",
    ),
    operator("neg", -X, lambda c, r, x: (-c,), Tail.PASSING, Form.NEGATION, "-", "negative"),
    function("sqrt", sp.sqrt(X), lambda c, r, x: (c / (2 * r),), Tail.CUSPED, Form.C_FUNCTION, "sqrt", "root", STEP),
    vector_function("hypot", cfunctions.hypot(X, Y), _hypot_pullback, Tail.PLAIN),
    function(
        "fmod", None, lambda c, r, x, y: (c, -(c * ((x - r) / y))), Tail.PLAIN, Form.C_FUNCTION, "fmod", "fmod", STEP
    ),
    lowered("mod", sp.Mod(X, Y), _mod_pullback, _mod, Tail.PLAIN),
    function("floor", sp.floor(X), _flat, Tail.PLAIN, Form.C_FUNCTION, "floor", "floor", STEP),
    function("ceil", sp.ceiling(X), _flat, Tail.PLAIN, Form.C_FUNCTION, "ceil", "ceil", STEP),
    operator(
        "select",
        None,
        lambda c, r, condition, x, y: (0.0, condition.choose(c, 0.0), condition.choose(0.0, c)),
        Tail.PASSING,
        Form.CHOICE,
        "",
        "choice",
        guards=lambda condition, x, y: (condition, condition, condition.call("not")),
    ),
    function(
        "abs", sp.Abs(X), lambda c, r, x: (c * x.call("sign"),), Tail.PLAIN, Form.C_FUNCTION, "fabs", "size", STEP
    ),
    lowered("sign", sp.sign(X), _flat, _sign, Tail.PLAIN),
    lowered("max", sp.Max(X, Y), _max_pullback, _max, Tail.PLAIN, guards=_not_beaten),
    lowered("min", sp.Min(X, Y), _min_pullback, _min, Tail.PLAIN, guards=lambda x, y: _not_beaten(x, y)[::-1]),
    *(
        operator(name, None, _flat, Tail.PLAIN, Form.COMPARISON, sign, "condition", is_condition=True)
        for name, sign in (("lt", "<"), ("le", "<="), ("eq", "=="), ("ne", "!="), ("and", "&"), ("or", "|"))
    ),
    operator("not", None, _flat, Tail.PLAIN, Form.NOT, "not", "condition", is_condition=True),
)
