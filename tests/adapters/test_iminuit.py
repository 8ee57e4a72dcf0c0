"""iminuit with our cost function beside its own LeastSquares and UnbinnedNLL."""

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.errors import ArrayTypeError

from .decay import AIMS, DECAY, ROWS, START, bound, curve, y

iminuit = pytest.importorskip("iminuit")
cost_functions = pytest.importorskip("iminuit.cost")
adapter = pytest.importorskip("symgrad.adapters.iminuit")


def test_values_and_errors_are_those_of_its_own_least_squares() -> None:
    own = iminuit.Minuit(cost_functions.LeastSquares(ROWS, AIMS, 1.0, curve), **START)
    ours = adapter.minuit(bound(), START)
    for minuit in (own, ours):
        minuit.tol = 1e-6
        minuit.migrad()
        minuit.hesse()
        minuit.minos()
        assert minuit.valid
    assert ours.parameters == ("A", "k", "C")
    assert np.allclose(ours.values, own.values, rtol=1e-4)
    assert np.allclose(ours.errors, own.errors, rtol=1e-3)
    assert [ours.merrors[p].upper for p in "AkC"] == pytest.approx([own.merrors[p].upper for p in "AkC"], rel=1e-3)
    assert ours.ndof == own.ndof == 197
    assert 2 * ours.fval == pytest.approx(own.fval, rel=1e-9)
    assert ours.nhessian > 0
    fit = sg.fit(DECAY, (ROWS, AIMS), START)
    assert np.allclose(np.array(ours.errors) * fit.residual_deviation, fit.standard_errors("observed"), rtol=1e-3)


def test_a_likelihood_with_a_sign() -> None:
    """Its parameters are called as they were declared, and bounded as their symbols say."""
    mu, sigma = sp.Symbol("mu", real=True), sp.Symbol("sigma", positive=True)
    risk = sg.EmpiricalRisk.from_expression(
        sp.log(sigma) + (y - mu) ** 2 / (2 * sigma**2),
        inputs=[],
        targets=[y],
        parameters=[mu, sigma],
        name="normal_of_iminuit",
    )
    sample = np.random.default_rng(0).normal(4, 2, 300)
    ours = adapter.minuit(sg.compile(risk).bind(None, sample), {"mu": 0.0, "sigma": 1.0}).migrad().hesse()
    assert ours.limits["sigma"] == (0, np.inf)
    assert ours.nhessian == 0
    assert ours.values["mu"] == pytest.approx(sample.mean(), rel=1e-4)
    assert ours.values["sigma"] == pytest.approx(sample.std(), rel=1e-3)
    assert ours.errors["mu"] == pytest.approx(sample.std() / np.sqrt(300), rel=1e-3)
    assert ours.errordef == 0.5
    assert np.isinf(adapter.Cost(sg.compile(risk).bind(None, sample)).ndata)


def test_derivatives_are_those_of_the_sum_with_weights() -> None:
    cost, twice = adapter.Cost(bound()), adapter.Cost(bound(np.full(200, 2.0)))
    p, step = np.array([2.0, 0.5, 0.1]), 1e-5
    for k, e in enumerate(np.eye(3) * step):
        assert cost.grad(*p)[k] == pytest.approx((cost(*(p + e)) - cost(*(p - e))) / (2 * step), rel=1e-6)
        slopes = (cost.grad(*(p + e)) - cost.grad(*(p - e))) / (2 * step)
        assert np.allclose(cost.hessian(*p)[k], slopes, rtol=1e-6)
        assert cost.g2(*p)[k] == cost.hessian(*p)[k, k]
    assert twice(*p) == pytest.approx(2 * cost(*p), rel=1e-14)
    assert (cost.ndata, twice.ndata) == (200, 400)
    with pytest.raises(ArrayTypeError, match=r"f: expected rows bound to a compiled risk, got int"):
        adapter.Cost(3)
