"""Products of matrices under a root or power, with data or weights of exactly 0: what does not move has no slope."""

from typing import Any

import mpmath as mp
import numpy as np
import pytest
import sympy as sp

import symgrad as sg

M, K, N = 12, 15, 20  # large enough to stay matrices
u, W, V = sp.MatrixSymbol("u", N, 1), sp.MatrixSymbol("W", K, N), sp.MatrixSymbol("V", M, K)
s = sp.Symbol("s")
ROOT = sp.Lambda(s, sp.sqrt(s))
POWER = sp.Lambda(s, s ** sp.Rational(7, 10))


def compiled(output: Any, parameters: list[Any], name: str) -> Any:
    risk = sg.EmpiricalRisk(sg.Model(output, inputs=[u], parameters=parameters), sg.losses.squared(M), name=name)
    assert "matmul" in {step.operation for step in sg.generate(risk).differentiated.assignments}
    return sg.compile(risk)


@pytest.fixture(scope="module")
def root() -> Any:
    return compiled((V * (W * u)).applyfunc(ROOT), [V, W], "root_of_products")


@pytest.fixture(scope="module")
def power() -> Any:
    return compiled((V * (W * u)).applyfunc(POWER), [V, W], "power_of_products")


def exact(exponent: Any, v: Any, w: Any, data: Any, targets: Any, place: tuple[int, int], of_v: bool) -> Any:
    """The loss' derivative by one element of V or W, by mpmath: a difference at 60 digits, to the right."""
    with mp.workdps(60):

        def loss(h: Any) -> Any:
            first, second = mp.matrix(v.tolist()), mp.matrix(w.tolist())
            (first if of_v else second)[place] += h
            inner = first * (second * mp.matrix(data.tolist()))
            return sum((inner[i] ** mp.mpf(exponent) - mp.mpf(float(targets[i]))) ** 2 / 2 for i in range(M))

        return mp.diff(loss, 0, direction=1) if data.any() else (loss(mp.mpf(10) ** -30) - loss(0)) * 10**30


@pytest.mark.parametrize("which", ["root", "power"])
@pytest.mark.parametrize("kind", ["zero data", "a matrix of zeros", "a row of zeros", "nothing is zero"])
def test_the_derivative_is_the_limits(which: str, kind: str, root: Any, power: Any) -> None:
    module, exponent = (root, "0.5") if which == "root" else (power, sp.Rational(7, 10).evalf(50))
    random = np.random.default_rng(3)
    v, w, data = random.uniform(1, 2, (M, K)), random.uniform(1, 2, (K, N)), random.uniform(1, 2, N)
    targets = random.uniform(1, 2, M)
    if kind == "zero data":
        data[:] = 0.0
    elif kind == "a matrix of zeros":
        v[:] = 0.0
    elif kind == "a row of zeros":
        v[4] = 0.0
    gradient = module.per_sample_gradient(np.r_[v.ravel(), w.ravel()], [data], [targets])[0]
    by_v, by_w = gradient[: M * K].reshape(M, K), gradient[M * K :].reshape(K, N)
    assert not np.isnan(gradient).any()
    if kind == "a matrix of zeros":
        assert np.all(by_v == -np.inf)  # each element moves a root at 0
        assert np.all(by_w == 0.0)
        return
    rows = [0, 7] if kind != "a row of zeros" else [7]
    for i in rows:
        assert by_v[i, 2] == pytest.approx(float(exact(exponent, v, w, data, targets, (i, 2), True)), rel=1e-9, abs=0.0)
    if kind == "a row of zeros":
        assert np.all(by_v[4] == -np.inf)
        v, targets = np.delete(v, 4, axis=0), np.delete(targets, 4)
        v, targets = np.vstack([v, np.ones(K)]), np.append(targets, (w @ data).sum() ** float(exponent))  # adds nothing
    assert by_w[3, 5] == pytest.approx(float(exact(exponent, v, w, data, targets, (3, 5), False)), rel=1e-9, abs=0.0)


def test_the_mean_is_a_number_where_one_row_of_data_is_zero(root: Any) -> None:
    random = np.random.default_rng(4)
    theta, data, targets = random.uniform(1, 2, M * K + K * N), random.uniform(1, 2, (50, N)), np.ones((50, M))
    rest = root.gradient(theta, data[:49], targets[:49]) * 49 / 50
    data[49] = 0.0
    assert root.gradient(theta, data, targets) == pytest.approx(rest, rel=1e-12)
