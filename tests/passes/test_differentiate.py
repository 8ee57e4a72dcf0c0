"""The backward sweep: against SymPy's diff, what it costs, and that no branch that is not taken leaks."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import HealthCheck, Phase, assume, given, settings

from symgrad import gallery
from symgrad.declare import EmpiricalRisk, Loss, Model
from symgrad.operations import TABLE
from symgrad.passes import derive, lower
from symgrad.passes.differentiate import differentiate
from symgrad.passes.lowering import contract
from symgrad.pipeline import generate
from symgrad.program import LEAVES, Builder, Program, fold
from symgrad.trace import trace
from tests.helpers.declaring import risk_of_all
from tests.helpers.evaluate import DIGITS, DOUBLES, operation_count, output
from tests.helpers.grammar import INPUTS, PARAMETERS, TARGET, expressions, risk_of

a, b, u = sp.symbols("a b u", real=True)
QUIET = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}
POINTS = ((0.6875, -1.3125, 0.40625, 1.84375), (0.28125, -0.71875), (0.59375,))


def derived(expression: Any, parameters: Sequence[Any] = (a, b)) -> Program:
    declared = risk_of_all(expression, inputs=[u], targets=[], parameters=parameters)
    return derive(trace(declared))


def gradient(expression: Any, at: Sequence[float], sample: float = 1.0) -> list[float]:
    """The gradient in a and b, in doubles after lowering: what the generated module computes."""
    leaves = {"parameter": [np.float64(x) for x in at], "input": [np.float64(sample)]}
    return [float(g) for g in output(lower(derived(expression)), "gradient", DOUBLES, leaves)]


# -------------------------------------------------------------------------------------------------------- correctness


@settings(max_examples=150, phases=[Phase.generate], **QUIET)
@given(expressions(exact=True, leaves=6))
def test_the_gradient_is_sympys(expression: Any) -> None:
    risk = risk_of(expression)
    assume(risk is not None)
    program = derive(trace(risk))
    symbols = (*PARAMETERS, *INPUTS, TARGET)
    values = {s: sp.Rational(*x.as_integer_ratio()) for s, x in zip(symbols, sum(POINTS, ()), strict=True)}
    with mpmath.workdps(50):
        numbers = ([mpmath.mpf(x) for x in point] for point in POINTS)
        leaves = dict(zip(("parameter", "input", "target"), numbers, strict=True))
        for parameter, got in zip(PARAMETERS, output(program, "gradient", DIGITS, leaves), strict=True):
            true = sp.diff(expression, parameter).xreplace(values).evalf(40, maxn=200)
            assume(true.is_Float or true.is_Rational)
            assert abs(got - mpmath.mpf(true)) <= 1e-13 * (1 + abs(got)), f"d/d{parameter} of {expression}"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (a * b * u, (3.0, 2.0)),
        (a**2 * b, (12.0, 4.0)),
        (a**a, (4 * (1 + math.log(2)), 0.0)),
        (a / b, (1 / 3, -2 / 9)),
        (a - b, (1.0, -1.0)),
        (sp.Max(a, b, 2 * u), (0.0, 1.0)),
        (sp.Max(a, 2 * u), (0.5, 0.0)),
        (sp.Min(a, b) + sp.Abs(a - 2), (1.0, 0.0)),
        (sp.Heaviside(a - 2) * b, (0.0, 0.5)),
        (sp.Mod(b, a), (-1.0, 1.0)),
        (sp.floor(a) * sp.ceiling(b) + a, (1.0, 0.0)),
        (sp.sign(a) * b, (0.0, 1.0)),
        (sp.binomial(a, 3) + sp.binomial(b - 3, 2), (1 / 3, -1 / 2)),  # where gamma functions have poles
    ],
)
def test_small_gradients(expression: Any, expected: tuple[float, float]) -> None:
    assert gradient(expression, (2.0, 3.0)) == pytest.approx(expected, rel=1e-14)


def test_a_parameter_that_does_not_occur_has_the_gradient_zero() -> None:
    program = derived(sp.exp(a * u), parameters=(b, a, *sp.symbols("c:3")))
    zero, _, *others = program.outputs["gradient"]
    assert program.assignments[zero].operation == "constant"
    assert program.assignments[zero].attribute == 0.0
    assert set(others) == {zero}
    leaves = {"parameter": [np.float64(math.nan)] * 5, "input": [np.float64(math.nan)]}
    assert output(lower(program), "gradient", DOUBLES, leaves)[0] == 0.0


def test_where_only_a_condition_depends_on_a_parameter_its_gradient_is_zero() -> None:
    assert gradient(sp.Piecewise((u, b > 1), (2 * u, True)) * a, (2.0, 3.0)) == [1.0, 0.0]


def test_the_weight_is_where_the_sweep_starts() -> None:
    leaves = {"parameter": [mpmath.mpf(2), mpmath.mpf(3)], "input": [mpmath.mpf(5)], "weight": [mpmath.mpf(7)]}
    assert output(derived(a * b * u), "loss", DIGITS, leaves) == (210,)
    assert output(derived(a * b * u), "gradient", DIGITS, leaves) == (105, 70)


def test_a_gradient_can_be_differentiated_again() -> None:
    first = derived(sp.exp(a * u) * sp.sin(b) + a**3 * b)
    builder = Builder(first.assignments)
    second = differentiate(builder.program({"g": first.outputs["gradient"][:1]}), "g", "hessian")
    with mpmath.workdps(30):
        leaves = {"parameter": [mpmath.mpf(2), mpmath.mpf(3)], "input": [mpmath.mpf(1)]}
        got = output(second, "hessian", DIGITS, leaves)
        true = (mpmath.exp(2) * mpmath.sin(3) + 36, mpmath.exp(2) * mpmath.cos(3) + 12)
        assert max(abs(g - t) for g, t in zip(got, true, strict=True)) < 1e-25


@pytest.mark.parametrize("last", [1, 2, 3])
def test_a_polynomial_by_a_sum_has_a_derivative_at_zero(last: int) -> None:
    i = sp.Idx("i", 4)
    assert gradient(sp.Sum(a**i * u, (i, 0, last)), (0.0, 1.0)) == [1.0, 0.0]


# --------------------------------------------------------------------------------------------------------------- cost


def cost(program: Program) -> float:
    """Operations of risk and gradient over those of the risk: of a lowered program, those that are computed."""
    return operation_count(program, "loss", "gradient") / operation_count(program, "loss")


@pytest.mark.parametrize("risk", gallery.RISKS, ids=gallery.names())
def test_the_gradient_is_cheap_in_the_gallery(risk: EmpiricalRisk) -> None:
    stages = generate(risk)
    assert cost(stages.lowered) <= 5
    assert stages.kernel.counts["gradient"] <= 5 * stages.kernel.counts["loss"]


def test_the_gradient_is_cheap_for_random_risks() -> None:
    costs: dict[str, float] = {}

    @settings(max_examples=300, phases=[Phase.generate], **QUIET)
    @given(expressions(exact=False, leaves=12))
    def collect(expression: Any) -> None:
        risk = risk_of(expression)
        assume(risk is not None)
        program = derive(trace(risk))
        assert {step.operation for step in program.assignments} <= {*TABLE, *LEAVES}
        costs[str(expression)] = cost(lower(program))

    collect()
    assert len(costs) >= 250
    assert statistics.median(costs.values()) < 3
    dear = {expression: found for expression, found in costs.items() if found > 5}
    assert len(dear) <= 0.03 * len(costs), dear
    # tanh is one operation of C's, and its slope, which keeps its digits where tanh is 1, takes eight
    assert all(found <= 9 and "tanh" in expression for expression, found in dear.items()), dear


@pytest.mark.parametrize("branches", [1, 2, 5])
def test_guards_keep_the_bound(branches: int) -> None:
    """Long products in a branch: every factor's share is guarded."""
    p = sp.symbols("p:12", real=True)
    chain = p[0]
    for factor in p[1:]:
        chain = (chain + factor) * chain
    cases = [(chain * (k + 1) + p[k], u > branches - k) for k in range(branches)]
    found = cost(lower(derived(sp.Piecewise(*cases, (p[0], True)), p)))
    assert found <= 5


