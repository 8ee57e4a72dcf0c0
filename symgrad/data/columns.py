"""One column as numbers: what counts as a number, what is missing, and what is refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symgrad.errors import ArrayTypeError, MissingExtraError

Array = NDArray[np.float64]
_SHOWN = 5  # categories in a message


@dataclass(frozen=True, slots=True)
class Column:
    """Numbers, and which of them are missing (NaN in their place)."""

    values: Array
    missing: NDArray[np.bool_]


def narwhals() -> ModuleType:
    """Return narwhals, which reads frames of all kinds. Raises `MissingExtraError`, which says how to get it."""
    try:
        import narwhals.stable.v1 as found
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f'tables need narwhals, which is not installed ({error}): python -m pip install "symgrad[data]"'
        ) from error
    module: ModuleType = found
    return module


def is_series(value: Any) -> bool:
    """Is it a column of a frame (of pandas, polars, pyarrow, ...), and no array or list?"""
    if value is None or isinstance(value, (np.ndarray, np.generic, list, tuple, int, float)):
        return False
    top = type(value).__module__.partition(".")[0]
    return top in ("pandas", "polars", "pyarrow", "modin", "cudf", "narwhals") and hasattr(value, "__len__")


def numbers_of(values: Any, what: str) -> Column:
    """Return a column as float64 numbers: booleans are 0 and 1, categories that are numbers those numbers.

    ``what`` names it in errors: `ArrayTypeError` for text, dates and other categories.
    """
    if is_series(values):
        nw = narwhals()
        return _of_series(nw.from_native(values, series_only=True), what)
    array = np.asarray(values)
    if array.dtype.kind == "O":
        return _of_objects(array, what)
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise ArrayTypeError(f"{what}: expected numbers, got {array.dtype}{_advice(array.dtype.kind)}")
    return _counted(array.astype(np.float64, copy=False))


def labels_of(values: Any) -> NDArray[Any]:
    """Return a column of codes of any kind, as whole numbers from 0; what is missing is -1."""
    if is_series(values):
        listed = narwhals().from_native(values, series_only=True).to_list()
    else:
        array = np.asarray(values)
        if array.dtype.kind not in "OUSfM" or array.ndim != 1:
            return np.asarray(np.unique(array, return_inverse=True)[1].reshape(array.shape))
        listed = array.tolist()
    known: dict[Any, int] = {}
    codes = (-1 if v is None or v != v else known.setdefault(v, len(known)) for v in listed)
    return np.fromiter(codes, np.intp, len(listed))


def _of_series(series: Any, what: str) -> Column:
    nw, dtype = narwhals(), series.dtype
    if dtype in (nw.Categorical, nw.Enum):
        return _of_categories(series, what)
    if dtype == nw.Object:
        return _of_objects(np.asarray(series.to_list(), object), what)
    if dtype == nw.Unknown and series.null_count() == len(series):
        return _counted(np.full(len(series), np.nan))
    if dtype != nw.Boolean and not dtype.is_numeric():
        first = next((v for v in series.head(1000).to_list() if v is not None), None)
        kind = "U" if dtype == nw.String else "M" if dtype.is_temporal() else "O"
        raise ArrayTypeError(f"{what}: expected numbers, got {dtype} ({_short(first)}){_advice(kind)}")
    missing = np.asarray(series.is_null().to_numpy(), bool) if series.null_count() else None
    if dtype == nw.Boolean and missing is not None:
        found = np.array([np.nan if v is None else float(v) for v in series.to_list()])
    else:
        found = np.asarray(series.cast(nw.Float64).to_numpy(), np.float64)
    if missing is not None and not np.isnan(found[missing]).all():
        found = np.where(missing, np.nan, found)
    return _counted(found)


def _of_categories(series: Any, what: str) -> Column:
    """Categories that are numbers are those numbers; of others the codes mean nothing."""
    names = series.cat.get_categories().to_list()
    if all(isinstance(name, (int, float, np.number)) for name in names):
        values = [np.nan if v is None or v != v else float(v) for v in series.to_list()]
        return _counted(np.array(values, np.float64))
    shown = ", ".join(map(_short, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
    raise ArrayTypeError(f"{what}: expected numbers, got categories ({shown}){_advice('U')}")


def _of_objects(array: NDArray[Any], what: str) -> Column:
    found = np.empty(array.shape, np.float64)
    flat = found.reshape(-1)
    for place, value in enumerate(array.reshape(-1).tolist()):
        if value is None or type(value).__name__ in ("NAType", "NaTType"):
            flat[place] = np.nan
        elif isinstance(value, (bool, int, float, np.number, np.bool_)) or type(value).__name__ == "Decimal":
            flat[place] = float(value)
        else:
            row = place // max(1, array[:1].size)
            raise ArrayTypeError(f"{what}: expected numbers, got {_short(value)} in row {row}{_advice('U')}")
    return _counted(found)


def _counted(values: Array) -> Column:
    return Column(values, np.isnan(values))


def _advice(kind: str) -> str:
    if kind in "US":
        return "; make a column of 0 and 1 for each value, with pandas.get_dummies or a formula: C(name)"
    if kind in "Mm":
        return "; give a number, the seconds since a moment say"
    return "; convert it to numbers"


def _short(value: Any) -> str:
    return f"{value!r:.40}"
