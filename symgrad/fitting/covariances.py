"""Covariances of estimates: inverse curvature, products of scores, and sandwiches of both.

Sums over the samples, not means: H = sum of w times the loss' Hessian, plus the penalty's; B = sum of w g g' for
weights that count samples ("frequency"), of w^2 g g' for any others ("analytic").
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symgrad.data import Samples, labels_of, samples_of
from symgrad.errors import ArrayError

Array = NDArray[np.float64]
KINDS = ("observed", "gauss_newton", "opg", "HC0", "HC1", "cluster")
CORRECTIONS = ("full", "groups", "none")
WEIGHT_KINDS = ("frequency", "analytic", "probability")
_BLOCK = 1 << 22  # numbers of scores in memory at a time
_ROWS = 1 << 20  # that are looked at together
_SINGULAR = 1e-12  # the least eigenvalue of curvature in units of its diagonal


class Data:
    """Rows of inputs, targets and weights, and what is counted of them."""

    def __init__(self, samples: Samples, weight_kind: str = "frequency") -> None:
        if weight_kind not in WEIGHT_KINDS:
            raise ArrayError(f"weight_kind: expected one of {list(WEIGHT_KINDS)}, got {weight_kind!r}; choose one")
        self.inputs, self.targets, weights = samples.arrays
        self.weights = None if weights is None else np.asarray(weights, np.float64).reshape(-1)
        self.groups, self.omitted, self.samples = samples.groups, samples.omitted, samples
        self.is_frequency = weight_kind == "frequency"
        given = [a for a in (self.inputs, self.targets) if a is not None]
        if not given or not len(given[0]):
            raise ArrayError("data: expected at least one sample, got none; pass (inputs, targets)")
        self.rows = len(given[0])

    def check_numbers(self) -> None:
        """Raise where a row that has a weight holds NaN: what is missing is nothing that a fit can guess."""
        for name, array in (("inputs", self.inputs), ("targets", self.targets)):
            for first in range(0, self.rows if array is not None else 0, _ROWS):
                part = np.asarray(array[first : first + _ROWS], np.float64).reshape(-1, *np.shape(array)[1:])
                missing = np.isnan(part.reshape(len(part), -1))
                if self.weights is not None and len(self.weights) == self.rows:
                    missing[self.weights[first : first + _ROWS] == 0] = False
                if missing.any():
                    row, column = np.argwhere(missing)[0]
                    raise ArrayError(
                        f"{name}: expected numbers, got NaN in row {first + row}, column {column}; missing='omit' "
                        "gives such rows the weight 0, and counts them"
                    )

    @property
    def arrays(self) -> tuple[Any, Any, Any]:
        """Inputs, targets and weights, as functions of a compiled risk take them."""
        return self.inputs, self.targets, self.weights

    @property
    def known_targets(self) -> Array:
        """The numbers of the targets in rows that have a weight, flat."""
        targets = np.asarray(self.targets, np.float64).reshape(self.rows, -1)
        return targets.ravel() if self.weights is None else targets[self.weights != 0].ravel()

    def counted_targets(self) -> list[tuple[float, float]]:
        """Return each number that targets are, with the sum of the weights of those."""
        targets = np.asarray(self.targets, np.float64).reshape(self.rows, -1)
        weights = np.ones(self.rows) if self.weights is None else self.weights
        kept = weights != 0
        values, places = np.unique(targets[kept], return_inverse=True)
        many = np.repeat(weights[kept], targets.shape[1])
        return list(zip(values.tolist(), np.bincount(places.ravel(), many).tolist(), strict=True))

    @property
    def total(self) -> float:
        """The sum of the weights; without weights the number of rows."""
        return float(self.rows if self.weights is None else np.sum(self.weights, dtype=np.longdouble))

    @property
    def n(self) -> float:
        """How many samples there are: the sum of frequencies, or the rows whose weight is not zero."""
        return self.total if self.is_frequency or self.weights is None else float(np.count_nonzero(self.weights))


def covariance(
    compiled: Any,
    theta: Any,
    data: Any,
    kind: str = "observed",
    *,
    groups: Any = None,
    correction: str = "full",
    weight_kind: str = "frequency",
) -> Array:
    """Return a covariance of theta, (P, P), at a minimum of the risk; the loss counts as a negative log-likelihood.

    Args:
        compiled: what `symgrad.compile` returns.
        theta: flat, (P,): where the risk is least.
        data: ``(inputs, targets)`` or ``(inputs, targets, weights)``, a table, a path or a `symgrad.Source`.
        kind: "observed", the inverse of H; "gauss_newton", that of its Gauss-Newton part; "opg", that of B; "HC0", the
            sandwich of B between two inverses of H, robust; "HC1", that times n/(n - P); "cluster", with B from the
            sums of scores in each group.
        groups: (N,) codes of groups for "cluster", of any kind; (N, 2) for two ways. A `Source` may have them.
        correction: for "cluster": "full", G/(G - 1) (n - 1)/(n - P); "groups", G/(G - 1); or "none".
        weight_kind: "frequency" for weights that count samples; "analytic" or "probability" for any others.

    Where the curvature is not positive definite there is no covariance: NaN, with a warning. Raises `ArrayError`.
    """
    samples = samples_of((compiled.INPUTS, compiled.TARGETS), data)
    parts = Parts(compiled, np.asarray(theta, np.float64), Data(samples, weight_kind))
    return parts.covariance(kind, groups, correction, np.eye(len(np.atleast_1d(theta))), None)


class Parts:
    """What covariances are made of, at one theta: each is computed when first asked for."""

    def __init__(self, compiled: Any, theta: Array, data: Data) -> None:
        self.compiled, self.theta, self.data = compiled, theta, data
        self._found: dict[str, Array] = {}

    def curvature(self, kind: str) -> Array:
        """Return the Hessian of the sum, or its Gauss-Newton part."""
        if kind not in self._found:
            function = self.compiled.gauss_newton if kind == "gauss_newton" else self.compiled.hessian
            self._found[kind] = self.data.total * np.asarray(function(self.theta, *self.data.arrays), np.float64)
        return self._found[kind]

    def scores(self) -> Array:
        """Return B: the sum of products of the samples' gradients."""
        if "scores" not in self._found:
            total = np.zeros((len(self.theta), len(self.theta)))
            for first, gradients in self._blocks():
                weights = 1.0 if self.data.weights is None else self.data.weights[first : first + len(gradients), None]
                weighted = gradients * weights
                total += weighted.T @ (gradients if self.data.is_frequency else weighted)
            self._found["scores"] = total
        return self._found["scores"]

    def _blocks(self) -> Any:
        step = max(1, _BLOCK // max(len(self.theta), 1))
        for first in range(0, self.data.rows, step):
            part = [None if a is None else a[first : first + step] for a in self.data.arrays[:2]]
            gradients = np.asarray(self.compiled.per_sample_gradient(self.theta, *part), np.float64)
            if self.data.weights is not None:
                gradients[self.data.weights[first : first + len(gradients)] == 0] = 0.0
            yield first, gradients

    def group_sums(self, codes: NDArray[np.intp], count: int) -> Array:
        """Return the sum of w g in each group, (count, P)."""
        sums = np.zeros((count, len(self.theta)))
        for first, gradients in self._blocks():
            weights = 1.0 if self.data.weights is None else self.data.weights[first : first + len(gradients), None]
            np.add.at(sums, codes[first : first + len(gradients)], gradients * weights)
        return sums

    def covariance(self, kind: str, groups: Any, correction: str, jacobian: Array, curvature: Array | None) -> Array:
        """Return a covariance of phi mapped to theta by its Jacobian; ``curvature`` is that by phi, if it is known."""
        if kind not in KINDS:
            raise ArrayError(f"kind: expected one of {list(KINDS)}, got {kind!r}; choose one")
        if curvature is None and kind != "opg":
            own = self.curvature("gauss_newton" if kind == "gauss_newton" else "hessian")
            curvature = jacobian.T @ own @ jacobian
        if kind == "opg":
            return jacobian @ inverse(jacobian.T @ self.scores() @ jacobian, "the products of the scores") @ jacobian.T
        assert curvature is not None
        bread = inverse(curvature, "the curvature")
        if kind in ("observed", "gauss_newton"):
            return jacobian @ bread @ jacobian.T
        free = jacobian.shape[1]
        if kind == "cluster":
            meat = self._clustered(groups, correction, free)
        else:
            meat = self.scores() * (self.data.n / (self.data.n - free) if kind == "HC1" else 1.0)
        outer = jacobian @ bread
        found = outer @ (jacobian.T @ meat @ jacobian) @ outer.T
        return (found + found.T) / 2

    def _clustered(self, groups: Any, correction: str, free: int) -> Array:
        if correction not in CORRECTIONS:
            raise ArrayError(f"correction: expected one of {list(CORRECTIONS)}, got {correction!r}; choose one")
        groups = self.data.groups if groups is None else groups
        codes = None if groups is None else labels_of(groups)
        if codes is None or codes.ndim not in (1, 2) or len(codes) != self.data.rows:
            raise ArrayError(
                f"groups: expected the codes of {self.data.rows} rows, (N,) or (N, 2), got "
                f"{None if codes is None else codes.shape}; rows of one group have one code"
            )
        if codes.ndim == 2 and codes.shape[1] == 2:
            one, other = codes[:, 0], codes[:, 1]
            both = np.unique(codes, axis=0, return_inverse=True)[1].reshape(-1)
            parts = [self._one_way(c, correction, free) for c in (one, other, both)]
            return parts[0] + parts[1] - parts[2]
        if codes.size != self.data.rows:
            raise ArrayError(f"groups: expected one or two codes a row, got {codes.shape[1]}; two ways are the most")
        return self._one_way(codes.reshape(self.data.rows), correction, free)

    def _one_way(self, codes: Any, correction: str, free: int) -> Array:
        names, places = np.unique(codes, return_inverse=True)
        sums = self.group_sums(places.reshape(-1), len(names))
        count, n = len(names), self.data.n
        if count < 2:
            raise ArrayError(f"groups: expected at least two groups, got {count}; their sums are what is compared")
        factor = count / (count - 1) if correction != "none" else 1.0
        factor *= (n - 1) / (n - free) if correction == "full" else 1.0
        return np.asarray(factor * (sums.T @ sums))


def inverse(matrix: Array, what: str) -> Array:
    """Return the inverse of a positive definite matrix; NaN, with a warning, of any other."""
    scale = np.sqrt(np.abs(np.diag(matrix)))
    scale[~(scale > 0)] = 1.0
    scaled = matrix / np.outer(scale, scale)
    if np.isfinite(scaled).all():
        values, vectors = np.linalg.eigh(scaled)
        if len(values) == 0 or values[0] > _SINGULAR * max(values[-1], 1.0):
            found = (vectors / values) @ vectors.T / np.outer(scale, scale)
            return np.asarray((found + found.T) / 2)
    warnings.warn(
        f"{what} is not positive definite, so there is no covariance: the data do not determine every parameter, or "
        "this is no minimum; diagnose() of a fit names the combination",
        RuntimeWarning,
        stacklevel=3,
    )
    return np.full(matrix.shape, np.nan)
