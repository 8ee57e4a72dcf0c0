"""The oracle's structure and precision: exact rationals, NIST's gradients, sums, branches, depth."""

import json
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mpmath
import pytest
import sympy as sp

from symgrad.declare import EmpiricalRisk, Loss, Model
from symgrad.errors import UnsupportedExpressionError
from symgrad.oracle import Reference, Sample
from symgrad.oracle.record import record
from symgrad.oracle.tape import Tape

a, b, c, d, x, y, z = sp.symbols("a b c d x y z")
NAN = math.nan


def at(expression: Any, point: Sequence[float], symbols: Sequence[Any] = (a, b, c, d), digits: int = 50) -> Sample:
    """Value and gradient of an expression in ``symbols``, of which the first ones are used."""
    used = list(symbols[: len(point)])
    anchor = sp.Symbol("anchor")  # a parameter that the loss surely depends on
    risk = EmpiricalRisk.from_expression(expression + anchor, inputs=[], targets=[], parameters=[*used, anchor])
    found = Reference(risk).sample([*point, 0.0], [], [], digits)
    return Sample(found.loss, found.gradient[:-1])


def undeclared(expression: Any, point: Sequence[float]) -> Sample:
    """As :func:`at`, for what a declaration would refuse."""
    symbols: dict[str, Any] = {"parameters": (a, b)[: len(point)], "inputs": (), "targets": ()}
    risk: Any = SimpleNamespace(**symbols, outputs=(), loss=expression, penalty=None)
    return Reference(risk).sample(point, [], [])


def same(got: Any, expected: float) -> bool:
    return bool(mpmath.isnan(got)) if math.isnan(expected) else bool(got == expected)


# ------------------------------------------------------------------------------------------------------ the structure


def test_rational_expressions_are_exact() -> None:
    """Against SymPy's derivative at exact rationals: another way to differentiate, and no rounding at all."""
    expressions = [
        (a**3 * b - 2 * c / (a + b) ** 2) ** 2,
        sp.Rational(7, 3) * a / (b - c * a) - (a + b + c) ** 5 / (1 + c**2),
        1 / (a - 1 / (b - 1 / c)),
        (a * b * c - sp.Rational(10**30, 7)) / (a + sp.Float("1e-10")),
    ]
    for expression in expressions:
        for point in [(0.1, -2.5, 3.0), (1e-8, 1e8, -0.7), (1.75, 1.75, 1.75), (-1e30, 3.0, 1e-30)]:
            exact = {s: sp.Rational(*v.as_integer_ratio()) for s, v in zip((a, b, c), point, strict=True)}
            found = at(expression, point)
            for got, symbol in zip(found.gradient, (a, b, c), strict=True):
                floats = {f: sp.Rational(*float(f).as_integer_ratio()) for f in expression.atoms(sp.Float)}
                number = sp.diff(expression.xreplace(floats), symbol).xreplace(exact)
                ratio = Fraction(*_ratio(got))
                assert abs(ratio - Fraction(int(number.p), int(number.q))) <= abs(ratio) * Fraction(1, 10**30)


def _ratio(number: Any) -> tuple[int, int]:
    sign, mantissa, exponent, _ = number._mpf_
    whole = int(-mantissa if sign else mantissa)
    return (whole << exponent, 1) if exponent >= 0 else (whole, 1 << -exponent)


def test_the_untaken_branch_never_matters() -> None:
    safe = sp.Piecewise((sp.log(a), a > 0), (a**2, True))
    assert at(safe, [-3.0]) == Sample(9, (-6,))
    assert at(sp.Piecewise((sp.sqrt(a), a > 0), (0, True)), [0.0]) == Sample(0, (0,))


def test_the_side_that_loses_never_matters() -> None:
    assert at(sp.Max(sp.sqrt(a), b), [0.0, 1.0]) == Sample(1, (0, 1))
    assert at(sp.Min(a, sp.Max(sp.sqrt(b), c)), [-1.0, 0.0, 1.0]) == Sample(-1, (1, 0, 0))


