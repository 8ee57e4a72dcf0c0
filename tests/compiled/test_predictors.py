"""Linear predictors: which columns are read by their rows, and that what is computed from them keeps all promises."""

from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.declare import EmpiricalRisk
from symgrad.pipeline import generate
from tests.helpers.declaring import risk_of_all

U = Fraction(1, 2**53)
SIZE = 11  # a line of eight columns, and three beyond
t, y, k, b0, s0 = sp.symbols("t y k b_0 s_0", real=True)
x = sp.symbols(f"x1:{SIZE + 1}", real=True)
b = sp.symbols(f"b1:{SIZE + 1}", real=True)
s = sp.symbols(f"s1:{SIZE + 1}", real=True)


def dot(weights: Any, columns: Any) -> Any:
    return sp.Add(*(w * c for w, c in zip(weights, columns, strict=True)))


def scattered() -> EmpiricalRisk:
    """A normal distribution of which mean and spread are linear in the same inputs, beside a curve."""
    outputs = sp.Matrix([b0 + dot(b, x) + sp.exp(-k * t), s0 + dot(s, x)])
    z = sp.MatrixSymbol("z", 2, 1)
    loss = z[1, 0] + (y - z[0, 0]) ** 2 * sp.exp(-2 * z[1, 0]) / 2
    model = sg.Model(outputs, inputs=[t, *x], parameters=[b0, *b, k, s0, *s])
    return EmpiricalRisk(model, sg.Loss(loss, z, y), name="scattered")


def test_two_predictors_and_their_gradients_are_separate() -> None:
    kernel = generate(scattered()).kernel
    assert [(p.row, p.first, p.size) for p in kernel.predictors] == [(1, 1, SIZE), (2, 1, SIZE)]
    assert [(part.at, part.first, part.size) for part in kernel.scaled] == [(1, 1, SIZE), (SIZE + 3, 1, SIZE)]


@pytest.fixture(scope="module", params=["float64", "float32"])
def compiled(request: pytest.FixtureRequest) -> Any:
    return sg.compile(scattered(), dtype=request.param)


def data(n: int, seed: int = 0) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(seed)
    theta = random.normal(size=2 * SIZE + 3) / 5
    return theta, random.normal(size=(n, SIZE + 1)), random.normal(size=n)


def runs(loss: Any, columns: Any = x, parameters: Any = (*b, *s, b0)) -> list[tuple[int, int]]:
    """First column and size of each predictor."""
    kernel = generate(risk_of_all(loss, inputs=columns, targets=[y], parameters=parameters, name="runs")).kernel
    return [(predictor.first, predictor.size) for predictor in kernel.predictors]


def test_a_column_is_separate_that_nothing_else_reads() -> None:
    z = dot(b, x)
    assert runs((z - y) ** 2) == [(0, SIZE)]
    assert runs(sp.log(1 + sp.exp(z + b0)) - y * (z + b0)) == [(0, SIZE)]
    assert runs(sp.exp(z) - y * z, parameters=[*b[::-1]]) == []  # the gradient is no run of parameters
    assert runs((dot(b[:8], x[:8]) - y) ** 2) == [(0, 8)]
    assert runs((dot(b[:7], x[:7]) - y) ** 2) == []
    assert runs((z - y) ** 2 + sp.sin(x[2] * b0)) == [(3, 8)]
    assert runs((z - y) ** 2 + x[9] * b0) == [(0, 9)]
    assert runs((z * x[0] - y) ** 2) == [(1, 10)]
    assert runs((y - z) ** 2 * sp.exp(dot(s, x))) == [(0, SIZE), (0, SIZE)]
    assert runs((y - z) ** 2 * sp.exp(dot(s[1:], x[1:]))) == [(1, 10), (1, 10)]
    assert runs(z * sp.exp(z) - y) == [(0, SIZE)]
    outputs = sp.Matrix([z, x[4]])  # what is an output is read by itself
    one = sp.MatrixSymbol("z", 2, 1)[0, 0]
    loss = sg.Loss((one - y) ** 2, sp.MatrixSymbol("z", 2, 1), y)
    kernel = generate(EmpiricalRisk(sg.Model(outputs, x, b), loss, name="outputs")).kernel
    assert [(predictor.first, predictor.size) for predictor in kernel.predictors] == []
    assert runs((z - y) ** 2 * (z - b0)) == []  # two sums with the same products
    assert runs((2 * z + 3 - y) ** 2) == [(0, SIZE)]
    assert runs(sp.exp(-z - y)) == [(0, SIZE)]
    assert runs((dot([b0 * sp.exp(p) for p in b], x) - y) ** 2) == []  # that factor is another for each column
    assert runs((dot([p**2 for p in b], x) - y) ** 2) == []


