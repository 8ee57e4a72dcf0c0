"""The function that a fit minimises: the mean loss by phi, with its derivatives, over data that were bound once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .covariances import Data
from .parameters import Array, Space

Progress = Callable[[int, float], None]
HUGE = 1e300  # in place of infinity and NaN, which optimisers do not know


class Problem:
    """A risk over data, by phi. What is not finite is huge: an optimiser takes a shorter step."""

    def __init__(self, compiled: Any, data: Data, space: Space, progress: Progress | None) -> None:
        self.compiled, self.data, self.space = compiled, data, space
        self.evaluations = 0
        self.best: tuple[float, Array] = (np.inf, space.start)
        self._progress = progress
        self.bound = compiled.bind(*data.arrays)

    def value(self, phi: Array) -> tuple[float, Array]:
        """Return the risk and its gradient by phi."""
        theta = self.space.theta(phi)
        value, gradient = self.bound(theta) if np.isfinite(theta).all() else (np.nan, theta)
        self.evaluations += 1
        if value < self.best[0]:
            self.best = value, phi.copy()
        if self._progress is not None:
            self._progress(self.evaluations, float(value))
        gradient = np.asarray(gradient, np.float64)
        if not np.isfinite(value) or not np.isfinite(gradient).all():
            return HUGE, np.zeros(len(phi))
        return float(value), self.space.jacobian(phi).T @ gradient

    def hessian(self, phi: Array) -> Array:
        """Return the Hessian of the risk by phi."""
        theta = self.space.theta(phi)
        gradient = np.asarray(self.bound(theta)[1], np.float64)
        return self.space.hessian(phi, gradient, np.asarray(self.bound.hessian(theta), np.float64))

    def residuals(self, phi: Array) -> Array:
        """Return residuals times the roots of their weights, one after the other."""
        residuals = np.asarray(self.bound.residuals(self.space.theta(phi)), np.float64)
        self.evaluations += 1
        if self._progress is not None:
            self._progress(self.evaluations, float(residuals.ravel() @ residuals.ravel()))
        return np.nan_to_num(
            weighted(residuals, self.data.weights).ravel(), nan=HUGE**0.5, posinf=HUGE**0.5, neginf=-(HUGE**0.5)
        )

    def jacobian(self, phi: Array) -> Array:
        """Return the derivatives of `residuals` by phi."""
        found = np.asarray(self.bound.jacobian(self.space.theta(phi)), np.float64)
        rows = weighted(found, self.data.weights).reshape(-1, found.shape[-1]) @ self.space.jacobian(phi)
        return np.nan_to_num(rows, posinf=0.0, neginf=0.0)


def weighted(values: Array, weights: Array | None) -> Array:
    """Return rows times the roots of their weights, (N, ...); what has no weight is 0, even if it was NaN."""
    if weights is None:
        return values
    roots = np.sqrt(weights).reshape(-1, *(1,) * (values.ndim - 1))
    return np.where(roots > 0, values, 0.0) * roots