def test_conditions() -> None:
    def chosen(condition: Any, *point: float) -> float:
        return float(at(sp.Piecewise((a, condition), (b, True), evaluate=False), point).gradient[0])

    assert chosen(sp.And(a > 0, b > 0), 1.0, 1.0) == 1
    assert chosen(sp.And(a > 0, b > 0), 1.0, -1.0) == 0
    assert chosen(sp.And(b > 0, sp.log(b) > 0), 1.0, -1.0) == 0  # false decides, though the logarithm is undefined
    assert chosen(sp.Or(a > 0, b > 0), -1.0, 2.0) == 1
    assert chosen(sp.Or(b < 0, sp.log(b) > 0), 1.0, -1.0) == 1
    assert chosen(sp.Not(sp.And(a > 0, b > 0)), -1.0, 2.0) == 1
    assert chosen(sp.Xor(a > 0, b > 0), 1.0, 2.0) == 0
    assert chosen(sp.Xor(a > 0, b > 0), 1.0, -2.0) == 1
    assert chosen(sp.ITE(a > 0, b > 0, b < 0), -1.0, -2.0) == 1
    assert chosen(sp.Eq(a, b), 2.0, 2.0) == 1
    assert chosen(sp.Ne(a, b), 2.0, 2.0) == 0
    assert chosen(a <= b, 2.0, 2.0) == 1
    assert chosen(a >= b, 1.0, 2.0) == 0
    assert chosen(a < b, 2.0, 2.0) == 0


def test_softmax_with_a_sum_and_a_label() -> None:
    scores, label = sp.MatrixSymbol("z", 3, 1), sp.Symbol("label", integer=True)
    i = sp.Idx("i", 3)
    w = sp.MatrixSymbol("W", 3, 1)
    loss = Loss(sp.log(sp.Sum(sp.exp(scores[i, 0]), (i, 0, 2))) - scores[label, 0], prediction=scores, target=label)
    reference = Reference(EmpiricalRisk(Model(w * x, inputs=[x], parameters=[w]), loss))
    found = reference.sample([0.5, -1.0, 2.0], [1.5], [2.0])
    with mpmath.workdps(40):
        parts = [mpmath.exp(mpmath.mpf(v)) for v in (0.75, -1.5, 3.0)]
        shares = [p / sum(parts) for p in parts]
        expected = [1.5 * (s - (k == 2)) for k, s in enumerate(shares)]
        assert mpmath.almosteq(found.loss, -mpmath.log(shares[2]), mpmath.mpf(10) ** -30)
        assert all(mpmath.almosteq(g, e, mpmath.mpf(10) ** -30) for g, e in zip(found.gradient, expected, strict=True))
    assert reference.names == ("W[0, 0]", "W[1, 0]", "W[2, 0]")
    assert reference.labels() == {4: 3}
    assert reference.predict([0.5, -1.0, 2.0], [1.5]) == (0.75, -1.5, 3.0)
    assert same(reference.sample([0.5, -1.0, 2.0], [1.5], [3.0]).loss, NAN)  # there is no such class


def test_two_labels_choose_row_and_column() -> None:
    table, row, column = sp.MatrixSymbol("M", 2, 3), *sp.symbols("r s", integer=True)
    symbols: dict[str, Any] = {"parameters": (table,), "inputs": (), "targets": (row, column)}
    loss = table[row, column] + 10 * table[1, column]
    risk: Any = SimpleNamespace(**symbols, outputs=(), loss=loss, penalty=None)
    reference = Reference(risk)
    assert reference.sample([0, 1, 2, 3, 4, 5], [], [1.0, 2.0]) == Sample(55, (0, 0, 0, 0, 0, 11))
    assert reference.sample([0, 1, 2, 3, 4, 5], [], [0.0, 1.0]) == Sample(41, (0, 1, 0, 0, 10, 0))
    assert reference.labels() == {6: 2, 7: 3}


def test_nested_sums_and_limits_that_depend_on_the_outer_index() -> None:
    i, j = sp.symbols("i j", integer=True)
    expression = sp.Sum(a * i + b * j, (j, 0, i), (i, 1, 3))
    assert undeclared(expression, [1.0, 10.0]) == Sample(2 + 6 + 12 + 10 * (1 + 3 + 6), (20, 10))
    assert undeclared(a + sp.Sum(a, (i, 2, 1)), [3.0]).loss == 3  # an empty sum is zero
    with pytest.raises(UnsupportedExpressionError, match="limits of a Sum"):
        undeclared(sp.Sum(a, (i, 0, b)), [1.0, 2.0])


