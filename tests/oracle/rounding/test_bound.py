"""The running error bound: what careful arithmetic errs by, promised forms as one function, and who loses digits."""

import math
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import mpmath
import pytest
import sympy as sp

from symgrad import functions
from symgrad.declare import EmpiricalRisk
from symgrad.oracle import Bound, Reference
from symgrad.oracle.forms import PROMISED
from symgrad.oracle.functions import FUNCTIONS, apply
from symgrad.oracle.run import context_of
from symgrad.verification.ulp import ulp_error
from tests.helpers.declaring import risk_of_all

a, b, c = sp.symbols("a b c")
INF = math.inf


class At:
    """The bounds of an expression and its derivatives at a point, in ULP, and the places where they arise."""

    def __init__(self, expression: Any, *point: float) -> None:
        symbols = (a, b, c)[: len(point)]
        risk = risk_of_all(expression, inputs=[], targets=[], parameters=symbols)
        self.reference, self.point = Reference(risk), point
        self.exact = self.reference.sample(point, [], [])
        found = self.reference.rounding(point, [], [], self.exact.digits)
        assert found is not None
        self.rounding = found
        self.bounds: list[Bound] = found.bounds([None, *range(len(point))])
        self.errors = [bound.error for bound in self.bounds]

    def place(self, result: int | None = None) -> str:
        place = self.rounding.place(result)
        assert place is not None
        return " ".join(filter(None, (self.reference.text(place), place.beyond)))


def test_one_step_errs_by_itself() -> None:
    assert At(sp.exp(a), 0.7).errors == [1.0, 1.0]  # a function and its derivative: a unit; of products: half of one
    assert At(a * b, 0.1, 0.7).errors == [0.5, 0.0, 0.0]
    assert At(a + b, 0.1, 0.7).errors == [0.5, 0.0, 0.0]
    assert At(a / 3, 0.1).errors[1] == 0.5


def test_what_is_exact_errs_by_nothing() -> None:
    assert At(a * b + 3 * a, 1.5, 2.0).errors == [0.0, 0.0, 0.0]
    assert At(sp.Abs(a - b), 0.1, 0.1).errors == [0.0, 0.0, 0.0]  # a tie stays a tie
    assert At(sp.sqrt(a) + sp.exp(b), 4.0, 0.0).errors[0] == 0.0


def test_errors_add_up_and_are_magnified() -> None:
    assert 1.5 < At(sp.exp(a) * b, 0.3, 0.7).errors[0] < 3.5
    cancels = At(sp.exp(a) - sp.exp(b), 1.0, 1.0 + 1e-8)
    assert cancels.errors[0] == pytest.approx(2 * 2**-51 / (math.e * 1e-8 * 2**-52), rel=1.0)
    assert cancels.errors[1:] == [1.0, 1.0]
    assert At(sp.exp(1000 * sp.sin(a)), 0.7).errors[0] > 400


def test_errors_of_one_number_that_cancel_are_not_counted() -> None:
    """1 - e/(1 + e) and its like: the error of e hardly matters where e is large."""
    one, two = At(sp.exp(a) / (b + sp.exp(a)), 30.0, 1.0), At(sp.exp(a) / (b + sp.exp(c)), 30.0, 1.0, 30.0)
    assert one.errors[0] < two.errors[0] - 1.5


def test_a_sum_may_be_taken_in_any_order() -> None:
    found = At(a + b + c, 1e16, -1e16, 1.0)
    assert found.errors[0] * 2.0**-52 >= 1.0
    assert At(a + b + c, 1.0, 2.0, 4.0).errors[0] == 0.0
    assert At(sp.Add(sp.Mul(2, a + b, evaluate=False), c), 1e16, -1e16, 1.0).errors[0] == 0.0  # b is added first


