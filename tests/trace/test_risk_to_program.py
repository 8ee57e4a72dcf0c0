"""SymPy -> Program: value numbering, what varies, numbers, powers, choices, sums, and depth."""

from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp
from sympy.codegen import cfunctions
from sympy.logic.boolalg import ITE

from symgrad import functions
from symgrad.declare import EmpiricalRisk, Loss, Model
from symgrad.passes import lower
from symgrad.program import Builder, Program, fold
from symgrad.trace import Tracer, trace
from symgrad.trace.risk_to_program import RULES
from tests.helpers.declaring import risk_of_all
from tests.helpers.evaluate import DIGITS, DOUBLES, output

a, b, c, u, v, y = sp.symbols("a b c u v y", real=True)
W = sp.MatrixSymbol("W", 3, 2)


def risk_of(expression: Any, **more: Any) -> EmpiricalRisk:
    declared = {"inputs": [u, v], "targets": [y], "parameters": [a, b, c, W], **more}
    return risk_of_all(expression, **declared)


def program_of(expression: Any, **more: Any) -> Program:
    return trace(risk_of(expression + (0 if expression.has(a) else a), **more))


def operations(program: Program) -> list[str]:
    leaves = ("parameter", "input", "target", "weight", "constant")
    steps = (program.assignments[v] for v in sorted(program.needed()))
    return [step.operation for step in steps if step.operation not in leaves]


def value_of(expression: Any, **values: float) -> float:
    """The traced expression in doubles, at a, b, c, u, v (0 if it is not given)."""
    builder = Builder(fold=fold)
    known = {symbol: builder.emit("input", attribute=place) for place, symbol in enumerate((a, b, c, u, v))}
    root = Tracer(builder, known, RULES).trace(expression)
    leaves = {"input": [np.float64(values.get(name, 0.0)) for name in "abcuv"]}
    return float(output(lower(builder.program({"loss": (root,)})), "loss", DOUBLES, leaves)[0])


def constants(expression: Any) -> set[float]:
    return {s.attribute for s in program_of(expression).assignments if s.operation == "constant"}  # type: ignore[misc]


# ----------------------------------------------------------------------------------------------------- value numbering


def test_equal_sub_expressions_are_one_variable() -> None:
    same = sp.exp(a * u)
    again = sp.exp(sp.Mul(u, a, evaluate=False), evaluate=False)
    assert operations(program_of(sp.sin(same) + sp.cos(again))) == ["mul", "exp", "cos", "sin", "add", "mul"]


def test_sums_and_products_do_not_care_about_order() -> None:
    both = sp.Add(sp.sin(sp.Add(u, v, evaluate=False)), sp.cos(sp.Add(v, u, evaluate=False)), a)
    assert operations(program_of(both)).count("add") == 3
    products = sp.sin(sp.Mul(u, v, evaluate=False)) + sp.cos(sp.Mul(v, u, evaluate=False)) + a
    assert operations(program_of(products)).count("mul") == 2  # and the weight's


def test_a_difference_is_one_operation() -> None:
    assert operations(program_of((a * u - y) ** 2)) == ["mul", "sub", "power", "mul"]
    assert operations(program_of(y - a)) == ["sub", "mul"]


def test_the_loss_is_bound_to_the_model_not_substituted() -> None:
    z = sp.Symbol("z")
    risk = EmpiricalRisk(Model(sp.exp(a * u), [u], [a]), Loss((z - y) ** 2 * sp.exp(z), z, y))
    assert operations(trace(risk)).count("mul") == 3
    assert trace(risk).outputs["prediction"] == (4,)


@pytest.mark.parametrize(
    ("expression", "varying"),
    [
        (a * u * b, 1),  # (a b) u
        (a + u + b * c, 1),
        (sp.exp(a) * u * sp.sin(b) + c**2, 2),
        (u * a / b, 1),
        (u / (a * v), 2),
        (2 * sp.pi * a * u, 1),
        (a * b * u / (c * v), 2),
        ((a + b) * (u + v) * c, 2),
    ],
)
def test_work_on_parameters_alone_is_gathered(expression: sp.Expr, varying: int) -> None:
    program = program_of(expression)
    varies = program.depends_on(["input", "target", "weight"])
    done = [v for v in program.needed("loss") if varies[v] and program.assignments[v].arguments]
    assert len(done) == varying + 1, program  # and the product with the weight


