"""Tables of all kinds as columns by name: frames, dictionaries, structured arrays, files of CSV and Parquet."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from symgrad.errors import ArrayError, ArrayTypeError, MissingExtraError

from .columns import is_series, narwhals, numbers_of

_FORMATS = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".pq": "parquet", ".arrow": "ipc", ".feather": "ipc"}


@dataclass(frozen=True, slots=True)
class Table:
    """Columns by name; none is read before it is asked for. ``row_names`` are pandas' index, else None."""

    names: tuple[str, ...]
    column: Callable[[str], Any]
    row_names: Any = None
    only: Callable[[Sequence[str]], Table] | None = None  # the same with some columns, read at once: of files

    def with_columns(self, names: Sequence[str]) -> Table:
        """Return the table with some of its columns ready to be read."""
        return self if self.only is None else self.only(names)


def is_table(value: Any) -> bool:
    """Does it have columns by name: a frame, a dictionary, a structured array? Lists and plain arrays do not."""
    if isinstance(value, np.ndarray):
        return value.dtype.names is not None
    if isinstance(value, Mapping):
        return True
    named = hasattr(value, "columns") or hasattr(value, "column_names")
    return named and not isinstance(value, type)


def table_of(data: Any) -> Table:
    """Return the columns of a frame, a dictionary, a structured array, a path or several files by a pattern.

    Raises `ArrayTypeError` for anything else, `ArrayError` for a file of another kind, ``OSError`` where there is none.
    """
    if isinstance(data, (str, os.PathLike)):
        return _of_files(os.fspath(data))
    if isinstance(data, np.ndarray) and data.dtype.names is not None:
        return Table(tuple(data.dtype.names), data.__getitem__)
    if isinstance(data, Mapping):
        return Table(tuple(map(str, data)), {str(name): column for name, column in data.items()}.__getitem__)
    if not is_table(data):
        raise ArrayTypeError(
            f"data: expected arrays, a table or a path, got {type(data).__name__}; pass (inputs, targets), a DataFrame "
            "or the path of a CSV or Parquet file"
        )
    nw = narwhals()
    try:
        frame = nw.from_native(data)
    except TypeError as error:
        raise ArrayTypeError(
            f"data: expected a frame of pandas, polars or pyarrow, got {type(data).__name__} ({error}); convert it"
        ) from None
    if isinstance(frame, nw.LazyFrame):
        raise ArrayTypeError("data: expected a frame that was read, got a lazy one; call its collect()")
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ArrayError(f"data: expected columns with names of their own, got two that are called {twice!r}; rename")
    originals = dict(zip(names, frame.columns, strict=True))
    return Table(tuple(names), lambda name: frame.get_column(originals[name]).to_native(), getattr(data, "index", None))


def frame_of(data: Any) -> Any:
    """Return a table, or that of a path, as a frame of pandas. Raises `MissingExtraError` without pandas."""
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f'formulas need pandas, which is not installed ({error}): python -m pip install "symgrad[formulas]"'
        ) from error
    if isinstance(data, pandas.DataFrame):
        return data
    table = table_of(data)
    columns = {name: table.column(name) for name in table.names}
    nw = narwhals()
    series = {n: nw.from_native(c, series_only=True).to_pandas() if is_series(c) else c for n, c in columns.items()}
    return pandas.DataFrame(series)


def plain(role: str, value: Any) -> Any:
    """Return a column of a frame as numbers, a frame side by side; anything else as it is."""
    if is_series(value) and not is_table(value):
        found = numbers_of(value, role)
        return found.values
    if is_table(value) and not isinstance(value, (np.ndarray, Mapping)):
        table = table_of(value)
        return np.stack([numbers_of(table.column(n), f"{role}: column {n!r}").values for n in table.names], 1)
    return value


def _of_files(path: str) -> Table:
    """The table of one file, or of those that a pattern finds, one after the other in the order of their names."""
    found = [path] if Path(path).exists() else sorted(glob.glob(path))
    if not found:
        raise FileNotFoundError(2, "there is no such file, and no file that matches", path)
    kinds = {_FORMATS.get(Path(name).suffix.lower()) for name in found}
    if len(kinds) != 1 or None in kinds:
        raise ArrayError(
            f"data: expected files of one kind, {', '.join(_FORMATS)}, got {Path(found[0]).name!r}; read it yourself "
            "and pass the table"
        )
    files = _dataset(found, str(kinds.pop()))

    def only(names: Sequence[str]) -> Table:
        read = files.to_table(columns=list(dict.fromkeys(names)))
        return Table(tuple(read.column_names), read.column)

    return Table(tuple(files.schema.names), lambda name: only([name]).column(name), None, only)


def _dataset(paths: list[str], kind: str) -> Any:
    try:
        import pyarrow.csv
        import pyarrow.dataset
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f'files of tables need pyarrow, which is not installed ({error}): python -m pip install "symgrad[data]"'
        ) from error
    form: Any = kind
    if paths[0].lower().endswith(".tsv"):
        form = pyarrow.dataset.CsvFileFormat(pyarrow.csv.ParseOptions(delimiter="\t"))
    try:
        return pyarrow.dataset.dataset(paths, format=form)
    except pyarrow.ArrowInvalid as error:
        raise ArrayError(f"data: expected a {kind} file, got {paths[0]!r} ({str(error)[:200]})") from None
