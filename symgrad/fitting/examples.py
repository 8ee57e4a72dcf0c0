"""Fitting an example of the gallery with SciPy and compiled derivatives: what `symgrad demo` shows.

A squared residual is fitted by least squares: a second risk, whose loss is the residual itself, has the Jacobian as its
per-sample gradient. Any other loss is minimised by its own mean and gradient.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from symgrad.declare import EmpiricalRisk, Loss
from symgrad.gallery import Example
from symgrad.pipeline import compile as compile_risk

from .extras import scipy_optimize

Array = NDArray[np.float64]

_TOLERANCE = 1e-15  # relative: the least that MINPACK takes is 2.2e-16
_MOST_EVALUATIONS = 20_000
_MOST_POLISHING = 100
_HUGE = 1e150  # in place of infinity and NaN, which MINPACK does not know; its square is still finite
_STEP = np.finfo(float).eps ** (1 / 3)  # of a central difference, relative


@dataclass(frozen=True, slots=True)
class ExampleFit:
    """The result of a fit: where it ended, and how it got there."""

    parameters: Array
    """``(P,)``"""
    rss: float
    """the sum of the losses of all samples: where the loss is a squared residual, the residual sum of squares"""
    iterations: int
    """evaluations of the derivatives by the method, and steps of the polishing"""
    converged: bool
    """whether a further Newton step would change no parameter by more than 1e-8 of it"""
    method: str
    """what was done, for a person"""


def fit_example(example: Example, start: str | Array) -> ExampleFit:
    """Return the fit of an example from one of its named starting points, or from an array ``(P,)``.

    Compiles the example's risk, and its residual as a risk of its own where the loss is a squared residual. Raises
    `MissingExtraError` without SciPy, and ``ValueError`` for an unknown start.
    """
    scipy_optimize()
    theta = _start(example, start)
    compiled = compile_risk(example.risk)
    residual = residual_risk(example.risk)
    # What overflows on the way is answered by a shorter step; NumPy need not warn of it.
    with np.errstate(all="ignore"):
        found = _minimised(example, theta) if residual is None else _least_squares(example, residual, theta)
    parameters, iterations, step, method = found
    rss = len(example.inputs) * compiled.risk(parameters, example.inputs, example.targets)
    return ExampleFit(parameters, float(rss), iterations, bool(step < 1e-8), method)


def residual_risk(risk: EmpiricalRisk) -> EmpiricalRisk | None:
    """Return the risk whose per-sample loss is the residual: its per-sample gradients are the rows of the Jacobian.

    None where the loss is no squared residual: c * (prediction - g(targets))**2 with a constant c > 0, and no penalty.
    """
    if risk.model is None or len(risk.predictions) != 1 or risk.penalty is not None:
        return None
    (prediction,) = risk.predictions
    if isinstance(prediction, sp.MatrixExpr):
        return None  # several residuals for a row; and SymPy differentiates by a whole matrix wrongly
    slope = sp.diff(risk.loss, prediction)
    curvature = sp.diff(slope, prediction)
    if not curvature.is_number or not curvature.is_positive:
        return None
    residual = sp.expand(slope / curvature)
    if sp.expand(risk.loss - curvature * residual**2 / 2) != 0:
        return None
    return EmpiricalRisk(risk.model, Loss(residual, prediction, list(risk.targets)), name="residual")


def agreeing_digits(found: float, certified: str) -> int:
    """Return how many significant digits of ``certified``, as printed, ``found`` shares: to half a unit of the last."""
    printed = Decimal(certified)
    distance = abs(Decimal(float(found)) - printed) if np.isfinite(found) else Decimal("inf")
    digits = len(printed.as_tuple().digits)
    while digits and distance > Decimal(1).scaleb(printed.adjusted() + 1 - digits) / 2:
        digits -= 1
    return digits


def _start(example: Example, start: str | Array) -> Array:
    if not isinstance(start, str):
        return np.array(start, dtype=np.float64)
    if start not in example.starts:
        raise ValueError(f"start: expected one of {', '.join(map(repr, example.starts))}, got {start!r}")
    return example.starts[start].copy()


# --- least squares -------------------------------------------------------------------------------------------------


def _least_squares(example: Example, risk: EmpiricalRisk, theta: Array) -> tuple[Array, int, float, str]:
    """Levenberg and Marquardt's method from afar, then Gauss and Newton's for the last digits."""
    compiled = compile_risk(risk)
    data = (example.inputs, example.targets)

    def residuals(theta: Array) -> Array:
        values: Array = compiled.per_sample_loss(theta, *data)
        return np.nan_to_num(values, nan=_HUGE, posinf=_HUGE, neginf=-_HUGE)

    def jacobian(theta: Array) -> Array:
        values: Array = compiled.per_sample_gradient(theta, *data)
        return np.nan_to_num(values, nan=0.0, posinf=_HUGE, neginf=-_HUGE)

    def gauss_newton(theta: Array) -> Array:
        rows = jacobian(theta)
        lengths = np.linalg.norm(rows, axis=0)
        if not lengths.all():
            return np.full_like(theta, np.nan)  # a parameter without effect: there is no telling where it should go
        # Columns of unit length: parameters may differ by many orders of magnitude.
        step: Array = np.linalg.lstsq(rows / lengths, -residuals(theta), rcond=None)[0] / lengths
        return step

    found = scipy_optimize().least_squares(
        residuals, theta, jacobian, method="lm", x_scale="jac", max_nfev=_MOST_EVALUATIONS,
        ftol=_TOLERANCE, xtol=_TOLERANCE, gtol=_TOLERANCE,
    )  # fmt: skip
    polished, steps, last = _polish(found.x, gauss_newton, lambda theta: float(np.sum(residuals(theta) ** 2)))
    method = f"scipy.optimize.least_squares(method='lm'), {found.nfev} evaluations; {steps} Gauss-Newton steps"
    return polished, int(found.nfev) + steps, last, method


def _polish(
    theta: Array, step_from: Callable[[Array], Array], value: Callable[[Array], float]
) -> tuple[Array, int, float]:
    """Whole steps for as long as they get shorter: where that ended, their number, the next one's relative length."""
    steps = 0
    step = step_from(theta)
    length = _relative(step, theta)
    while steps < _MOST_POLISHING and 0.0 < length < np.inf:
        tried = theta + step
        next_step = step_from(tried)
        next_length = _relative(next_step, tried)
        if not next_length < length or value(tried) > value(theta) + 1e-10 * abs(value(theta)):
            break
        theta, step, length = tried, next_step, next_length
        steps += 1
    return theta, steps, length


