"""A source of samples: arrays, a table or files, with what its columns mean and what is done where some are missing."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symgrad.errors import ArrayError

from .columns import Column, labels_of, numbers_of
from .names import Declared, columns_for, missing_column
from .tables import Table, plain, table_of

MISSING = ("raise", "omit")


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of a source that follow one another, in C order and float64; ``first`` is the place of the first."""

    first: int
    inputs: Any
    targets: Any
    weights: Any
    groups: Any

    def __len__(self) -> int:
        return next((len(a) for a in (self.inputs, self.targets, self.weights, self.groups) if a is not None), 0)

    def part(self, start: int, end: int) -> Block:
        """Return some of its rows."""
        arrays = (self.inputs, self.targets, self.weights, self.groups)
        return Block(self.first + start, *(None if a is None else a[start:end] for a in arrays))


class Source:
    """Samples for every function of a compiled risk, in place of ``(inputs, targets, weights)``.

    Args:
        data: ``(inputs, targets)`` or ``(inputs, targets, weights)``, arrays or memory maps; a frame of pandas, polars
            or pyarrow, a dictionary of columns, a structured array; or the path of a CSV, Parquet or Arrow file, or a
            pattern for several ("parts/*.parquet"), which is read whole.
        inputs, targets: which columns the declared symbols are: ``{"x": "dose", "u": ["p1", "p2"]}``. By default the
            symbols' own names, and ``u[0]``, ``u[1]``, ... for a vector. The order of columns never matters. A name
            alone is the column of the one symbol; a list has them in the symbols' order.
        weights, groups: a column's name, or an array.
        missing: "raise" where a number is missing (NaN, null), with row and column; "omit" gives such rows the weight
            0, and `omitted` says how many they are.
        rows: how many rows there are, where that is known: another number is an error.

    Booleans are 0 and 1, nullable columns and categories that are numbers are those numbers; text, other categories and
    dates are an `ArrayTypeError` that names the column. Raises `ArrayError` for what is not there.
    """

    def __init__(
        self,
        data: Any,
        *,
        inputs: Any = None,
        targets: Any = None,
        weights: Any = None,
        groups: Any = None,
        missing: str = "raise",
        rows: int | None = None,
    ) -> None:
        if missing not in MISSING:
            raise ArrayError(f"missing: expected one of {list(MISSING)}, got {missing!r}; choose one")
        self.data, self.missing, self.rows = data, missing, rows
        self._mappings = {"inputs": inputs, "targets": targets}
        self._weights, self._groups = weights, groups
        self._declared: dict[str, Declared | None] = {"inputs": None, "targets": None}
        self.is_arrays = isinstance(data, (tuple, list)) or (isinstance(data, np.ndarray) and data.dtype.names is None)
        if self.is_arrays and (inputs is not None or targets is not None):
            raise ArrayError("inputs, targets: expected a table, whose columns they name, got arrays; leave them out")
        if isinstance(data, (tuple, list)) and len(data) not in (2, 3):
            raise ArrayError(f"data: expected (inputs, targets) or (inputs, targets, weights), got {len(data)} parts")

    def declared(self, inputs: Declared, targets: Declared | None) -> Source:
        """Return this source for the symbols of a risk, ``INPUTS`` and ``TARGETS``; None for no targets at all."""
        if self._declared == {"inputs": inputs, "targets": targets}:
            return self
        same = copy.copy(self)
        same.__dict__.pop("_whole", None)
        same._declared = {"inputs": inputs, "targets": targets}
        return same

    def on(self, data: Any) -> Source:
        """Return the same of another table, in which more columns are."""
        same = copy.copy(self)
        same.__dict__.pop("_whole", None)
        same.data = data
        return same

    def of(self, data: Any) -> Source:
        """Return the inputs of other data, of a table whose columns mean the same; it has no targets and no weights."""
        same = copy.copy(self)
        same.__dict__.pop("_whole", None)
        same.data, same.rows, same._weights, same._groups = data, None, None, None
        same._mappings = {"inputs": self._mappings["inputs"], "targets": None}
        same._declared = {"inputs": self._declared["inputs"], "targets": None}
        return same

    @property
    def arrays(self) -> tuple[Any, Any, Any]:
        """Inputs (N, D), targets (N, M) and weights (N,): each None where there are none."""
        return self._block.inputs, self._block.targets, self._block.weights

    @property
    def groups(self) -> Any:
        """The group of each row, as whole numbers, (N,); None without groups."""
        return self._block.groups

    @property
    def omitted(self) -> int:
        """How many rows were given the weight 0, for what is missing in them."""
        return self._whole[1]

    def blocks(self, multiple: int, most: int = 1 << 16) -> Iterator[Block]:
        """Give all rows in order, in blocks of a multiple of ``multiple`` rows, about ``most`` (the last may be less).

        Raises `ArrayError` for a source that does not know its symbols: see `declared`, or give inputs= and targets=.
        """
        step = max(1, most // multiple) * multiple
        for start in range(0, len(self), step):
            yield self._block.part(start, start + step)

    def __len__(self) -> int:
        return len(self._block)

    def __repr__(self) -> str:
        kind = (
            "arrays" if self.is_arrays else repr(self.data) if isinstance(self.data, str) else type(self.data).__name__
        )
        return f"<symgrad.Source of {kind}>"

    # ------------------------------------------------------------------------------------------------------- reading

    @property
    def _block(self) -> Block:
        return self._whole[0]

    @cached_property
    def _whole(self) -> tuple[Block, int]:
        """All rows, and how many were omitted: read once."""
        return self._arrays_read() if self.is_arrays else self._table_read()

    def _arrays_read(self) -> tuple[Block, int]:
        inputs, targets, *weights = self.data if isinstance(self.data, (tuple, list)) else (self.data, None)
        weights = weights[0] if weights else self._weights
        sides = {"inputs": inputs, "targets": targets, "weights": weights}
        found = {role: None if side is None else plain(role, side) for role, side in sides.items()}
        gaps = [] if self.missing == "raise" else [_gaps(side) for side in found.values() if side is not None]
        return self._finished(found, gaps, None)

    def _table_read(self) -> tuple[Block, int]:
        table, wanted = table_of(self.data), dict[str, tuple[str, ...] | None]()
        for role, mapping in self._mappings.items():
            wanted[role] = self._columns(role, mapping, table)
        extra = [name for name in (self._weights, self._groups) if isinstance(name, str)]
        for role, name in (("weights", self._weights), ("groups", self._groups)):
            if isinstance(name, str):
                _check_there(role, name, table)
        table = table.with_columns([*(wanted["inputs"] or ()), *(wanted["targets"] or ()), *extra])
        gaps: list[NDArray[np.bool_]] = []

        def column(role: str, values: Any, name: Any) -> Column:
            found = numbers_of(values, f"{role}: column {name!r}" if isinstance(name, str) else role)
            self._check(role, found, name)
            gaps.append(_gaps(found.values))
            return found

        found: dict[str, Any] = {}
        for role in ("inputs", "targets"):
            names = wanted[role]
            parts = [column(role, table.column(name), name).values for name in names or ()]
            found[role] = (
                None if not parts else np.ascontiguousarray(parts[0] if len(parts) == 1 else np.stack(parts, 1))
            )
        if self._weights is not None:
            values = table.column(self._weights) if isinstance(self._weights, str) else self._weights
            found["weights"] = column("weights", values, self._weights).values.reshape(-1)
        return self._finished(found, gaps, table)

    def _columns(self, role: str, mapping: Any, table: Table) -> tuple[str, ...] | None:
        declared = self._declared[role]
        if declared is not None:
            return columns_for(role, declared, mapping, table.names)
        if mapping is None:
            if role == "targets" and self._declared["inputs"] is not None:
                return None  # of predictions
            raise ArrayError(f"{role}: expected the names of columns, got None; write Source(table, {role}=[...])")
        values = mapping.values() if isinstance(mapping, dict) else [mapping]
        names = [name for value in values for name in ([value] if isinstance(value, str) else value)]
        for name in names:
            _check_there(role, name, table)
        return tuple(names)

    def _check(self, role: str, found: Column, name: Any) -> None:
        if self.missing == "raise" and found.missing.any():
            rows = np.flatnonzero(found.missing.reshape(len(found.missing), -1).any(axis=1))
            more = f" (and in {len(rows) - 1} more rows)" if len(rows) > 1 else ""
            where = f" of column {name!r}" if isinstance(name, str) else ""
            raise ArrayError(
                f"{role}: expected numbers, got a missing value in row {rows[0]}{where}{more}; "
                "symgrad.Source(data, missing='omit') gives such rows the weight 0, and counts them"
            )

    def _finished(self, found: dict[str, Any], gaps: list[Any], table: Table | None) -> tuple[Block, int]:
        groups = self._groups
        if isinstance(groups, str):
            assert table is not None
            groups = table.column(groups)
        if groups is not None:
            groups = labels_of(groups)
            lacking = groups.reshape(len(groups), -1).min(axis=1) < 0
            self._check("groups", Column(groups, lacking), self._groups)
            gaps.append(lacking)
        weights, omitted = found.get("weights"), 0
        _same_length(_lengths({**found, "groups": groups}))
        if self.missing == "omit" and gaps:
            gap = np.logical_or.reduce(gaps)
            omitted = int(gap.sum())
            if omitted:
                weights = np.where(gap, 0.0, 1.0 if weights is None else np.asarray(weights, np.float64).reshape(-1))
        block = Block(0, found.get("inputs"), found.get("targets"), weights, groups)
        if not len(block) and table is not None and table.names:
            block = Block(0, np.empty((len(table.column(table.names[0])), 0)), None, None, None)
        if self.rows is not None and len(block) != self.rows:
            raise ArrayError(f"rows: expected {self.rows} rows, as was said, got {len(block)}; is the source whole?")
        return block, omitted


def _beside(columns: list[Any]) -> Any:
    if len(columns) < 2:
        return np.ascontiguousarray(columns[0]) if columns else None
    _same_length({f"column {place}": len(column) for place, column in enumerate(columns)})
    return np.stack(columns, axis=1)


def _gaps(side: Any) -> NDArray[np.bool_]:
    array = np.asarray(side, np.float64)
    return np.asarray(np.isnan(array.reshape(len(array), -1)).any(axis=1))


def _check_there(role: str, name: str, table: Table) -> None:
    if name not in table.names:
        raise missing_column(role, name, table.names, ())


def _lengths(found: dict[str, Any]) -> dict[str, int]:
    return {role: len(side) for role, side in found.items() if side is not None}


def _same_length(lengths: dict[str, int]) -> None:
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{role} {many}" for role, many in lengths.items())
        raise ArrayError(f"data: expected one row for each sample in all of them, got {listed} rows; check the source")
