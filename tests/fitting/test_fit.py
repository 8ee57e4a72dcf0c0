"""Fits: certified values, honest errors, and what is said where there is no minimum."""

import warnings
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad import gallery
from symgrad.errors import ArrayError, DeclarationError

x, y, z, A, k, C, mu = sp.symbols("x y z A k C mu", real=True)
sigma = sp.Symbol("sigma", positive=True)
DECAY = sg.EmpiricalRisk(
    sg.Model(A * sp.exp(-k * x) + C, [x], [A, k, C]), sg.Loss((z - y) ** 2 / 2, z, y), name="decay_and_level"
)
GAUSS = sg.EmpiricalRisk.from_expression(
    sp.log(sigma) + (y - mu) ** 2 / (2 * sigma**2) + sp.log(2 * sp.pi) / 2,
    inputs=[],
    targets=[y],
    parameters=[mu, sigma],
    name="gauss_likelihood",
)
U, B = sp.MatrixSymbol("u", 3, 1), sp.MatrixSymbol("b", 3, 1)
ETA = (B.T * U)[0, 0]
LOGIT = sg.EmpiricalRisk.from_expression(
    sp.log(1 + sp.exp(ETA)) - y * ETA, inputs=[U], targets=[y], parameters=[B], name="logit_of_three"
)


def decaying(scale: float = 1.0, n: int = 200) -> tuple[Any, Any]:
    random = np.random.default_rng(3)
    rows = random.uniform(0, 5, n)
    return rows, scale * (3 * np.exp(-0.7 * rows) + 0.2 + 0.05 * random.normal(size=n))


@pytest.mark.parametrize("name", ["rat42", "mgh09", "eckerle4"])
def test_certified_values_and_errors(name: str) -> None:
    example = gallery.load(name)
    risk = example.risk
    for start in (example.starts or {}).values():
        names = [str(symbol.name) for symbol in risk.parameters]
        fit = sg.fit(risk, (example.inputs, example.targets), dict(zip(names, start, strict=True)))
        certified = np.asarray(example.certified, float)
        assert fit.kind == "least_squares"
        assert fit.converged
        assert (np.abs(fit.theta - certified) <= 1e-8 * np.abs(certified)).all()


@pytest.mark.parametrize("scale", [1.0, 1e9, 1e-9])
def test_units_do_not_matter(scale: float) -> None:
    """Starts are looked for in units of the data, and the search ends at a part of a standard error."""
    fit, same = sg.fit(DECAY, decaying(scale)), sg.fit(DECAY, decaying())
    assert fit.converged
    assert fit.guessed == ("A", "k", "C")
    units = np.array([scale, 1, scale])
    assert np.allclose(fit.theta / units, same.theta, rtol=1e-9)
    assert np.allclose(fit.standard_errors() / units, same.standard_errors(), rtol=1e-7)


def test_least_squares_say_what_is_usual() -> None:
    rows, aims = decaying()
    fit = sg.fit(DECAY, (rows, aims), {"A": 1, "k": 1, "C": 0})
    jacobian, residuals = fit.compiled.jacobian(fit.theta, rows), fit.compiled.residuals(fit.theta, rows, aims)
    variance = residuals @ residuals / 197
    assert np.allclose(fit.covariance(), variance * np.linalg.inv(jacobian.T @ jacobian), rtol=1e-9)
    n = len(rows)
    assert fit.loglikelihood == pytest.approx(-n / 2 * (np.log(2 * np.pi * residuals @ residuals / n) + 1), rel=1e-13)
    assert fit.aic == pytest.approx(2 * 4 - 2 * fit.loglikelihood)
    wald, profile = fit.confidence_intervals(), fit.confidence_intervals(method="profile")
    assert np.abs(profile - wald).max() < 0.1 * (wald[:, 1] - wald[:, 0]).max()
    predicted, lower, upper = fit.predict(rows[:3], "prediction")
    _, low, high = fit.predict(rows[:3], "confidence")
    assert ((lower < low) & (low < predicted) & (predicted < high) & (high < upper)).all()
    assert fit.values["k"] == fit.theta[1]
    text = fit.report()
    assert "decay_and_level: least squares, 200 samples, 3 free parameters" in text
    assert "converged: least_squares" in text
    assert "<th>k</th>" in fit._repr_html_()