def _relative(step: Array, theta: Array) -> float:
    sizes = np.maximum(np.abs(theta), 1e-300)
    length = float(np.max(np.abs(step) / sizes))
    return length if np.isfinite(length) else np.inf


# --- any other loss ------------------------------------------------------------------------------------------------


def _minimised(example: Example, theta: Array) -> tuple[Array, int, float, str]:
    """Quasi-Newton with the compiled gradient, then Newton with differences of it for the last digits."""
    evaluate = compile_risk(example.risk).bind(example.inputs, example.targets)

    def gradient(theta: Array) -> Array:
        slopes: Array = evaluate(theta)[1]
        return slopes

    def newton(theta: Array) -> Array:
        widths = _STEP * np.maximum(np.abs(theta), 1e-3)
        columns = []
        for place, width in enumerate(widths):
            shift = np.zeros_like(theta)
            shift[place] = width
            columns.append((gradient(theta + shift) - gradient(theta - shift)) / (2 * width))
        hessian = np.array(columns)
        hessian = (hessian + hessian.T) / 2
        sizes = np.abs(np.diag(hessian))
        if not np.isfinite(hessian).all() or not sizes.all():
            return np.full_like(theta, np.nan)
        scale = 1 / np.sqrt(sizes)
        step: Array = np.linalg.lstsq(hessian * np.outer(scale, scale), -gradient(theta) * scale, rcond=None)[0] * scale
        return step

    found: Any = scipy_optimize().minimize(
        evaluate, theta, jac=True, method="BFGS", options={"gtol": 1e-9, "maxiter": _MOST_EVALUATIONS}
    )
    polished, steps, last = _polish(found.x, newton, lambda theta: float(evaluate(theta)[0]))
    method = f"scipy.optimize.minimize(method='BFGS', jac=True), {found.nfev} evaluations; {steps} Newton steps"
    return polished, int(found.nfev) + steps, last, method