# -------------------------------------------------------------------------------------------------- numbers and powers


@pytest.mark.parametrize(
    ("expression", "number"),
    [
        (sp.pi * a / 6, "0.5235987755982988730771072305465838140328615665625176368"),
        (sp.sqrt(2) * a, "1.4142135623730950488016887242096980785696718753769"),
        (sp.Rational(1, 3) * a, "0.33333333333333333333333333333333333333333333333333"),
        (sp.Rational(1, 10**30) * a, "1e-30"),
        (2**100 * a, "1267650600228229401496703205376"),
        ((2**53 + 1) * a, "9007199254740992"),
        (sp.Rational(2**200 + 1, 2**199 + 3) * a, "1.9999999999999999999999999999999999999999999999999"),
        (sp.Float(0.1) * a, repr(0.1)),
        (sp.Float("0.1", 40) * a, "0.1"),
        (sp.exp(sp.Rational(1, 7)) * sp.sin(1) * a, "0.970691472294302399"),
        (sp.EulerGamma + a, "0.57721566490153286060651209008240243104215933593992"),
        (sp.GoldenRatio**20 * a, "15126.99993389304"),
    ],
)
def test_a_number_is_rounded_once(expression: sp.Expr, number: str) -> None:
    assert float(number) in constants(expression)


def test_high_powers_below_a_line_are_factors() -> None:
    """Of the square of a quotient, which is in its derivative, nothing would be left."""
    assert operations(program_of(a / u**8)) == ["power", "div", "mul"]
    assert operations(program_of(a / u**24)) == ["power", "mul", "mul"]


def test_powers_of_ten_are_not_multiplied_up() -> None:
    assert constants(sp.Float(1e-300) * a) == {1e-300}
    assert constants(sp.Integer(10) ** 22 * a) == {1e22}


@pytest.mark.parametrize(
    ("power", "expected"),
    [
        (u**2, ["power"]),
        (u**-1, ["power"]),
        (u**-3, ["power"]),
        (sp.sqrt(u), ["sqrt"]),
        (1 / sp.sqrt(u), ["sqrt", "div"]),
        (u ** sp.Rational(3, 2), ["root_power"]),
        (u ** sp.Rational(-7, 2), ["root_power", "div"]),
        (u ** sp.Rational(1, 3), ["rational_power"]),
        (u ** sp.Float(2.5), ["pow"]),
        (u**v, ["pow"]),
        (u ** (2**40), ["pow"]),
        (2**u, ["pow"]),
        (a * u**-2, ["power", "div"]),
    ],
)
def test_powers_are_the_cheapest_that_mean_them(power: sp.Expr, expected: list[str]) -> None:
    found = operations(program_of(power if power.has(a) else a + power))
    assert found[: len(expected)] == expected
    assert len(found) <= len(expected) + 2


@pytest.mark.parametrize(
    ("term", "written"),
    [
        (lambda j: W[j, 0] * u**j, W[0, 0] + W[1, 0] * u + W[2, 0] * u**2),
        (lambda j: W[j, 0] * u ** (6 * j - 3), W[0, 0] * u**-3 + W[1, 0] * u**3 + W[2, 0] * u**9),
        (lambda j: W[j, 0] * u ** ((j + 1) / 2), W[0, 0] * sp.sqrt(u) + W[1, 0] * u + W[2, 0] * u ** sp.Rational(3, 2)),
    ],
)
def test_the_index_of_a_sum_is_an_exponent_like_any_other(term: Any, written: sp.Expr) -> None:
    """Products, where it is a whole number: `pow` would be slow, and slower for a negative base."""
    j = sp.Idx("j", 3)
    (opened, names), (flat, expected) = (
        (trace(risk_of(e)), operations(trace(risk_of(e)))) for e in (sp.Sum(term(j), (j, 0, 2)), written)
    )
    assert "pow" not in names
    assert set(names) <= {*expected, "div"}
    leaves = {"parameter": np.arange(3.0, 12.0), "input": np.array([1.5, 0]), "weight": np.array([1.0])}
    values = [output(lower(program), "loss", DOUBLES, leaves)[0] for program in (opened, flat)]
    assert values[0] == pytest.approx(values[1], rel=1e-15)


