"""The way to a minimum: a start, SciPy's optimiser for the kind of problem, and Newton steps until none is worth it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from symgrad.errors import ArrayError

from .covariances import Data
from .extras import scipy_optimize
from .minuit import searched_by_minuit
from .parameters import Array
from .problem import HUGE, Problem
from .projection import Projection, linear_places

SOLVERS = ("scipy", "iminuit")
TOLERANCE = 1e-7  # of a Newton step, in standard errors of each parameter
MOST_NEWTON = 200  # parameters: of more, no Hessian is taken
_MOST_STEPS = 200  # of polishing
_FLAT = 1e-14  # curvature in units of the greatest, below which there is none
_MOST_EVALUATIONS = 50_000
_PATIENCE = 50  # evaluations of plain least squares, after which variable projection is tried
_MAGNITUDES = (1e-4, 1e-2, 0.1, 1.0, 10.0, 100.0, 1e4)
_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Solution:
    """Where a search ended: ``step`` is the last Newton step, in standard errors; ``free``, what no bound holds."""

    phi: Array
    free: Any
    step: float
    converged: bool
    message: str


def started(problem: Problem, sample: Problem) -> Array:
    """Return a start.

    Numbers that were given none begin with the best of a few magnitudes and signs, tried on some rows: first for all
    at once, then one by one.
    """
    space = problem.space
    missing = np.flatnonzero(np.isnan(space.start))
    if not len(missing):
        return space.start.copy()
    tried = sorted({s * m for m in _magnitudes(problem.data) for s in (1.0, -1.0)}, key=lambda v: (abs(v - 1), v))
    phi = space.start.copy()

    def with_values(places: Sequence[int], value: float) -> Array:
        candidate = phi.copy()
        for place in places:
            low, high = space.lower[place], space.upper[place]
            inside = 1e-3 * min(1.0, high - low)
            candidate[place] = np.clip(value, low + inside, high - inside)
        return candidate

    for places in ([*missing], *([place] for place in [*missing] * 2)):
        candidates = [with_values(places, value) for value in tried]
        if not np.isnan(phi).any():
            candidates.insert(0, phi)
        phi = min(candidates, key=lambda candidate: sample.value(candidate)[0])
    return phi


def _magnitudes(data: Data) -> list[float]:
    """Sizes that a parameter may have: in units of one, of the data, and of what divides them."""
    found = [0.0, *_MAGNITUDES]
    kept = slice(None) if data.weights is None else data.weights != 0
    for array in (data.targets, data.inputs):
        values = np.asarray(array[:] if array is not None else [], np.float64)
        values = values[kept] if len(values) else values
        sizes = [np.std(values), abs(np.median(values))] if values.size else []
        for size in (float(s) for s in sizes if np.isfinite(s) and s > 0):
            found += [size * m for m in (0.1, 1.0, 10.0)] + [m / size for m in (0.1, 1.0, 10.0)]
    return found


def solved(
    problem: Problem,
    searched: Problem,
    phi: Array,
    kind: str,
    method: str,
    options: dict[str, Any],
    solver: str = "scipy",
) -> Solution:
    """Return where the risk is least, near a start.

    ``method``: "auto", "least_squares", "variable_projection", or one of `scipy.optimize.minimize`, which looks at the
    rows of ``searched``: some of all rows, where these are many. The Newton steps that follow are those of the whole
    problem. With the ``solver`` "iminuit" the method is "auto", "migrad" or "simplex".
    """
    optimize = scipy_optimize()
    few = len(phi) <= MOST_NEWTON
    looked_at = searched if few else problem
    with np.errstate(all="ignore"):
        if solver == "iminuit" and len(phi):
            phi, why = searched_by_minuit(
                looked_at, phi, _scale(looked_at, phi), method, options, few and not problem.space.has_bounds
            )
            return _polished(problem, phi, why)
        chosen = _method(problem, kind) if method == "auto" else method
        if chosen == "variable_projection":
            return _polished(problem, *_projection(looked_at, phi, kind).search(optimize, _given(options)))
        if chosen == "least_squares" and method == "auto":
            return _squares_solved(optimize, problem, looked_at, phi, options)
        return _polished(problem, *_search(optimize, looked_at, phi, chosen, options))


def _squares_solved(
    optimize: ModuleType, problem: Problem, looked_at: Problem, phi: Array, options: dict[str, Any]
) -> Solution:
    """Least squares of all parameters together; what they are linear in is projected out where that takes long.

    Variable projection has fewer dimensions and no start of linear parameters that leads astray, but costs twice as
    much for each evaluation, and may end elsewhere: so it has to end where the squares are fewer.
    """
    if not len(phi):
        return _polished(problem, phi, "nothing is free")
    limit = int(options.get("max_nfev") or _MOST_EVALUATIONS)
    end, why, is_done = _least_squares(optimize, looked_at, phi, options | {"max_nfev": min(_PATIENCE, limit)})
    if not is_done and limit > _PATIENCE:
        other = _projected(optimize, looked_at, phi, options)
        if other is not None and _squares(looked_at, other[0]) <= _squares(looked_at, end):
            end, why = other
        else:
            end, why, _ = _least_squares(optimize, looked_at, end, options)
    solution = _polished(problem, end, why)
    if not solution.converged and not why.startswith("variable"):
        other = _projected(optimize, looked_at, phi, options)
        again = None if other is None else _polished(problem, *other)
        if again is not None and again.converged and problem.value(again.phi)[0] <= problem.value(solution.phi)[0]:
            return again
    return solution


def _projected(optimize: ModuleType, problem: Problem, phi: Array, options: dict[str, Any]) -> tuple[Array, str] | None:
    """Where variable projection ends, and its words; None where the prediction is linear in nothing."""
    linear = linear_places(problem)
    return Projection(problem, phi, linear).search(optimize, _given(options)) if linear else None


def _projection(problem: Problem, phi: Array, kind: str) -> Projection:
    linear = linear_places(problem) if kind == "least_squares" else []
    if not linear:
        raise ArrayError(
            "method: expected least squares of a model that is linear in some free parameters (without bounds, "
            "transforms and ties) for 'variable_projection', got another; take method='auto'"
        )
    return Projection(problem, phi, linear)


def _squares(problem: Problem, phi: Array) -> float:
    residuals = problem.residuals(phi) if np.isfinite(phi).all() else np.array([HUGE])
    return float(residuals @ residuals)


def interrupted(phi: Array) -> Solution:
    """Return the best so far as where a search ended."""
    return Solution(phi, np.ones(len(phi), bool), np.inf, False, "interrupted: the best so far")


def _method(problem: Problem, kind: str) -> str:
    if kind == "least_squares" and problem.data.rows >= len(problem.space.free):
        return "least_squares"
    return "L-BFGS-B" if problem.space.has_bounds or len(problem.space.free) > MOST_NEWTON else "trust-exact"


def _search(
    optimize: ModuleType, problem: Problem, phi: Array, method: str, options: dict[str, Any]
) -> tuple[Array, str]:
    """Where SciPy ends, and its own words."""
    space = problem.space
    if len(phi) == 0:
        return phi, "nothing is free"
    if method == "least_squares":
        return _least_squares(optimize, problem, phi, options)[:2]
    scale = _scale(problem, phi)
    bounds = list(zip(space.lower / scale, space.upper / scale, strict=True)) if space.has_bounds else None

    def value(x: Array) -> tuple[float, Array]:
        found, gradient = problem.value(x * scale)
        return found, gradient * scale

    def hessian(x: Array) -> Array:
        found = problem.hessian(x * scale) * np.outer(scale, scale)
        return found if np.isfinite(found).all() else np.eye(len(x))

    given: dict[str, Any] = {"maxiter": _MOST_EVALUATIONS}
    given |= {"gtol": 1e-12} if method == "trust-exact" else {}
    given |= {"ftol": 0.0, "gtol": 1e-12, "maxfun": _MOST_EVALUATIONS, "maxcor": 20} if method == "L-BFGS-B" else {}
    takes_hessian = method in ("trust-exact", "trust-ncg", "trust-krylov", "dogleg", "Newton-CG", "trust-constr")
    found = optimize.minimize(
        value, phi / scale, jac=True, hess=hessian if takes_hessian else None, bounds=bounds, method=method,
        options=given | options,
    )  # fmt: skip
    return np.clip(found.x * scale, space.lower, space.upper), f"{method}: {found.message}"


def _least_squares(
    optimize: ModuleType, problem: Problem, phi: Array, options: dict[str, Any]
) -> tuple[Array, str, bool]:
    """Where SciPy's least squares end, its own words, and whether it was at an end."""
    space = problem.space
    bounded = space.has_bounds
    found = optimize.least_squares(
        problem.residuals, phi, problem.jacobian, method="trf" if bounded else "lm",
        bounds=(space.lower, space.upper) if bounded else (-np.inf, np.inf), **_given(options),
    )  # fmt: skip
    return found.x, f"least_squares: {found.message}", found.status > 0


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """What least squares are told, unless they are told otherwise."""
    tight = dict.fromkeys(("ftol", "xtol", "gtol"), _EPSILON)
    return {"x_scale": "jac", "max_nfev": _MOST_EVALUATIONS, **tight, **options}