def test_a_thousand_parameters_take_linear_work() -> None:
    counts = []
    for size in (250, 1000):
        p = sp.symbols(f"p:{size}")
        total = sum(sp.tanh(p[k] * u + p[k + 1]) * p[(k + 7) % size] for k in range(0, size, 2))
        program = derived((total - 1) ** 2, p)
        counts.append((operation_count(program, "loss", "gradient"), len(program.assignments)))
        assert cost(lower(program)) < 4
    assert all(large <= 4.1 * small for small, large in zip(*counts, strict=True))


# ------------------------------------------------------------------------------------------ branches that are not taken

_x = a * u
LEAKS: list[tuple[Any, float, float, float]] = [
    # expression, a, u, d/da
    (sp.Piecewise((u * sp.Max(sp.log(a), 3), a > 0), (3 * a, True)), -2.0, 1.0, 3.0),
    (sp.Piecewise((a * sp.Min(a, sp.log(u)), u > 0), (a, True)), 2.0, -1.0, 1.0),
    (a**u + a, 0.0, 0.0, 1.0),
    (sp.Piecewise((sp.sqrt(_x), u > 0), (a, True)), 2.0, 0.0, 1.0),
    (sp.Piecewise((sp.sqrt(_x), u > 0), (a, True)), 2.0, -1.0, 1.0),
    (sp.Piecewise((sp.log(_x), u > 0), (a**2, True)), 2.0, 0.0, 4.0),
    (sp.Piecewise((1 / _x, sp.Ne(u, 0)), (a, True)), 2.0, 0.0, 1.0),
    (sp.Piecewise((_x ** sp.Rational(1, 3), u > 0), (a, True)), 2.0, -8.0, 1.0),
    (sp.Piecewise((_x**a, u > 0), (a, True)), 2.0, -0.5, 1.0),
    (sp.Piecewise((sp.exp(_x), u < 1), (a, True)), 2.0, 1e4, 1.0),
    (sp.Piecewise((sp.exp(_x) * sp.sqrt(-_x), u < 1), (sp.log(_x), True)), 2.0, 1e4, 0.5),
    (sp.Piecewise((sp.asin(_x), sp.Abs(u) < 0.25), (sp.acosh(_x), u > 2), (a, True)), 2.0, 1.0, 1.0),
    (sp.Piecewise((sp.log(sp.sqrt(_x)), u > 0), (3 * a, True)), 2.0, 0.0, 3.0),
    (sp.Piecewise((sp.loggamma(_x), u > 0), (3 * a, True)), 2.0, 0.0, 3.0),
    # nested, and the same sub-expression in both branches
    (sp.Piecewise((sp.Piecewise((sp.sqrt(_x), u > 1), (sp.log(_x), True)), u > 0), (a, True)), 2.0, 0.0, 1.0),
    (sp.Piecewise((sp.Piecewise((sp.sqrt(_x), u > 1), (sp.log(_x), True)), u > 0), (a, True)), 2.0, 0.5, 0.5),
    (sp.Piecewise((sp.sqrt(_x) * a, u > 1), (sp.sqrt(_x), u > 0), (a, True)), 2.0, -1.0, 1.0),
    (sp.Piecewise((sp.sqrt(_x) * a, u > 0), (sp.sqrt(-_x), True)), 2.0, 2.0, 3.0),
    (sp.Piecewise((sp.exp(_x) / a, u < 1), (sp.log(sp.exp(-_x) + 1), True)), 2.0, 1e4, 0.0),
    (sp.Piecewise((a, u > 0), (sp.sqrt(_x), u < -1), (sp.log(_x), u < 0), (2 * a, True)), 2.0, 0.0, 2.0),
    # the condition itself depends on the parameter
    (sp.Piecewise((sp.sqrt(a - 2), a > 2), (5 * a, True)), 2.0, 1.0, 5.0),
    (sp.Piecewise((sp.log(a), a > 0), (0, True)), 0.0, 1.0, 0.0),
    # in Max, Min, Abs and beside them
    (sp.Max(a, sp.Piecewise((sp.sqrt(_x), u > 0), (0, True))), 2.0, 0.0, 1.0),
    (sp.Max(sp.log(_x), a), 2.0, 0.0, 1.0),
    (sp.Min(1 / _x, a), 2.0, 0.0, 1.0),
    (sp.Max(sp.Abs(_x), 1) + sp.sqrt(sp.Max(_x, 1)), 2.0, 0.0, 0.0),
    (sp.Abs(sp.Piecewise((1 / _x, sp.Ne(u, 0)), (-a, True))), 2.0, 0.0, 1.0),
    (sp.Piecewise((sp.Max(1 / _x, sp.log(_x)), u > 0), (a, True)), 2.0, 0.0, 1.0),
    (sp.sqrt(sp.Piecewise((_x, u > 0), (a**2, True))), 2.0, -3.0, 1.0),
    (sp.Heaviside(u) * a + sp.Piecewise((sp.log(_x), u > 0), (0, True)), 2.0, -1.0, 0.0),
    (sp.Piecewise((sp.sqrt(_x), (u > 0) & (a > 1)), (sp.log(-_x), (u < 0) | (a < -1)), (a, True)), 2.0, 0.0, 1.0),
    (sp.Piecewise((sp.sqrt(_x), sp.Xor(u > 0, a > 5)), (a, True)), 2.0, -1.0, 1.0),
]