@pytest.mark.parametrize("exponent", ["-11", "-7/2", "-2", "-1", "-1/2", "-1/3", "1/3", "1/2", "3/2", "2", "5/2", "37"])
@pytest.mark.parametrize("base", [0.3, 1.0, 7.25])
def test_powers_have_sympys_values(exponent: str, base: float) -> None:
    expression, exact = u ** sp.Rational(exponent), mpmath.mpf(base) ** (mpmath.mpf(1) * sp.Rational(exponent))
    assert value_of(expression, u=base) == pytest.approx(float(exact), rel=1e-14)


@pytest.mark.parametrize("exponent", ["1/3", "2/3", "1/2", "-3/2", "7/5"])
def test_a_root_of_a_negative_number_is_nan(exponent: str) -> None:
    assert np.isnan(value_of(u ** sp.Rational(exponent), u=-8.0))


# ------------------------------------------------------------------------------------------------------------ meanings

CHOICES = [
    (sp.Mod(u, v), [(7.5, 2.0, 1.5), (-7.5, 2.0, 0.5), (7.5, -2.0, -0.5), (-7.5, -2.0, -1.5), (6.0, 2.0, 0.0)]),
    (sp.Heaviside(u), [(-1.0, 0, 0.0), (0.0, 0, 0.5), (1.0, 0, 1.0), (-0.0, 0, 0.5), (np.nan, 0, np.nan)]),
    (sp.Heaviside(u, 0), [(0.0, 0, 0.0), (2.0, 0, 1.0)]),
    (sp.Piecewise((1, u > v), (2, sp.Eq(u, v)), (3, True)), [(1, 0, 1.0), (1, 1, 2.0), (0, 1, 3.0)]),
    (sp.Piecewise((1, u < v), (2, sp.Ne(u, 5)), (3, True)), [(0, 1, 1.0), (6, 1, 2.0), (5, 1, 3.0)]),
    (sp.Piecewise((1, (u >= 1) & (v <= 2)), (0, True)), [(1, 2, 1.0), (0.5, 2, 0.0), (1, 2.5, 0.0)]),
    (sp.Piecewise((1, (u > 1) | (v > 1)), (0, True)), [(0, 0, 0.0), (2, 0, 1.0), (0, 2, 1.0), (2, 2, 1.0)]),
    (sp.Piecewise((1, sp.Xor(u > 1, v > 1)), (0, True)), [(0, 0, 0.0), (2, 0, 1.0), (0, 2, 1.0), (2, 2, 0.0)]),
    (sp.Piecewise((1, sp.Xor(u > 1, v > 1, u > v)), (0, True)), [(2, 1, 0.0), (3, 2, 1.0), (0, -1, 1.0)]),
    (sp.Piecewise((1, sp.Not((u > 1) & (v > 1))), (0, True)), [(2, 2, 0.0), (2, 0, 1.0)]),
    (sp.Piecewise((1, ITE(u > 1, v > 1, v < -1)), (0, True)), [(2, 2, 1.0), (2, 0, 0.0), (0, -2, 1.0), (0, 2, 0.0)]),
    (sp.Max(u, v, 1), [(0, 0, 1.0), (2, 0, 2.0), (2, 3, 3.0), (np.nan, 3, np.nan), (5, np.nan, np.nan)]),
    (sp.Min(u, v, 1), [(2, 3, 1.0), (0, 3, 0.0), (0, -1, -1.0), (np.nan, -3, np.nan)]),
    (sp.sign(u) + sp.Abs(v), [(-3, -2, 1.0), (0, 0, 0.0), (4, 5, 6.0)]),
    (sp.floor(u) - sp.ceiling(v), [(-0.5, -0.5, -1.0), (2.5, 2.5, -1.0)]),
    (sp.re(u) + sp.im(v) + sp.conjugate(v), [(2, 3, 5.0)]),
    (sp.acot(u) + sp.asec(v), [(2, 2, float(sp.acot(2) + sp.asec(2)))]),
    (functions.log_sigmoid(u), [(-800, 0, -800.0), (800, 0, 0.0)]),
    (functions.xlogy(u, v), [(0, 0, 0.0), (2, 1, 0.0)]),
    (cfunctions.log2(u) + cfunctions.exp2(v) + cfunctions.log10(u), [(1, 3, 8.0)]),
    (sp.digamma(u) + sp.polygamma(1, u), [(1, 0, float(sp.digamma(1).evalf() + sp.polygamma(1, 1).evalf()))]),
    (sp.atan2(u, v), [(1, 0, np.pi / 2), (-1, 0, -np.pi / 2), (0, -1, np.pi)]),
]


