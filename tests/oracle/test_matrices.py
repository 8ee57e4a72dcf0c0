"""The oracle on matrices: values against SymPy's own elements, derivatives against differences, and what is refused."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import mpmath
import pytest
import sympy as sp
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction

from symgrad.declare.grammar import SUPPORTED_MATRICES
from symgrad.errors import UnsupportedExpressionError
from symgrad.functions import maximum
from symgrad.oracle import Reference, Sample
from symgrad.oracle.matrices import MATRICES
from symgrad.oracle.record import record, record_value
from symgrad.oracle.tape import Tape
from tests.helpers.matrix_grammar import SIZES, SYMBOLS, A, B, Maker, explicit, i, j, made, names, s, u, v

QUIET: dict[str, Any] = {
    **{"deadline": None, "derandomize": True, "database": None},
    **{"phases": [Phase.generate], "suppress_health_check": list(HealthCheck)},
}
z = sp.MatrixSymbol("z", 3, 1)


def oracle(loss: Any, parameters: Sequence[Any] = SYMBOLS, targets: Sequence[Any] = ()) -> Reference:
    """The reference for a loss as it stands, whatever a declaration says to it."""
    groups = {"parameters": tuple(parameters), "inputs": (), "targets": tuple(targets)}
    risk: Any = SimpleNamespace(**groups, outputs=(), predictions=(), loss=loss, penalty=None)
    return Reference(risk)


def at(loss: Any, point: Sequence[float], parameters: Sequence[Any] = SYMBOLS, targets: Sequence[float] = ()) -> Sample:
    return oracle(loss, parameters, (sp.Symbol("label", integer=True),) if targets else ()).sample(point, [], targets)


def network(output: Any, parameters: Sequence[Any], inputs: Sequence[Any], loss: Any, **more: Any) -> Reference:
    groups = {"parameters": tuple(parameters), "inputs": tuple(inputs), "targets": more.pop("targets", ())}
    risk: Any = SimpleNamespace(**groups, outputs=(output,), predictions=(z,), loss=loss, penalty=None)
    for name, value in more.items():
        setattr(risk, name, value)
    return Reference(risk)


# ------------------------------------------------------------------------------- random expressions against SymPy's


def near(got: Any, expected: Any, digits: int) -> bool:
    return bool(abs(got - expected) <= mpmath.mpf(10) ** -digits * (1 + abs(expected)))


@settings(max_examples=60, **QUIET)
@given(st.integers(0, 10**9), st.sampled_from([(3, 1), (2, 3), (2, 2)]))
def test_values_are_those_of_sympys_elements(seed: int, shape: tuple[int, int]) -> None:
    maker = Maker(seed)
    expression = made(lambda: maker.matrix(*shape, depth=3))
    point = [maker.rng.uniform(-1, 1) for _ in range(sum(SIZES))]
    placeholder = sp.MatrixSymbol("z", *shape)
    found = network(expression, SYMBOLS, (), placeholder[0, 0], predictions=(placeholder,)).predict(point, [])
    elements = sp.lambdify(names(), list(explicit(expression)), "mpmath")
    with mpmath.workdps(60):
        expected = elements(*map(mpmath.mpf, point))
        assert len(found) == shape[0] * shape[1]
        assert all(near(f, e, 45) for f, e in zip(found, expected, strict=True))


@settings(max_examples=40, **QUIET)
@given(st.integers(0, 10**9))
def test_derivatives_are_those_of_differences(seed: int) -> None:
    maker = Maker(seed)
    expression = made(lambda: sp.Trace(maker.matrix(2, 2, depth=2)) + maker.scalar(2) ** 2)
    point = [maker.rng.uniform(-1, 1) for _ in range(sum(SIZES))]
    places = maker.rng.sample(range(len(point)), 4)
    found = oracle(expression).sample(point, [], [], parameters=places)
    loss = sp.lambdify(names(), explicit(expression)[0], "mpmath")
    with mpmath.workdps(90):
        step = mpmath.mpf(10) ** -25
        for place, got in zip(places, found.gradient, strict=True):
            moved = [[mpmath.mpf(x) + (k == place) * h for k, x in enumerate(point)] for h in (step, -step)]
            difference = (loss(*moved[0]) - loss(*moved[1])) / (2 * step)
            assert near(got, difference, 30)
        assert near(found.loss, loss(*map(mpmath.mpf, point)), 45)


# ------------------------------------------------------------------------------------------- one construct at a time


def test_every_supported_class_has_a_rule() -> None:
    leaves = {sp.MatrixSymbol, ElementwiseApplyFunction}  # the recorder's own
    assert SUPPORTED_MATRICES - leaves <= set(MATRICES)


PLAIN = [*range(1, 7), *range(1, 10), 1.0, 2.0, 3.0, 5.0, 7.0, 2.0]  # A, B, u, v, s


@pytest.mark.parametrize(
    ("loss", "value"),
    [
        (u.T * B * u, 228),
        (sp.exp(u.T * u - 14 * sp.OneMatrix(1, 1)), 1),
        ((v.T * v) ** 2, 74**2),
        (sp.sqrt(u.T * u + 11 * sp.OneMatrix(1, 1)), 5),
        ((u.T * u) ** -1 * 28, 2),
        (sp.Trace(A.T * A), 91),
        (sp.DotProduct(u, u), 14),
        (sp.DotProduct(u.T, u), 14),
        (sp.HadamardProduct(A, A)[1, 2], 36),
        (sp.HadamardPower(A, s)[1, 2], 36),
        (ElementwiseApplyFunction(sp.Lambda(s, s**2 - 1), A)[1, 0], 15),
        (sp.Trace(ElementwiseApplyFunction(sp.Lambda(s, sp.Integer(4)), B)), 12),
        (sp.Trace(sp.MatPow(B, 3)), 4185),
        (sp.MatPow(sp.OneMatrix(2, 2), 20, evaluate=False)[0, 1], 2**19),
        (sp.Trace(sp.DiagMatrix(u) * B), 38),
        (sp.BlockMatrix([[A], [u.T]])[2, 1] + sp.BlockMatrix([[B, u]])[1, 3], 4),
        ((B + sp.Identity(3))[0:2, 1:3][0, 0], 2),
        (sp.Trace(sp.ImmutableDenseMatrix([[s, 1], [u[1, 0], v.T * v]]) * sp.OneMatrix(2, 2)), 2 + 1 + 2 + 74),
        (maximum(u[i, 0] * v[j, 0], (i, 0, 2), (j, 0, 1)), 21),
        (maximum(A[j, 0] - s * j, (j, 0, 1)), 2),
        (sp.Sum(maximum(B[i, j], (j, 0, 1)), (i, 0, 2)), 2 + 5 + 8),
    ],
    ids=str,
)
def test_a_value(loss: Any, value: float) -> None:
    with mpmath.workdps(40):
        assert near(at(loss, PLAIN).loss, value, 35)


def test_ties_of_a_maximum_share_the_derivative_equally() -> None:
    greatest = maximum(u[i, 0], (i, 0, 2))
    with mpmath.workdps(60):
        third = mpmath.mpf(1) / 3
        assert all(near(g, third, 45) for g in at(greatest, [2.0, 2.0, 2.0], [u]).gradient)
    assert at(greatest, [2.0, 1.0, 2.0], [u]) == Sample(2, (0.5, 0, 0.5))
    beside = at(maximum(sp.sqrt(u[i, 0]), (i, 0, 2)), [0.0, 4.0, 0.0], [u])
    assert beside.gradient == (0, 0.25, 0)  # the infinite slope of what is not the greatest is no part of it
    undefined = at(maximum(sp.log(u[i, 0]), (i, 0, 2)), [1.0, -1.0, 2.0], [u])
    assert all(mpmath.isnan(value) for value in (undefined.loss, *undefined.gradient))


def test_a_class_label_picks_from_a_whole_matrix() -> None:
    label = sp.Symbol("label", integer=True)
    chosen = sp.HadamardProduct(u, u, evaluate=False)[0:3, 0:1]
    loss = sp.MatrixSlice(chosen, (0, 3, 1), (0, 1, 1))
    element = sp.matrices.expressions.matexpr.MatrixElement(loss, label, 0)
    assert at(element, [1.0, 2.0, 3.0], [u], targets=[2.0]) == Sample(9, (0, 0, 6))
    wrong = at(element, [1.0, 2.0, 3.0], [u], targets=[3.0])
    assert all(mpmath.isnan(value) for value in (wrong.loss, *wrong.gradient))


def test_the_placeholder_is_bound_whole_or_by_its_elements() -> None:
    squares = (z - u).T * (z - u)
    by_elements = sp.Sum((z[i, 0] - u[i, 0]) ** 2, (i, 0, 2))
    column = sp.ImmutableDenseMatrix([B[0, 0], B[1, 0], B[2, 0]])
    whole: dict[str, Any] = {"predictions": (z,), "targets": (u,)}
    single: dict[str, Any] = {"outputs": tuple(column), "predictions": tuple(z.as_explicit()), "targets": (u,)}
    point, target = [1.0, 9, 9, 2.0, 9, 9, 3.0, 9, 9], [0.5, 0.5, 0.5]
    for loss in (squares, by_elements):
        for output, more in ((B[:, 0:1], whole), (column, single)):
            reference = network(output, [B], (), loss, **more)
            found = reference.sample(point, [], target)
            assert found.loss == 0.25 + 2.25 + 6.25
            assert found.gradient == (1, 0, 0, 3, 0, 0, 5, 0, 0)
            assert reference.predict(point, []) == (1, 2, 3)


def test_a_prediction_of_one_element_may_be_a_symbol_or_a_matrix() -> None:
    y = sp.Symbol("y")
    one = sp.MatrixSymbol("one", 1, 1)
    for output, placeholder in ((u.T * u, y), (u.T * u, one), (s**2, one), (s**2, y)):
        parameters = (u,) if output is not s**2 and output.is_Matrix else (s,)
        loss = sp.exp(-placeholder) if placeholder is y else sp.exp(-placeholder[0, 0])
        risk_values = [1.0, 1.0, 1.0] if parameters == (u,) else [mpmath.sqrt(3)]
        found = network(output, parameters, (), loss, predictions=(placeholder,)).sample(risk_values, [], [])
        assert mpmath.almosteq(found.loss, mpmath.exp(-3), 1e-14)


# --------------------------------------------------------------------------------------------------- size and depth


def tape_of(expression: Any, *symbols: Any) -> Tape:
    tape, leaves, count = Tape(), {}, 0
    for symbol in symbols:
        rows, columns = map(int, symbol.shape)
        leaves[symbol] = tuple(
            tuple(tape.emit("leaf", (), count + p * columns + q) for q in range(columns)) for p in range(rows)
        )
        count += rows * columns
    record_value(tape, expression, leaves)
    return tape


def multiplications(expression: Any, *symbols: Any) -> int:
    operations = tape_of(expression, *symbols).operations
    return sum(len(o.arguments) // 2 for o in operations if o.kind in ("dot", "mul"))


def test_products_are_taken_in_the_cheapest_order() -> None:
    first, second, x = sp.MatrixSymbol("W1", 20, 30), sp.MatrixSymbol("W2", 10, 20), sp.MatrixSymbol("x", 30, 1)
    best = 20 * 30 + 10 * 20
    assert multiplications(second * first * x, first, second, x) == best
    assert multiplications(sp.MatMul(sp.MatMul(second, first), x), first, second, x) == best
    assert multiplications(x.T * first.T * second.T, first, second, x) == best
    square = sp.MatrixSymbol("S", 10, 10)
    assert multiplications(sp.MatPow(square, 3) * second * first * x, square, first, second, x) == best + 300
    long = sp.MatMul(*[square] * 100, second, first, x)
    assert multiplications(long, square, first, second, x) == best + 100 * 100


def test_the_zeros_of_an_identity_are_no_operations() -> None:
    assert multiplications(sp.MatMul(sp.Identity(3), B, evaluate=False), B) == 0
    assert multiplications(sp.DiagMatrix(u) * B, B, u) == 9


def test_a_network_of_ten_thousand_weights_has_few_operations() -> None:
    W, x = sp.MatrixSymbol("W", 100, 100), sp.MatrixSymbol("x", 100, 1)
    tape = tape_of((W * x).applyfunc(sp.tanh), W, x)
    assert len(tape.operations) - 10_100 < 300


def test_what_does_not_depend_on_an_index_is_walked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[Any] = []
    rule = MATRICES[sp.Trace]

    def counted(tape: Tape, node: Any, values: Any) -> Any:
        walked.append(node)
        return rule(tape, node, values)

    monkeypatch.setitem(MATRICES, sp.Trace, counted)
    inside = ElementwiseApplyFunction(sp.Lambda(s, s * sp.Trace(B * B)), u)
    loss = sp.Sum(sp.Trace(B) * u[i, 0], (i, 0, 2)) + sp.Trace(inside * u.T)
    assert at(loss, PLAIN).loss == 15 * 6 + 14 * 261
    assert len(walked) == 3


def test_a_matrix_expression_ten_thousand_deep() -> None:
    deep, chain, half = u, u, sp.Rational(1, 2)
    for _ in range(10_000):
        # Basic.__new__, because MatAdd's own asks for the shape, which SymPy finds by recursion
        deep = sp.Basic.__new__(sp.MatAdd, sp.Basic.__new__(sp.MatMul, half, deep), u)
        chain = sp.Basic.__new__(sp.MatMul, sp.Integer(-1), chain)
    for output, expected in ((deep, 4), (chain, 2)):
        found = network(output, [u], (), z[1, 0]).predict([1.0, 2.0, 3.0], [])
        assert mpmath.almosteq(found[1], expected, 1e-15)


def test_a_long_sum_is_quick() -> None:
    long = sp.MatrixSymbol("long", 10_000, 1)
    k = sp.Symbol("k", integer=True)
    found = oracle(sp.Sum(long[k, 0] ** 2, (k, 0, 9_999)), [long]).sample([1.0] * 10_000, [], [], parameters=[7, 0])
    assert found == Sample(10_000, (2, 2))


# ------------------------------------------------------------------------------------------- a part of the gradient


def test_a_part_of_the_gradient_is_that_part() -> None:
    loss = sp.exp(sp.Trace(B * B) / 100) * s + sp.DotProduct(u, B * u)
    reference = oracle(loss)
    whole = reference.sample(PLAIN, [], [])
    part = reference.sample(PLAIN, [], [], parameters=[20, 6, 0, 14])
    assert part == Sample(whole.loss, tuple(whole.gradient[k] for k in (20, 6, 0, 14)))
    assert reference.sample(PLAIN, [], [], parameters=[]) == Sample(whole.loss, ())
    rounding = reference.rounding(PLAIN, [], [], parameters=[20, 6, 0, 14])
    assert rounding is not None
    bounds = [bound.error for bound in rounding.bounds([None, 20, 6, 0, 14])]
    assert bounds[3] == 0 < bounds[1]  # the loss does not depend on A[0, 0]
    mean = reference.mean(PLAIN, [[], []], [[], []], parameters=[6])
    assert mpmath.almosteq(mean.gradient[0], whole.gradient[6], 1e-40)
    assert reference.penalty(PLAIN, parameters=[1, 2]) == Sample(0, (0, 0))


def test_names_follow_c_order() -> None:
    assert oracle(s).names[:7] == ("A[0, 0]", "A[0, 1]", "A[0, 2]", "A[1, 0]", "A[1, 1]", "A[1, 2]", "B[0, 0]")
    assert oracle(s).sizes == (21, 0, 0)


# -------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (sp.exp(sp.Trace(B)) * A, r"expected a number, got a matrix of shape \(2, 3\)"),
        (sp.Trace(sp.Inverse(B)), r"expected a whole exponent >= 1, got -1"),
        (sp.Trace(sp.MatPow(B, sp.Rational(1, 2))), "HadamardPower"),
        (sp.Determinant(B), "no rule for Determinant; supported: .*MatMul"),
        (sp.Trace(sp.MatrixSymbol("Q", 2, 2)), "'Q'"),
    ],
    ids=str,
)
def test_what_has_no_rule_is_named(expression: Any, message: str) -> None:
    tape = Tape()
    leaves = {
        m: tuple(tuple(tape.emit("leaf", (), 10 * p + q) for q in range(3)) for p in range(n))
        for m, n in ((A, 2), (B, 3))
    }
    with pytest.raises(UnsupportedExpressionError, match=message):
        record(tape, expression, leaves)
