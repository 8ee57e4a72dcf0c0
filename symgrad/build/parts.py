"""Parts of the rows, cut anywhere: nodes of whole tiles, and at the edges the rows themselves.

A tile is summed by whoever has all of its rows. Of a part that begins or ends inside a tile, the rows of that tile
travel, and whoever merges the parts sums the tile: so the bits are those of one call, wherever the rows are cut.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from symgrad.errors import ArrayError

Nodes: TypeAlias = dict[Any, Any]
Arrays: TypeAlias = tuple[Any, ...]  # inputs, targets, weights and what else has a row for each sample; or None


def rows_in(arrays: Arrays) -> int:
    """Return how many rows there are."""
    return next((len(a) for a in arrays if a is not None), 0)


def taken(arrays: Arrays, start: int, end: int) -> Arrays:
    """Return some of the rows."""
    return tuple(None if a is None else a[start:end] for a in arrays)


def cut(arrays: Arrays, first: Any, tile: int, origin: bytes) -> tuple[Arrays, int, Nodes]:
    """Return the whole tiles among rows from ``first`` on, where these begin, and the edges by their first row.

    An edge ends with a digest of its rows and their ``origin``, the model and theta.
    """
    if isinstance(first, bool) or not isinstance(first, (int, np.integer)) or first < 0:
        raise ArrayError(
            f"first: expected a whole number from 0 on, got {first!r}; it is where these rows begin among all"
        )
    n, first = rows_in(arrays), int(first)
    start = min(-first % tile, n)
    end = max(start, (first + n) // tile * tile - first)
    edges: Nodes = {}
    for a, b in ((0, start), (end, n)):
        if a < b:
            rows = tuple(None if x is None else np.array(x) for x in taken(arrays, a, b))
            edges["rows", first + a] = (*rows, _digest(rows, first + a, origin))
    return taken(arrays, start, end), first + start, edges


def _digest(rows: Arrays, first: int, origin: bytes) -> str:
    found = hashlib.sha256(origin)
    for array in rows:
        found.update(f"{first} {None if array is None else (array.shape, array.dtype.str)}".encode())
        found.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def edges_of(parts: Iterable[Any], origin: bytes) -> dict[int, Arrays]:
    """Return the edges of parts by their first row; the same rows may come several times.

    Raises where they differ, were damaged, or are of another model or theta.
    """
    found: dict[int, Arrays] = {}
    for part in parts:
        for key, (*rows, digest) in ((key, rows) for key, rows in part.items() if is_edge(key)):
            if digest != _digest(tuple(rows), key[1], origin):
                raise ArrayError(
                    f"parts: expected rows from row {key[1]} on as they were cut, of this model and theta, got damaged "
                    "ones or another's; compute the part again"
                )
            if key[1] in found and rows_in(found[key[1]]) != rows_in(tuple(rows)):
                raise ArrayError(f"parts: expected one set of rows from row {key[1]} on, got two; cut the rows once")
            found[key[1]] = tuple(rows)
    return found


def is_edge(key: Any) -> bool:
    """Return whether a key of a part is that of rows."""
    return isinstance(key, tuple) and key[:1] == ("rows",)


def joined(edges: Mapping[int, Arrays], tile: int) -> Iterator[tuple[int, Arrays]]:
    """Give runs of edges that follow one another: each begins with a tile. Raises where rows before one are missing."""
    runs: list[tuple[int, list[Arrays]]] = []
    end = -1
    for first in sorted(edges):
        if first == end and runs and end % tile:
            runs[-1][1].append(edges[first])
        else:
            runs.append((first, [edges[first]]))
        end = first + rows_in(edges[first])
    for first, run in runs:
        if first % tile:
            raise ArrayError(f"parts: expected all rows of the tile of row {first}, got none before it; add that part")
        yield first, tuple(None if column[0] is None else np.concatenate(column) for column in zip(*run, strict=True))


def summed(nodes: Sequence[Nodes]) -> Any:
    """Return the sums of all nodes as pairs, (rows, 2): high and low. They are added as the tree of tiles says."""
    level: dict[int, dict[int, Any]] = {}
    for found in nodes:
        for (height, index), node in found.items():
            level.setdefault(height, {})[index] = _unscaled(node)
    top = max(level, default=0)
    while True:
        for height in range(top + 1):
            row = level.setdefault(height, {})
            for index in sorted(row):
                if index % 2 == 0 and index + 1 in row:
                    level.setdefault(height + 1, {})[index // 2] = _merged(row.pop(index), row.pop(index + 1))
        if not level.get(top + 1):
            break
        top += 1
    rest = [level[height][index] for height in range(top + 1) for index in sorted(level[height], reverse=True)]
    total = rest[0]
    for node in rest[1:]:  # the last tiles, of which there is no sibling: from the right to the left
        total = _merged(node, total)
    return total


def _unscaled(node: Any) -> Any:
    """A node's pairs, without its count and its seal."""
    return np.ldexp(node[1:-1, :2], int(node[0, 1]))


def _merged(one: Any, other: Any) -> Any:
    """The sum of two arrays of pairs, none of the rounding lost."""
    with np.errstate(all="ignore"):
        total = one[:, 0] + other[:, 0]
        shift = total - one[:, 0]
        rest = ((one[:, 0] - (total - shift)) + (other[:, 0] - shift)) + (one[:, 1] + other[:, 1])
        high = total + rest
        low = rest - (high - total)
    finite = np.isfinite(high)
    return np.stack([np.where(finite, high, total), np.where(finite, low, 0.0)], axis=1)


def merged_sums(
    merge: Callable[..., Any],
    theta: Any,
    parts: Sequence[Any],
    tile: int,
    sums: Callable[..., Nodes],
    origin: bytes,
) -> Any:
    """Return what ``merge(theta, *nodes)`` gives; tiles at the edges are summed by ``sums(theta, *arrays, first)``."""
    edges = edges_of(parts, origin)
    nodes = [{key: node for key, node in part.items() if not is_edge(key)} for part in parts]
    nodes += [sums(theta, *arrays, first=first) for first, arrays in joined(edges, tile)]
    return merge(theta, *nodes)