def test_the_summation_index_hides_a_symbol_outside() -> None:
    i = sp.Symbol("i", integer=True)
    inner = sp.Sum(sp.Sum(i * a, (i, 1, 2)) + i * a, (i, 10, 11))
    assert undeclared(inner, [1.0]).gradient == (27,)


def test_an_expression_ten_thousand_deep() -> None:
    deep = a
    for _ in range(10_000):
        deep = sp.Add(sp.Mul(deep, sp.Rational(1, 2), evaluate=False), b, evaluate=False)
    found = at(deep, [1.0, 3.0], digits=20)
    assert mpmath.almosteq(found.loss, 6, 1e-15)
    assert mpmath.almosteq(found.gradient[1], 2, 1e-15)


def test_equal_operations_share_a_slot() -> None:
    tape = Tape()
    leaves = {a: tape.emit("leaf", (), 0)}
    record(tape, sp.exp(a) + sp.sin(sp.exp(a)), leaves)
    assert [o.payload for o in tape.operations].count("exp") == 1


def test_an_unknown_function_and_an_undeclared_symbol_are_named() -> None:
    with pytest.raises(UnsupportedExpressionError, match=r"no rule for besselj.*supported: Abs"):
        record(Tape(), sp.besselj(0, a), {a: 0})
    with pytest.raises(UnsupportedExpressionError, match="'q'"):
        record(Tape(), sp.Symbol("q") + a, {a: 0})


def test_constants_have_every_digit() -> None:
    found = at(sp.pi * a + sp.EulerGamma + sp.Rational(1, 3) + sp.GoldenRatio, [1.0], digits=80)
    with mpmath.workdps(80):
        expected = mpmath.pi + mpmath.euler + mpmath.mpf(1) / 3 + mpmath.phi
        assert mpmath.almosteq(found.loss, expected, mpmath.mpf(10) ** -75)


# ------------------------------------------------------------------------------------ precision, and what double can do


def test_cancellation_raises_the_precision() -> None:
    found = at(1 - sp.cos(a), [1e-160])  # 320 digits cancel
    with mpmath.workdps(30):
        assert mpmath.almosteq(found.loss, mpmath.mpf(1e-160) ** 2 / 2, 1e-25)
    assert abs(at(sp.sin(a) ** 2 + sp.cos(a) ** 2 - 1, [0.7]).loss) < mpmath.mpf(10) ** -330


def test_no_ground_truth_is_none_and_not_nan() -> None:
    tower = sp.exp(sp.exp(sp.exp(sp.exp(a))))
    assert at(tower, [5.0]) == Sample(None, (None,))
    assert at(sp.exp(sp.exp(a)), [5.0]).loss is not None
    assert at(1 / (1 + sp.exp(a)), [1e10]).loss > 0


def test_the_callers_precision_is_left_alone() -> None:
    before = mpmath.mp.prec
    at(1 - sp.cos(a), [1e-100])
    assert mpmath.mp.prec == before


SWALLOWED = [  # at 50 digits and at 100 the first is -inf, the second 0, the third 1/2 and 1/2
    (sp.log(1 - sp.tanh(a) ** 2), 400.0, -798.6137056388801),
    (sp.acos(sp.tanh(a)), 150.0, 1.4351717590202404e-65),
    (sp.acosh(1 + sp.exp(-a)), 300.0, 1.0147118e-65),
    (sp.Max(sp.tanh(a), 1), 300.0, 1.0),
    (sp.log(sp.tanh(a)), 330.0, -5.78259389e-287),
    (1 / (1 - sp.tanh(a)), 200.0, 2.610735e173),
    (sp.Piecewise((1, sp.tanh(a) < 1), (a, True)), 250.0, 1.0),
]


@pytest.mark.parametrize(("expression", "point", "expected"), SWALLOWED)
def test_digits_that_are_swallowed_at_two_precisions_are_missed(expression: Any, point: float, expected: float) -> None:
    assert float(at(expression, [point]).loss) == pytest.approx(expected, rel=1e-6)


