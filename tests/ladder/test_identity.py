"""The differentiated program against forward mode over the declared tree: without one error where all is rational."""

from dataclasses import replace
from fractions import Fraction
from random import Random
from typing import Any

import mpmath
import pytest
import sympy as sp
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from tests.helpers.evaluate import DIGITS, EXACT, output
from tests.helpers.forward_mode import FUNCTIONS, Dual, local
from tests.helpers.grammar import INPUTS, PARAMETERS, TARGET, models, rationals, risk_of
from tests.helpers.random_batches import SYMBOLS, program_of
from tests.helpers.running_error import OutOfReach, Undecided, judge

QUIET = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}
GROUPS = {"parameter": PARAMETERS, "input": INPUTS, "target": (TARGET,)}


def _undefined(operation: Any) -> Any:
    """An operation on fractions that answers NaN where there is no fraction; branches that are not taken may."""

    def careful(*operands: Any) -> Any:
        try:
            return operation(*operands)
        except (ZeroDivisionError, ValueError, OverflowError):
            return mpmath.nan

    return careful


FRACTIONS = replace(
    EXACT,
    number=lambda x: Fraction(x) if x == x and abs(x) != float("inf") else mpmath.nan,
    operations={name: _undefined(operation) for name, operation in EXACT.operations.items()},
)


def leaves_of(point: dict[Any, Any]) -> dict[str, list[Any]]:
    return {role: [point[symbol] for symbol in group] for role, group in GROUPS.items()}


@settings(max_examples=120, **QUIET)
@given(rationals(), st.integers(0, 10**6))
def test_rational_gradients_are_exact(expression: Any, number: int) -> None:
    """Random points of a field as large as this one let no wrong identity through (Schwartz; Zippel)."""
    risk = risk_of(expression)
    assume(risk is not None)
    program = program_of(risk)
    draw = Random(number)
    for _ in range(3):
        point = {s: Fraction(draw.randint(-(2**20), 2**20), draw.randint(1, 2**16)) for s in SYMBOLS}
        value, slopes = Dual(point, PARAMETERS, exact=True)(expression)
        got = [x for name in ("loss", "gradient") for x in output(program, name, FRACTIONS, leaves_of(point))]
        if isinstance(value, Fraction):
            for x, true in zip(got, (value, *slopes), strict=True):
                assert x == true or not isinstance(true, Fraction), f"{expression} at {point}: {x}, expected {true}"


@settings(max_examples=60, **QUIET)
@given(models(3), st.integers(0, 10**6))
def test_gradients_are_those_of_the_tree_to_the_digits_of_the_constants(expression: Any, number: int) -> None:
    """Constants are doubles in a program; all else is done here to fifty digits."""
    risk = risk_of(expression)
    assume(risk is not None)
    draw = Random(number)
    point = {symbol: draw.choice([-1, 1]) * draw.randint(1, 4000) / 1024 for symbol in SYMBOLS}
    try:
        true = judge(expression, point, PARAMETERS)
        with mpmath.workdps(60):
            _, slopes = Dual({s: mpf(x) for s, x in point.items()}, PARAMETERS)(expression)
            program = program_of(risk)
            got = output(program, "gradient", DIGITS, {r: [mpf(x) for x in row] for r, row in leaves_of(point).items()})
    except (Undecided, OutOfReach, ZeroDivisionError, OverflowError):
        assume(False)
    assume(mpmath.isfinite(true.loss.value))
    for parameter, x, slope, judged in zip(PARAMETERS, got, slopes, true.gradient, strict=True):
        if mpmath.isfinite(slope):
            assert abs(slope - judged.value) <= mpf(10) ** -25 * (abs(slope) + judged.bound)
            assert abs(x - slope) <= abs(slope) / 2**50 + judged.bound, f"d/d{parameter} of {expression} at {point}"


@pytest.mark.parametrize("kind", FUNCTIONS, ids=lambda kind: kind.__name__)
def test_the_trees_own_derivatives(kind: Any) -> None:
    """The table of `forward_mode` against differences of its own values, and SymPy's values."""
    arity = len(FUNCTIONS[kind][1])
    with mp.workdps(60):
        for x, y in ((0.375, 1.5), (0.8125, 0.25), (1.75, 2.125)):
            if kind in (sp.asin, sp.acos, sp.atanh) and x > 1:
                continue
            xs = [mpf(x + (kind is sp.acosh)), mpf(y)][:arity]
            value, partials = local(kind, xs)
            sympys = kind(*(sp.Rational(*z) for z in map(_ratio, xs))).evalf(40)
            assert abs(value - mpf(sympys)) <= mpf(10) ** -38 * (1 + abs(value))
            for i, partial in enumerate(partials):
                ends = (local(kind, [*xs[:i], xs[i] + h, *xs[i + 1 :]])[0] for h in (mpf(10) ** -20, -(mpf(10) ** -20)))
                assert abs((next(ends) - next(ends)) / (2 * mpf(10) ** -20) - partial) <= mpf(10) ** -35


def _ratio(x: Any) -> tuple[int, int]:
    return float(x).as_integer_ratio()
