"""Curvature of a compiled risk, derivatives of its prediction: each on a module of its own, when first asked for."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgrad.data import arrays_of
from symgrad.errors import ArrayError, ArrayTypeError, BuildError

from .parts import summed

MOST_ENTRIES = (
    32  # scalar parameters, so many of which have a Hessian in one pass; of more, and of matrices, by columns
)
Build = Callable[[str], Any]  # the compiled risk of a quantity


def at_once(shapes: Sequence[tuple[int, ...]]) -> bool:
    """Return whether parameters of these shapes have a Hessian in one pass: few scalars."""
    return len(shapes) <= MOST_ENTRIES and not any(shapes)


class Quantities:
    """The modules of a compiled risk's other quantities, by name: built when first asked for, then kept."""

    def __init__(self, compiled: Any, build: Build | None) -> None:
        self.compiled = compiled
        self.name = compiled.name
        self.n_parameters = compiled.N_PARAMETERS
        self.at_once = at_once([shape for _, shape in compiled.PARAMETERS])
        self._unpack = compiled.unpack
        self._build = build
        self._modules: dict[str, Any] = {}
        self.summing: dict[Any, Any] = {}  # what the module's own sweep sums in place of gradients

    def __getitem__(self, name: str) -> Any:
        if name not in self._modules:
            if self._build is None:
                raise BuildError(
                    f"{name} of {self.name!r} has a module of its own, which is built from the declaration; "
                    "get the compiled risk from symgrad.compile"
                )
            self._modules[name] = self._build(name)
        return self._modules[name]

    def theta(self, theta: Any) -> Any:
        """Return a flat theta, (P,) float64; errors as for `risk`."""
        self._unpack(theta)
        return np.asarray(theta, np.float64)

    def vector(self, v: Any) -> Any:
        """Return one vector or several as columns, (P,) or (P, K) float64. Raises for any other shape or kind."""
        try:
            columns = np.asarray(v, np.float64)
        except (TypeError, ValueError) as error:
            raise ArrayTypeError(f"v: expected numbers, got {type(v).__name__}: {error}; pass an array") from None
        if columns.ndim not in (1, 2) or len(columns) != self.n_parameters:
            raise ArrayError(
                f"v: expected an array of shape ({self.n_parameters},) or ({self.n_parameters}, K), "
                f"got {columns.shape}; a column is one vector, as long as theta"
            )
        return columns


class BoundQuantities:
    """Other quantities over arrays that were given once. All means are of the risk, with weights and penalty."""

    def __init__(self, quantities: Quantities, inputs: Any, targets: Any, weights: Any, threads: int | None) -> None:
        self._quantities = quantities
        self._arrays = (inputs, targets, weights)
        self._threads = threads
        self._bound: dict[str, Any] = {}

    @property
    def compiled(self) -> Any:
        """The compiled risk that the arrays are bound to."""
        return self._quantities.compiled

    @property
    def arrays(self) -> tuple[Any, Any, Any]:
        """Inputs, targets and weights, as they were given."""
        return self._arrays

    @property
    def total(self) -> float:
        """The sum of the weights; without weights the number of samples."""
        return float(self._total())

    def __reduce__(self) -> tuple[Any, ...]:
        return operator.attrgetter("quantities"), (rebound(*self.reduced()[1]),)

    def reduced(self) -> tuple[Any, ...]:
        """Return what pickle asks of bound arrays: the compiled risk, which finds its own way, and the arrays."""
        return rebound, (self._quantities.compiled, *self._arrays, self._threads)

    def hessian(self, theta: Any) -> Any:
        """Return the Hessian of the risk, (P, P), exactly symmetric."""
        if self._quantities.at_once:
            return _symmetric(self._mean("hessian", self._quantities.theta(theta)))
        columns = self.hessian_vector(theta, np.eye(self._quantities.n_parameters))
        lower = np.tril(columns)
        return lower + np.tril(columns, -1).T

    def hessian_vector(self, theta: Any, v: Any) -> Any:
        """Return the Hessian of the risk times v: (P,), or (P, K) for K columns."""
        theta, vectors = self._quantities.theta(theta), self._quantities.vector(v)
        columns = [self._mean("hessian_vector", np.concatenate([theta, column])) for column in np.atleast_2d(vectors.T)]
        return columns[0] if vectors.ndim == 1 else np.stack(columns, axis=1) if columns else vectors.copy()

    def hessian_diagonal(self, theta: Any) -> Any:
        """Return the diagonal of the Hessian of the risk, (P,)."""
        return self._mean("hessian_diagonal", self._quantities.theta(theta))

    def gauss_newton(self, theta: Any) -> Any:
        """Return the mean of ``J.T @ H @ J`` plus the penalty's Hessian, (P, P), exactly symmetric.

        J is the Jacobian of the prediction, H the Hessian of the loss by the prediction.
        """
        return _symmetric(self._mean("gauss_newton", self._quantities.theta(theta)))

    def jacobian(self, theta: Any) -> Any:
        """Return the derivatives of `predict` by the parameters: (N, P), or (N, M, P) for M outputs."""
        module, many = self._quantities["jacobian"], self._quantities.n_parameters
        inputs = self._arrays[0]
        rows = module.per_sample_gradient(self._quantities.theta(theta), inputs, None, threads=self._threads)
        outputs = rows.shape[1] // many if many else 0
        return rows if outputs == 1 else rows.reshape(len(rows), outputs, many)

    def residuals(self, theta: Any) -> Any:
        """Return prediction less target: (N,), or (N, M) for M outputs."""
        module = self._quantities["residuals"]
        rows = module.per_sample_gradient(self._quantities.theta(theta), *self._arrays[:2], threads=self._threads)
        return rows[:, 0] if rows.shape[1] == 1 else rows

    def normal_equations(self, theta: Any) -> tuple[Any, Any, float]:
        """Return sums over the samples, weighted: ``J.T @ J`` (P, P), ``J.T @ r`` (P,) and ``r.T @ r``."""
        theta = self._quantities.theta(theta)
        if sum(int(np.prod(shape)) for _, shape in self._quantities.compiled.TARGETS) == 1:
            sums = _symmetric(self._products("normal_rows", theta))
        else:
            sums = _symmetric(self._mean("normal_equations", theta)) * self._total()
        return sums[:-1, :-1].copy(), sums[-1, :-1].copy(), float(sums[-1, -1])

    def _mean(self, name: str, theta: Any) -> Any:
        if name not in self._bound:
            self._bound[name] = self._quantities[name].bind(*self._arrays, threads=self._threads)
        return self._bound[name](theta)[1]

    def _products(self, name: str, theta: Any) -> Any:
        """The sums of products by twos of what a quantity writes for each sample, times the weights."""
        summing = self._quantities[name].module._risk.summing("products")
        pairs = summed([summing.partial_sums(theta, *self._arrays, threads=self._threads)])[2:]
        return pairs[:, 0] + pairs[:, 1]

    def _total(self) -> Any:
        """The sum of the weights; without weights the number of samples."""
        inputs, targets, weights = self._arrays
        if weights is None:
            return float(len(targets if inputs is None else inputs))
        return float(np.sum(weights, dtype=np.longdouble))