def test_where_the_range_is_left() -> None:
    over = At(a**2 * b, 2.0**600, 2.0**-700)
    assert over.errors[0] == INF
    assert over.bounds[0].within < 4
    assert over.place() == "a**2 overflows"
    assert At(1 / a**2 * b, 1e200, 3.0).errors[0] == INF  # a*a is
    assert At(b * sp.exp(a), 800.0, 0.0).errors[0] == INF  # infinity times zero
    assert At(sp.exp(a) * b, -740.0, 1e300).errors[0] > 2.0**40
    assert At(sp.exp(a) * b, -740.0, 1e300).place() == "exp(a) underflows"
    assert At(a * b * c, 1e-200, 1e-200, 1e300).errors[0] > 2.0**53  # in its worst order
    assert At(sp.Piecewise((sp.exp(a), a < 0), (a, True)), 1000.0).errors == [0.0, 0.0]  # not on the branch taken
    assert At(b + sp.exp(a), -1000.0, 1.0).errors[0] <= 0.5  # what underflows and does not matter


def test_a_choice_that_rounding_may_make_otherwise() -> None:
    near = At(sp.Max(sp.exp(a), sp.exp(b)), 0.5, 0.5 + 2**-53)
    assert near.errors[0] == 1.0
    assert min(near.errors[1:]) > 2.0**50
    assert max(At(sp.Max(sp.exp(a), sp.exp(b)), 0.5, 0.51).errors) == 1.0
    assert At(sp.Max(a, b), 0.5, 0.5 + 2**-53).errors == [0.0, 0.0, 0.0]
    branch = sp.Piecewise((sp.exp(a), sp.exp(a) < b), (a, True))
    assert At(branch, 1.0, math.e).errors == [INF] * 3
    alone = At(branch, 1.0, math.e).reference.rounding([1.0, math.e], [], [], parameters=[])
    assert alone is not None
    assert alone.bounds([None])[0].error == INF
    assert At(branch, 1.0, 2.8).errors == [1.0, 1.0, 0.0]
    assert At(sp.Abs(sp.exp(a) - b), 1.0, math.e).errors[1] > 2.0**50
    assert At(sp.floor(3 * sp.exp(a) / b), 1.0, math.e).errors[0] > 2.0**50


PROMISES = [
    (sp.log(1 + sp.exp(a)), -40.0), (sp.log(1 + sp.exp(a)), 800.0), (sp.log(1 + sp.exp(-2 * a)), 25.0),
    (1 / (1 + sp.exp(-a)), -800.0), (sp.exp(a) / (1 + sp.exp(a)), 800.0), (sp.log(1 / (1 + sp.exp(-a))), 60.0),
    (sp.log(sp.exp(a) + sp.exp(2 * a)), 500.0), (sp.log(sp.cosh(a)), 800.0), (sp.log(sp.cosh(a)), 1e-9),
    (1 - sp.tanh(a) ** 2, 30.0), (sp.exp(a) - 1, 1e-12), (1 - sp.exp(a), 1e-12), (sp.log(1 + a), 1e-12),
    (sp.sqrt(1 + a**2) - 1, 1e-9), (sp.sqrt(1 + a**2) - 1, 1e200), (1 - sp.cos(a), 1e-9), (sp.cos(a) - 1, 1e-9),
    (sp.sin(a) / a, 1e-9), ((sp.exp(a) - 1) / a, 1e-9), (sp.log(sp.erfc(a)), 30.0), (functions.softplus(a), -40.0),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "point"), PROMISES)
def test_a_promised_form_errs_like_one_function(expression: Any, point: float) -> None:
    value, slope = At(expression, point).errors
    assert value <= 1.5
    assert slope <= 1.5


def test_a_promised_form_takes_errors_of_its_argument_on() -> None:
    found = At(1 - sp.cos(a * b), 1e-5, 0.7)
    assert 1.5 <= found.errors[0] <= 2.5  # relative errors of the argument are doubled


