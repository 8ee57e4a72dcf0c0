"""What a fit found: values, errors, intervals, tests, and what the data leave open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp

from symgrad.data import is_table
from symgrad.declare import EmpiricalRisk, name_of, symbols_in
from symgrad.designs import Regression
from symgrad.errors import ArrayError, DeclarationError

from .covariances import Data, Parts
from .extras import scipy_stats
from .kinds import constant_of
from .parameters import Array, Parameters, Space
from .problem import Problem
from .report import html_of, text_of
from .solve import Solution, solved

_WEAK = 1e-10  # an eigenvalue of the curvature, in units of its diagonal, below which nothing is determined


@dataclass(frozen=True)
class Fit:
    """The result of `symgrad.fit`. Numbers are attributes; `report()` is the text of them."""

    risk: EmpiricalRisk
    parameters: Parameters
    kind: str
    data: Data = field(repr=False)
    compiled: Any = field(repr=False)
    space: Space = field(repr=False)
    solution: Solution = field(repr=False)
    evaluations: int
    seconds: float
    guessed: tuple[str, ...]  # parameters that were given no start

    @cached_property
    def _parts(self) -> Parts:
        return Parts(self.compiled, self.theta, self.data)

    @property
    def theta(self) -> Array:
        """The flat theta at which the risk is least, (P,)."""
        return self.space.theta(self.solution.phi)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each number in theta."""
        return tuple(self.space.names)

    @property
    def values(self) -> dict[str, Any]:
        """The estimates by the parameters' names: numbers, and arrays of their shapes."""
        found = self.compiled.unpack(self.theta)
        return {name: value if value.shape else float(value) for name, value in found.items()}

    @property
    def converged(self) -> bool:
        """Was a minimum found, up to 1e-7 standard errors or what rounding allows?"""
        return self.solution.converged

    @property
    def message(self) -> str:
        """What ended the search, in words."""
        return self.solution.message

    @property
    def n(self) -> float:
        """The number of samples: a sum of frequencies, or of rows with a weight."""
        return self.data.n

    @property
    def n_free(self) -> int:
        """The number of free parameters."""
        return len(self.space.free)

    @property
    def loss(self) -> float:
        """The sum of the losses, weighted, without the penalty."""
        losses = np.asarray(self.compiled.per_sample_loss(self.theta, *self.data.arrays[:2]), np.float64)
        if self.data.weights is None:
            return float(np.sum(losses, dtype=np.longdouble))
        kept = self.data.weights != 0
        return float(np.sum(losses[kept] * self.data.weights[kept], dtype=np.longdouble))

    # -------------------------------------------------------------------------------------------------- uncertainty

    def covariance(self, kind: str | None = None, *, groups: Any = None, correction: str = "full") -> Array:
        """Return the covariance of theta, (P, P): `symgrad.covariance`, with what is fixed and tied.

        ``kind`` is by default "observed" for a likelihood, "gauss_newton" for least squares and "HC0" for any other
        loss. Those of least squares that rest on the curvature alone are scaled by RSS/(n - k). A parameter at a bound
        counts as fixed there.
        """
        kind = self.default_kind if kind is None else kind
        if kind in ("observed", "gauss_newton", "opg") and self.kind == "loss":
            raise ArrayError(
                f"kind: expected a sandwich ('HC0', 'HC1' or 'cluster') for a loss that is no likelihood, got "
                f"{kind!r}; pass kind='likelihood' to symgrad.fit if it is one"
            )
        jacobian = self.space.jacobian(self.solution.phi)[:, self.solution.free]
        found = self._parts.covariance(kind, groups, correction, jacobian, self._curvature(kind))
        return found * self.dispersion if kind in ("observed", "gauss_newton") else found

    @property
    def default_kind(self) -> str:
        """The kind of covariance that is meant where none is named."""
        return {"likelihood": "observed", "least_squares": "gauss_newton", "loss": "HC0"}[self.kind]

    @property
    def dispersion(self) -> float:
        """RSS/(n - k) in units of the loss for least squares, else 1."""
        if self.kind != "least_squares":
            return 1.0
        left = self.n - self.n_free
        return 2 * self.loss / left if left > 0 else np.nan

    def _curvature(self, kind: str) -> Array | None:
        """The curvature of the sum by phi, of what no bound holds."""
        if kind == "opg":
            return None
        own = self._parts.curvature("gauss_newton" if kind == "gauss_newton" else "hessian")
        gradient = self.data.total * np.asarray(self.compiled.gradient(self.theta, *self.data.arrays), np.float64)
        free = self.solution.free
        if kind == "gauss_newton":
            jacobian = self.space.jacobian(self.solution.phi)[:, free]
            return np.asarray(jacobian.T @ own @ jacobian)
        return self.space.hessian(self.solution.phi, gradient, own)[np.ix_(free, free)]

    def standard_errors(self, kind: str | None = None, *, groups: Any = None, correction: str = "full") -> Array:
        """Return the standard errors of theta, (P,): zero where a parameter is fixed."""
        found = np.diag(self.covariance(kind, groups=groups, correction=correction))
        return np.asarray(np.sqrt(np.maximum(found, 0.0) if np.isfinite(found).all() else found))

    def correlation(self, kind: str | None = None) -> Array:
        """Return the correlations of the estimates, (P, P); NaN beside what is fixed."""
        covariance = self.covariance(kind)
        errors = np.sqrt(np.diag(covariance))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(covariance / np.outer(errors, errors))

    def confidence_intervals(
        self, level: float = 0.95, *, kind: str | None = None, method: str = "wald", groups: Any = None
    ) -> Array:
        """Return the limits of each number in theta, (P, 2).

        "wald": the estimate and its standard error, by Student's t for least squares, else by the normal distribution.
        "profile": where the other parameters, fitted anew, lose as much as chi-square allows; for numbers that are
        free and a likelihood or least squares.
        """
        if not 0 < level < 1:
            raise ArrayError(f"level: expected a number between 0 and 1, got {level!r}; 0.95 is usual")
        if method == "profile":
            return np.array([self._profiled(place, level) for place in range(len(self.names))])
        if method != "wald":
            raise ArrayError(f"method: expected 'wald' or 'profile', got {method!r}; choose one")
        half = self.quantile(level) * self.standard_errors(kind, groups=groups)
        return np.stack([self.theta - half, self.theta + half], axis=1)

    def quantile(self, level: float) -> float:
        """Return how many standard errors an interval of a level reaches: Student's t for least squares."""
        stats = scipy_stats()
        if self.kind == "least_squares" and self.n > self.n_free:
            return float(stats.t.ppf((1 + level) / 2, self.n - self.n_free))
        return float(stats.norm.ppf((1 + level) / 2))

    def _profiled(self, place: int, level: float) -> tuple[float, float]:
        """The limits of one number: where the loss, fitted with it fixed, has risen by what the level allows."""
        estimate, error = float(self.theta[place]), float(self.standard_errors()[place])
        if place not in self.space.free or not error > 0:
            return (estimate, estimate)
        allowed = self.quantile(level) ** 2 / 2 * self.dispersion

        def rise(value: float) -> float:
            parameters = self._with_fixed(place, value)
            problem = Problem(self.compiled, self.data, Space(parameters), None)
            start = np.delete(self.solution.phi, self.space.free.index(place))
            found = solved(problem, problem, start, self.kind, "auto", {})
            least = float(self.compiled.risk(self.theta, *self.data.arrays))
            return self.data.total * (problem.value(found.phi)[0] - least)

        return _crossing(rise, estimate, -error, allowed), _crossing(rise, estimate, error, allowed)

    def _with_fixed(self, place: int, value: float) -> Parameters:
        """These parameters, with one number fixed. Raises where it is an element of a matrix."""
        names = list(self.parameters)
        sizes = np.cumsum([0, *(int(np.prod(self.parameters[name].shape)) for name in names)])
        name = names[int(np.searchsorted(sizes, place, side="right")) - 1]
        if self.parameters[name].shape:
            raise DeclarationError(f"parameters[{name!r}]: expected a parameter that is one number, for a profile")
        copy = Parameters(self.risk)
        for key, parameter in self.parameters.items():
            for what in ("start", "lower", "upper", "transform", "fixed", "equals"):
                setattr(copy[key], what, getattr(parameter, what))
            copy[key].start = self.values[key]
        copy[name].fixed = value
        return copy

    # -------------------------------------------------------------------------------------------------------- tests

    @property
    def loglikelihood(self) -> float:
        """The log-likelihood; of least squares that of a normal distribution with the variance RSS/n."""
        if self.kind == "least_squares":
            n, rss = self.n, 2 * self.loss
            return float(-n / 2 * (np.log(2 * np.pi * rss / n) + 1))
        self._is_likelihood("loglikelihood")
        return -self.loss - constant_of(self.risk, self.data)

    def _is_likelihood(self, what: str) -> None:
        if self.kind == "loss":
            raise DeclarationError(
                f"{what}: expected a likelihood or least squares, got a loss that is neither: exp(-loss) is no "
                "density; pass kind='likelihood' to symgrad.fit if it is one"
            )

    @property
    def n_estimated(self) -> int:
        """The number of free parameters, and of least squares the variance."""
        return self.n_free + (self.kind == "least_squares")

    @property
    def aic(self) -> float:
        """Akaike's criterion: 2 k - 2 log-likelihood; least squares count the variance."""
        return 2 * self.n_estimated - 2 * self.loglikelihood

    @property
    def bic(self) -> float:
        """The Bayesian criterion: k log n - 2 log-likelihood."""
        return float(self.n_estimated * np.log(self.n)) - 2 * self.loglikelihood

    def likelihood_ratio(self, smaller: Fit) -> tuple[float, int, float]:
        """Return (statistic, degrees of freedom, p) of this fit against a smaller one of the same data."""
        freedom = self.n_free - smaller.n_free
        if freedom <= 0 or smaller.n != self.n:
            raise ArrayError(
                f"smaller: expected a fit of the same {self.n:g} samples with less than {self.n_free} free parameters, "
                f"got one of {smaller.n:g} with {smaller.n_free}"
            )
        statistic = 2 * (self.loglikelihood - smaller.loglikelihood)
        return statistic, freedom, float(scipy_stats().chi2.sf(statistic, freedom))

    def wald(self, expressions: Any, kind: str | None = None) -> tuple[float, int, float]:
        """Return (statistic, degrees of freedom, p) of the hypothesis that expressions in the parameters are zero."""
        listed = list(expressions) if isinstance(expressions, Sequence) else [expressions]
        values, slopes = self._expressions(listed)
        covariance = slopes @ self.covariance(kind) @ slopes.T
        statistic = float(values @ np.linalg.solve(covariance, values))
        return statistic, len(listed), float(scipy_stats().chi2.sf(statistic, len(listed)))

    def _expressions(self, expressions: Sequence[Any]) -> tuple[Array, Array]:
        """Values and derivatives by theta of SymPy expressions in parameters that are numbers."""
        symbols = {p.symbol: self.names.index(p.name) for p in self.parameters.values() if not p.shape}
        at = {symbol: sp.Float(float(self.theta[place]), 17) for symbol, place in symbols.items()}
        slopes = np.zeros((len(expressions), len(self.names)))
        values = np.zeros(len(expressions))
        for row, expression in enumerate(expressions):
            others = [s for s in symbols_in(expression) if s not in symbols]
            if others:
                raise DeclarationError(
                    f"expressions: expected the parameters {[name_of(s) for s in symbols]}, got {others[0]}"
                )
            values[row] = float(expression.evalf(17, subs=at))
            for symbol, place in symbols.items():
                slopes[row, place] = float(sp.diff(expression, symbol).evalf(17, subs=at))
        return values, slopes

    # ------------------------------------------------------------------------------------------------------- samples

    def influence(self) -> Array:
        """Return for each row how far theta moves, to first order, if the row goes: (N, P)."""
        jacobian = self.space.jacobian(self.solution.phi)[:, self.solution.free]
        curvature = self._curvature("observed")
        assert curvature is not None
        scores = np.asarray(self.compiled.per_sample_gradient(self.theta, *self.data.arrays[:2]), np.float64)
        weights = np.ones(self.data.rows) if self.data.weights is None else self.data.weights
        scores = np.where(weights[:, None] != 0, scores, 0.0) * weights[:, None]
        return np.asarray(scores @ jacobian @ np.linalg.solve(curvature, jacobian.T))

    def predict(self, inputs: Any, interval: str | None = None, level: float = 0.95, kind: str | None = None) -> Any:
        """Return the prediction of each row, or with an ``interval`` a triple (prediction, lower, upper).

        A table's columns mean what those of the fit's own table do.
        "confidence": of the mean, by the delta method; "prediction": of a new observation, for least squares.
        """
        if isinstance(self.risk, Regression) and (is_table(inputs) or isinstance(inputs, str)):
            inputs = self.risk.table(inputs)
        inputs = self.data.samples.inputs_of(inputs)
        found = np.asarray(self.compiled.predict(self.theta, inputs), np.float64)
        if interval is None:
            return found
        if interval not in ("confidence", "prediction") or (interval == "prediction" and self.kind != "least_squares"):
            raise ArrayError(
                f"interval: expected None, 'confidence' or, for least squares, 'prediction', got {interval!r}"
            )
        jacobian = np.asarray(self.compiled.jacobian(self.theta, inputs), np.float64)
        variance = np.einsum("...i,ij,...j->...", jacobian, self.covariance(kind), jacobian)
        half = self.quantile(level) * np.sqrt(
            variance + (self.residual_deviation**2 if interval == "prediction" else 0.0)
        )
        return found, found - half, found + half

    @property
    def residual_deviation(self) -> float:
        """The standard deviation of a new observation of least squares about its mean."""
        residuals = np.asarray(self.compiled.residuals(self.theta, *self.data.arrays[:2]), np.float64).ravel()
        weights = 1.0 if self.data.weights is None else np.repeat(self.data.weights, len(residuals) // self.data.rows)
        left = self.n - self.n_free
        return float(np.sqrt(np.sum(weights * residuals**2) / left)) if left > 0 else np.nan

    # ------------------------------------------------------------------------------------------------------- reports

    def diagnose(self) -> tuple[str, ...]:
        """Return sentences on what is amiss: directions that the data leave open, bounds, rows that are not finite."""
        found = list(self._weak_directions())
        held = [self.names[self.space.free[k]] for k in np.flatnonzero(~self.solution.free)]
        found += [f"{name} is at its bound: it counts as fixed" for name in held]
        losses = np.asarray(self.compiled.per_sample_loss(self.theta, *self.data.arrays[:2]), np.float64)
        rows = np.flatnonzero(~np.isfinite(losses))
        if len(rows):
            found.append(f"the loss of {len(rows)} rows is not finite; the first is row {rows[0]}")
        if not self.converged:
            found.append(self.message)
        return tuple(found)

    def _weak_directions(self) -> Any:
        curvature = self._curvature("observed")
        assert curvature is not None
        names = [self.names[self.space.free[k]] for k in np.flatnonzero(self.solution.free)]
        if not np.isfinite(curvature).all():
            return
        scale = np.sqrt(np.abs(np.diag(curvature)))
        for k in np.flatnonzero(scale == 0):
            yield f"{names[k]} changes nothing: the data do not determine it"
        used = scale > 0
        scaled = curvature[np.ix_(used, used)] / np.outer(scale[used], scale[used])
        values, vectors = np.linalg.eigh(scaled) if used.any() else (np.ones(0), np.ones((0, 0)))
        for value, vector in zip(values, vectors.T, strict=True):
            if value < _WEAK:
                moved = vector / scale[used]
                moved /= np.abs(moved).max()
                kept = [name for name, use in zip(names, used, strict=True) if use]
                parts = [f"{m:+.2g} {name}" for m, name in zip(moved, kept, strict=True) if abs(m) > 0.01]
                word = "is not determined" if value > -_WEAK else "makes the risk less: this is no minimum"
                yield f"moving {' '.join(parts)} together {word}"

    def report(self, kind: str | None = None, level: float = 0.95) -> str:
        """Return what was found as text for a terminal."""
        return text_of(self, kind, level)

    def __repr__(self) -> str:
        return self.report()

    def _repr_html_(self) -> str:
        return html_of(self)


def _crossing(rise: Any, estimate: float, step: float, allowed: float) -> float:
    """Where a function that is 0 at the estimate reaches what is allowed; infinity if it does not within 2^12 steps."""
    near, far = 0.0, 1.0
    while not rise(estimate + far * step) >= allowed:
        near, far = far, 2 * far
        if far > 4096:
            return float(np.copysign(np.inf, step))
    for _ in range(60):
        middle = (near + far) / 2
        near, far = (near, middle) if rise(estimate + middle * step) >= allowed else (middle, far)
        if far - near < 1e-6 * far:
            break
    return estimate + far * step
