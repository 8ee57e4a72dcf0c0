"""The table of operations: meanings, pullbacks and lowerings against SymPy, at 50 digits and in doubles."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp
from sympy.logic.boolalg import ITE, And, BooleanFalse, BooleanTrue, Not, Or, Xor
from sympy.matrices.expressions.matexpr import MatrixElement

from symgrad import functions
from symgrad.declare.grammar import SUPPORTED_FUNCTIONS, SUPPORTED_MATRICES
from symgrad.operations import TABLE, X, Y, matrices
from symgrad.passes import lower
from symgrad.passes.differentiate import differentiate
from symgrad.program import LEAVES, Attribute, Builder, Program, fold
from symgrad.trace.risk_to_program import RULES
from tests.helpers.evaluate import DIGITS, DOUBLES, output, ulps
from tests.helpers.rows import OWN_FUNCTIONS, STRUCTURAL, VECTOR_FUNCTIONS

Z = sp.Symbol("z", real=True)
CONDITIONS = ("lt", "le", "eq", "ne", "and", "or", "not")
_EVERYWHERE = (-37.5, -8.25, -2.75, -1.0, -0.375, -1e-3, -1e-9, 1e-12, 1e-5, 0.125, 0.75, 1.5, 3.25, 11.0, 29.5)
_POSITIVE = tuple(x for x in (*_EVERYWHERE, 1e-200, 1e200) if x > 0)
_INSIDE = (-0.9999999, -0.75, -0.25, -1e-7, 1e-9, 1e-3, 0.5, 0.875, 0.99999)
_OUTSIDE = (-1e8, -12.5, -2.0, -1.0009765625, 1.0000152587890625, 1.25, 3.5, 40.0, 1e9)
_MILD = tuple(x for x in _EVERYWHERE if abs(x) < 9)
# Where an operation of one argument is tried; everywhere, if it is not here.
DOMAINS: dict[str, Sequence[float]] = {
    **dict.fromkeys(("log", "log2", "log10", "sqrt", "root_power", "rational_power"), _POSITIVE),
    **dict.fromkeys(("lgamma", "loggamma", "digamma", "polygamma"), tuple(x for x in _MILD if x > 0)),
    **dict.fromkeys(("asin", "acos", "atanh", "erfinv"), _INSIDE),
    "factorial": tuple(x for x in _EVERYWHERE if x > -1),
    **dict.fromkeys(("asec", "acsc", "acoth"), _OUTSIDE),
    "acosh": tuple(x for x in _OUTSIDE if x > 0),
    "asech": tuple(x for x in _INSIDE if x > 0),
    "log1p": (-0.9999999, -0.5, *(x for x in _POSITIVE if x > 1e-20)),
    **dict.fromkeys(("tan", "cot", "sec", "csc", "gamma"), tuple(x for x in _MILD if x != -1.0)),
    **dict.fromkeys(("erf", "erfc", "gaussian"), _MILD),
    "log_erfc": (-4.25, *(x for x in _EVERYWHERE if x > -4), 7.9, 8.1, 300.0, 1e8),
    "hazard": tuple(x for x in _EVERYWHERE if -4 < x < 1),  # further out it is the derivative of log_erfc
    "log1mexp": (-0.6931, -0.6932, *(x for x in _EVERYWHERE if x < 0)),
    "exprel_slope": tuple(x for x in _MILD if abs(x) > 0.1),  # its series is for doubles, and so is its own slope
    "exprel": (-700.0, 700.0, 0.999, 1.001, *_EVERYWHERE),
    **dict.fromkeys(("floor", "ceil"), tuple(x for x in _EVERYWHERE if x != round(x))),
}
# What a row means where the table cannot say it without the attribute, and derivatives that SymPy leaves undone.
CAPPED = sp.Piecewise((sp.exp(Y), sp.Eq(Y, Z)), (1, True))
MEANINGS: dict[str, Callable[..., sp.Expr]] = {
    "power": lambda n: X**n,
    "over_product": lambda exponents: X / Y,
    "root_power": lambda n: X ** (n + sp.S.Half),
    "rational_power": lambda exponent: X ** sp.Rational(*exponent),
    "polygamma": lambda n: sp.polygamma(n, X),
    "lgamma": lambda: sp.loggamma(X),
    "log_binomial": lambda: sp.log(sp.binomial(X, Y)),
    "fma": lambda: X * Y + Z,
    "fmod": lambda: X - Y * sp.sign(X / Y) * sp.floor(sp.Abs(X / Y)),
    "logsumexp": lambda: sp.log(sp.exp(X) + sp.exp(Y) + sp.exp(Z)),
    "hold": lambda: X,
    "exp_capped": lambda: sp.Piecewise((sp.exp(X), sp.Eq(X, Y)), (1, True)),
    "weighted_capped": lambda: X * CAPPED,
    "lost_in_sum": lambda: sp.S.Zero,
    "exp_with": lambda: sp.exp(X + Y),
    "sigmoid_with": lambda: 1 / (1 + sp.exp(-X - Y)),
    "density_with": lambda: 1 / (2 + sp.exp(X + Y) + sp.exp(-X - Y)),
    "exp_sum": lambda: sp.exp(X + Y),
    "exp_less": lambda: sp.exp(X - Y),
    "weighted_exp": lambda: X * sp.exp(Y - Z),
    "cosh_less": lambda: sp.cosh(X) * sp.exp(Z - Y),
    "sinh_less": lambda: sp.sinh(X) * sp.exp(Z - Y),
    "logsumexp_with": lambda: sp.log(sp.exp(X + Y)),
    "softmax_with": lambda i: sp.S.One,
    "softplus_with": lambda: sp.log(1 + sp.exp(X + Y)),
    "tanh_half_with": lambda: sp.tanh((X + Y) / 2),
    "log1mexp": lambda: sp.log(1 - sp.exp(X)),
    "exp_product": lambda: sp.exp(X * Y),
    "log1p_square": lambda: sp.log(1 + X**2),
    "log_erfc": lambda halved: sp.log(sp.erfc(X) / (1 + halved)),
    "hazard": lambda: sp.exp(-(X**2)) / sp.erfc(X),
    "direction": lambda: X / sp.sqrt(X**2 + Y**2),
    "powm1": lambda: X**Y - 1,
    "box_cox": lambda: (X**Y - 1) / Y,
    "exprel": lambda: (sp.exp(X) - 1) / X,
    "exprel_slope": lambda: sp.diff((sp.exp(X) - 1) / X, X),
    "expm1_quotient": lambda: (sp.exp(X * Y) - 1) / Y,
    "log_rising": lambda: sp.loggamma(X + Y) - sp.loggamma(X),
    "digamma_rise": lambda: sp.digamma(X + Y) - sp.digamma(X),
    "log_beta": lambda: sp.loggamma(X) + sp.loggamma(Y) - sp.loggamma(X + Y),
    "softmax": lambda i: sp.exp((X, Y, Z)[i]) / (sp.exp(X) + sp.exp(Y) + sp.exp(Z)),
}
PARTIALS: dict[str, tuple[sp.Expr, ...]] = {
    **dict.fromkeys(("floor", "ceil", "sign"), (sp.S.Zero,)),
    "mod": (sp.S.One, -sp.floor(X / Y)),
    "fmod": (sp.S.One, -sp.sign(X / Y) * sp.floor(sp.Abs(X / Y))),
    "abs": (sp.sign(X),),
    "hypot": (X / sp.sqrt(X**2 + Y**2), Y / sp.sqrt(X**2 + Y**2)),
    "xlogy": (sp.log(Y), X / Y),
    # what is held has no derivative
    "hold": (sp.S.Zero,),
    "exp_capped": (sp.Piecewise((sp.exp(X), sp.Eq(X, Y)), (1, True)), sp.S.Zero),
    "weighted_capped": (CAPPED, X * CAPPED, sp.S.Zero),
    "exp_less": (sp.exp(X - Y), sp.S.Zero),
    "weighted_exp": (sp.exp(Y - Z), X * sp.exp(Y - Z), sp.S.Zero),
    "cosh_less": (sp.sinh(X) * sp.exp(Z - Y), sp.S.Zero, sp.cosh(X) * sp.exp(Z - Y)),
    "sinh_less": (sp.cosh(X) * sp.exp(Z - Y), sp.S.Zero, sp.sinh(X) * sp.exp(Z - Y)),
    "logsumexp_with": (sp.S.One, sp.S.Zero),
    "softmax_with": (sp.S.Zero, sp.S.Zero),
    "softplus_with": (1 / (1 + sp.exp(-X - Y)), sp.S.Zero),
    "tanh_half_with": (2 / (2 + sp.exp(X + Y) + sp.exp(-X - Y)), sp.S.Zero),
    "lost_in_sum": (sp.S.Zero, sp.S.Zero),
    "exp_with": (sp.exp(X + Y), sp.S.Zero),
    "sigmoid_with": (1 / (2 + sp.exp(X + Y) + sp.exp(-X - Y)), sp.S.Zero),
    "density_with": (sp.diff(1 / (2 + sp.exp(X + Y) + sp.exp(-X - Y)), X), sp.S.Zero),
}
ATTRIBUTES: dict[str, tuple[Attribute, ...]] = {
    "power": (-5, -2, -1, 1, 2, 3, 7, 16, 61),
    "over_product": ((2, 1), (25, 2)),
    "root_power": (1, 2, 6),
    "rational_power": ((1, 3), (2, 3), (4, 3), (17, 5)),
    "polygamma": (1, 2, 5),
    "softmax": (0, 1, 2),
    "softmax_with": (0,),
    "log_erfc": (0, 1),
}
_HELD = "exp_with sigmoid_with density_with softplus_with tanh_half_with logsumexp_with softmax_with"
HELD = tuple(_HELD.split())  # their second argument is below half an ULP of the first
# log(2), 2/sqrt(pi), the terms of a series
_ROUNDED = "exp2 log2 log10 erf erfc log_cosh sinc rational_power log_erfc hazard exprel exprel_slope box_cox"
_ROUNDED += (
    " expm1_quotient log_rising digamma_rise log_beta density_with tanh coth sech csch tanh_half_with softplus_with"
)
_ROUNDED += " logistic_density erfinv beta binomial log_binomial"
WITH_A_ROUNDED_CONSTANT = frozenset(_ROUNDED.split())
_OF_THREE = "logsumexp softmax select fma over_product weighted_exp weighted_capped cosh_less sinh_less"
_OF_TWO = "direction powm1 box_cox log_rising digamma_rise log_beta exp_product exp_sum expm1_quotient exp_capped"
_OF_TWO += " fmod exp_less lost_in_sum log_binomial"
ARITIES = dict.fromkeys(_OF_THREE.split(), 3) | dict.fromkeys((*_OF_TWO.split(), *HELD), 2)
OF_MATRICES = {row.name for row in matrices.ROWS}  # see test_operations_matrices.py

CASES = [
    (name, attribute)
    for name in TABLE
    if name not in OF_MATRICES and name not in CONDITIONS and name != "select"
    for attribute in ATTRIBUTES.get(name, (None,))
]


def arity(name: str) -> int:
    meaning = TABLE[name].meaning
    return ARITIES.get(name) or (1 if meaning is None else len(meaning.free_symbols))


def meaning_of(name: str, attribute: Attribute) -> sp.Expr:
    if name in MEANINGS:
        return MEANINGS[name](*(() if attribute is None else (attribute,)))
    return TABLE[name].meaning


def partials_of(name: str, attribute: Attribute) -> tuple[sp.Expr, ...]:
    places = (X, Y, Z)[: arity(name)]
    if name == "over_product":  # the divisor is held: what changes with a factor is told
        return (1 / Y, sp.S.Zero, -sp.Rational(*attribute) * X / Y / Z)
    return PARTIALS.get(name) or tuple(sp.diff(meaning_of(name, attribute), place) for place in places)


def points(name: str) -> Iterator[tuple[float, ...]]:
    """Doubles in the operation's domain, away from its kinks."""
    if arity(name) == 1:
        yield from ((x,) for x in DOMAINS.get(name, _EVERYWHERE))
        return
    draw = random.Random(7)
    for _ in range(16):
        point = [draw.choice((-1, 1)) * 2 ** draw.uniform(-4, 4) for _ in range(arity(name))]
        if name in ("pow", "powm1", "box_cox", "xlogy"):
            place = 1 if name == "xlogy" else 0
            point[place] = abs(point[place])
        if name in ("log_rising", "digamma_rise", "log_beta", "log_sum", "beta", "binomial", "log_binomial"):
            point = [abs(x) for x in point]
        if name in ("binomial", "log_binomial"):
            point[0] += point[1]  # n = k and what is not chosen
        if name in ("exp_capped", "weighted_capped"):
            point[-1] = math.copysign(point[-2], point[-1])  # x itself, or -x
        if name in HELD:
            point[1] *= 2.0**-64
        yield tuple(point)


