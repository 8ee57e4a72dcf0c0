"""The table of operations: meanings, pullbacks and lowerings against SymPy, at 50 digits and in doubles."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp
from sympy.logic.boolalg import ITE, And, BooleanFalse, BooleanTrue, Not, Or, Xor

from symgrad import functions
from symgrad.differentiate import differentiate
from symgrad.expressions import SUPPORTED_FUNCTIONS
from symgrad.fold import fold
from symgrad.operations import TABLE, X, Y
from symgrad.optimise import lower
from symgrad.printer import OWN_FUNCTIONS, VECTOR_FUNCTIONS
from symgrad.program import LEAVES, Builder, Program
from symgrad.trace import TRACED

from .evaluate import DIGITS, DOUBLES, output, ulps

Z = sp.Symbol("z", real=True)
CONDITIONS = ("lt", "le", "eq", "ne", "and", "or", "not")
_EVERYWHERE = (-37.5, -8.25, -2.75, -1.0, -0.375, -1e-3, -1e-9, 1e-12, 1e-5, 0.125, 0.75, 1.5, 3.25, 11.0, 29.5)
_POSITIVE = tuple(x for x in (*_EVERYWHERE, 1e-200, 1e200) if x > 0)
_INSIDE = (-0.9999999, -0.75, -0.25, -1e-7, 1e-9, 1e-3, 0.5, 0.875, 0.99999)
_OUTSIDE = (-1e8, -12.5, -2.0, -1.0009765625, 1.0000152587890625, 1.25, 3.5, 40.0, 1e9)
_MILD = tuple(x for x in _EVERYWHERE if abs(x) < 9)
# Where an operation of one argument is tried; everywhere, if it is not here.
DOMAINS: dict[str, Sequence[float]] = {
    **dict.fromkeys(("log", "log2", "log10", "sqrt"), _POSITIVE),
    **dict.fromkeys(("lgamma", "loggamma", "digamma", "polygamma"), tuple(x for x in _MILD if x > 0)),
    **dict.fromkeys(("asin", "acos", "atanh"), _INSIDE),
    **dict.fromkeys(("asec", "acsc", "acoth"), _OUTSIDE),
    "acosh": tuple(x for x in _OUTSIDE if x > 0),
    "asech": tuple(x for x in _INSIDE if x > 0),
    "log1p": (-0.9999999, -0.5, *_POSITIVE),
    **dict.fromkeys(("tan", "cot", "sec", "csc", "gamma"), tuple(x for x in _MILD if x != -1.0)),
    **dict.fromkeys(("erf", "erfc"), _MILD),
    "floor": tuple(x for x in _EVERYWHERE if x != round(x)),
    "ceil": tuple(x for x in _EVERYWHERE if x != round(x)),
}
# What a row means where the table cannot say it without the attribute, and derivatives that SymPy leaves undone.
MEANINGS: dict[str, Callable[..., sp.Expr]] = {
    "power": lambda n: X**n,
    "polygamma": lambda n: sp.polygamma(n, X),
    "lgamma": lambda: sp.loggamma(X),
    "fmod": lambda: X - Y * sp.sign(X / Y) * sp.floor(sp.Abs(X / Y)),
    "logsumexp": lambda: sp.log(sp.exp(X) + sp.exp(Y) + sp.exp(Z)),
    "softmax": lambda i: sp.exp((X, Y, Z)[i]) / (sp.exp(X) + sp.exp(Y) + sp.exp(Z)),
}
PARTIALS: dict[str, tuple[sp.Expr, ...]] = {
    **dict.fromkeys(("floor", "ceil", "sign"), (sp.S.Zero,)),
    "mod": (sp.S.One, -sp.floor(X / Y)),
    "fmod": (sp.S.One, -sp.sign(X / Y) * sp.floor(sp.Abs(X / Y))),
    "abs": (sp.sign(X),),
    "hypot": (X / sp.sqrt(X**2 + Y**2), Y / sp.sqrt(X**2 + Y**2)),
    "xlogy": (sp.log(Y), X / Y),
}
ATTRIBUTES: dict[str, tuple[int, ...]] = {"power": (1, 2, 3, 7, 16, 61), "polygamma": (1, 2, 5), "softmax": (0, 1, 2)}
ARITIES = {"logsumexp": 3, "softmax": 3, "select": 3, "fmod": 2}

CASES = [
    (name, attribute)
    for name in TABLE
    if name not in CONDITIONS and name != "select"
    for attribute in ATTRIBUTES.get(name, (None,))
]


def arity(name: str) -> int:
    meaning = TABLE[name].meaning
    return ARITIES.get(name) or (1 if meaning is None else len(meaning.free_symbols))


def meaning_of(name: str, attribute: int | None) -> sp.Expr:
    if name in MEANINGS:
        return MEANINGS[name](*(() if attribute is None else (attribute,)))
    return TABLE[name].meaning


def partials_of(name: str, attribute: int | None) -> tuple[sp.Expr, ...]:
    places = (X, Y, Z)[: arity(name)]
    return PARTIALS.get(name) or tuple(sp.diff(meaning_of(name, attribute), place) for place in places)


def points(name: str) -> Iterator[tuple[float, ...]]:
    """Doubles in the operation's domain, away from its kinks."""
    if arity(name) == 1:
        yield from ((x,) for x in DOMAINS.get(name, _EVERYWHERE))
        return
    draw = random.Random(7)
    for _ in range(16):
        point = [draw.choice((-1, 1)) * 2 ** draw.uniform(-4, 4) for _ in range(arity(name))]
        if name in ("pow", "xlogy"):
            place = 0 if name == "pow" else 1
            point[place] = abs(point[place])
        yield tuple(point)


@cache
def program_of(name: str, attribute: int | None) -> Program:
    """The operation alone, and its gradient."""
    builder = Builder(fold=fold)
    arguments = [builder.emit("parameter", attribute=i) for i in range(arity(name))]
    root = builder.emit(name, *arguments, attribute=attribute)
    return differentiate(builder.program({"loss": (root,)}), "loss", "gradient", len(arguments))


def exactly(expression: sp.Expr, point: Sequence[float]) -> Any:
    """The expression's value at doubles, to 50 digits."""
    values = {place: sp.Rational(*x.as_integer_ratio()) for place, x in zip((X, Y, Z), point, strict=False)}
    return mpmath.mpf(sp.N(expression.xreplace(values), 50))


def close(got: Any, true: Any) -> bool:
    return bool(abs(got - true) <= mpmath.mpf(10) ** -35 * abs(true))


@pytest.fixture(autouse=True)
def _fifty_digits() -> Iterator[None]:
    with mpmath.workdps(60):
        yield


@pytest.mark.parametrize(("name", "attribute"), CASES)
def test_a_pullback_is_sympys_own_derivative(name: str, attribute: int | None) -> None:
    partials = partials_of(name, attribute)
    for point in points(name):
        leaves = {"parameter": [mpmath.mpf(x) for x in point]}
        got = output(program_of(name, attribute), "gradient", DIGITS, leaves)
        assert len(got) == len(partials)
        for value, partial in zip(got, partials, strict=True):
            assert close(value, exactly(partial, point)), f"{name} at {point}: {value}, {partial}"
