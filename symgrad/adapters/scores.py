"""A loss of linear scores: what the estimators of scikit-learn minimise.

What is compiled is the loss alone, with its derivatives by the scores: one build for a loss, whatever the number of
columns. The columns are NumPy's affair: scores are ``Z @ W.T``, the gradient ``G.T @ Z``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import symgrad as sg
from symgrad.boosting import of_scores
from symgrad.fitting import Parameter, Problem, Solution, solved

Array = NDArray[np.float64]
_MOST_AT_ONCE = 32  # scores and the loss's own parameters, of so many of which a program has all second derivatives
_PROBES = np.array([-1.3, -0.4, 0.2, 0.9])
_RESPONSES: dict[str, Callable[[Array], Array]] = {
    "identity": lambda score: score,
    "exp": np.exp,
    "sigmoid": lambda score: 0.5 * (1 + np.tanh(score / 2)),
}
_kernels: dict[str, Kernel] = {}  # by the fingerprint of what is compiled


class Kernel:
    """A compiled loss of ``outputs`` scores. ``own`` are its own parameters, flat; they come after the scores."""

    def __init__(self, risk: Any, loss: sg.Loss) -> None:
        self.loss, self.compiled = loss, sg.compile(risk)
        self.outputs = numbers_in(loss.prediction)
        self.size = self.outputs + numbers_in(*loss.parameters)
        self.own = [Parameter(symbol) for symbol in loss.parameters]
        lower, upper = ([p.array(side) for p in self.own] for side in ("lower", "upper"))
        self.lower, self.upper = (np.concatenate([np.zeros(0), *sides]) for sides in (lower, upper))

    def losses(self, scores: Array, targets: Array, own: Array) -> Array:
        """Return each sample's loss, (N,)."""
        return np.asarray(self.compiled.per_sample_loss(self._theta(own), scores, targets))

    def slopes(self, scores: Array, targets: Array, own: Array) -> Array:
        """Return its derivatives, (N, size): by the scores, and by the loss's own parameters."""
        return np.asarray(self.compiled.per_sample_gradient(self._theta(own), scores, targets))

    def curvatures(self, scores: Array, targets: Array, own: Array) -> Array:
        """Return its second derivatives, (N, size, size)."""
        module = self.compiled.quantities["hessian"].module
        lower = np.asarray(module.per_sample_gradient(self._theta(own), scores, targets))
        found = np.empty((len(lower), self.size, self.size))
        rows, columns = np.tril_indices(self.size)
        found[:, rows, columns] = found[:, columns, rows] = lower
        return found

    def response(self, own: Array) -> Any:
        """Return the function from a score to the target for which no other score would be better.

        Of a loss of residuals it is the score itself, of counts with a log link its exponential. Where none of those
        known is right (quantiles, say), it is the score.
        """
        for response in _RESPONSES.values():
            targets = response(_PROBES)
            here = np.abs(self.slopes(_PROBES, targets, own)[:, 0])
            if (here <= 1e-10 * np.abs(self.slopes(_PROBES, targets + 1.0, own)[:, 0])).all():
                return response
        return _RESPONSES["identity"]

    def parameters(self, own: Array) -> dict[str, Any]:
        """Return the loss's own parameters by name."""
        return dict(list(self.compiled.unpack(self._theta(own)).items())[1:])

    def _theta(self, own: Array) -> Array:
        return np.concatenate([np.zeros(self.outputs), own])


def numbers_in(*symbols: Any) -> int:
    """Return how many numbers symbols hold, all together."""
    return sum(int(np.prod([int(n) for n in getattr(symbol, "shape", ())])) for symbol in symbols)


def kernel_of(loss: sg.Loss) -> Kernel:
    """Return the compiled loss: from those of this process, from the cache, or built."""
    risk = of_scores(loss, "of_scores")
    return _kernels.setdefault(risk.fingerprint, _kernels.get(risk.fingerprint) or Kernel(risk, loss))


@dataclass(frozen=True, eq=False)
class Box:
    """Bounds of what is moved."""

    lower: Array
    upper: Array

    @property
    def has_bounds(self) -> bool:
        """Is any number bounded?"""
        return bool(np.isfinite(self.lower).any() or np.isfinite(self.upper).any())

    @property
    def free(self) -> range:
        """The places of the numbers that are moved: all."""
        return range(len(self.lower))

    def theta(self, phi: Array) -> Array:
        """Return phi."""
        return phi


