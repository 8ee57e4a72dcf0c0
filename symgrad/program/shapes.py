"""The shapes of a program's variables: ``()`` for a scalar, ``(m, n)`` for a matrix."""

from collections.abc import Sequence
from math import prod
from typing import TypeAlias

Shape: TypeAlias = tuple[int, ...]


def size_of(shape: Shape) -> int:
    """Return the number of elements: 1 for a scalar."""
    return prod(shape)


def joint_shape(operation: str, shapes: Sequence[Shape]) -> Shape:
    """Return the shape of what works element by element; the operation is named where shapes do not fit."""
    matrices = [shape for shape in shapes if shape]
    if not matrices:
        return ()
    shape = max(rows for rows, _ in matrices), max(columns for _, columns in matrices)
    assert all(m in (1, shape[0]) and n in (1, shape[1]) for m, n in matrices), f"{operation} of {shapes}"
    return shape