@pytest.mark.parametrize(("expression", "values"), CHOICES, ids=[str(e)[:40] for e, _ in CHOICES])
def test_an_operation_means_what_it_means_in_sympy(expression: Any, values: list[tuple[float, float, float]]) -> None:
    for at_u, at_v, expected in values:
        assert value_of(expression, u=at_u, v=at_v) == pytest.approx(expected, rel=1e-15, nan_ok=True), (at_u, at_v)


@pytest.mark.parametrize("condition", [u > 0, u <= 0, sp.Eq(u, 0), sp.Ne(u, 0), (u > 0) & (v > 0), (u > 0) | (v > 2)])
def test_a_comparison_with_nan_is_false_as_in_numpy(condition: Any) -> None:
    """So a NaN in a condition alone takes the other branch; README says so."""
    expected = 1.0 if isinstance(condition, sp.Ne) else 2.0
    assert value_of(sp.Piecewise((1, condition), (2, True)), u=np.nan, v=1.0) == expected


def test_a_condition_that_is_decided_without_the_nan_is_decided() -> None:
    for condition in ((u > 0) | (v > 0), sp.Not((u > 0) & (v > 2))):
        assert value_of(sp.Piecewise((1, condition), (2, True)), u=np.nan, v=1.0) == 1.0


# ------------------------------------------------------------------------------------------------- sums and elements


def sum_value(expression: Any) -> Any:
    program = trace(risk_of(expression))
    leaves = {"parameter": [mpmath.mpf(n) for n in range(1, 10)], "input": [mpmath.mpf(2), mpmath.mpf(3)]}
    return output(program, "loss", DIGITS, {**leaves, "target": [mpmath.mpf(1)]})[0]


i, j, m = sp.Idx("i", 3), sp.Idx("j", 2), sp.Symbol("m", integer=True)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (sp.Sum(W[i, 0], (i, 0, 2)), 4 + 6 + 8),
        (sp.Sum(W[i, j] * (i + 1), (i, 0, 2), (j, 0, 1)), 4 + 5 + 2 * (6 + 7) + 3 * (8 + 9)),
        (sp.Sum(sp.Sum(W[i, j], (j, 0, 1)) ** 2, (i, 0, 2)), 81 + 169 + 289),
        (sp.Sum(W[2 - i, 1] * u**i, (i, 0, 2)), 9 + 14 + 20),
        (sp.Sum(W[i + 1, 0] - W[i, 0], (i, 0, 1)), 4),
        (sp.Sum(sp.Piecewise((W[i, 0], sp.Eq(i, 1)), (0, True)), (i, 0, 2)), 6),
        (a * sp.Sum(m, (m, 1, 4)), 10),
        (sp.Sum(W[i, 0] * y, (i, 1, 1)), 6),
    ],
)
def test_a_sum_over_an_index(expression: sp.Expr, value: int) -> None:
    assert sum_value(expression) == value


def test_the_bound_of_an_inner_sum_may_be_the_outer_index() -> None:
    builder = Builder(fold=fold)
    k = sp.Symbol("k", integer=True)
    triangle = sp.Sum(u * m + k, (k, 0, m), (m, 0, 3))
    root = Tracer(builder, {u: builder.emit("input", attribute=0)}, RULES).trace(triangle)
    assert output(builder.program({"s": (root,)}), "s", DIGITS, {"input": [mpmath.mpf(1)]})[0] == 20 + 10


