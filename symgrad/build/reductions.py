"""What is made of all samples' gradients in passes over the rows, with no array of them: `reduce` and its parts.

Each want is a sum that the sweep takes, of what it makes of gradients (clipped ones, squares, products, groups) or of a
module of its own, or has a number for each row. Where each row needs a number on the way, some rows have it at a time.
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
from .rows import BLOCK, Rows, greatest_of, weights_of

_CLIPPED = ("clipped_mean", "clipped_sum", "clipped_fraction")
_MOST_AT_ONCE = 1024  # parameters whose products are summed in one pass


class Reductions:
    """Reductions of one compiled risk."""

    def __init__(self, compiled: Any, quantities: Quantities) -> None:
        self._compiled, self._quantities = compiled, quantities
        self._module = compiled.module
        self._rows = Rows(compiled.module, quantities)

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
            self._rows.not_finite(theta, arrays, request, 0)
        for name in request.want:
            if name in FOR_EACH_ROW:
                found[name] = self._rows.each(name, theta, arrays, request, out.get(name), threads)
        return found

    def partial(self, theta: Any, arrays: Arrays, request: Request, first: Any, threads: Any) -> dict[Any, Any]:
        """Return a part: nodes of each sum, and the rows at its edges."""
        theta = self._quantities.theta(theta)
        others = [name for name in request.want if name in FOR_EACH_ROW]
        if others:
            raise ArrayError(f"want: expected sums over rows, got {others}; call reduce on each part for these")
        inner, start, edges = cut(arrays, first, self._tile(request), self.origin(theta))
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
        for first, arrays in joined(edges_of(parts, self.origin(theta)), self._tile(request)):
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

    def _tile(self, request: Request) -> int:
        """The rows of a tile: of many groups more are taken together."""
        tile: int = self._summing("groups", groups=request.n_groups).TILE if request.n_groups else self._compiled.TILE
        return tile

    def _sums(self, theta: Any, arrays: Arrays, request: Request, first: int, threads: Any) -> dict[str, Any]:
        """The nodes of every sum that is wanted, by name; and what else is merged."""
        n = rows_in(arrays)
        if request.nonfinite == "propagate" and arrays[2] is arrays[3] is None:
            return self._sums_of_block(theta, arrays, request, first, threads)
        found: dict[str, Any] = {}
        step, start = max(BLOCK, self._tile(request)), 0
        while start < n:
            end = min(n, start + step - (first + start) % step)
            block = self._sums_of_block(theta, taken(arrays, start, end), request, first + start, threads)
            for key, value in block.items():
                found[key] = _together(request.top, key, found[key], value) if key in found else value
            start = end
        return found

    def _sums_of_block(self, theta: Any, arrays: Arrays, request: Request, first: int, threads: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def add(key: str, name: str | None, weights: Any, theta: Any = theta) -> None:
            if key not in found:
                module = self._module if name is None else self._quantities[name].module
                found[key] = module.partial_sums(theta, arrays[0], arrays[1], weights, first=first, threads=threads)

        def make(key: str, summing: Any, weights: Any, at: Any = theta, **codes: Any) -> None:
            found[key] = summing.partial_sums(at, arrays[0], arrays[1], weights, first=first, threads=threads, **codes)

        wants = set(request.want)
        if request.nonfinite != "propagate":
            bad = self._rows.not_finite(theta, arrays, request, first)
            found["nonfinite_rows"] = {first: int(bad.sum())}
        if request.nonfinite == "zero":
            add("everybody", "total", arrays[2])
            arrays = (*arrays[:2], np.where(bad, 0.0, weights_of(arrays)), arrays[3])
        weights = arrays[2]
        found["greatest"] = 1.0 if weights is None else float(np.max(np.abs(weights), initial=0.0))
        if wants & {"risk", "mean", "noise", "variance"}:
            add("mean", None, weights)
        if wants & {"second_moment", "variance", "noise"}:
            make("second_moment", self._summing("squares"), weights)
        for name, squared in (("outer", False), ("outer_squared_weights", True)):
            if name in wants:
                own = np.square(np.asarray(weights, np.float64)) if squared and weights is not None else weights
                if self._products is not None:
                    make(name, self._products, own)
                for key, quantity, at in () if self._products is not None else self._columns(name, theta):
                    add(key, quantity, own, at)
        if request.n_groups:
            codes = np.ascontiguousarray(np.asarray(arrays[3]).reshape(-1), np.int64)
            make("groups", self._summing("groups", groups=request.n_groups), weights, codes=codes)
        if wants & {*_CLIPPED}:
            clipping, at = self._clipping(request, theta)
            if clipping is not None:
                make("clipped", clipping, weights, at)
            else:
                self._add_clipped(add, theta, arrays, request, threads)
        if "top" in wants:
            found["top"] = self._rows.top(theta, arrays, request.top, first, threads)
        if "hessian" in wants:
            for key, quantity, at in self._columns("hessian", theta):
                add(key, quantity, weights, at)
        if weights is not None and not {"mean", "everybody", "second_moment"} & found.keys():
            add("everybody", "total", weights)
        return found

    def _summing(self, kind: str, blocks: tuple[int, ...] = (), groups: int = 0) -> Any:
        """What sums in place of gradients what the sweep makes of them; None where it cannot."""
        key = kind, blocks, groups
        if key not in self._quantities.summing:
            self._quantities.summing[key] = self._module._risk.summing(kind, blocks, groups)
        return self._quantities.summing[key]

    @property
    def _products(self) -> Any:
        """What sums products of each two elements; None where there are too many for one pass."""
        return self._summing("products") if self._compiled.N_PARAMETERS <= _MOST_AT_ONCE else None

    def _clipping(self, request: Request, theta: Any) -> tuple[Any, Any]:
        """What sums clipped gradients, and theta with the bounds; None where the sweep does not know norms."""
        numbers = [0] * len(self._compiled.PARAMETERS)
        for number, (block, _) in enumerate(request.clip):
            for place in block:
                numbers[place] = number
        bounds = [bound for _, bound in request.clip]
        return self._summing("clipped", tuple(numbers) if len(bounds) > 1 else ()), np.append(theta, bounds)

    def _columns(self, name: str, theta: Any) -> list[tuple[str, str, Any]]:
        """The sums of a matrix, each with its module and theta: all at once, or of many parameters one column each."""
        size = len(theta)
        quantity = "hessian" if name == "hessian" else "outer"
        if name == "hessian" and self._quantities.at_once:
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
        ones, longer = weights_of(arrays), np.zeros(rows_in(arrays), bool)
        norms = self._rows.norms(theta, arrays, self._named("norms", request) if len(bounds) > 1 else None, threads)
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
        return "scaled=(" in self._compiled.source and "pulled=" not in self._compiled.source

    def _named(self, kind: str, request: Request) -> str:
        """The name of the quantity that takes norms of blocks."""
        sizes = [int(np.prod(shape)) for _, shape in self._compiled.PARAMETERS]
        ends = np.cumsum(sizes)
        spans = [",".join(f"{ends[k] - sizes[k]}-{ends[k]}" for k in block) for block, _ in request.clip]
        return " ".join([kind, *spans])

    def _places(self, parameters: Any) -> Any:
        """The places in theta of some parameters."""
        sizes = [int(np.prod(shape)) for _, shape in self._compiled.PARAMETERS]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        return np.concatenate([np.arange(starts[k], starts[k + 1]) for k in parameters])

    # ------------------------------------------------------------------------------------------------------- results

    def _results(self, theta: Any, request: Request, sums: Sequence[dict[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        pairs: dict[str, Any] = {}

        def pair(key: str, name: str | None = None, at: Any = theta, summing: Any = None) -> Any:
            """Sums as pairs: of the weights, of the loss, of the rest."""
            if key not in pairs:
                module = summing or (self._module if name is None else self._quantities[name].module)
                nodes = [part[key] for part in sums]
                _check(module, at, nodes)
                pairs[key] = summed(nodes)
            return pairs[key]

        total = _samples(sums)
        for key, name in (("everybody", "total"), ("mean", None), ("second_moment", "squares")):
            if key in sums[0]:
                summing = self._summing("squares") if name == "squares" else None
                total = float(_values(pair(key, name, summing=summing))[0])
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
                found[name] = self._moments(name, theta, pair, total)
            elif name in ("outer", "outer_squared_weights"):
                given = [(name, None, theta)] if self._products is not None else self._columns(name, theta)
                columns = [_values(pair(key, quantity, at, self._products))[2:] for key, quantity, at in given]
                found[name] = _symmetric(columns, len(theta)) / total
            elif name == "hessian":
                found[name] = self._hessian(theta, sums)
            elif name == "group_sums":
                found[name] = np.zeros((request.n_groups, len(theta)))
                if request.n_groups:
                    summing = self._summing("groups", groups=request.n_groups)
                    found[name].reshape(-1)[:] = _values(pair("groups", summing=summing))[2:]
            elif name in ("clipped_mean", "clipped_sum"):
                found[name], _ = self._clipped(request, theta, pair, total if name == "clipped_mean" else 1.0)
            elif name == "clipped_fraction":
                found[name] = self._clipped(request, theta, pair, total)[1] / total
            elif name == "top":
                found[name] = greatest_of([part["top"] for part in sums], request.top)
        if set(request.want) & set(_CLIPPED):
            greatest = max(part["greatest"] for part in sums)
            found["sensitivity"] = greatest * math.hypot(*(bound for _, bound in request.clip))
        return found

    def _pulled(self, theta: Any, sums: Any) -> Any:
        """Sums of a gradient: of the derivatives by which the module sums, those by the parameters."""
        return self._module._risk.pulled(theta, sums)

    def _moments(self, name: str, theta: Any, pair: Any, total: float) -> Any:
        """Second moments; less the square of the mean, in pairs; or what is made of them all together."""
        squares = pair("second_moment", summing=self._summing("squares"))[2:].astype(np.longdouble).sum(axis=1)
        if name == "second_moment":
            return (squares / total).astype(np.float64)
        sums = self._pulled(theta, pair("mean")[2:].astype(np.longdouble).sum(axis=1))
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
            mean = mean + self._pulled(theta, own[2:] / total - own[2:] / own[0])
            risk = risk + (own[1] / total - own[1] / own[0])
        return risk, mean

    def _clipped(self, request: Request, theta: Any, pair: Any, over: float) -> tuple[Any, float]:
        """The clipped sum over a number, and the weights of the samples that were clipped."""
        clipping, at = self._clipping(request, theta)
        if clipping is not None:
            found = _values(pair("clipped", at=at, summing=clipping))
            return self._pulled(theta, found[2:] / over), float(found[1])  # in this order a mean has its bits
        if not self._from_rows:
            bounds = [bound for _, bound in request.clip]
            found = _values(pair("clipped", self._named("clipped", request), np.append(theta, bounds)))
            return found[2:-1] / over, float(found[-1])
        clipped = np.zeros(len(theta))
        for k, (block, _) in enumerate(request.clip):
            clipped[self._places(block)] = _values(pair(f"clipped {k}"))[2:][self._places(block)]
        return clipped / over, float(_values(pair("clipped_fraction", "total"))[0])


def _together(top: int, key: str, one: Any, other: Any) -> Any:
    """What two blocks of rows have found under one name."""
    if key == "greatest":
        return max(one, other)
    return greatest_of([one, other], top) if key == "top" else {**one, **other}


def _check(module: Any, theta: Any, nodes: Sequence[Nodes]) -> None:
    """Raise where nodes are damaged, missing or of something else; a sum of weights may be zero."""
    try:
        module.merge_sums(theta, *nodes)
    except ArrayError as error:
        if not str(error).startswith("weights"):
            raise


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


def _values(pairs: Any) -> Any:
    return pairs[:, 0] + pairs[:, 1]
