"""Variable projection: parameters that a prediction is linear in are solved for, and the search is for the others.

With residuals r0(a) + F(a) b, b is -F^+ r0 for each a, and what is left, r0 - F F^+ r0, is a problem in a alone: fewer
dimensions, and no start for b that could be far off.

Source: Golub, Pereyra, SIAM J. Numer. Anal. 10 (1973); its Jacobian without the term that is small where residuals
are: Kaufman, BIT 15 (1975).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.pipeline import curved_together

from .parameters import Array
from .problem import HUGE, Problem

_DEPENDENT = 1e-12  # a singular value of columns of length one, below which there is no such direction


def linear_places(problem: Problem) -> list[int]:
    """Return the places in phi of parameters that the prediction is linear in together: as many as are found."""
    leaves, pairs = curved_together(problem.compiled.declared)
    free = problem.space.free
    places = {k: leaves[free[k]] for k in problem.space.plain if free[k] in leaves}
    others = {leaves[at] for at in free if at in leaves}
    conflicts = {k: sum(frozenset((leaf, other)) in pairs for other in others) for k, leaf in places.items()}
    chosen: list[int] = []
    for k in sorted(places, key=lambda k: (conflicts[k], k)):
        if all(frozenset((places[k], places[other])) not in pairs for other in (*chosen, k)):
            chosen.append(k)
    return sorted(chosen)


class Projection:
    """Residuals and their Jacobian by the parameters that are not solved for."""

    def __init__(self, problem: Problem, phi: Array, linear: list[int]) -> None:
        self.problem, self.linear = problem, np.array(linear, int)
        self.others = np.setdiff1d(np.arange(len(phi)), self.linear)
        self.start = phi[self.others]
        self._at: tuple[bytes, Array, Array, Array] | None = None

    def solved(self, others: Array) -> tuple[Array, Array, Array]:
        """Return all of phi, the residuals there, and an orthonormal basis of what the linear parameters can change."""
        key = others.tobytes()
        if self._at is None or self._at[0] != key:
            phi = np.zeros(len(self.others) + len(self.linear))
            phi[self.others] = others
            rest, columns = self.problem.residuals(phi), self.problem.jacobian(phi)[:, self.linear]
            lengths = np.linalg.norm(columns, axis=0)
            lengths[~((lengths > 0) & np.isfinite(lengths))] = 1.0
            basis, sizes, rows = np.linalg.svd(columns / lengths, full_matrices=False)
            kept = sizes > _DEPENDENT * max(sizes[0], 1e-300)
            basis = basis[:, kept]
            along = basis.T @ rest
            phi[self.linear] = -(rows[kept].T @ (along / sizes[kept])) / lengths
            left = np.nan_to_num(rest - basis @ along, nan=HUGE**0.5, posinf=HUGE**0.5, neginf=-(HUGE**0.5))
            self._at = key, phi, left, basis
        return self._at[1], self._at[2], self._at[3]

    def residuals(self, others: Array) -> Array:
        """Return what is left of the residuals."""
        return self.solved(others)[1]

    def jacobian(self, others: Array) -> Array:
        """Return Kaufman's Jacobian of them."""
        phi, _, basis = self.solved(others)
        rows = self.problem.jacobian(phi)[:, self.others]
        return np.asarray(rows - basis @ (basis.T @ rows))

    def search(self, optimize: Any, given: dict[str, Any]) -> tuple[Array, str]:
        """Return where `scipy.optimize.least_squares` ends, all of phi, and its own words."""
        space = self.problem.space
        names = [space.names[space.free[k]] for k in self.linear]
        listed = ", ".join(names if len(names) <= 6 else [*names[:5], f"{len(names) - 5} more"])
        why = f"variable projection of {listed}"
        if not len(self.others):
            return self.solved(self.start)[0].copy(), f"{why}: nothing else is free"
        bounds = space.lower[self.others], space.upper[self.others]
        bounded = bool(np.isfinite(np.concatenate(bounds)).any())
        found = optimize.least_squares(
            self.residuals, self.start, self.jacobian, method="trf" if bounded else "lm",
            bounds=bounds if bounded else (-np.inf, np.inf), **given,
        )  # fmt: skip
        return self.solved(found.x)[0].copy(), f"{why}, least_squares: {found.message}"