def test_a_class_label_picks_an_element() -> None:
    z, label = sp.MatrixSymbol("z", 3, 1), sp.Symbol("label", integer=True)
    model = Model(W * sp.Matrix([u, v]), [u, v], [W])
    risk = EmpiricalRisk(model, Loss(-z[label, 0], z, label))
    leaves: dict[str, list[Any]] = {"parameter": [np.float64(n) for n in range(1, 7)], "input": [np.float64(1.0)] * 2}
    for number, expected in ((0.0, -3.0), (1.0, -7.0), (2.0, -11.0), (3.0, np.nan), (0.5, np.nan), (-1.0, np.nan)):
        (value,) = output(lower(trace(risk)), "loss", DOUBLES, {**leaves, "target": [np.float64(number)]})
        assert value == pytest.approx(expected, nan_ok=True)


def test_an_explicit_matrix_is_several_predictions_in_c_order() -> None:
    z = sp.MatrixSymbol("z", 2, 2)
    model = Model(sp.Matrix([[a, a * u], [u, 7]]), [u], [a])
    program = trace(
        EmpiricalRisk(model, Loss(sum(z[p, q] * y ** (2 * p + q) for p in range(2) for q in range(2)), z, y))
    )
    leaves = {"parameter": [mpmath.mpf(5)], "input": [mpmath.mpf(3)], "target": [mpmath.mpf(10)]}
    assert output(program, "prediction", DIGITS, leaves) == (5, 15, 3, 7)
    assert output(program, "loss", DIGITS, leaves) == (5 + 150 + 300 + 7000,)


# ------------------------------------------------------------------------------------------------ depth, width, order


def test_ten_thousand_deep_and_a_hundred_thousand_wide() -> None:
    deep = a
    for step in range(10_000):
        deep = sp.sin(deep, evaluate=False) if step % 2 else sp.Add(deep, u, evaluate=False)
    assert len(operations(trace(risk_of(deep)))) == 10_001
    parameters = [sp.Symbol(f"p{k}") for k in range(33_000)]
    terms = (sp.Mul(p, u, sp.Integer(k + 2), evaluate=False) for k, p in enumerate(parameters))
    wide = sp.Add(*terms, evaluate=False)
    program = trace(risk_of(wide, parameters=parameters, targets=[], inputs=[u]))
    assert len(operations(program)) == 99_000


def test_a_deep_number_is_no_trouble() -> None:
    number: sp.Expr = sp.Integer(1)
    for _ in range(60):  # as deep as SymPy itself lets one multiply it by a symbol
        number = sp.sin(number, evaluate=False)
    assert 0.2 < value_of(sp.Mul(number, u, evaluate=False), u=1.0) < 0.23


@pytest.mark.parametrize("number", [sp.pi**1000, sp.cosh(1000), sp.asin(2), sp.Pow(10, 400, evaluate=False)])
def test_a_number_that_is_no_double_is_refused_by_name(number: sp.Expr) -> None:
    """At declaration, or when it is traced: never as an infinity, nor as an error of another library."""
    with pytest.raises(ValueError, match=r"double|real"):
        trace(risk_of(sp.Mul(number, a, evaluate=False)))


def test_symbols_of_one_name_are_told_apart() -> None:
    first, second = sp.Dummy("d"), sp.Dummy("d")
    builder = Builder(fold=fold)
    known = {first: builder.emit("input", attribute=0), second: builder.emit("input", attribute=1)}
    root = Tracer(builder, known, RULES).trace(first - 2 * second)
    assert output(builder.program({"d": (root,)}), "d", DIGITS, {"input": [mpmath.mpf(7), mpmath.mpf(2)]})[0] == 3


def test_an_output_that_is_a_number_keeps_its_value_in_the_loss() -> None:
    """Not the integer part of it, as if it were the index of a Sum."""
    z = sp.MatrixSymbol("z", 2, 1)
    loss = Loss((z[0, 0] + z[1, 0] + 1) ** 2, z, [])
    risk = EmpiricalRisk(Model(sp.Matrix([a * u, sp.Float(0.5)]), [u], [a]), loss)
    program = trace(risk)
    constants = {step.attribute for step in program.assignments if step.operation == "constant"}
    assert 1.5 in constants
