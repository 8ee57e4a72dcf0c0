"""Variable projection: its derivatives, where it is used, and what it saves."""

from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad import gallery
from symgrad.data import samples_of
from symgrad.errors import ArrayError
from symgrad.fitting.covariances import Data
from symgrad.fitting.parameters import Space
from symgrad.fitting.problem import Problem
from symgrad.fitting.projection import Projection, linear_places

x, y, z, A, k, C = sp.symbols("x y z A k C", real=True)
DECAY = sg.EmpiricalRisk(
    sg.Model(A * sp.exp(-k * x) + C, [x], [A, k, C]), sg.Loss((z - y) ** 2 / 2, z, y), name="decay_and_level"
)
RANDOM = np.random.default_rng(4)
ROWS = RANDOM.uniform(0, 5, 100)
EXACT = 3 * np.exp(-0.7 * ROWS) + 0.2
AIMS = EXACT + 0.05 * RANDOM.normal(size=100)
WEIGHTS = RANDOM.integers(0, 3, 100).astype(float)


def problem(parameters: sg.Parameters, targets: Any = AIMS, weights: Any = None) -> Problem:
    compiled = sg.compile(parameters.risk)
    samples = samples_of((compiled.INPUTS, compiled.TARGETS), (ROWS, targets, weights), "raise")
    return Problem(compiled, Data(samples), Space(parameters), None)


def test_linear_parameters_are_solved_for() -> None:
    """What is left is orthogonal to what they can change; where it vanishes, Kaufman's Jacobian is exact."""
    for targets, weights in ((AIMS, WEIGHTS), (EXACT, None)):
        given = problem(sg.Parameters(DECAY, A=1.0, k=0.7, C=0.0), targets, weights)
        assert linear_places(given) == [0, 2]
        projection = Projection(given, given.space.start, [0, 2])
        phi, left, _ = projection.solved(np.array([0.7]))
        assert np.abs(given.jacobian(phi)[:, [0, 2]].T @ left).max() < 1e-10
        roots = np.ones(100) if weights is None else np.sqrt(weights)
        design = np.c_[np.exp(-0.7 * ROWS), np.ones(100)] * roots[:, None]
        assert np.allclose(phi[[0, 2]], np.linalg.lstsq(design, roots * targets, rcond=None)[0], rtol=1e-10)
    step = 1e-6
    rise = projection.residuals(np.array([0.7 + step])) - projection.residuals(np.array([0.7 - step]))
    assert np.allclose(projection.jacobian(np.array([0.7]))[:, 0], rise / (2 * step), rtol=1e-6, atol=1e-8)


def test_bounds_transforms_and_ties_are_left_to_the_search() -> None:
    bounded = sg.Parameters(DECAY, A=1.0, k=0.7, C=0.1)
    bounded["C"].lower = 0.0
    assert linear_places(problem(bounded)) == [0]
    bounded["A"].transform = "log"
    assert linear_places(problem(bounded)) == []
    tied = sg.Parameters(DECAY, A=1.0, k=0.7)
    tied["C"].equals = A**2
    assert linear_places(problem(tied)) == []
    fixed = sg.Parameters(DECAY, A=1.0)
    fixed["k"].fixed, fixed["C"].fixed = 0.7, 0.2
    assert linear_places(problem(fixed)) == [0]


@pytest.mark.parametrize("bound", [False, True])
def test_it_finds_what_all_parameters_together_find(bound: bool) -> None:
    parameters = sg.Parameters(DECAY, A=1e6, k=0.1, C=-1e6)
    if bound:
        parameters["k"].upper = 0.6
    fit = sg.fit(DECAY, (ROWS, AIMS, WEIGHTS), parameters, method="variable_projection")
    near = sg.Parameters(DECAY, A=3.0, k=0.5, C=0.0)
    near["k"].upper = 0.6 if bound else np.inf
    assert fit.converged
    assert fit.message.startswith("variable projection of A, C, least_squares; ")
    assert np.allclose(fit.theta, sg.fit(DECAY, (ROWS, AIMS, WEIGHTS), near, method="least_squares").theta, rtol=1e-9)
    assert (fit.theta[1] == 0.6) == bound


def test_it_is_used_where_the_plain_way_takes_long() -> None:
    """NIST's MGH09 from afar: 534 evaluations all together; but not where it ends worse (MGH10)."""
    for name, start, used in (("mgh09", 0, True), ("mgh09", 1, False), ("mgh10", 0, False), ("mgh10", 1, True)):
        example = gallery.load(name)
        numbers = list((example.starts or {}).values())[start]
        starts = dict(zip((str(p) for p in example.risk.parameters), numbers, strict=True))
        fit = sg.fit(example.risk, (example.inputs, example.targets), starts)
        certified = np.asarray(example.certified, float)
        assert fit.message.startswith("variable projection of b1, ") == used
        assert np.allclose(fit.theta, certified, rtol=1e-8, atol=0)
        if (name, start) == ("mgh09", 0):
            plain = sg.fit(example.risk, (example.inputs, example.targets), starts, method="least_squares")
            assert fit.evaluations < plain.evaluations / 2
            assert "variable projection of b1" in fit.report()


def test_what_is_linear_in_all_is_solved_at_once() -> None:
    line = sg.EmpiricalRisk(sg.Model(A * x + C, [x], [A, C]), sg.Loss((z - y) ** 2 / 2, z, y), name="line")
    fit = sg.fit(line, (ROWS, AIMS), {"A": 0.0, "C": 0.0}, method="variable_projection")
    assert fit.message.startswith("variable projection of A, C")
    assert np.allclose(fit.theta, np.polyfit(ROWS, AIMS, 1), rtol=1e-10)


def test_where_there_is_nothing_to_project_out() -> None:
    odd = sg.EmpiricalRisk(sg.Model(sp.exp(A * x), [x], [A]), sg.Loss((z - y) ** 2 / 2, z, y), name="odd")
    robust = sg.EmpiricalRisk(DECAY.model, sg.losses.pseudo_huber(), name="robust_decay_and_level")
    for risk, starts in ((odd, {"A": 0.1}), (robust, {"A": 1.0, "k": 1.0, "C": 0.0})):
        with pytest.raises(ArrayError, match=r"method: expected least squares of a model that is linear in some free"):
            sg.fit(risk, (ROWS, AIMS), starts, method="variable_projection")
