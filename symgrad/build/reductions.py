"""What is made of all samples' gradients in passes over the rows, with no array of them: `reduce` and its parts.

Each want is a sum that the sweep takes (of a module of its own, or with other weights), or has a number for each row.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from symgrad.errors import ArrayError, ArrayTypeError

from .derivatives import Quantities
from .parts import Arrays, Nodes, cut, edges_of, joined, rows_in, summed, taken
from .requests import FOR_EACH_ROW, Request

_CLIPPED = ("clipped_mean", "clipped_sum", "clipped_fraction")
_MOST_AT_ONCE = 64  # parameters whose products are summed in one pass
_BLOCK = 1 << 20  # rows whose norms are in memory at a time
_TINY, _HUGE = 1e-290, 1e290  # squares beyond have lost digits


class Reductions:
    """Reductions of one compiled risk."""

    def __init__(self, compiled: Any, quantities: Quantities) -> None:
        self._compiled, self._quantities = compiled, quantities
        self._module, self._tile = compiled.module, compiled.TILE

    # --------------------------------------------------------------------------------------------------------- doors

    def reduce(
        self, theta: Any, arrays: Arrays, request: Request, out: Mapping[str, Any], threads: Any
    ) -> dict[str, Any]:
        """Return ``{name: result}``."""
        theta = self._quantities.theta(theta)
        found: dict[str, Any] = dict.fromkeys(request.want)
        if request.sums:
            sums = replace(request, want=request.sums)
            found |= self.merge(theta, [self.partial(theta, arrays, sums, 0, threads)])
        elif request.nonfinite == "raise":
            self._not_finite(theta, arrays, request, 0)
        for name in request.want:
            if name in FOR_EACH_ROW:
                found[name] = self._each(name, theta, arrays, request, out.get(name), threads)
        return found

    def partial(self, theta: Any, arrays: Arrays, request: Request, first: Any, threads: Any) -> dict[Any, Any]:
        """Return a part: nodes of each sum, and the rows at its edges."""
        theta = self._quantities.theta(theta)
        others = [name for name in request.want if name in FOR_EACH_ROW]
        if others:
            raise ArrayError(f"want: expected sums over rows, got {others}; call reduce on each part for these")
        inner, start, edges = cut(arrays, first, self._tile, self.origin(theta))
        part: dict[Any, Any] = {"request": request, "theta": theta.copy(), **edges}
        if rows_in(inner):
            part["sums"] = self._sums(theta, inner, request, start, threads)
        return part

    def merge(self, theta: Any, parts: Sequence[Any]) -> dict[str, Any]:
        """Return the results of all parts together: the bits of one call."""
        theta = self._quantities.theta(theta)
        if not parts or not all(isinstance(part, Mapping) and "request" in part for part in parts):
            raise ArrayTypeError(
                "parts: expected what partial_reduce gave, at least one; pass merge_reduce(theta, *parts)"
            )
        request = parts[0]["request"]
        for part in parts:
            if not _same(part["request"], request):
                raise ArrayError(
                    "parts: expected parts of one request, got others; ask all for the same wants and options"
                )
            if part["theta"].tobytes() != theta.tobytes():
                raise ArrayError("parts: expected parts at this theta, got one at another; reduce all at the same")
        sums = [part["sums"] for part in parts if "sums" in part]
        for first, arrays in joined(edges_of(parts, self.origin(theta)), self._tile):
            sums.append(self._sums(theta, arrays, request, first, None))
        if not sums:
            raise ArrayError(
                "inputs: expected at least one sample, got none; the mean over an empty data set is undefined"
            )
        return self._results(theta, request, sums)

    def origin(self, theta: Any) -> bytes:
        """Return what tells the model and theta of rows that travel."""
        return hashlib.sha256(self._compiled.source.encode() + np.asarray(theta, np.float64).tobytes()).digest()

    # ---------------------------------------------------------------------------------------------------------- sums

    def _sums(self, theta: Any, arrays: Arrays, request: Request, first: int, threads: Any) -> dict[str, Any]:
        """The nodes of every sum that is wanted, by name; and what else is merged."""
        found: dict[str, Any] = {}

        def add(key: str, name: str | None, weights: Any, theta: Any = theta) -> None:
            if key not in found:
                module = self._module if name is None else self._quantities[name].module
                found[key] = module.partial_sums(theta, arrays[0], arrays[1], weights, first=first, threads=threads)

        wants = set(request.want)
        if request.nonfinite != "propagate":
            bad = self._not_finite(theta, arrays, request, first)
            add("everybody", "total", arrays[2])
            arrays = (*arrays[:2], np.where(bad, 0.0, _ones(arrays)), arrays[3])
            found["nonfinite_rows"] = {first: int(bad.sum())}
        weights = arrays[2]
        found["greatest"] = 1.0 if weights is None else float(np.max(np.abs(weights), initial=0.0))
        if wants & {"risk", "mean", "noise", "variance"}:
            add("mean", None, weights)
        if wants & {"second_moment", "variance", "noise"}:
            add("second_moment", "second_moment", weights)
        for name, squared in (("outer", False), ("outer_squared_weights", True)):
            if name in wants:
                own = np.square(np.asarray(weights, np.float64)) if squared and weights is not None else weights
                for key, quantity, at in self._columns(name, theta):
                    add(key, quantity, own, at)
        if "group_sums" in wants:
            for group in range(request.n_groups):
                add(f"group {group}", None, np.where(arrays[3] == group, _ones(arrays), 0.0))
        if wants & {*_CLIPPED}:
            self._add_clipped(add, theta, arrays, request, threads)
        if "top" in wants:
            found["top"] = self._top(theta, arrays, request.top, first, threads)
        if "hessian" in wants:
            for key, quantity, at in self._columns("hessian", theta):
                add(key, quantity, weights, at)
        if weights is not None and not {"mean", "everybody", "second_moment"} & found.keys():
            add("everybody", "total", weights)
        return found

    def _columns(self, name: str, theta: Any) -> list[tuple[str, str, Any]]:
        """The sums of a matrix, each with its module and theta: all at once, or of many parameters one column each."""
        size = len(theta)
        quantity = "hessian" if name == "hessian" else "outer"
        if self._quantities.at_once if name == "hessian" else size <= _MOST_AT_ONCE:
            return [(name, quantity, theta)]
        return [(f"{name} {k}", f"{quantity}_vector", np.append(theta, np.eye(1, size, k))) for k in range(size)]

    def _add_clipped(self, add: Any, theta: Any, arrays: Arrays, request: Request, threads: Any) -> None:
        """Clipped sums: of a program that scales each gradient; or of the gradient with weights that do.

        A sum that is taken from rows as they lie has its bits from that way alone: so there weights do it.
        """
        bounds = [bound for _, bound in request.clip]
        if not self._from_rows:
            add("clipped", self._named("clipped", request), arrays[2], np.append(theta, bounds))
            return
        ones, longer = _ones(arrays), np.zeros(rows_in(arrays), bool)
        norms = self._norms(theta, arrays, self._named("norms", request) if len(bounds) > 1 else None, threads)
        for k, bound in enumerate(bounds):
            factors = np.ones(len(ones))  # of what is not finite too: it stays so
            is_longer = np.isfinite(norms[:, k]) & (norms[:, k] > bound)
            factors[is_longer] = bound / norms[is_longer, k]
            longer |= is_longer
            add(f"clipped {k}", None, None if arrays[2] is None and not is_longer.any() else ones * factors)
        add("clipped_fraction", "total", np.where(longer, ones, 0.0))

    @property
    def _from_rows(self) -> bool:
        """Are gradients summed as multiples of inputs? The table in the module's text has them then."""
        return "scaled=(" in self._compiled.source

    def _named(self, kind: str, request: Request) -> str:
        """The name of the quantity that takes norms of blocks."""
        sizes = [int(np.prod(shape)) for _, shape in self._compiled.PARAMETERS]
        ends = np.cumsum(sizes)
        spans = [",".join(f"{ends[k] - sizes[k]}-{ends[k]}" for k in block) for block, _ in request.clip]
        return " ".join([kind, *spans])

    def _top(self, theta: Any, arrays: Arrays, count: int, first: int, threads: Any) -> tuple[Any, Any]:
        """The rows and norms of the greatest gradients among these rows, a block at a time."""
        best = np.zeros(0, int), np.zeros(0)
        ones = _ones(arrays)
        for a in range(0, rows_in(arrays), _BLOCK):
            norms = self._norms(theta, taken(arrays, a, a + _BLOCK), None, threads)[:, 0]
            kept = np.flatnonzero(ones[a : a + _BLOCK] != 0)
            best = _greatest([best, (kept + a + first, norms[kept])], count)
        return best

    def _norms(self, theta: Any, arrays: Arrays, blocks: str | None, threads: Any) -> Any:
        """The norms of each sample's gradient, (rows, blocks): taken again, scaled, where their squares lose digits."""
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

    def _places(self, parameters: Any) -> Any:
        """The places in theta of some parameters."""
        sizes = [int(np.prod(shape)) for _, shape in self._compiled.PARAMETERS]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        return np.concatenate([np.arange(starts[k], starts[k + 1]) for k in parameters])

    # ------------------------------------------------------------------------------------------------------- results

    def _results(self, theta: Any, request: Request, sums: Sequence[dict[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        pairs: dict[str, Any] = {}

        def pair(key: str, name: str | None = None, at: Any = theta) -> Any:
            """Sums as pairs: of the weights, of the loss, of the rest."""
            if key not in pairs:
                module = self._module if name is None else self._quantities[name].module
                nodes = [part[key] for part in sums]
                _check(module, at, nodes)
                pairs[key] = summed(nodes)
            return pairs[key]

        total = _samples(sums)
        for key, name in (("everybody", "total"), ("mean", None), ("second_moment", "second_moment")):
            if key in sums[0]:
                total = float(_values(pair(key, name))[0])
                break
        if total == 0:
            raise ArrayError("weights: expected a finite sum other than zero, got 0.0; the weighted mean divides by it")
        if request.nonfinite != "propagate":
            counted = {first: many for part in sums for first, many in part["nonfinite_rows"].items()}
            found["nonfinite_rows"] = sum(counted.values())
        for name in request.want:
            if name in ("risk", "mean"):
                risk, mean = self._means(theta, request, sums, pair, total)
                found[name] = risk if name == "risk" else mean
            elif name in ("second_moment", "variance", "noise"):
                found[name] = self._moments(name, pair, total)
            elif name in ("outer", "outer_squared_weights"):
                columns = [_values(pair(*column))[2:] for column in self._columns(name, theta)]
                found[name] = _symmetric(columns, len(theta)) / total
            elif name == "hessian":
                found[name] = self._hessian(theta, sums)
            elif name == "group_sums":
                groups = [_values(pair(f"group {k}"))[2:] for k in range(request.n_groups)]
                found[name] = np.stack(groups) if groups else np.zeros((0, len(theta)))
            elif name in ("clipped_mean", "clipped_sum"):
                clipped, _ = self._clipped(request, theta, pair)
                found[name] = clipped / total if name == "clipped_mean" else clipped
            elif name == "clipped_fraction":
                found[name] = self._clipped(request, theta, pair)[1] / total
            elif name == "top":
                found[name] = _greatest([part["top"] for part in sums], request.top)
        if set(request.want) & set(_CLIPPED):
            greatest = max(part["greatest"] for part in sums)
            found["sensitivity"] = greatest * math.sqrt(math.fsum(bound**2 for _, bound in request.clip))
        return found

    def _moments(self, name: str, pair: Any, total: float) -> Any:
        """Second moments; less the square of the mean, in pairs; or what is made of them all together."""
        rows = pair("second_moment", "second_moment")[2:]
        size = len(rows) // 2
        squares = rows[:size].astype(np.longdouble).sum(axis=1) + rows[size:].astype(np.longdouble).sum(axis=1)
        if name == "second_moment":
            return (squares / total).astype(np.float64)
        sums = pair("mean")[2:].astype(np.longdouble).sum(axis=1)
        spread = squares - sums * sums / total
        if name == "variance":
            return np.maximum(spread / total, 0).astype(np.float64)
        mean_square = np.sum((sums / total) ** 2)
        trace = float(np.sum(spread) / (total - 1)) if total > 1 else math.nan
        left = mean_square - trace / total
        with np.errstate(divide="ignore", invalid="ignore"):
            return {"tr": trace, "simple": float(trace / mean_square), "unbiased": float(trace / left)}

    def _hessian(self, theta: Any, sums: Sequence[dict[str, Any]]) -> Any:
        columns = [
            self._quantities[quantity].module.merge_sums(at, *(part[key] for part in sums))[1]
            for key, quantity, at in self._columns("hessian", theta)
        ]
        return _symmetric(columns, len(theta))

    def _means(
        self, theta: Any, request: Request, sums: Sequence[dict[str, Any]], pair: Any, total: float
    ) -> tuple[float, Any]:
        """The risk and its gradient; where rows are left out as zeros, they still count."""
        risk, mean = self._module.merge_sums(theta, *(part["mean"] for part in sums))
        if request.nonfinite != "propagate":
            own = _values(pair("mean"))
            mean = mean + (own[2:] / total - own[2:] / own[0])
            risk = risk + (own[1] / total - own[1] / own[0])
        return risk, mean

    def _clipped(self, request: Request, theta: Any, pair: Any) -> tuple[Any, float]:
        """The clipped sum, and the weights of the samples that were clipped."""
        if not self._from_rows:
            bounds = [bound for _, bound in request.clip]
            found = _values(pair("clipped", self._named("clipped", request), np.append(theta, bounds)))
            return found[2:-1], float(found[-1])
        clipped = np.zeros(len(theta))
        for k, (block, _) in enumerate(request.clip):
            clipped[self._places(block)] = _values(pair(f"clipped {k}"))[2:][self._places(block)]
        return clipped, float(_values(pair("clipped_fraction", "total"))[0])

    # ------------------------------------------------------------------------------------------------------ each row

    def _each(self, name: str, theta: Any, arrays: Arrays, request: Request, out: Any, threads: Any) -> Any:
        if name == "squared_norms":
            given = {} if out is None else {"squared_norms": out}
            return self._module.reduce(theta, *arrays[:2], want=name, out=given, threads=threads)[name]
        module, vectors = self._quantities["along"].module, self._quantities.vector(request.along)
        n = rows_in(arrays)
        found = np.empty((n, *vectors.shape[1:])) if out is None else out
        if found.shape != (n, *vectors.shape[1:]):
            raise ArrayError(f"out['along']: expected shape {(n, *vectors.shape[1:])}, got {found.shape}; leave it out")
        for k, vector in enumerate(np.atleast_2d(vectors.T)):
            rows = module.per_sample_gradient(np.append(theta, vector), *arrays[:2], threads=threads)[:, 0]
            if vectors.ndim == 1 and out is None:
                return rows
            found[(slice(None), k) if vectors.ndim == 2 else slice(None)] = rows
        return found

    def _not_finite(self, theta: Any, arrays: Arrays, request: Request, first: int) -> Any:
        """Which rows have no finite gradient, though they have a weight; where that is an error, raise it."""
        n = rows_in(arrays)
        norms = [self._norms(theta, taken(arrays, a, a + _BLOCK), None, None) for a in range(0, n, _BLOCK)]
        bad = ~np.isfinite(np.concatenate(norms)[:, 0]) & (_ones(arrays) != 0)
        if request.nonfinite == "raise" and bad.any():
            raise ArrayError(
                f"inputs: expected rows with finite gradients, got {bad.sum()} others, the first of them row "
                f"{first + np.flatnonzero(bad)[0]}; nonfinite='zero' counts them as 0"
            )
        return bad


def _check(module: Any, theta: Any, nodes: Sequence[Nodes]) -> None:
    """Raise where nodes are damaged, missing or of something else; a sum of weights may be zero."""
    try:
        module.merge_sums(theta, *nodes)
    except ArrayError as error:
        if not str(error).startswith("weights"):
            raise


def _ones(arrays: Arrays) -> Any:
    """The weights, flat; where there are none, ones."""
    return np.ones(rows_in(arrays)) if arrays[2] is None else np.asarray(arrays[2], np.float64).reshape(-1)


def _symmetric(columns: Sequence[Any], size: int) -> Any:
    """A symmetric matrix from the rows of its lower triangle, all in one, or from all its columns."""
    matrix = np.empty((size, size), np.asarray(columns[0]).dtype)
    rows, across = np.tril_indices(size)
    lower = (
        columns[0]
        if len(columns) == 1 and size * (size + 1) // 2 == len(columns[0])
        else np.stack(columns, axis=1)[rows, across]
    )
    matrix[rows, across] = matrix[across, rows] = lower
    return matrix


def _samples(sums: Sequence[dict[str, Any]]) -> float:
    """How many samples there are in all nodes of one sum; a node may come several times."""
    nodes: Nodes = {}
    for part in sums:
        nodes |= next((n for name, n in part.items() if isinstance(n, dict) and name != "nonfinite_rows"), {})
    return float(sum(node[0, 0] for node in nodes.values())) or math.nan


def _same(one: Request, other: Request) -> bool:
    def key(request: Request) -> tuple[Any, ...]:
        return request.want, request.clip, request.n_groups, request.top, request.nonfinite

    return key(one) == key(other)


def _greatest(found: Sequence[tuple[Any, Any]], count: int) -> tuple[Any, Any]:
    """The rows of the greatest norms, and these; of equal ones the smaller row. A row may come several times."""
    rows, norms = (np.concatenate(column) for column in zip(*found, strict=True))
    rows, first = np.unique(rows, return_index=True)
    norms = norms[first]
    order = np.lexsort((rows, -norms))[:count]
    return rows[order], norms[order]


def _values(pairs: Any) -> Any:
    return pairs[:, 0] + pairs[:, 1]