@cache
def program_of(name: str, attribute: Attribute) -> Program:
    """The operation alone, and its gradient."""
    builder = Builder(fold=fold)
    arguments = [builder.emit("parameter", attribute=i) for i in range(arity(name))]
    root = builder.emit(name, *arguments, attribute=attribute)
    return differentiate(builder.program({"loss": (root,)}), "loss", "gradient")


def exactly(expression: sp.Expr, point: Sequence[float]) -> Any:
    """The expression's value at doubles, to 50 digits."""
    values = {place: sp.Rational(*x.as_integer_ratio()) for place, x in zip((X, Y, Z), point, strict=False)}
    return mpmath.mpf(sp.N(expression.xreplace(values), 50))


def close(got: Any, true: Any, name: str = "") -> bool:
    tolerance = 3e-16 if name in WITH_A_ROUNDED_CONSTANT else mpmath.mpf(10) ** -35
    return bool(abs(got - true) <= tolerance * abs(true))


@pytest.fixture(autouse=True)
def _fifty_digits() -> Iterator[None]:
    with mpmath.workdps(60):
        yield


@pytest.mark.parametrize(("name", "attribute"), CASES)
def test_a_pullback_is_sympys_own_derivative(name: str, attribute: Attribute) -> None:
    partials = partials_of(name, attribute)
    for point in points(name):
        leaves = {"parameter": [mpmath.mpf(x) for x in point]}
        got = output(program_of(name, attribute), "gradient", DIGITS, leaves)
        assert len(got) == len(partials)
        for value, partial in zip(got, partials, strict=True):
            assert close(value, exactly(partial, point), name), f"{name} at {point}: {value}, {partial}"


