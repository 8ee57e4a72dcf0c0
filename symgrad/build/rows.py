"""What has a number for each row: norms of gradients, their products with vectors, and which of them stand out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgrad.errors import ArrayError

from .derivatives import Quantities
from .parts import Arrays, rows_in, taken
from .requests import Request

BLOCK = 1 << 20  # rows of which a number each is in memory at a time
_TINY, _HUGE = 1e-290, 1e290  # squares beyond have lost digits


class Rows:
    """Numbers for each row of one compiled risk."""

    def __init__(self, module: Any, quantities: Quantities) -> None:
        self._module, self._quantities = module, quantities

    def each(self, name: str, theta: Any, arrays: Arrays, request: Request, out: Any, threads: Any) -> Any:
        if name == "squared_norms":
            given = {} if out is None else {"squared_norms": out}
            return self._module.reduce(theta, *arrays[:2], want=name, out=given, threads=threads)[name]
        module, vectors = self._quantities["along"].module, self._quantities.vector(request.along)
        n = rows_in(arrays)
        found = np.empty((n, *vectors.shape[1:])) if out is None else out
        if found.shape != (n, *vectors.shape[1:]):
            raise ArrayError(f"out['along']: expected shape {(n, *vectors.shape[1:])}, got {found.shape}; leave it out")
        for a in range(0, n, BLOCK):
            some = taken(arrays[:2], a, a + BLOCK)
            for k, vector in enumerate(np.atleast_2d(vectors.T)):
                rows = module.per_sample_gradient(np.append(theta, vector), *some, threads=threads)[:, 0]
                found[(slice(a, a + BLOCK), k) if vectors.ndim == 2 else slice(a, a + BLOCK)] = rows
        return found

    def not_finite(self, theta: Any, arrays: Arrays, request: Request, first: int) -> Any:
        """Return which rows have no finite gradient, though they have a weight; where that is an error, raise it."""
        found, many, where = [np.zeros(0, bool)], 0, -1
        for a in range(0, rows_in(arrays), BLOCK):
            some = taken(arrays, a, a + BLOCK)
            bad = ~np.isfinite(self.norms(theta, some, None, None)[:, 0]) & (weights_of(some) != 0)
            where = first + a + int(np.argmax(bad)) if bad.any() and where < 0 else where
            many += int(bad.sum())
            if request.nonfinite == "zero":
                found.append(bad)
        if request.nonfinite == "raise" and many:
            raise ArrayError(
                f"inputs: expected rows with finite gradients, got {many} others, the first of them row {where}; "
                "nonfinite='zero' counts them as 0"
            )
        return np.concatenate(found)

    def top(self, theta: Any, arrays: Arrays, count: int, first: int, threads: Any) -> tuple[Any, Any]:
        """Return the rows and norms of the greatest gradients among these rows, a block at a time."""
        best = np.zeros(0, int), np.zeros(0)
        for a in range(0, rows_in(arrays), BLOCK):
            some = taken(arrays, a, a + BLOCK)
            norms = self.norms(theta, some, None, threads)[:, 0]
            kept = np.arange(len(norms)) if some[2] is None else np.flatnonzero(weights_of(some) != 0)
            own = norms if some[2] is None else norms[kept]
            if len(own) > count:  # few are looked at closer; those that are NaN come last
                least = np.partition(-own, count - 1)[count - 1]
                kept = kept if least != least else kept[-own <= least]
            best = greatest_of([best, (kept + a + first, norms[kept])], count)
        return best

    def norms(self, theta: Any, arrays: Arrays, blocks: str | None, threads: Any) -> Any:
        """Return the norms of each sample's gradient, (rows, blocks), scaled where their squares lose digits."""
        if blocks is None:
            squares = self._module.reduce(theta, *arrays[:2], want="squared_norms", threads=threads)["squared_norms"][
                :, None
            ]
            places: list[Any] = [slice(None)]
        else:
            squares = np.asarray(
                self._quantities[blocks].module.per_sample_gradient(theta, *arrays[:2], threads=threads), np.float64
            )
            spans = [[range(*map(int, span.split("-"))) for span in b.split(",")] for b in blocks.split(" ")[1:]]
            places = [np.concatenate([np.arange(s.start, s.stop) for s in block]) for block in spans]
        with np.errstate(invalid="ignore"):
            norms = np.sqrt(squares)
            doubtful = np.flatnonzero(((squares > _HUGE) | (squares < _TINY) & (squares >= 0)).any(axis=1))
        for row in map(int, doubtful):
            (gradient,) = self._module.per_sample_gradient(theta, *taken(arrays[:2], row, row + 1))
            for k, place in enumerate(places):
                part = np.asarray(gradient[place], np.float64)
                size = np.abs(part).max(initial=0.0)
                norms[row, k] = size * np.linalg.norm(part / size) if 0 < size < np.inf else size
        return norms


def weights_of(arrays: Arrays) -> Any:
    """Return the weights, flat; where there are none, ones."""
    return np.ones(rows_in(arrays)) if arrays[2] is None else np.asarray(arrays[2], np.float64).reshape(-1)


def greatest_of(found: Sequence[tuple[Any, Any]], count: int) -> tuple[Any, Any]:
    """Return the rows of the greatest norms, and these; of equal ones the smaller row. A row may come several times."""
    rows, norms = (np.concatenate(column) for column in zip(*found, strict=True))
    rows, first = np.unique(rows, return_index=True)
    norms = norms[first]
    order = np.lexsort((rows, -norms))[:count]
    return rows[order], norms[order]
