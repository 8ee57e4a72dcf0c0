"""What a fit says of single samples: which ones move it, and what it predicts for others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from symgrad.data import Samples, is_table
from symgrad.designs import Regression
from symgrad.errors import ArrayError

from .covariances import Data
from .parameters import Array
from .problem import Problem
from .solve import solved


class OfSamples:
    """The part of `Fit` that knows its rows."""

    def influence(self: Any) -> Array:
        """Return for each row how far theta moves, to first order, if the row goes: (N, P)."""
        jacobian = self.space.jacobian(self.solution.phi)[:, self.solution.free]
        curvature = self._curvature("observed")
        scores = np.asarray(self.compiled.per_sample_gradient(self.theta, *self.data.arrays[:2]), np.float64)
        weights = np.ones(self.data.rows) if self.data.weights is None else self.data.weights
        scores = np.where(weights[:, None] != 0, scores, 0.0) * weights[:, None]
        return np.asarray(scores @ jacobian @ np.linalg.solve(curvature, jacobian.T))

    def leave_one_out(self: Any, top: int = 20) -> tuple[NDArray[np.intp], Array]:
        """Return (rows, moved): the rows that matter most, and how far theta moves if each goes, (top,) and (top, P).

        Which they are is told by `influence`, in standard errors, the greatest first; how far, by a fit without it.
        """
        if isinstance(top, bool) or not isinstance(top, (int, np.integer)) or top < 1:
            raise ArrayError(f"top: expected a whole number >= 1, got {top!r}; write e.g. top=20")
        errors = self.standard_errors()
        sizes = np.abs(self.influence()[:, errors > 0] / errors[errors > 0]).max(axis=1, initial=0.0)
        rows = np.argsort(-sizes, kind="stable")[: min(int(top), int(np.count_nonzero(sizes)))]
        moved = np.array([self._without(int(row)) for row in rows]).reshape(len(rows), len(self.theta))
        return rows, moved - self.theta if len(rows) else moved

    def _without(self: Any, row: int) -> Array:
        """Theta where one row has the weight 0."""
        weights = np.ones(self.data.rows) if self.data.weights is None else self.data.weights.copy()
        weights[row] = 0.0
        weight_kind = "frequency" if self.data.is_frequency else "analytic"
        data = Data(Samples((self.data.inputs, self.data.targets, weights)), weight_kind)
        problem = Problem(self.compiled, data, self.space, None)
        return np.asarray(self.space.theta(solved(problem, problem, self.solution.phi, self.kind, "auto", {}).phi))

    def predict(
        self: Any, inputs: Any, interval: str | None = None, level: float = 0.95, kind: str | None = None
    ) -> Any:
        """Return the prediction of each row, or with an ``interval`` a triple (prediction, lower, upper).

        A table's columns mean what those of the fit's own table do. "confidence": of the mean, by the delta method;
        "prediction": of a new observation, for least squares.
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
    def residual_deviation(self: Any) -> float:
        """The standard deviation of a new observation of least squares about its mean."""
        residuals = np.asarray(self.compiled.residuals(self.theta, *self.data.arrays[:2]), np.float64).ravel()
        weights = np.ones(self.data.rows) if self.data.weights is None else self.data.weights
        weights = np.repeat(weights, len(residuals) // self.data.rows)
        left = self.n - self.n_free
        squares = np.where(weights != 0, weights * residuals**2, 0.0)
        return float(np.sqrt(np.sum(squares) / left)) if left > 0 else np.nan