@pytest.mark.parametrize(("name", "attribute"), CASES)
def test_a_lowering_is_the_meaning(name: str, attribute: Attribute) -> None:
    lowered = lower(program_of(name, attribute))
    assert {step.operation for step in lowered.assignments} <= PRINTED
    for point in points(name):
        leaves = {"parameter": [mpmath.mpf(x) for x in point]}
        (value,) = output(lowered, "loss", DIGITS, leaves)
        assert close(value, exactly(meaning_of(name, attribute), point), name), f"{name} at {point}"
        before = output(program_of(name, attribute), "gradient", DIGITS, leaves)
        for got, true in zip(output(lowered, "gradient", DIGITS, leaves), before, strict=True):
            assert close(got, true, name), f"the derivative of {name} at {point}"


# The worst error of value and derivatives in doubles, in ULP: what verify allows a whole model is 4 for an atom of C.
LOOSE = {
    "power": 40.0,  # by squaring: about n/2
    "softmax_with": math.inf,
    "softmax": math.inf,  # only second derivatives have its derivative, and 1 - share cancels where one share is all
    "gamma": 64.0,
    **dict.fromkeys(("lgamma", "loggamma"), 64.0),  # the C library's, near its zeros at 1 and 2
    "expm1_quotient": 32.0,  # the rounding of the product in the exponent
    "lost_in_sum": math.inf,  # see below: what it is told with 60 digits is that nothing is lost
    "exprel_slope": 32.0,  # only second derivatives have its derivative
    # differences of those, where arguments are small
    **dict.fromkeys(("log_rising", "digamma_rise", "log_beta", "beta", "binomial", "log_binomial"), 1024.0),
    "factorial": 16.0,  # digamma near its root
}