@pytest.mark.parametrize(("expression", "at", "sample", "slope"), LEAKS, ids=[str(leak[0])[:70] for leak in LEAKS])
def test_a_branch_that_is_not_taken_never_leaks(expression: Any, at: float, sample: float, slope: float) -> None:
    assert gradient(expression, (at, 0.0), sample)[0] == pytest.approx(slope, rel=1e-14)


@pytest.mark.parametrize("branches", [2, 7, 8, 9, 16, 40])
def test_no_leak_however_many_branches_share_an_expression(branches: int) -> None:
    root = sp.sqrt(a * u)
    cases = [((root if k % 2 else b) * k, u > k) for k in range(2 * branches, 0, -1)]
    assert gradient(sp.Piecewise(*cases, (a, True)), (2.0, 1.0), -1.0) == [1.0, 0.0]


def test_no_leak_for_random_nests_of_branches() -> None:
    """Values that are infinite or NaN in every branch but one: the derivative is that one's."""
    danger = (sp.sqrt(-a * u - 1), sp.log(-a * u), 1 / (a * u - 2), (-a * u) ** sp.Rational(1, 3))
    for seed in range(64):
        bits = [(seed >> k) & 1 for k in range(6)]
        tree: Any = a * 7
        for depth, bit in enumerate(bits):
            bad = danger[(seed + depth) % 4]
            bad = bad * tree.subs(a, a * (depth + 1)) if depth % 2 else bad
            condition = (u > depth - 7) if bit else (u < depth - 7)
            tree = sp.Piecewise((tree, condition), (bad, True)) if bit else sp.Piecewise((bad, condition), (tree, True))
        assert gradient(tree, (2.0, 1.0), 1.0) == [7.0, 0.0], tree