@pytest.mark.parametrize("name", sorted(set(PROMISED) - set(FUNCTIONS)))
def test_the_rules_of_promised_forms(name: str) -> None:
    """The derivative of each against differences of its value."""
    m = context_of(60)
    for x in (m.mpf("0.3"), m.mpf("-1.7"), m.mpf("4.25")):
        step = m.mpf(10) ** -20
        low, value, high = (apply(PROMISED[name].value, m, y) for y in (x - step, x, x + step))
        slope = apply(PROMISED[name].partial(0), m, value, x)
        assert abs((high - low) / (2 * step) - slope) < abs(slope) * m.mpf(10) ** -30


def test_the_part_that_loses_is_named() -> None:
    assert At(b - sp.cos(a), 1e-5, 1.0).place() == "b - cos(a)"
    assert At((sp.exp(a) - sp.exp(b)) ** 2 * c, 1.0, 1 + 1e-9, 3.0).place() == "exp(a) - exp(b)"
    assert At((sp.exp(a) - sp.exp(b)) ** 2 * c, 1.0, 1 + 1e-9, 3.0).place(2) == "exp(a) - exp(b)"
    assert At(sp.sin(a**3), 2e5).place() == "sin(a**3)"
    derivative = At(a**2 - 2 * a * b + b**2, 1.0, 1 + 1e-9)
    assert derivative.place(0) == "the derivative by a"


def test_the_datas_own_part() -> None:
    """What a formula cannot help, and what it can."""
    assert At(sp.exp(a) - b, 1.0, math.e).bounds[0].conditioning > 2.0**50
    expanded = At(a**2 - 2 * a * b + b**2, 1.0, 1 + 1e-9).bounds[0]
    assert expanded.error > 1e6 * expanded.conditioning
    assert At(2 - 2 * sp.cos(a), 1e-5).bounds[0].conditioning < 2


def formulas() -> list[Any]:
    inside = [a * b, a + b - c, sp.exp(a) - b, sp.sin(a * b) + c, a**2 - 2 * a * b + b**2, (a - b) / (a + c)]
    outside = [sp.tanh, sp.exp, sp.cos, lambda e: e**3, lambda e: 1 / (2 + e), lambda e: sp.log(3 + e**2)]
    return [f(e) + g(d) for f, g in pairwise(outside) for e, d in zip(inside, inside[2:], strict=False)]


def in_doubles(expression: Any, point: Sequence[float]) -> float:
    return float(sp.lambdify((a, b, c), expression, "math")(*point))


@pytest.mark.parametrize("seed", range(4))
def test_plain_arithmetic_stays_within_the_bound(seed: int) -> None:
    """Python's own evaluation, of the values and of SymPy's derivative, at points near cancellation too."""
    rng = random.Random(seed)
    for expression in formulas():
        x = rng.uniform(-1, 1)
        point = (x, x * (1 + rng.choice((1e-9, 1e-4, 0.3))), rng.uniform(0.5, 1.5))
        found = At(expression, *point)
        wanted = (found.exact.loss, *found.exact.gradient)
        plain = (expression, *(sp.diff(expression, s) for s in (a, b, c)))
        for formula, true, bound in zip(plain, wanted, found.errors, strict=True):
            assert ulp_error(in_doubles(formula, point), true) <= max(4, 4 * bound), (formula, point)


def test_a_wrong_digit_is_outside_the_bound() -> None:
    found = At(sp.exp(a) * sp.sin(b), 0.3, 0.7)
    assert ulp_error(float(found.exact.gradient[0]) * (1 + 1e-14), found.exact.gradient[0]) > 4 * found.errors[1]


def test_what_cannot_be_computed_has_no_bound() -> None:
    risk = EmpiricalRisk.from_expression(sp.exp(sp.exp(sp.exp(sp.exp(a)))), inputs=[], targets=[], parameters=[a])
    assert Reference(risk).rounding([5.0], [], []) is None


def test_precision_is_left_alone() -> None:
    before = mpmath.mp.prec
    At(sp.loggamma(a) - b, 5.0, 1.0)
    assert mpmath.mp.prec == before
