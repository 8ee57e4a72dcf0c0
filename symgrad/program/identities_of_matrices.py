"""Identities of the operations that move or join elements. Each keeps every bit; asked through `fold`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

from .program import Builder
from .shapes import size_of

Arguments = tuple[int, ...]
Rule = Callable[[Builder, Arguments, Any], int | None]


def _transpose(builder: Builder, arguments: Arguments, attribute: Any) -> int | None:
    (x,) = arguments
    assignment = builder.assignments[x]
    if assignment.operation == "transpose":
        return assignment.arguments[0]
    if assignment.operation == "fill":
        return builder.filled(assignment.arguments[0], assignment.shape[::-1])
    if assignment.operation == "matmul" and assignment.attribute is None and 1 not in assignment.shape:
        a, b = assignment.arguments  # (a column turned is that column: it is not multiplied again)
        return builder.emit("matmul", builder.emit("transpose", b), builder.emit("transpose", a))
    return x if size_of(assignment.shape) == 1 else None


def _matmul(builder: Builder, arguments: Arguments, attribute: Any) -> int | None:
    if attribute is not None:
        return None
    x, y = arguments
    for place, (a, b) in enumerate(((x, y), (y, x))):
        assignment = builder.assignments[a]
        if builder.constant_value(a) == 0:
            return builder.constant(0.0)
        if size_of(assignment.shape) == 1:  # a number times a matrix
            return builder.emit("mul", builder.emit("total", a), b)
        if assignment.operation == "neg":
            product = (assignment.arguments[0], b) if place == 0 else (b, assignment.arguments[0])
            return builder.emit("neg", builder.emit("matmul", *product))
    return None


def _total(builder: Builder, arguments: Arguments, attribute: Any) -> int | None:
    (x,) = arguments
    assignment = builder.assignments[x]
    if assignment.shape == ():
        return x
    if builder.constant_value(x) == 0:
        return builder.constant(0.0)
    if assignment.operation in ("fill", "assemble") and size_of(assignment.shape) == 1:
        return assignment.arguments[0]
    if assignment.operation == "transpose":
        return builder.emit("total", assignment.arguments[0])
    return None


def _largest(builder: Builder, arguments: Arguments, attribute: Any) -> int | None:
    (x,) = arguments
    return builder.emit("total", x) if size_of(builder.assignments[x].shape) == 1 else None


def _slice(builder: Builder, arguments: Arguments, attribute: Any) -> int | None:
    (x,) = arguments
    row, column, rows, columns = attribute
    assignment = builder.assignments[x]
    if (rows, columns) == assignment.shape:
        return x
    if assignment.operation == "fill":
        return builder.filled(assignment.arguments[0], (rows, columns))
    if assignment.operation == "assemble" and (rows, columns) == (1, 1):
        return builder.filled(assignment.arguments[row * assignment.shape[1] + column], (1, 1))
    if assignment.operation in ("input", "target") and (rows == 1 or columns == assignment.shape[1]):
        first = row * assignment.shape[1] + column  # consecutive columns of the data are a leaf of their own
        return builder.emit(assignment.operation, attribute=assignment.attribute + first, shape=(rows, columns))
    if assignment.operation == "slice":
        inner = assignment.attribute
        assert isinstance(inner, tuple)
        part = (inner[0] + row, inner[1] + column, rows, columns)
        return builder.emit("slice", assignment.arguments[0], attribute=part)
    return None


def _embed(builder: Builder, arguments: Arguments, attribute: Any) -> int | None:
    *corners, rows, columns = attribute
    if len(arguments) == 1 and builder.assignments[arguments[0]].shape == (rows, columns):
        return arguments[0]
    places = tuple(zip(corners[::2], corners[1::2], strict=True))
    kept = {at: x for x, at in zip(arguments, places, strict=True) if builder.constant_value(x) != 0}
    if not kept:
        return builder.constant(0.0)
    if len(kept) == rows * columns:  # of numbers, none left out
        numbers = (builder.emit("total", kept[i, j]) for i in range(rows) for j in range(columns))
        return builder.emit("assemble", *numbers, attribute=(rows, columns))
    # what no sample changes is put together once, apart from what varies
    apart = [{at: x for at, x in kept.items() if builder.varies[x] == varies} for varies in (False, True)]
    groups = [group for group in apart if group]
    if len(groups) == 1 and len(kept) == len(arguments):
        return None
    first, *rest = (
        builder.emit("embed", *group.values(), attribute=(*chain.from_iterable(group), rows, columns))
        for group in groups
    )
    return builder.emit("add", first, *rest) if rest else first


def _place(builder: Builder, arguments: Arguments, attribute: Any) -> int | None:
    return builder.constant(0.0) if size_of(attribute) == 1 else None  # the only element is the first


def _assemble(builder: Builder, arguments: Arguments, attribute: Any) -> int | None:
    return arguments[0] if size_of(attribute) == 1 else None


RULES: dict[str, Rule] = {
    "transpose": _transpose,
    "matmul": _matmul,
    "total": _total,
    "largest": _largest,
    "slice": _slice,
    "place": _place,
    "assemble": _assemble,
    "embed": _embed,
}
