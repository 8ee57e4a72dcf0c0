"""Fitting an example, and `symgrad demo`. Whether all problems of NIST are solved, `compiled/test_cases.py` tells."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

from symgrad import gallery, losses
from symgrad.cli import main
from symgrad.commands import demo as command
from symgrad.declare import EmpiricalRisk, Loss, Model
from symgrad.fitting import agreeing_digits, fit_example, residual_risk
from symgrad.fitting import examples as demo
from symgrad.pipeline import compile as compile_risk

a, x, y, z = sp.symbols("a x y z")
W, Y, Z = sp.MatrixSymbol("W", 3, 1), sp.MatrixSymbol("Y", 3, 1), sp.MatrixSymbol("Z", 3, 1)


@pytest.fixture
def no_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)


# --- digits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "certified", "digits"),
    [
        (238.94212918, "2.3894212918E+02", 11),
        (238.942129184, "2.3894212918E+02", 11),  # rounds to what is printed
        (238.942129186, "2.3894212918E+02", 10),
        (238.9, "2.3894212918E+02", 4),
        (-238.94212918, "2.3894212918E+02", 0),
        (2389.4212918, "2.3894212918E+02", 0),
        (0.0, "2.3894212918E+02", 0),
        (float("nan"), "1.5", 0),
        (float("inf"), "1.5", 0),
        (-0.03536709401841, "-0.03536709401845", 12),
        (1.0499999999, "1.0", 2),
        (1.0500000001, "1.0", 1),
    ],
)
def test_digits_agree_to_half_a_unit_of_the_last(found: float, certified: str, digits: int) -> None:
    assert agreeing_digits(found, certified) == digits


# --- which method --------------------------------------------------------------------------------------------------


def regression(loss: Loss) -> EmpiricalRisk:
    return EmpiricalRisk(Model(a * x, [x], [a]), loss)


@pytest.mark.parametrize(
    ("loss", "residual"),
    [
        ((z - y) ** 2, z - y),
        (3 * (z - y) ** 2 / 2, z - y),
        ((y - z) ** 2, z - y),
        ((z - sp.log(y)) ** 2, z - sp.log(y)),
        (z**2 - 2 * z * y + y**2, z - y),
    ],
)
def test_a_squared_residual_is_seen_in_any_form(loss: sp.Expr, residual: sp.Expr) -> None:
    risk = residual_risk(regression(Loss(loss, z, y)))
    assert risk is not None
    assert sp.expand(risk.loss - residual) == 0
    assert risk.model is not None


@pytest.mark.parametrize(
    "risk",
    [
        regression(losses.huber(1.0)),
        regression(losses.poisson()),
        regression(Loss((z - y) ** 2 + 1, z, y)),
        regression(Loss(-((z - y) ** 2), z, y)),
        regression(Loss(y * (z - 1) ** 2, z, y)),
        regression(Loss((z - y) ** 4, z, y)),
        regression(Loss(z * y, z, y)),
        EmpiricalRisk(Model(a * x, [x], [a]), Loss((z - y) ** 2, z, y), penalty=a**2),
        EmpiricalRisk.from_expression((a - y) ** 2, inputs=[], targets=[y], parameters=[a]),
        EmpiricalRisk(Model(W * x, [x], [W]), Loss((Z - Y).T * (Z - Y), Z, Y)),
    ],
    ids=lambda risk: str(risk.loss)[:40],
)
def test_anything_else_is_minimised_by_its_gradient(risk: EmpiricalRisk) -> None:
    assert residual_risk(risk) is None


def test_the_residuals_gradient_is_the_jacobian() -> None:
    example = gallery.load("misra1a")
    risk = residual_risk(example.risk)
    assert risk is not None
    each, theta = compile_risk(risk).per_sample_gradient, example.theta
    (pressure,) = example.inputs.T
    decay = np.exp(-theta[1] * pressure)
    jacobian = np.column_stack([1 - decay, theta[0] * pressure * decay])
    np.testing.assert_allclose(each(theta, example.inputs, example.targets), jacobian, rtol=1e-12)


# --- fitting -------------------------------------------------------------------------------------------------------


def digits_of(example: gallery.Example, found: demo.ExampleFit) -> list[int]:
    assert example.certified_text is not None
    return [agreeing_digits(v, text) for v, text in zip(found.parameters, example.certified_text, strict=True)]


@pytest.mark.parametrize("start", ["start 1", "start 2"])
def test_least_squares_finds_the_certified_parameters(start: str) -> None:
    example = gallery.load("misra1a")
    found = fit_example(example, start)
    assert min(digits_of(example, found)) >= 10
    assert found.converged
    assert agreeing_digits(found.rss, "1.2455138894E-01") >= 10
    assert found.iterations >= 5


def test_a_likelihood_is_maximised() -> None:
    example = gallery.load("ships_negbin")
    found = fit_example(example, "zero")
    assert min(digits_of(example, found)) >= 6
    assert found.converged
    assert example.certified_sum_text is not None
    assert agreeing_digits(found.rss, example.certified_sum_text) >= 12
    assert "BFGS" in found.method


def test_a_start_may_be_an_array_and_is_left_alone() -> None:
    example = gallery.load("misra1a")
    start = np.array([400.0, 2e-4])
    assert min(digits_of(example, fit_example(example, start))) >= 10
    assert start.tolist() == [400.0, 2e-4]
    fit_example(example, "start 1")
    assert example.starts["start 1"].tolist() == [500.0, 1e-4]


def test_an_unknown_start_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"start: expected one of 'start 1', 'start 2', got 'start 3'"):
        fit_example(gallery.load("misra1a"), "start 3")


def test_a_fit_that_has_no_minimum_says_so() -> None:
    """exp(-a x) against -1 is best at infinity, where the parameter has no effect any more."""
    example = gallery.load("misra1a")
    endless = EmpiricalRisk(Model(sp.exp(-a * x / 100), [x], [a]), Loss((z - y) ** 2, z, y), name="endless")
    found = fit_example(replace(example, risk=endless, targets=-np.ones_like(example.targets)), np.array([1.0]))
    assert not found.converged


def test_infinities_on_the_way_do_not_end_the_fit() -> None:
    example = gallery.load("misra1a")
    found = fit_example(example, np.array([500.0, -3.0]))  # exp(-b2 x) overflows
    assert np.isfinite(found.parameters).all()


# --- the command ---------------------------------------------------------------------------------------------------


def test_the_demo_shows_every_step_and_ends_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", str(tmp_path / "cache"))
    assert main(["demo"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "\x1b" not in out
    for part in ("dL/db1", "\nCompiled in", "C compiler", "least_squares", "PASSED"):
        assert part in out
    assert "2.3894212918E+02  2.3894212918E+02" in out
    (source,) = (Path(line.strip()) for line in out.splitlines() if line.endswith("misra1a.pyx"))
    assert "# Written by symgrad. To change it, change the declaration of misra1a" in source.read_text("utf-8")
    assert "symgrad generate symgrad.gallery:misra1a -o generated" in out
    assert main(["demo"]) == 0
    assert "Found in the cache" in capsys.readouterr().out


def test_the_demo_fails_where_the_digits_are_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = gallery.load("misra1a")
    wrong = replace(example, certified_text=("2.3894212918E+02", "5.5015600000E-04"))
    monkeypatch.setattr(gallery, "load", lambda name: wrong)
    monkeypatch.setattr(command, "SAMPLES", 5)
    assert main(["demo", "misra1a"]) == 1
    assert "the least that agree are 6." in capsys.readouterr().out


def test_the_demo_fails_where_the_fit_has_not_settled(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "fit_example", lambda *given: replace(fit_example(*given), converged=False))
    monkeypatch.setattr(command, "SAMPLES", 5)
    assert main(["demo", "misra1a"]) == 1
    assert "has not settled" in capsys.readouterr().out


def test_wrong_names_are_answered_with_the_right_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "misra1b"]) == 2
    assert "no example 'misra1b', only misra1a, eckerle4" in capsys.readouterr().err
    assert main(["demo", "misra1a", "--start", "zero"]) == 2
    assert "misra1a has no start 'zero', only 'start 1', 'start 2'" in capsys.readouterr().err


@pytest.mark.usefixtures("no_scipy")
def test_without_scipy_the_demo_says_how_to_get_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert 'python -m pip install "symgrad[scipy]"' in err
    assert "Traceback" not in err
    assert main(["demo", "--list"]) == 0


def test_the_list_has_every_example_and_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--list"]) == 0
    out = capsys.readouterr().out
    for name in gallery.names():
        assert name in out
        assert all(repr(start) in out for start in gallery.load(name).starts)