def test_the_side_of_a_swallowed_tie() -> None:
    assert at(sp.Max(sp.tanh(a), 1), [300.0]).gradient == (0,)
    halves = at(sp.Max(sp.exp(a), sp.exp(b)), [0.5, 0.5]).gradient
    assert float(halves[0]) == float(halves[1]) == math.exp(0.5) / 2


def test_past_the_highest_precision_an_infinity_is_no_truth() -> None:
    assert at(sp.log(1 - sp.tanh(a) ** 2), [1e4]).loss is None
    assert at(sp.log(a), [0.0]).loss == -mpmath.inf  # and one of exact numbers is


# ------------------------------------------------------------------------------------------------------- whole risks

NIST = json.loads((Path(__file__).parents[1] / "data" / "nist_reference.json").read_text(encoding="utf-8"))
MODELS = {
    "Misra1a": (a * (1 - sp.exp(-b * x)), [a, b]),
    "MGH09": (a * (x**2 + x * b) / (x**2 + x * c + d), [a, b, c, d]),
    "Eckerle4": ((a / b) * sp.exp(-(((x - c) / b) ** 2) / 2), [a, b, c]),
}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_nist_mean_gradients_to_25_digits(name: str) -> None:
    case, (model, parameters) = NIST[name], MODELS[name]
    risk = EmpiricalRisk(Model(model, inputs=[x], parameters=parameters), Loss((z - y) ** 2, prediction=z, target=y))
    found = Reference(risk).mean(case["theta"], [[v] for v in case["x"]], [[v] for v in case["y"]])
    with mpmath.workdps(50):
        for got, text in zip((found.loss, *found.gradient), (case["mean_loss"], *case["mean_grad"]), strict=True):
            assert abs(got - mpmath.mpf(text)) <= abs(mpmath.mpf(text)) * mpmath.mpf(10) ** -25


def decay(penalty: Any = None) -> Reference:
    model = Model(a * sp.exp(-b * x), inputs=[x], parameters=[a, b])
    return Reference(EmpiricalRisk(model, Loss((z - y) ** 2 / 2, prediction=z, target=y), penalty=penalty))


def test_weights_and_penalty() -> None:
    theta, inputs, targets = [2.0, 0.3], [[1.5], [0.5], [3.0]], [[0.7], [1.0], [0.2]]
    plain = decay()
    rows = [plain.sample(theta, u, t) for u, t in zip(inputs, targets, strict=True)]
    mean = decay(penalty=a**2 + 3 * b).mean(theta, inputs, targets, weights=[1.0, 2.0, 5.0])
    with mpmath.workdps(50):
        expected = (rows[0].gradient[0] + 2 * rows[1].gradient[0] + 5 * rows[2].gradient[0]) / 8 + 4
        assert mpmath.almosteq(mean.gradient[0], expected, mpmath.mpf(10) ** -40)
        loss = (rows[0].loss + 2 * rows[1].loss + 5 * rows[2].loss) / 8 + 4 + 3 * mpmath.mpf(0.3)
        assert mpmath.almosteq(mean.loss, loss, mpmath.mpf(10) ** -40)
    assert plain.penalty(theta) == Sample(0, (0, 0))
    assert decay(penalty=a**2 + 3 * b).penalty(theta).gradient == (4, 3)


def test_the_loss_is_bound_by_environment_and_not_by_name() -> None:
    """A placeholder may carry the name of a symbol of the model: the two are in different scopes."""
    other = sp.Symbol("x")
    risk = EmpiricalRisk(Model(a * x, inputs=[x], parameters=[a]), Loss((other - y) ** 2, prediction=other, target=y))
    assert Reference(risk).sample([2.0], [3.0], [1.0]) == Sample(25, (30,))


def test_constants_are_found_for_the_points() -> None:
    risk = EmpiricalRisk.from_expression(sp.Max(a, 0.25) * 3, inputs=[], targets=[], parameters=[a])
    assert decay().constants() == (-1.0, 0.5, 2.0)
    assert Reference(risk).constants() == (0.25, 3.0)