def _scale(problem: Problem, phi: Array) -> Array:
    """Units in which the risk is about equally curved by each number of phi."""
    if len(phi) > MOST_NEWTON:
        return np.ones(len(phi))
    curvature = np.abs(np.diag(problem.hessian(phi)))
    value = abs(problem.value(phi)[0])
    unit = np.sqrt(max(value, 1e-300) if value < HUGE else 1.0)
    scale = unit / np.sqrt(curvature)
    usable = np.isfinite(scale) & (scale > 0)
    return np.where(usable, scale, np.maximum(np.abs(phi), 1.0))


def _polished(problem: Problem, phi: Array, why: str) -> Solution:
    """Newton steps within the bounds, until one is below `TOLERANCE` standard errors in each parameter."""
    space = problem.space
    if len(phi) > MOST_NEWTON or len(phi) == 0:
        gradient = problem.value(phi)[1]
        size = float(np.abs(gradient).max(initial=0.0))
        return Solution(
            phi, np.ones(len(phi), bool), 0.0 if not len(phi) else np.inf, True, f"{why}; gradient {size:.1e}"
        )
    value, gradient = problem.value(phi)
    step, free, is_minimum = np.inf, np.ones(len(phi), bool), False
    for _ in range(_MOST_STEPS):
        free = ~((phi <= space.lower) & (gradient > 0) | (phi >= space.upper) & (gradient < 0))
        move, errors = _newton(problem.hessian(phi)[np.ix_(free, free)], gradient[free])
        is_minimum = errors is not None
        step = np.inf
        if errors is not None:
            step = float(np.max(np.abs(move) / errors, initial=0.0) * np.sqrt(problem.data.total))
        if step < TOLERANCE:  # it is taken too: what is left is its square
            phi = phi.copy()
            phi[free] += move
            phi = np.clip(phi, space.lower, space.upper)
            how = why.partition(":")[0]  # what stopped the search does not matter: this is the minimum
            return Solution(phi, free, step, True, f"{how}; the last Newton step was {step:.0e} standard errors")
        better = _shortened(problem, phi, value, free, move)
        if better is None:
            break
        phi, value, gradient = better
    if not is_minimum:
        return Solution(phi, free, np.inf, False, f"{why}; the curvature there is not positive: no minimum is near")
    done = step < 1e-3
    end = "no step makes the risk less" if done else "and the minimum is not reached"
    return Solution(phi, free, step, done, f"{why}; a Newton step is {step:.0e} standard errors, {end}")


