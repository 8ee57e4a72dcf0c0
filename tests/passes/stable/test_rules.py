"""Every rule of stable forms: equal to what is declared, right in doubles, NaN where that is, and done at once."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp
from mpmath import mpf

from symgrad.declare import EmpiricalRisk
from symgrad.passes import derive, lower, stabilise
from symgrad.passes.stable.rewrite import RULES
from symgrad.program import Program
from symgrad.trace import trace
from tests.helpers.evaluate import DOUBLES, REALS, output, ulps

from .case import Case, Point, exp, log, x, y
from .cases import CASES

a, b, u = sp.symbols("a b u", real=True)
V = sp.MatrixSymbol("V", 2, 1)
i = sp.Idx("i", 2)
# See test_stable.py; and what only differentiation makes.
ELSEWHERE = {
    *("log(Sum(exp(x)))", "exp(x)/Sum(exp(y))", "y*log(p), y of targets alone", "(x*y/z)/x"),
    "n*log(1 + exp(x)) - y*x, n and y data",
}
WRITTEN = [(pattern, case, written) for pattern, cases in CASES.items() for case in cases for written in case.written]
IDS = [str(written) for _, _, written in WRITTEN]
# What stands for x, and the parameters at which it is x exactly.
COMPOUND: tuple[tuple[Any, dict[Any, Any]], ...] = (
    (a * u + b, {a: 2, u: x / 4, b: x / 2}),
    (a - u, {a: 2 * x, u: x}),
    (-a, {a: -x}),
    (2 * a, {a: x / 2}),
)


def declared(expression: Any, symbols: Sequence[Any]) -> Program:
    return trace(EmpiricalRisk.from_expression(expression, inputs=[], targets=[], parameters=symbols, name="stable"))


def rewritten(program: Program) -> Program:
    """With its gradient, in stable forms before and after differentiation."""
    return stabilise(derive(stabilise(program)[0]))[0]


def symbols_of(expression: Any) -> tuple[Any, ...]:
    return tuple(symbol for symbol in (x, y, a, u, b) if symbol in expression.free_symbols)


def results(program: Program, point: Sequence[Any], arithmetic: Any = REALS) -> tuple[Any, ...]:
    """Value and derivatives."""
    leaves = {"parameter": list(point)}
    return (*output(program, "loss", arithmetic, leaves), *output(program, "gradient", arithmetic, leaves))


def in_doubles(program: Program, point: Point) -> list[float]:
    return [float(number) for number in results(program, [np.float64(number) for number in point], DOUBLES)]


def exactly(number: float) -> Any:
    return sp.Rational(*number.as_integer_ratio())


@cache
def programs(expression: Any) -> tuple[Program, Program, Program]:
    """As it is declared, in its stable forms, and these for doubles."""
    before = declared(expression, symbols_of(expression))
    better = rewritten(before)
    return derive(before), better, lower(better)


@cache
def truth(expression: Any, point: Point) -> tuple[Any, ...]:
    """Value and derivatives of what is declared; by its stable form, if a thousand digits cancel.

    That this is equal, `test_nothing_changes_but_digits` shows where they do not.
    """
    plain, better, _ = programs(expression)
    for program in (plain, better):
        last: tuple[Any, ...] = ()
        for digits in (60, 150, 400, 1000):
            with mpmath.workdps(digits):
                found = results(program, [mpf(number) for number in point])
                if last and all(map(_settled, last, found)):
                    return found
                last = found
    return last


def _settled(before: Any, now: Any) -> bool:
    """Whether more digits change nothing in a result (which is no infinity or zero for want of digits)."""
    if not mpmath.isfinite(now) or not mpmath.isfinite(before):
        return False
    return bool(abs(now - before) <= mpf(10) ** -25 * abs(now)) and (now != 0 or mpmath.mp.dps > 500)


@pytest.mark.parametrize(("pattern", "case", "written"), WRITTEN, ids=IDS)
def test_nothing_changes_but_digits(pattern: str, case: Case, written: Any) -> None:
    plain, better, _ = programs(written)
    tolerance = mpf(3e-16 if case.rounded else "1e-45")
    for point in case.ordinary:
        with mpmath.workdps(80):
            pairs = list(zip(*(results(p, [mpf(n) for n in point]) for p in (plain, better)), strict=True))
        assert all(abs(now - true) <= tolerance * (1 + abs(true)) for true, now in pairs), f"at {point}: {pairs}"


@pytest.mark.parametrize(("pattern", "case", "written"), WRITTEN, ids=IDS)
def test_doubles_keep_their_digits(pattern: str, case: Case, written: Any) -> None:
    for point in (*case.ordinary, *case.extreme):
        got, true = in_doubles(programs(written)[2], point), truth(written, point)
        worst = max(map(ulps, got, true))
        assert worst <= case.ulps, f"{worst:.3g} ULP at {point}: {got}, not {[mpmath.nstr(t, 17) for t in true]}"


COMPOUNDS = [(case, written, k % 4) for k, (_, case, written) in enumerate(WRITTEN) if case.compound]
COMPOUND_IDS = [f"{written} of {COMPOUND[kind][0]}" for _, written, kind in COMPOUNDS]


@pytest.mark.parametrize(("case", "written", "kind"), COMPOUNDS, ids=COMPOUND_IDS)
def test_the_argument_may_be_an_expression(case: Case, written: Any, kind: int) -> None:
    """With an argument that doubles hold exactly, so that the rule alone is measured; derivatives by the chain rule."""
    argument, places = COMPOUND[kind]
    whole = written.xreplace({x: argument})
    _, _, lowered = programs(whole)
    for point in (*case.ordinary[:2], *case.extreme[::3]):
        values = dict(zip((x, y), point, strict=False))
        here = {symbol: float(sp.S(place).xreplace({x: exactly(point[0])})) for symbol, place in places.items()}
        if argument.xreplace({symbol: exactly(number) for symbol, number in here.items()}) != exactly(point[0]):
            continue
        value, *slopes = truth(written, point)
        if not 1e-290 < abs(slopes[0]) < 1e290:  # what an argument's own slope makes of that is no matter of the rule
            continue
        by = dict(zip(symbols_of(written), slopes, strict=True))
        true = [value]
        for symbol in symbols_of(whole):
            slope = sp.diff(argument, symbol).xreplace(here)
            true.append(by[x] * mpf(float(slope)) if symbol in here else by[symbol])
        got = in_doubles(lowered, tuple((here | values)[symbol] for symbol in symbols_of(whole)))
        worst = max(map(ulps, got, true))
        assert worst <= case.ulps + 2, f"{worst:.3g} ULP at {here}: {got}, not {[mpmath.nstr(t, 17) for t in true]}"


OUTSIDE = [(written, point) for _, case, written in WRITTEN for point in case.outside]


@pytest.mark.parametrize(("written", "point"), OUTSIDE, ids=map(str, OUTSIDE))
def test_no_value_is_made_up(written: Any, point: Point) -> None:
    plain, _, lowered = programs(written)
    with mpmath.workdps(60):
        value = results(plain, [mpf(number) for number in point])[0]
    assert mpmath.isnan(value), "the declared form has a value there"
    assert np.isnan(in_doubles(lowered, point)).all()


@pytest.mark.parametrize(("pattern", "case", "written"), WRITTEN, ids=IDS)
def test_what_is_rewritten_is_left_alone(pattern: str, case: Case, written: Any) -> None:
    once, _ = stabilise(declared(written, symbols_of(written)))
    assert stabilise(once)[0] == once
    whole = rewritten(declared(written, symbols_of(written)))
    assert stabilise(whole)[0] == whole


def names(expression: Any) -> set[str]:
    """The rules that are used before and after differentiation."""
    once, before = stabilise(declared(expression, symbols_of(expression)))
    return {*before, *stabilise(derive(once))[1]}


def test_every_rule_has_its_cases() -> None:
    assert {rule.pattern for rule in RULES} == {*CASES} | ELSEWHERE


@pytest.mark.parametrize("pattern", CASES)
def test_a_rule_is_used_in_its_cases(pattern: str) -> None:
    (name,) = {rule.name for rule in RULES if rule.pattern == pattern}
    for case in CASES[pattern]:
        assert any(name in names(written) for written in case.written), case.written


# A product with what is the same for all terms is taken out of a sum.
@pytest.mark.parametrize("pattern", [p for p in CASES if p not in ("exp(x)*exp(y)", "exp(x)/exp(y)")])
def test_matrices_element_by_element(pattern: str) -> None:
    """In a function that is applied to a matrix, and in a sum over its elements, the same rules are used."""
    case = CASES[pattern][0]
    written, point = case.written[0], case.ordinary[-1]
    forms = [sp.Sum(written.xreplace({x: V[i, 0]}), (i, 0, 1))]
    if y not in written.free_symbols:
        forms.append(sp.Trace(sp.OneMatrix(1, 2) * V.applyfunc(sp.Lambda(x, written))))
    value, *slopes = truth(written, point)
    by = dict(zip(symbols_of(written), slopes, strict=True))
    true = [2 * value, by[x], by[x], *(2 * slope for symbol, slope in by.items() if symbol is not x)]
    for form in forms:
        before = declared(form, [V, *(symbol for symbol in by if symbol is not x)])
        once, used = stabilise(before)
        assert names(written) <= {*used, *stabilise(derive(once))[1]}, form
        got = in_doubles(lower(rewritten(before)), (point[0], *point))
        assert max(map(ulps, got, true)) <= case.ulps + 2, form


SCORE, n = a + 2 * b, sp.Symbol("n", real=True)


@pytest.mark.parametrize(
    ("written", "targets", "score"),
    [
        (log(1 + exp(a)) - y * a, {y: 1}, 40),
        (log(1 + exp(-a)) + y * a, {y: 1}, -40),
        (3 * y + 3 * log(1 + exp(SCORE)) - 3 * y * SCORE - 3, {y: 1}, 40),
        (n * log(1 + exp(2 * a)) - 2 * a * y, {y: 7, n: 7}, 40),
    ],
)
def test_a_logistic_loss_keeps_its_digits_where_label_and_score_agree(
    written: Any, targets: dict[Any, int], score: int
) -> None:
    """There the label's term and the score's are equal to the last bit, and what is left is exp(-40)."""
    symbols = [symbol for symbol in (a, b) if written.has(symbol)]
    risk = EmpiricalRisk.from_expression(written, inputs=[], targets=list(targets), parameters=symbols, name="labels")
    once, names_of_rules = stabilise(trace(risk))
    assert "n*log(1 + exp(x)) - y*x" in " ".join(names_of_rules)
    at = {a: sp.Integer(score), b: sp.Integer(0)}
    whole = written.subs(targets)
    true = [sp.N(e.subs(at), 60) for e in (whole, *(sp.diff(whole, symbol) for symbol in symbols))]
    leaves = {"parameter": [np.float64(at[s]) for s in symbols], "target": [np.float64(v) for v in targets.values()]}
    program = lower(stabilise(derive(once))[0])
    got = (*output(program, "loss", DOUBLES, leaves), *output(program, "gradient", DOUBLES, leaves))
    assert max(map(ulps, got, [mpf(str(t)) for t in true])) <= 4, (got, true)