def test_nested_choices_cost_linear_work() -> None:
    """Guards inside guards are computed once, not spelled out anew at each level."""
    p, found = sp.symbols("p:5", real=True), []
    for depth in (20, 80):
        nest = p[0]
        for k in range(1, depth):
            largest = sp.Max(nest, p[(k + 1) % 5] * u, evaluate=False)
            nest = sp.Piecewise((p[k % 5] * sp.log(u + k), u > k), (largest, True), evaluate=False)
        program = lower(derived(nest, p))
        assert cost(program) <= 5
        found.append(operation_count(program, "loss", "gradient"))
    assert found[1] <= 4.5 * found[0]


def test_a_label_that_is_none_gives_nan_in_loss_and_gradient() -> None:
    z, label = sp.MatrixSymbol("z", 2, 1), sp.Symbol("label", integer=True)
    model = Model(sp.Matrix([a * u, b * u]), [u], [a, b])
    risk = EmpiricalRisk(model, Loss(z[label, 0], z, label))
    program = lower(derive(trace(risk)))
    for at, expected in ((0.0, (3.0, 0.0)), (1.0, (0.0, 3.0))):
        assert output(program, "gradient", DOUBLES, leaves_of(at)) == expected
    assert np.isnan(output(program, "gradient", DOUBLES, leaves_of(2.0))).any()


def leaves_of(label: float) -> dict[str, list[np.float64]]:
    values = {"parameter": [1.0, 2.0], "input": [3.0], "target": [label], "weight": [1.0]}
    return {role: [np.float64(v) for v in row] for role, row in values.items()}


def test_a_divisor_of_very_many_factors_takes_no_longer_than_it_must() -> None:
    """Two thousand of them, and one that is squared sixty times."""
    p = sp.symbols("p:2000", real=True)
    program = lower(derived(1 / sp.Mul(*p), p))
    assert len(program.assignments) < 20 * len(p)
    builder = Builder(fold=fold)
    square = builder.emit("parameter", attribute=0)
    for _ in range(60):
        square = builder.emit("mul", square, square)
    loss = builder.emit("div", builder.constant(1.0), square)
    assert len(differentiate(contract(builder.program({"loss": (loss,)})), "loss", "gradient").assignments) < 400


# --- zero times infinity -------------------------------------------------------------------------------------------