@pytest.mark.parametrize(("name", "attribute"), CASES)
def test_a_row_keeps_its_digits_in_doubles(name: str, attribute: Attribute) -> None:
    program, draw = program_of(name, attribute), random.Random(3)
    lowered = lower(program)
    for centre in [point for point in points(name) for _ in range(4)]:
        point = [x * (1 + draw.uniform(0, 1e-4) * (1 if abs(x) > 1 else -1)) for x in centre]
        exact = {"parameter": [mpmath.mpf(x) for x in point]}
        doubles = {"parameter": [np.float64(x) for x in point]}
        for result in ("loss", "gradient"):
            true, got = output(program, result, DIGITS, exact), output(lowered, result, DOUBLES, doubles)
            worst = max(ulps(g, t) for g, t in zip(got, true, strict=True))
            assert worst <= LOOSE.get(name, 8.0), f"{result} of {name} at {point}: {worst:.3g} ULP"


def test_what_a_sum_loses_is_all_of_it() -> None:
    lowered, draw = lower(program_of("lost_in_sum", None)), random.Random(5)
    for _ in range(100):
        x, y = (draw.uniform(-700, 700) * 2.0 ** draw.randint(-60, 0) for _ in range(2))
        (lost,) = output(lowered, "loss", DOUBLES, {"parameter": [np.float64(x), np.float64(y)]})
        true = Fraction(x) + Fraction(y) - Fraction(x + y)
        assert Fraction(float(lost)) == true
    (lost,) = output(lowered, "loss", DOUBLES, {"parameter": [np.float64(np.inf), np.float64(1)]})
    assert lost == 0