class LinearScores(Problem):
    """The weighted mean of a loss of linear scores, plus ``alpha/2`` times the squares of the slopes."""

    def __init__(
        self, kernel: Kernel, columns: Array, targets: Array, weights: Array | None, alpha: float, intercept: bool
    ) -> None:
        self.kernel, self.targets, self.best, self.evaluations = kernel, targets, (np.inf, np.zeros(0)), 0
        self.columns = np.hstack([columns, np.ones((len(columns), 1))]) if intercept else columns
        many = len(columns) if weights is None else float(np.sum(weights))
        self.shares = np.full(len(columns), 1 / many) if weights is None else weights / many
        self.kept = self.shares > 0  # a row without weight may hold anything
        width = self.columns.shape[1]
        self.ridge = np.full((kernel.outputs, width), alpha)
        if intercept:
            self.ridge[:, -1] = 0.0
        self.shape, self.many = (kernel.outputs, width), kernel.outputs * width
        unbounded = np.full(self.many, np.inf)
        self.space: Any = Box(np.append(-unbounded, kernel.lower), np.append(unbounded, kernel.upper))
        self.data: Any = SimpleNamespace(total=many, rows=len(columns))
        self.start = np.append(np.zeros(self.many), np.where(kernel.upper > 0, 1.0, -1.0))
        # Scores that only count relative to each other: the sum of their slopes is held at 0, where a penalty has it.
        trial = np.linspace(-1, 1, 3 * kernel.outputs).reshape(3, kernel.outputs)
        slopes = kernel.slopes(trial, targets[:1].repeat(3), self.start[self.many :])[:, : kernel.outputs]
        self.relative = kernel.outputs > 1 and bool((np.abs(slopes.sum(axis=1)) < 1e-12).all())

    def split(self, phi: Array) -> tuple[Array, Array]:
        """Return the coefficients (outputs, columns), and the loss's own parameters."""
        return phi[: self.many].reshape(self.shape), phi[self.many :]

    def value(self, phi: Array) -> tuple[float, Array]:
        """Return the mean and its gradient."""
        weights, own = self.split(phi)
        scores = self._scores(weights)
        self.evaluations += 1
        losses, slopes = (f(scores, self.targets, own) for f in (self.kernel.losses, self.kernel.slopes))
        slopes = np.where(self.kept[:, None], slopes * self.shares[:, None], 0.0)
        k = self.kernel.outputs
        value = float(np.where(self.kept, losses * self.shares, 0.0).sum()) + 0.5 * float(
            (self.ridge * weights**2).sum()
        )
        gradient = slopes[:, :k].T @ self.columns + self.ridge * weights
        if self.relative:
            sums = weights.sum(axis=0)
            value += 0.5 * float(sums @ sums) / k
            gradient = gradient + sums / k
        found = np.append(gradient, slopes[:, k:].sum(axis=0))
        if not (np.isfinite(value) and np.isfinite(found).all()):
            return 1e300, np.zeros(len(phi))
        return value, found

    def hessian(self, phi: Array) -> Array:
        """Return the Hessian of the mean."""
        weights, own = self.split(phi)
        k, width = self.shape
        curved = self.kernel.curvatures(self._scores(weights), self.targets, own)
        curved = np.where(self.kept[:, None, None], curved * self.shares[:, None, None], 0.0)
        found = np.zeros((len(phi), len(phi)))
        blocks = found[: self.many, : self.many].reshape(k, width, k, width)
        for i in range(k):
            for j in range(i + 1):
                block = (self.columns * curved[:, i, j, None]).T @ self.columns
                blocks[i, :, j] = blocks[j, :, i] = (block + block.T) / 2
            found[i * width : (i + 1) * width, self.many :] = self.columns.T @ curved[:, i, k:]
        found[self.many :, : self.many] = found[: self.many, self.many :].T
        found[self.many :, self.many :] = curved[:, k:, k:].sum(axis=0)
        found[np.arange(self.many), np.arange(self.many)] += self.ridge.ravel()
        if self.relative:
            for i in range(k):
                for j in range(k):
                    blocks[i, :, j] += np.eye(width) / k
        return found

    def solved(self) -> Solution:
        """Return where it is least."""
        method = "auto" if self.kernel.size <= _MOST_AT_ONCE else "L-BFGS-B"
        return solved(self, self, self.start.copy(), "loss", method, {})

    def _scores(self, weights: Array) -> Array:
        scores = self.columns @ weights.T
        return scores[:, 0] if self.kernel.outputs == 1 else scores
