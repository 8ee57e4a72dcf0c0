"""The shapes of a program's variables: ``()`` for a scalar, ``(m, n)`` for a matrix.

An operation that is not listed here works element by element: its arguments are scalars or matrices of one shape, or
columns and rows that stand for such matrices.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, TypeAlias

Shape: TypeAlias = tuple[int, ...]


def size_of(shape: Shape) -> int:
    """Return the number of elements: 1 for a scalar."""
    return prod(shape)


def shape_of(operation: str, shapes: Sequence[Shape], attribute: Any) -> Shape:
    """Return the shape of an operation's value."""
    rule = _RULES.get(operation)
    if rule is not None:
        return rule(shapes, attribute)
    matrices = [shape for shape in shapes if shape]
    if not matrices:
        return ()
    shape = max(rows for rows, _ in matrices), max(columns for _, columns in matrices)
    assert all(m in (1, shape[0]) and n in (1, shape[1]) for m, n in matrices), f"{operation} of {shapes}"
    return shape


def _product(shapes: Sequence[Shape], attribute: Any) -> Shape:
    turned = attribute or (0, 0)  # which of the two is read by its columns
    (rows, inner), (same, columns) = (s[::-1] if t else s for s, t in zip(shapes, turned, strict=True))
    assert inner == same, f"matmul of {shapes}"
    return rows, columns


def _scalar(shapes: Sequence[Shape], attribute: Any) -> Shape:
    return ()


def _told(shapes: Sequence[Shape], attribute: Any) -> Shape:
    return tuple(attribute)


def _last_two(shapes: Sequence[Shape], attribute: Any) -> Shape:
    return tuple(attribute[2:])


_RULES: dict[str, Callable[[Sequence[Shape], Any], Shape]] = {
    "matmul": _product,
    "transpose": lambda shapes, attribute: shapes[0][::-1],
    "total": _scalar,
    "largest": _scalar,
    "logsumexp_all": _scalar,
    "pick": _scalar,
    "put": _told,
    "fill": _told,
    "place": _told,
    "assemble": _told,
    "slice": _last_two,
    "embed": _last_two,
}
STRUCTURAL: frozenset[str] = frozenset(_RULES)