def test_bounds_ties_and_fixed_numbers() -> None:
    rows, aims = decaying()
    parameters = sg.Parameters(DECAY, A=1.0, k=0.5)
    parameters["k"].transform, parameters["C"].equals = "log", A / 20
    fit = sg.fit(DECAY, (rows, aims), parameters)
    assert fit.n_free == 2
    assert fit.theta[2] == pytest.approx(fit.theta[0] / 20, rel=1e-15)
    assert fit.standard_errors()[2] == pytest.approx(fit.standard_errors()[0] / 20, rel=1e-9)
    plain = sg.EmpiricalRisk(
        sg.Model(A * (sp.exp(-k * x) + sp.Rational(1, 20)), [x], [A, k]), sg.Loss((z - y) ** 2 / 2, z, y), name="tied"
    )
    same = sg.fit(plain, (rows, aims), {"A": 1.0, "k": 0.5})
    assert np.allclose(fit.theta[:2], same.theta, rtol=1e-9)
    assert np.allclose(fit.covariance()[:2, :2], same.covariance(), rtol=1e-6)
    parameters["C"].equals, parameters["C"].fixed = None, 0.0
    smaller = sg.fit(DECAY, (rows, aims), parameters)
    assert smaller.theta[2] == 0
    assert "fixed" in smaller.report()
    whole = sg.fit(DECAY, (rows, aims), {"A": 1.0, "k": 0.5, "C": 0.0})
    statistic, freedom, p = whole.likelihood_ratio(smaller)
    assert (freedom, statistic > 20, p < 1e-4) == (1, True, True)
    parameters["C"].fixed, parameters["C"].upper, parameters["C"].start = None, 0.1, 0.0
    held = sg.fit(DECAY, (rows, aims), parameters)
    assert held.theta[2] == 0.1
    assert held.standard_errors()[2] == 0
    assert held.diagnose() == ("C is at its bound: it counts as fixed",)


def test_a_likelihood_is_told_from_other_losses() -> None:
    draws = np.random.default_rng(4).normal(5, 2, 1000)
    fit = sg.fit(GAUSS, (None, draws))
    assert fit.kind == "likelihood"
    assert np.allclose(fit.theta, [draws.mean(), draws.std()], rtol=1e-12)
    assert fit.standard_errors()[0] == pytest.approx(draws.std() / 1000**0.5, rel=1e-9)
    statistic, freedom, _ = fit.wald([mu - 5])
    assert freedom == 1
    assert statistic == pytest.approx(((draws.mean() - 5) / fit.standard_errors()[0]) ** 2, rel=1e-9)
    twice = sg.fit(GAUSS, (None, np.repeat(draws, 2)))
    weighted = sg.fit(GAUSS, (None, draws, np.full(1000, 2.0)))
    assert np.allclose(twice.standard_errors(), weighted.standard_errors(), rtol=1e-9)
    assert weighted.n == 2000


def logit_data() -> tuple[Any, Any]:
    random = np.random.default_rng(5)
    rows = np.c_[np.ones(400), random.normal(size=(400, 2))]
    return rows, (random.random(400) < 1 / (1 + np.exp(-rows @ [0.3, 1, -2]))).astype(float)


def test_influence_is_that_of_fits_without_a_row() -> None:
    rows, labels = logit_data()
    fit = sg.fit(LOGIT, (rows, labels))
    assert fit.kind == "likelihood"
    influence = fit.influence()
    for row in np.argsort(-np.abs(influence[:, 1]))[:3]:
        without = sg.fit(LOGIT, (np.delete(rows, row, 0), np.delete(labels, row)), {"b": fit.theta[:, None]})
        moved = without.theta - fit.theta
        assert np.linalg.norm(moved - influence[row]) < 0.1 * np.linalg.norm(moved)