# ------------------------------------------------------------------------------------------------------- the table

LEFT_AFTER_LOWERING = {name for name, row in TABLE.items() if row.lower is None}
PRINTED = LEFT_AFTER_LOWERING | set(LEAVES)


@pytest.mark.parametrize("name", TABLE)
def test_a_row_has_what_the_sweep_asks_for(name: str) -> None:
    row = TABLE[name]
    assert row.name == name
    assert row.meaning is not None or row.pullback is not None
    if row.meaning is not None:
        assert row.meaning.free_symbols <= {X, Y}


@pytest.mark.parametrize(("name", "attribute"), CASES)
def test_what_a_pullback_emits_is_in_the_table_again(name: str, attribute: Attribute) -> None:
    """Twice, so that the derivative can be differentiated too."""
    once = program_of(name, attribute)
    assert {step.operation for step in once.assignments} <= {*TABLE, *LEAVES}
    first = Program(once.assignments, {"loss": once.outputs["gradient"][:1]})
    twice = differentiate(first, "loss", "second")
    assert {step.operation for step in twice.assignments} <= {*TABLE, *LEAVES}
    assert {step.operation for step in lower(twice).assignments} <= PRINTED


def test_what_is_left_after_lowering_is_c_or_the_modules_own() -> None:
    signs = {"add", "sub", "mul", "div", "neg", "select", *CONDITIONS}
    calls = {"sqrt", "abs", "floor", "ceil", "fmod", "fma", "gamma", "lgamma"}
    moves = STRUCTURAL - {"pick", "put", "logsumexp_all", "softmax_all"}
    assert signs | calls | moves | VECTOR_FUNCTIONS | OWN_FUNCTIONS == LEFT_AFTER_LOWERING


def test_the_tracer_knows_exactly_what_a_declaration_lets_through() -> None:
    truths, own_name = {BooleanTrue, BooleanFalse}, {sp.digamma}  # digamma(x) is polygamma(0, x) in SymPy
    leaves = {sp.MatrixSymbol, MatrixElement}
    assert truths | leaves == RULES.keys() - SUPPORTED_FUNCTIONS - SUPPORTED_MATRICES
    assert own_name >= (SUPPORTED_FUNCTIONS | SUPPORTED_MATRICES) - RULES.keys()
    assert {And, Or, Not, Xor, ITE} <= RULES.keys()


def test_every_function_of_the_library_is_traced() -> None:
    assert {getattr(functions, name) for name in functions.__all__} <= RULES.keys()


# ----------------------------------------------------------------------------------------------------- kinks and NaN