def rebound(compiled: Any, inputs: Any, targets: Any, weights: Any, threads: int | None) -> Any:
    """Return arrays bound to a compiled risk: what a pickle of them calls."""
    return compiled.bind(inputs, targets, weights, threads=threads)


def _symmetric(lower: Any) -> Any:
    """The matrix whose lower triangle is given, row by row."""
    size = int(np.sqrt(2 * len(lower)))
    matrix = np.empty((size, size), lower.dtype)
    rows, columns = np.tril_indices(size)
    matrix[rows, columns] = matrix[columns, rows] = lower
    return matrix


class Derivatives:
    """What a compiled risk has besides the functions of its module: see `BoundQuantities`, whose methods these are.

    Each takes the arrays that `risk` takes, and raises what it raises.
    """

    quantities: Quantities
    at_once = staticmethod(at_once)
    INPUTS: tuple[tuple[str, tuple[int, ...]], ...]
    TARGETS: tuple[tuple[str, tuple[int, ...]], ...]

    def hessian(
        self, theta: Any, inputs: Any, targets: Any = ..., weights: Any = None, *, threads: int | None = None
    ) -> Any:
        """Return the Hessian of the risk, (P, P), penalty included, exactly symmetric. Arguments as for `risk`."""
        return self._at(inputs, targets, weights, threads).hessian(theta)

    def hessian_vector(
        self, theta: Any, v: Any, inputs: Any, targets: Any = ..., weights: Any = None, *, threads: int | None = None
    ) -> Any:
        """Return the Hessian of the risk times v, (P,) or (P, K), as v is. Other arguments as for `risk`."""
        return self._at(inputs, targets, weights, threads).hessian_vector(theta, v)

    def hessian_diagonal(
        self, theta: Any, inputs: Any, targets: Any = ..., weights: Any = None, *, threads: int | None = None
    ) -> Any:
        """Return the diagonal of the Hessian of the risk, (P,). Arguments as for `risk`."""
        return self._at(inputs, targets, weights, threads).hessian_diagonal(theta)

    def gauss_newton(
        self, theta: Any, inputs: Any, targets: Any = ..., weights: Any = None, *, threads: int | None = None
    ) -> Any:
        """Return the mean of J.T @ H @ J, (P, P), plus the penalty's Hessian. Arguments as for `risk`.

        J is the Jacobian of the prediction, H the Hessian of the loss by the prediction. Raises `DeclarationError`
        where there is no model.
        """
        return self._at(inputs, targets, weights, threads).gauss_newton(theta)

    def jacobian(self, theta: Any, inputs: Any, *, threads: int | None = None) -> Any:
        """Return the derivatives of `predict` by the parameters: (N, P), or (N, M, P) for M outputs."""
        return self._at(inputs, None, None, threads).jacobian(theta)

    def residuals(self, theta: Any, inputs: Any, targets: Any = ..., *, threads: int | None = None) -> Any:
        """Return prediction less target: (N,), or (N, M) for M outputs.

        Raises `DeclarationError` where the loss is no function of them, or there is no model.
        """
        return self._at(inputs, targets, None, threads).residuals(theta)

    def normal_equations(
        self, theta: Any, inputs: Any, targets: Any = ..., weights: Any = None, *, threads: int | None = None
    ) -> tuple[Any, Any, float]:
        """Return ``(J.T @ J, J.T @ r, r.T @ r)``, (P, P), (P,), float: weighted sums. Errors as for `residuals`."""
        return self._at(inputs, targets, weights, threads).normal_equations(theta)

    def _at(self, inputs: Any, targets: Any, weights: Any, threads: int | None) -> BoundQuantities:
        declared = (self.INPUTS, None if targets is None else self.TARGETS)
        return BoundQuantities(self.quantities, *arrays_of(declared, inputs, targets, weights), threads)
