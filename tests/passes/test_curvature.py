"""Second derivatives where a first one passes through zero, and where it vanishes for good."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import sympy as sp

from symgrad.declare import EmpiricalRisk
from symgrad.pipeline import generate
from tests.helpers.evaluate import DOUBLES, output

a, b, u = sp.symbols("a b u", real=True)


def computed(name: str, expression: Any, at: Sequence[float], vector: Sequence[float] = ()) -> list[float]:
    """What the generated module of a quantity computes of one sample, at u = 0.5."""
    risk = EmpiricalRisk.from_expression(expression + 0 * u, inputs=[u], targets=[], parameters=[a, b])
    leaves = {"parameter": [np.float64(x) for x in (*at, *vector)], "input": [np.float64(0.5)]}
    with np.errstate(all="ignore"):
        return [float(x) for x in output(generate(risk, of=name).lowered, "gradient", DOUBLES, leaves)]


@pytest.mark.parametrize(
    "expression",
    [(a * sp.exp(b / (1 + u)) - u) ** 2, a * u * sp.exp(sp.exp(b)), a * sp.exp(-((b / u) ** -3)), a * u / b**3],
    ids=str,
)
def test_a_derivative_that_passes_through_zero_has_a_derivative(expression: Any) -> None:
    """At a = 0 the derivative by b is zero, but not its derivative by a."""
    at = {a: 0, b: sp.Rational(3, 4), u: sp.Rational(1, 2)}
    true = sp.Matrix(2, 2, lambda i, j: sp.diff(expression, (a, b)[i], (a, b)[j]).subs(at).evalf(20))
    lower = [float(true[0, 0]), float(true[1, 0]), float(true[1, 1])]
    assert computed("hessian", expression, (0.0, 0.75)) == pytest.approx(lower, rel=1e-14, abs=0)
    assert computed("hessian_vector", expression, (0.0, 0.75), (1.0, 0.0)) == pytest.approx(lower[:2], rel=1e-14, abs=0)
    assert lower[1] != 0


@pytest.mark.parametrize("expression", [sp.exp(-sp.exp(a * u)) * b, b * sp.exp(-((a / u) ** -300))], ids=str)
@pytest.mark.parametrize("at", [1e-200, 2000.0])
def test_in_a_flat_tail_there_is_no_curvature(expression: Any, at: float) -> None:
    """There a cotangent is zero for good, and a slope may be infinite: their product is none."""
    assert np.isfinite(computed("hessian", expression, (at, 1.0))).all()