def _newton(curvature: Array, gradient: Array) -> tuple[Array, Array | None]:
    """A Newton step, and for each number its standard error with one sample; None where the curvature is not positive.

    There the step goes as far in a direction that is curved downwards as in one that is as much curved upwards.
    """
    if not np.isfinite(curvature).all():
        return -gradient, None
    scale = np.sqrt(np.abs(np.diag(curvature)))
    scale = 1 / np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(curvature * np.outer(scale, scale))
    size = np.abs(values)
    inverse = (vectors / np.maximum(size, _FLAT * size.max(initial=1e-300))) @ vectors.T
    move = -scale * (inverse @ (scale * gradient))
    is_positive = len(values) == 0 or values[0] > _FLAT * values[-1]
    return move, scale * np.sqrt(np.diag(inverse)) if is_positive else None


def _shortened(problem: Problem, phi: Array, value: float, free: Any, move: Array) -> tuple[Array, float, Array] | None:
    """The end of a step that makes the risk less, or no greater within its rounding; None where none is found."""
    for _ in range(30):
        candidate = phi.copy()
        candidate[free] += move
        candidate = np.clip(candidate, problem.space.lower, problem.space.upper)
        found, gradient = problem.value(candidate)
        if found <= value + 4 * _EPSILON * abs(value) and not np.array_equal(candidate, phi):
            return candidate, found, gradient
        move = move / 2
    return None