def test_weights_that_are_no_parameters_are_computed_once() -> None:
    fixed = [sp.Rational(j, 16) for j in range(1, SIZE + 1)]
    risk = EmpiricalRisk.from_expression(
        (b0 * t + dot(fixed, x) - y) ** 2 / 2, inputs=[t, *x], targets=[y], parameters=[b0], name="fixed"
    )
    (predictor,) = generate(risk).kernel.predictors
    assert (predictor.first, predictor.size) == (1, SIZE)
    rows = np.arange(1.0, 1 + SIZE + 1)[None]
    true = 2.0 + sum(float(w) * v for w, v in zip(fixed, rows[0, 1:], strict=True)) - 3.0
    assert sg.compile(risk).per_sample_gradient([2.0], rows, [3.0]) == [[true]]


def test_a_weight_may_be_used_by_itself_too() -> None:
    risk = EmpiricalRisk.from_expression(
        (dot(b, x) - y) ** 2 / 2, inputs=x, targets=[y], parameters=b, penalty=b[0] ** 2 / 2, name="ridge"
    )
    theta, rows = np.arange(1.0, SIZE + 1), np.eye(SIZE)[:1]
    assert sg.compile(risk).gradient(theta, rows, [0.0]).tolist() == [2.0, *([0.0] * (SIZE - 1))]


@pytest.mark.parametrize("many", [8, 9, 12])
def test_each_of_many_sums_has_a_row(many: int) -> None:
    """Predictors are as many as their columns, or none: the rows of other columns are not theirs."""
    weights = [sp.symbols(f"w{k}_:8", real=True) for k in range(many)]
    outputs = [dot(row, x[:8]) + t for row in weights]
    model = sg.Model(sp.Matrix(outputs), [*x[:8], t], [w for row in weights for w in row])
    z = sp.MatrixSymbol("z", many, 1)
    risk = EmpiricalRisk(model, sg.Loss(sp.Add(*(z[k, 0] ** 2 for k in range(many))) + y, z, y), name="many")
    assert len(generate(risk).kernel.predictors) == (8 if many == 8 else 0)
    theta, rows = np.arange(8.0 * many), np.arange(27.0).reshape(3, 9)
    scores = rows[:, :8] @ theta.reshape(many, 8).T + rows[:, 8:]
    module = sg.compile(risk)
    assert module.predict(theta, rows).tolist() == scores.tolist()
    assert module.per_sample_loss(theta, rows, np.arange(3.0)).tolist() == [*((scores**2).sum(1) + np.arange(3))]
    each = 2 * scores[:, :, None] * rows[:, None, :8]
    assert module.per_sample_gradient(theta, rows, np.arange(3.0)).tolist() == each.reshape(3, -1).tolist()


def test_operations_are_counted() -> None:
    counts = generate(
        EmpiricalRisk.from_expression((dot(b, x) - y) ** 2 / 2, inputs=x, targets=[y], parameters=b, name="counted")
    ).kernel.counts
    assert counts["loss"] == 2 * SIZE - 1 + 4  # - y, squared, halved, times the weight
    assert counts["gradient"] == counts["loss"] + 1 + SIZE


def test_values_are_those_of_the_formula(compiled: Any) -> None:
    theta, rows, aims = data(20)
    got = compiled.per_sample_gradient(theta, rows, aims)
    if got.dtype == np.float32:
        theta, rows, aims = (np.float32(a).astype(float) for a in (theta, rows, aims))
    bound = 60 * np.finfo(got.dtype).eps
    with mpmath.workdps(40):
        for row, aim, gradient in zip(rows, aims, got, strict=True):
            ones = [mpmath.mpf(1), *map(mpmath.mpf, row[1:])]
            mean, curve = theta[: SIZE + 1], mpmath.exp(-mpmath.mpf(theta[SIZE + 1]) * row[0])
            spread = sum(w * one for w, one in zip(theta[SIZE + 2 :], ones, strict=True))
            rest = aim - curve - sum(w * one for w, one in zip(mean, ones, strict=True))
            precision = mpmath.exp(-2 * spread)
            true = [-rest * precision * one for one in ones]
            true += [rest * precision * curve * row[0], *((1 - rest**2 * precision) * one for one in ones)]
            assert max(abs(g - e) for g, e in zip(gradient, true, strict=True)) < bound * max(map(abs, true))


