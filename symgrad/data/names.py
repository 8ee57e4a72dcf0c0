"""Which column is which declared symbol: by name, never by position."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from symgrad.errors import ArrayError, ArrayTypeError

Declared = Sequence[tuple[str, tuple[int, ...]]]  # names and shapes, as INPUTS and TARGETS of a compiled risk
_MOST_LISTED = 12


def columns_for(role: str, declared: Declared, mapping: Any, known: Sequence[str]) -> tuple[str, ...]:
    """Return the name of the column for each number of the declared symbols, in order.

    ``mapping`` is what a `Source` was told: None, for columns that are called as the symbols are (the elements of a
    vector ``u`` as ``u[0]``, ``u[1]``, ...); a name, for the one symbol that there is; {symbol: column or columns}; or
    a list of columns in the order of the symbols' numbers. ``known`` are the columns of the table. Raises `ArrayError`
    for what is not among them, with the close ones.
    """
    sizes = {name: _size(shape) for name, shape in declared}
    given = _mapped(role, declared, sizes, mapping)
    found: list[str] = []
    for name, shape in declared:
        columns = given.get(name, elements_of(name, shape) if shape else [name])
        if len(columns) != sizes[name]:
            raise ArrayError(
                f"{role}[{name!r}]: expected {sizes[name]} columns, got {len(columns)}; name one for each element"
            )
        found += columns
    for column in found:
        if column not in known:
            raise missing_column(role, column, known, declared)
    return tuple(found)


def elements_of(name: str, shape: tuple[int, ...]) -> list[str]:
    """Return the names of the elements of a vector or a matrix, as reports show them."""
    rows, columns = shape
    if rows == 1 or columns == 1:
        return [f"{name}[{k}]" for k in range(rows * columns)]
    return [f"{name}[{i}, {j}]" for i in range(rows) for j in range(columns)]


def missing_column(role: str, column: str, known: Sequence[str], declared: Declared) -> ArrayError:
    """Return the error for a column that is not there."""
    near = difflib.get_close_matches(str(column), list(map(str, known)), n=3, cutoff=0.5)
    names = ", ".join(map(repr, known[:_MOST_LISTED])) + (", ..." if len(known) > _MOST_LISTED else "")
    close = f"; close to it: {', '.join(map(repr, near))}" if near else ""
    vector = next((name for name, shape in declared if shape and column in elements_of(name, shape)), None)
    example = (
        f"{{{vector!r}: ['a', 'b', ...]}}" if vector is not None else f"{{{column!r}: {near[0] if near else 'a'!r}}}"
    )
    return ArrayError(
        f"{role}: expected a column {column!r}, got the columns {names or 'of an empty table'}{close}. To say which "
        f"column is meant: symgrad.Source(table, {role}={example})"
    )


def _mapped(role: str, declared: Declared, sizes: Mapping[str, int], mapping: Any) -> dict[str, list[str]]:
    if mapping is None:
        return {}
    if isinstance(mapping, str):
        if len(declared) != 1:
            raise ArrayError(
                f"{role}: expected a column for each of {list(sizes)}, got {mapping!r}; write {{symbol: column}}"
            )
        return {declared[0][0]: [mapping]}
    if isinstance(mapping, Mapping):
        unknown = [name for name in mapping if str(getattr(name, "name", name)) not in sizes]
        if unknown:
            raise ArrayError(
                f"{role}: expected the declared names {list(sizes)}, got {unknown[0]!r}; write one of them"
            )
        pairs = ((str(getattr(name, "name", name)), columns) for name, columns in mapping.items())
        return {name: [columns] if isinstance(columns, str) else list(columns) for name, columns in pairs}
    if isinstance(mapping, Sequence):
        if len(mapping) != sum(sizes.values()):
            raise ArrayError(f"{role}: expected {sum(sizes.values())} columns for {list(sizes)}, got {len(mapping)}")
        found, at = {}, 0
        for name, size in sizes.items():
            found[name], at = list(mapping[at : at + size]), at + size
        return found
    raise ArrayTypeError(
        f"{role}: expected a column's name, a list of names or {{symbol: column}}, got {type(mapping).__name__}"
    )


def _size(shape: tuple[int, ...]) -> int:
    return shape[0] * shape[1] if shape else 1