def test_what_the_data_do_not_determine_is_named() -> None:
    rows, labels = logit_data()
    rows[:, 2] = 2 * rows[:, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        fit = sg.fit(LOGIT, (rows, labels))
        assert np.isnan(fit.standard_errors()).all()
    assert not fit.converged
    assert "moving" in fit.diagnose()[0]
    assert "b[1]" in fit.diagnose()[0]
    assert "b[2] together is not determined" in fit.diagnose()[0]


def test_an_interrupt_ends_with_the_best_so_far() -> None:
    seen = list[float]()

    def impatient(evaluations: int, value: float) -> None:
        seen.append(value)
        if evaluations == 40:
            raise KeyboardInterrupt

    fit = sg.fit(GAUSS, (None, np.arange(9.0)), progress=impatient)
    assert not fit.converged
    assert fit.message == "interrupted: the best so far"
    assert fit.compiled.risk(fit.theta, None, np.arange(9.0)) == pytest.approx(min(v for v in seen if v == v))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: sg.Parameters(DECAY, B=1),
            DeclarationError,
            r"parameters: expected one of \['A', 'k', 'C'\], got 'B'",
        ),
        (lambda: sg.fit(DECAY, decaying(), kind="mle"), ArrayError, "kind: expected 'auto' or one of"),
        (lambda: sg.fit(A, decaying()), DeclarationError, "risk: expected an EmpiricalRisk, got Symbol"),
        (
            lambda: sg.fit(DECAY, decaying(), {"A": "three"}),
            DeclarationError,
            r"parameters\['A'\]\.start: expected a num",
        ),
        (
            lambda: sg.fit(GAUSS, (None, [1.0, 2]), {"sigma": -1}),
            DeclarationError,
            r"start: expected a value between 0",
        ),
        (lambda: sg.fit(DECAY, 3), ArrayError, r"data: expected a tuple \(inputs, targets\)"),
        (lambda: sg.fit(DECAY, (None, None)), ArrayError, "data: expected at least one sample, got none"),
        (
            lambda: sg.fit(DECAY, ([1, np.nan], [1, 2])),
            ArrayError,
            "inputs: expected numbers, got NaN in row 1, column 0",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_what_a_loss_is_not_is_said() -> None:
    fit = sg.fit(DECAY, decaying(), {"A": 1, "k": 1, "C": 0}, kind="loss")
    assert fit.default_kind == "HC0"
    with pytest.raises(
        ArrayError, match=r"kind: expected a sandwich .* for a loss that is no likelihood, got 'observed'"
    ):
        fit.covariance("observed")
    with pytest.raises(DeclarationError, match="loglikelihood: expected a likelihood or least squares"):
        _ = fit.aic
    with pytest.raises(ArrayError, match="level: expected a number between 0 and 1"):
        fit.confidence_intervals(95)


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("method", ["auto", "simplex"])
def test_minuit_searches_where_scipy_does(bounded: bool, method: str) -> None:
    """And the last steps are the same: so are the estimates."""
    pytest.importorskip("iminuit")
    parameters = sg.Parameters(DECAY, A=1.0, k=1.0, C=0.5)
    if bounded:
        parameters["C"].lower = 0.3
    fit = sg.fit(DECAY, decaying(), parameters, solver="iminuit", method=method)
    assert fit.converged
    assert fit.message.startswith(f"{'migrad' if method == 'auto' else method} of iminuit; ")
    assert np.allclose(fit.theta, sg.fit(DECAY, decaying(), parameters).theta, rtol=1e-9)
    assert (fit.theta[2] == 0.3) == bounded


def test_solvers_that_are_not_there() -> None:
    with pytest.raises(ArrayError, match=r"solver: expected one of \['scipy', 'iminuit'\], got 'ceres'"):
        sg.fit(DECAY, decaying(), solver="ceres")
    with pytest.raises(ArrayError, match=r"method: expected 'auto' or one of \['migrad', 'simplex'\] of iminuit"):
        sg.fit(DECAY, decaying(), solver="iminuit", method="BFGS")


def test_a_censored_likelihood_is_none_by_itself_whichever_row_comes_first() -> None:
    """Its density holds for the rows that are not censored alone; `kind` says that it is one."""
    time, event, scale, shape = sp.symbols("time event scale shape", positive=True)
    hazard = (time / scale) ** shape
    loss = hazard - event * (sp.log(shape / scale) + (shape - 1) * sp.log(time / scale))
    risk = sg.EmpiricalRisk.from_expression(loss, inputs=[event], targets=[time], parameters=[scale, shape])
    draw = np.random.default_rng(3)
    true, end = 2 * draw.weibull(1.5, 300), draw.uniform(0.5, 4, 300)
    flags, times = (true <= end).astype(float), np.minimum(true, end)
    for order in (np.argsort(flags), np.argsort(-flags)):
        assert sg.fit(risk, (flags[order], times[order])).kind == "loss"
        assert sg.fit(risk, (flags[order], times[order]), kind="likelihood").aic > 0
    everybody = np.ones(300)
    assert sg.fit(risk, (everybody, true)).kind == "likelihood"