@pytest.mark.parametrize("n", [1, 15, 16, 17, 64, 65, 1000, 5000])
def test_the_mean_keeps_the_promise_on_sums(n: int) -> None:
    module = sg.compile(scattered())
    theta, rows, aims = data(n, n)
    if n > 64:  # nearly all of it cancels
        rows[n // 2 : n // 2 * 2, 1:] = -rows[: n // 2, 1:]
        theta[1 : SIZE + 1] = theta[SIZE + 3 :] = 0
        aims[n // 2 : n // 2 * 2], rows[n // 2 : n // 2 * 2, 0] = aims[: n // 2], rows[: n // 2, 0]
    each = module.per_sample_gradient(theta, rows, aims)
    by_rows = (0, SIZE + 1, SIZE + 2)  # the others are products: plain sums of a call, but no more than that
    for place, (got, column) in enumerate(zip(module.gradient(theta, rows, aims), each.T, strict=True)):
        terms = [Fraction(float(g)) for g in column]
        mean, more = sum(terms) / n, 500 * U**2 if place in by_rows else 16 * U
        assert abs(Fraction(float(got)) - mean) <= 2 * U * abs(mean) + more * sum(map(abs, terms)) / n


def test_layouts_threads_and_places_give_the_same_bits(compiled: Any) -> None:
    theta, rows, aims = data(3000)
    gradient = compiled.gradient(theta, rows, aims).tobytes()
    each = compiled.per_sample_gradient(theta, rows, aims)
    wide = np.zeros((3000, 2 * SIZE + 5))
    wide[:, 1 : 2 * SIZE + 3 : 2] = rows
    swapped = rows.astype(rows.dtype.newbyteorder())
    shifted = np.frombuffer(b"\0" + rows.tobytes(), np.uint8)[1:].view(np.float64).reshape(rows.shape)
    for same in (np.asfortranarray(rows), wide[:, 1 : 2 * SIZE + 3 : 2], rows[::-1].copy()[::-1], swapped, shifted):
        for threads in (1, 2, 3):
            assert compiled.gradient(theta, same, aims, threads=threads).tobytes() == gradient
        assert compiled.per_sample_gradient(theta, same, aims).tobytes() == each.tobytes()
    for start, end in ((0, 1), (1, 9), (5, 70), (63, 130)):
        part = compiled.per_sample_gradient(theta, rows[start:end], aims[start:end])
        assert part.tobytes() == each[start:end].tobytes()


def test_samples_without_weight_take_no_part(compiled: Any) -> None:
    theta, rows, aims = data(200)
    weights = np.ones(200)
    weights[::3] = 0
    kept = weights > 0
    spoilt = rows.copy()
    spoilt[::3], spoilt[::6] = np.inf, np.nan
    got = compiled.gradient(theta, spoilt, aims, weights)
    assert got.tobytes() == compiled.gradient(theta, rows, aims, weights).tobytes()
    alone = compiled.gradient(theta, rows[kept], aims[kept])
    assert np.abs(got - alone).max() <= 4 * np.finfo(got.dtype).eps * np.abs(alone).max()


@pytest.mark.parametrize("aim", [np.inf, np.nan, 1e200])
def test_what_is_not_finite_stays_in_its_column(aim: float) -> None:
    """The last three columns are summed with five before them once more: as nothing."""
    risk = EmpiricalRisk.from_expression(
        (dot(b, x) - y) ** 2 / 2, inputs=x, targets=[y], parameters=b, name="least_squares"
    )
    module = sg.compile(risk)
    rows = np.array([[1.0, -1e-200, 1e200, 0.0, 2.0, 3.0, 4.0, 0.0, 5.0, -6.0, 1e308]])
    each = module.per_sample_gradient(np.zeros(SIZE), rows, [aim])
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(each, -aim * rows)
    np.testing.assert_array_equal(module.gradient(np.zeros(SIZE), rows, [aim]), each[0])


def test_a_sum_beyond_the_range_has_a_mean_within_it() -> None:
    risk = EmpiricalRisk.from_expression(
        (dot(b, x) - y) ** 2 / 2, inputs=x, targets=[y], parameters=b, name="least_squares"
    )
    rows = np.full((5, SIZE), 1.5)
    np.testing.assert_array_equal(sg.compile(risk).gradient(np.zeros(SIZE), rows, np.full(5, -1e308)), 1.5e308)


def test_what_a_call_adds_loses_nothing_to_the_calls_before() -> None:
    """Within a call of 64 samples sums are plain, and from call to call they are pairs."""
    risk = EmpiricalRisk.from_expression(
        (dot(b, x) - y) ** 2 / 2, inputs=x, targets=[y], parameters=b, name="least_squares"
    )
    aims = np.zeros(192)
    aims[0], aims[64:128], aims[128] = -1e20, -1.0, 1e20
    got = sg.compile(risk).gradient(np.zeros(SIZE), np.ones((192, SIZE)), aims)
    np.testing.assert_array_equal(got, 64 / 192)
