"""What functions of a compiled risk take in place of arrays: tables, columns of frames, a `Source`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from symgrad.errors import ArrayError, ArrayTypeError

from .columns import is_series
from .names import Declared
from .sources import Source
from .tables import is_table, plain, table_of


def arrays_of(
    declared: tuple[Declared, Declared | None], inputs: Any, targets: Any, weights: Any
) -> tuple[Any, Any, Any]:
    """Return arrays of what a function of a compiled risk was given in place of them.

    ``declared`` are INPUTS and TARGETS; the latter None for `predict`. ``targets`` is ``...`` where inputs have all.
    A frame's columns are found by name; but where one vector alone is declared, its elements have no names, and a
    frame of as many columns that was given beside its targets is taken in order. Columns of frames are numbers.
    """
    if isinstance(inputs, Source):
        if targets is not ... and declared[1] is not None:
            raise ArrayTypeError("targets: expected none beside a Source, which has them; write f(theta, source)")
        if weights is not None:
            raise ArrayTypeError("weights: expected none beside a Source, got some; write Source(data, weights=...)")
        return inputs.declared(*declared).arrays
    own = declared[1] if targets is ... else None
    if not is_table(inputs):
        if targets is ... and declared[1] is not None:
            raise ArrayTypeError(
                "targets: expected an array, got none beside inputs that are no table; pass inputs and targets (None "
                "where there are none), or one table"
            )
        return _plain_or_none("inputs", inputs), _plain_or_none("targets", targets), _plain_or_none("weights", weights)
    _check_index(inputs, targets, weights)
    source = Source(inputs, weights=weights, inputs=_by_place(inputs, declared[0]) if own is None else None)
    found = source.declared(declared[0], own).arrays
    return found[0], found[1] if targets is ... else _plain_or_none("targets", targets), found[2]


def _by_place(frame: Any, inputs: Declared) -> Any:
    names = table_of(frame).names
    if len(inputs) == 1 and inputs[0][1] and len(names) == inputs[0][1][0] * inputs[0][1][1]:
        return list(names)
    return None


def _check_index(inputs: Any, *others: Any) -> None:
    """Rows of pandas that belong together have the same index."""
    index = getattr(inputs, "index", None)
    for role, other in zip(("targets", "weights"), others, strict=True):
        own: Any = getattr(other, "index", None) if is_series(other) else None
        if index is not None and hasattr(own, "equals") and len(own) == len(index) and not index.equals(own):
            raise ArrayError(
                f"{role}: expected the index of the inputs, got another, so the rows may be in another order; reindex "
                "one, or pass them as arrays"
            )


def _plain_or_none(role: str, value: Any) -> Any:
    return None if value is None or value is ... else plain(role, value)


@dataclass(frozen=True, slots=True)
class Samples:
    """What a fit was given: arrays as functions of a compiled risk take them, and how more rows are to be read."""

    arrays: tuple[Any, Any, Any]
    groups: Any = None
    omitted: int = 0
    like: Source | None = None  # without data: which columns the inputs are

    def inputs_of(self, inputs: Any) -> Any:
        """Return other inputs, by the same columns where they are a table."""
        named = self.like is not None and (is_table(inputs) or isinstance(inputs, (str, os.PathLike)))
        return self.like.of(inputs) if named and self.like is not None else inputs


def samples_of(declared: tuple[Declared, Declared], data: Any, missing: str = "raise") -> Samples:
    """Return the samples of ``(inputs, targets[, weights])``, of a table or path, or of a `Source`.

    ``missing`` is that of a `Source`, which has its own. Raises `ArrayError` and `ArrayTypeError`.
    """
    if isinstance(data, (tuple, list)):
        if len(data) not in (2, 3):
            raise ArrayError(f"data: expected (inputs, targets) or (inputs, targets, weights), got {len(data)} parts")
        if is_table(data[0]):
            _check_index(*data)
            weights = data[2] if len(data) == 3 else None
            names = _by_place(data[0], declared[0])
            source = Source(data[0], inputs=names, weights=weights, missing=missing).declared(declared[0], None)
            inputs, _, weights = source.arrays
            arrays = (inputs, _plain_or_none("targets", data[1]), weights)
            source, like = Source(arrays, missing=missing), source
        else:
            arrays = arrays_of(declared, data[0], data[1], data[2] if len(data) == 3 else None)
            source, like = Source(arrays, missing=missing), None
        found = arrays if missing == "raise" else source.arrays
        return Samples(
            found, None, source.omitted if missing != "raise" else 0, None if like is None else like.of(None)
        )
    if isinstance(data, Source):
        source = data
    elif is_table(data) or isinstance(data, (str, os.PathLike)):
        source = Source(data, missing=missing)
    else:
        raise ArrayError(
            f"data: expected a tuple (inputs, targets) or (inputs, targets, weights), a table, a path or a Source, got "
            f"{type(data).__name__}; None stands for no inputs or no targets"
        )
    source = source.declared(*declared)
    return Samples(source.arrays, source.groups, source.omitted, None if source.is_arrays else source.of(None))
