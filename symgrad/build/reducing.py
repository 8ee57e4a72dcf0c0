"""The reductions and the parts that a compiled risk offers: its doors to `reductions` and `parts`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from symgrad.data import arrays_of
from symgrad.errors import ArrayError, ArrayTypeError

from .derivatives import Quantities
from .parts import cut, merged_sums, rows_in
from .reductions import Reductions
from .requests import checked


class Reducing:
    """What is made of all samples' gradients in passes over the rows, without an array of them; and sums of parts."""

    quantities: Quantities
    module: Any
    PARAMETERS: tuple[tuple[str, tuple[int, ...]], ...]
    INPUTS: tuple[tuple[str, tuple[int, ...]], ...]
    TARGETS: tuple[tuple[str, tuple[int, ...]], ...]
    TILE: int

    def reduce(
        self, theta: Any, inputs: Any, targets: Any = ..., weights: Any = None, *, want: Any, clip: Any = None,
        groups: Any = None, n_groups: Any = None, along: Any = None, top: Any = None, nonfinite: str = "propagate",
        out: Any = None, threads: int | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Return ``{name: result}`` of what is wanted. g is a sample's gradient without its weight w; W the sum of w.

        Args:
            theta, inputs, targets, weights, threads: as for `risk`, with its errors.
            want: one or several of "risk", "mean" (as `risk_and_gradient`); "clipped_mean", "clipped_sum" (P,), sums of
                w f g with f = min(1, clip/|g|), over W or not, and "clipped_fraction", that of w with f < 1;
                "squared_norms" (N,); "second_moment", "variance" (P,); "outer", "outer_squared_weights" (P, P), sums of
                w g g' and w^2 g g' over W; "group_sums" (n_groups, P), sums of w g; "noise", a dictionary of the trace
                of the covariance ("tr"), and the noise scale, "simple" and "unbiased"; "top", (rows, norms) of the
                greatest; "along" (N,) or (N, K), g times vectors; "hessian" (P, P).
            clip: a bound, or one for each block of parameters: {name or names: bound}, each parameter in one block.
            groups, n_groups: (N,) whole numbers from 0 to n_groups - 1; -1 is no group.
            along: (P,) or (P, K). top: how many.
            nonfinite: of gradients that are not finite: "propagate"; "zero", they count as 0, and "nonfinite_rows"
                tells how many; "raise".
            out: {name: array} for what has N rows.

        With clipping "sensitivity" tells how much one row may change "clipped_sum". The bits are the same for any
        number of threads. Raises `ArrayError` and `ArrayTypeError`.
        """
        given = {} if out is None else out
        if not isinstance(given, dict) or not set(given) <= {"squared_norms", "along"}:
            raise ArrayError(
                f"out: expected {{name: array}} for 'squared_norms' and 'along', got {out!r}; leave it out"
            )
        inputs, targets, weights = arrays_of((self.INPUTS, self.TARGETS), inputs, targets, weights)
        request, arrays = checked(
            self.PARAMETERS, (inputs, targets, weights, groups), want, clip, n_groups, along, top, nonfinite
        )
        return self._reductions.reduce(theta, arrays, request, given, threads)

    def partial_reduce(
        self, theta: Any, inputs: Any, targets: Any = ..., weights: Any = None, *, want: Any, clip: Any = None,
        groups: Any = None, n_groups: Any = None, top: Any = None, nonfinite: str = "propagate", first: int = 0,
        threads: int | None = None,
    ) -> dict[Any, Any]:  # fmt: skip
        """Return a part of `reduce` over these rows, of which ``first`` is the place among all, for `merge_reduce`.

        Any row may be the first. A part is small: sums, and the rows of tiles that are not whole. Of groups, n_groups
        is the same for all parts. Other arguments and errors as for `reduce`.
        """
        if "group_sums" in ([want] if isinstance(want, str) else want) and n_groups is None:
            raise ArrayError("n_groups: expected the number of all groups, got None; parts may not have all of them")
        inputs, targets, weights = arrays_of((self.INPUTS, self.TARGETS), inputs, targets, weights)
        request, arrays = checked(
            self.PARAMETERS, (inputs, targets, weights, groups), want, clip, n_groups, None, top, nonfinite
        )
        return self._reductions.partial(theta, arrays, request, first, threads)

    def merge_reduce(self, theta: Any, *parts: Any) -> dict[str, Any]:
        """Return what `reduce` gives over all rows, to the bit, from what `partial_reduce` gave for parts of them.

        Raises `ArrayError` where parts are of another theta, request or model, damaged, overlap or are missing.
        """
        return self._reductions.merge(theta, parts)

    def partial_sums(
        self,
        theta: Any,
        inputs: Any,
        targets: Any = ...,
        weights: Any = None,
        *,
        first: int = 0,
        threads: int | None = None,
    ) -> dict[Any, Any]:
        """Return the sums over these rows for `merge_sums`; ``first`` is where they begin among all rows: any row.

        Nodes of whole tiles by (level, index), as the module's own function gives them, and at the edges of tiles that
        are not whole the rows themselves, by ("rows", first). Other arguments and errors as for `risk`.
        """
        own = self.module.partial_sums
        inputs, targets, weights = arrays_of((self.INPUTS, self.TARGETS), inputs, targets, weights)
        if (
            isinstance(first, int)
            and first % self.TILE == 0
            and (n := rows_in((inputs, targets))) % self.TILE == 0
            and n
        ):
            found: dict[Any, Any] = own(theta, inputs, targets, weights, first=first, threads=threads)
            return found
        self.module.bind(inputs, targets, weights)  # what is wrong with them is said before they travel
        origin = self._reductions.origin(self.quantities.theta(theta))
        inner, start, edges = cut((inputs, targets, weights), first, self.TILE, origin)
        nodes = own(theta, *inner, first=start, threads=threads) if rows_in(inner) else {}
        return {**nodes, **edges}

    def merge_sums(self, theta: Any, *parts: Any) -> tuple[float, Any]:
        """Return `(risk, gradient)` over all rows, to the bit, from what `partial_sums` gave for parts of them.

        Raises `ArrayError` where a part is of another theta or model, was damaged, overlaps or is missing.
        """
        if any(not isinstance(part, Mapping) for part in parts):
            raise ArrayTypeError("parts: expected what partial_sums gave; pass merge_sums(theta, *parts)")
        origin = self._reductions.origin(self.quantities.theta(theta))
        found: tuple[float, Any] = merged_sums(
            self.module.merge_sums, theta, parts, self.TILE, self.module.partial_sums, origin
        )
        return found

    @property
    def _reductions(self) -> Reductions:
        return Reductions(self, self.quantities)