def at(name: str, *point: float, attribute: Attribute = None) -> tuple[float, tuple[float, ...]]:
    """Value and derivatives in doubles, after lowering."""
    lowered, leaves = lower(program_of(name, attribute)), {"parameter": [np.float64(x) for x in point]}
    (value,) = output(lowered, "loss", DOUBLES, leaves)
    return float(value), tuple(map(float, output(lowered, "gradient", DOUBLES, leaves)))


def same(got: tuple[float, tuple[float, ...]], value: float, *partials: float) -> bool:
    pairs = zip((got[0], *got[1]), (value, *partials), strict=True)
    return all(g == t or (math.isnan(g) and math.isnan(t)) for g, t in pairs)


nan, inf = math.nan, math.inf


@pytest.mark.parametrize(
    ("name", "point", "value", "partials"),
    [
        ("abs", (0.0,), 0.0, (0.0,)),
        ("max", (2.0, 2.0), 2.0, (0.5, 0.5)),
        ("min", (2.0, 2.0), 2.0, (0.5, 0.5)),
        ("max", (-1.0, 2.0), 2.0, (0.0, 1.0)),
        ("min", (-1.0, 2.0), -1.0, (1.0, 0.0)),
        ("max", (nan, 2.0), nan, (nan, nan)),
        ("max", (2.0, nan), nan, (nan, nan)),
        ("min", (nan, 2.0), nan, (nan, nan)),
        ("max", (-inf, inf), inf, (0.0, 1.0)),
        ("sign", (nan,), nan, (0.0,)),
        ("pow", (0.0, 2.0), 0.0, (0.0, 0.0)),
        ("pow", (0.0, 1.0), 0.0, (1.0, 0.0)),
        ("hypot", (0.0, 0.0), 0.0, (0.0, 0.0)),
        ("hypot", (0.0, 3e200), 3e200, (0.0, 1.0)),
        ("sinc", (0.0,), 1.0, (0.0,)),
        ("xlogy", (0.0, 0.5), 0.0, (math.log(0.5), 0.0)),
        ("loggamma", (-0.5,), nan, None),
        ("sigmoid", (-800.0,), 0.0, (0.0,)),
        ("sigmoid", (800.0,), 1.0, (0.0,)),
        ("softplus", (-800.0,), 0.0, (0.0,)),
        ("softplus", (800.0,), 800.0, (1.0,)),
        ("log_cosh", (1e6,), 1e6 - math.log(2), (1.0,)),
        ("log_cosh", (-1e6,), 1e6 - math.log(2), (-1.0,)),
        ("tanh", (400.0,), 1.0, (0.0,)),
        ("logsumexp", (1000.0, 0.0, -1000.0), 1000.0, (1.0, 0.0, 0.0)),
        ("logsumexp", (-inf, 0.0, -inf), 0.0, (0.0, 1.0, 0.0)),
        ("mod", (-7.0, 3.0), 2.0, (1.0, 3.0)),
        ("mod", (7.0, -3.0), -2.0, (1.0, 3.0)),
        ("mod", (-1e-200, -3e-200), -1e-200, (1.0, -0.0)),
        ("mod", (1e-200, -3e-200), -2e-200, (1.0, 1.0)),
        ("mod", (-5e-324, 0.25), 0.25, None),
    ],
)
def test_kinks_limits_and_nan(
    name: str, point: tuple[float, ...], value: float, partials: tuple[float, ...] | None
) -> None:
    got = at(name, *point)
    assert same(got, value, *(got[1] if partials is None else partials)), got


def test_the_slope_of_mod_in_its_divisor_belongs_to_its_value() -> None:
    """Mod(x, y) = x - k*y: the k of the value and of the derivative are the same, also where x/y rounds up to k + 1."""
    draw = random.Random(5)
    for _ in range(2000):
        y, k = draw.uniform(0.1, 10.0), draw.randrange(1, 1000)
        x = math.nextafter(k * y, 0.0)
        value, (_, slope) = at("mod", x, y)
        assert abs(value - (x + slope * y)) <= 1e-9 * abs(x), f"Mod({x!r}, {y!r})"
