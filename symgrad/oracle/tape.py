"""The tape: what the oracle evaluates, a list of single operations on earlier ones, each distinct one once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from symgrad.errors import UnsupportedExpressionError

Grid = tuple[tuple[int, ...], ...]  # a matrix: the slots of its elements, row by row
Value = int | Grid


@dataclass(frozen=True, slots=True)
class Operation:
    """One step: what to do, on which earlier slots, with which constant (a number, a function's name, an index)."""

    kind: str
    arguments: tuple[int, ...] = ()
    payload: Any = None


@dataclass(slots=True)
class Tape:
    """Operations in order of evaluation; equal operations share a slot."""

    operations: list[Operation] = field(default_factory=list)
    _slots: dict[tuple[str, tuple[int, ...], Any], int] = field(default_factory=dict)

    def emit(self, kind: str, arguments: Sequence[int] = (), payload: Any = None) -> int:
        """Return the slot of an operation, new or already there."""
        key = (kind, tuple(arguments), payload)
        if key not in self._slots:
            self._slots[key] = len(self.operations)
            self.operations.append(Operation(kind, key[1], payload))
        return self._slots[key]

    def whole(self, number: int) -> int:
        """Return the slot of a whole number."""
        return self.emit("rational", (), (number, 1))

    def needed(self, *slots: int) -> tuple[int, ...]:
        """Return the slots that some slots depend on, and themselves, in order of evaluation."""
        wanted = set(slots)
        for place in range(max(slots, default=-1), -1, -1):
            if place in wanted:
                wanted.update(self.operations[place].arguments)
        return tuple(sorted(wanted))

    def integer(self, slot: int) -> int | None:
        """Return the integer that a slot always holds, or None if it depends on the data or is no integer."""
        pending = [slot]
        known: dict[int, int | None] = {}
        while pending:
            top = pending[-1]
            operation = self.operations[top]
            missing = [a for a in operation.arguments if a not in known]
            pending.extend(missing)
            if not missing:
                known[top] = _whole(operation, [known[a] for a in operation.arguments])
                pending.pop()
        return known[slot]


def _whole(operation: Operation, arguments: list[int | None]) -> int | None:
    """Integer arithmetic on constants: enough for indices and the limits of sums."""
    whole = [a for a in arguments if a is not None]
    if len(whole) < len(arguments):
        return None
    if operation.kind == "rational":
        numerator, denominator = operation.payload
        return int(numerator) if denominator == 1 else None
    if operation.kind == "add":
        return sum(whole)
    if operation.kind == "mul":
        product = 1
        for factor in whole:
            product *= factor
        return product
    return None


def shape_of(value: Value) -> tuple[int, ...]:
    """Return the shape of a value: ``()`` for a scalar."""
    return () if isinstance(value, int) else (len(value), len(value[0]))


def flat(value: Value) -> tuple[int, ...]:
    """Return the slots in C order."""
    return (value,) if isinstance(value, int) else tuple(slot for row in value for slot in row)


def scalar(value: Value) -> int:
    """Return the slot of a scalar, or the only one of a 1x1 matrix.

    Raises UnsupportedExpressionError for another matrix.
    """
    slots = flat(value)
    if len(slots) != 1:
        raise UnsupportedExpressionError(
            f"expected a number, got a matrix of shape {shape_of(value)}; write one of its elements, or its Trace"
        )
    return slots[0]