t, tau, w = sp.symbols("t tau w", real=True)
MIXTURE = sp.log(w * sp.exp(a) + (1 - w) * sp.exp(b))
AT_ZERO: dict[str, tuple[sp.Expr, dict[sp.Symbol, float], tuple[float, ...]]] = {
    "a root of a product": (sp.sqrt(a * t), {a: 2.0, t: 0.0}, (0.0,)),
    "a root of a sum": (sp.sqrt(a * t + b**2 * t**2), {a: 2.0, b: 0.5, t: 0.0}, (0.0, 0.0)),
    "a root of a function": (sp.sqrt(1 - sp.cos(a * t)), {a: 2.0, t: 0.0}, (0.0,)),
    "a power of a quotient": (b * sp.exp(-((t / tau) ** a)), {b: 3.0, tau: 2.0, a: 0.5, t: 0.0}, (1.0, 0.0, 0.0)),
    "a power of a sum": (((a - t) ** 2 + b**2) ** sp.Rational(3, 5), {a: 2.0, b: 0.0, t: 2.0}, (0.0, 0.0)),
    "Box and Cox": (((b * t) ** a - 1) / a, {b: 2.0, a: 0.25, t: 0.0}, (0.0, 16.0)),
    "what moves at a cusp": (sp.sqrt(a + t), {a: -1.0, t: 1.0}, (math.inf,)),
    "a weight of zero": (MIXTURE, {w: 0.0, a: 5.0, b: 1.0}, (53.598150033144, 0, 1)),
    "a weight of one": (MIXTURE, {w: 1.0, a: 1.0, b: 5.0}, (-53.598150033144, 1, 0)),
    "an entropy of a product": (a * b * t * sp.log(a * t), {a: 2.0, b: 3.0, t: 0.0}, (0.0, 0.0)),
    "a size of zero, far out": (sp.log(1 + a**2 * sp.exp(b)), {a: 0.0, b: 800.0}, (0.0, 0.0)),
    "a weight of zero, far out": (sp.log(1 + a * sp.exp(b)), {a: 0.0, b: 800.0}, (math.inf, 0.0)),
    "a weight far out": (MIXTURE, {w: 0.0, a: 800.0, b: 0.0}, (math.inf, 0, 1)),
    "a share of zero": (
        (sp.exp(-a * b) / (w + (1 - w) * sp.exp(-a * b))) ** 2, {w: 0.0, a: 0.5, b: 2.0}, (-2 * math.expm1(1.0), 0, 0)
    ),
}  # fmt: skip


d = sp.Symbol("d", real=True)
FAR: dict[str, tuple[sp.Expr, dict[sp.Symbol, float], tuple[float, ...]]] = {
    "two states, far apart": (
        sp.log(sp.exp(a + b) + sp.exp(a + w) + sp.exp(d + b) + sp.exp(d + w)) - a - b,
        {a: -1e20, b: 0.25, w: 0.75, d: -1e20},
        (-0.5, -0.6224593312018546, 0.6224593312018546, 0.5),
    ),
    "a mixture by its logit, both far": (
        -sp.log(sp.exp(-((t - a) ** 2) / 2) / (1 + sp.exp(-w)) + sp.exp(-((t - b) ** 2) / 2) / (1 + sp.exp(w))),
        {w: 0.7, a: -1.3, b: 2.5, t: 45.0},
        (0.668187772168166096684758858197, -4.95932010959826910892216811642e-72, -42.5),
    ),
    "a guess that is surely wrong": (
        -sp.log(1 - w - (1 - w) / (1 + sp.exp(-a * t))), {a: 1.0, w: 0.2, t: 800.0}, (800.0, 1.25)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAR)
def test_far_out_nothing_is_rounded_away(name: str) -> None:
    assert gradient_in_doubles(*FAR[name][:2]) == pytest.approx(FAR[name][2], rel=1e-12, abs=0.0)


@pytest.mark.parametrize("name", AT_ZERO)
def test_zero_wins_over_infinity_where_nothing_moves(name: str) -> None:
    """Data of exactly 0 under a root or power, and weights of exactly 0 and 1: where fits begin and end."""
    expression, point, true = AT_ZERO[name]
    assert gradient_in_doubles(expression, point) == pytest.approx(true, rel=1e-12)


def gradient_in_doubles(expression: sp.Expr, point: dict[sp.Symbol, float]) -> list[float]:
    parameters = [symbol for symbol in point if symbol != t]
    inputs = [t] if t in expression.free_symbols else []
    risk = EmpiricalRisk.from_expression(expression, inputs=inputs, targets=[], parameters=parameters)
    leaves = {
        "parameter": [np.float64(point[symbol]) for symbol in parameters],
        "input": [np.float64(point[symbol]) for symbol in inputs],
        "weight": [np.float64(1.0)],
    }
    with np.errstate(all="ignore"):
        return [float(x) for x in output(generate(risk).lowered, "gradient", DOUBLES, leaves)]
