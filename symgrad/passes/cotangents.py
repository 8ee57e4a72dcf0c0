"""How the cotangents of a variable are added: those of parts of a matrix that do not overlap are put side by side.

A slice hands its matrix a cotangent that is zero beside the slice. Added one after the other, D of them would cost D
times the whole matrix; side by side, they cost the matrix once.
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import chain

from symgrad.operations import TABLE
from symgrad.program import Builder, Shape, Value, size_of

from .guards import ALWAYS, Guard, compact, either, literal

_Part = tuple[int, int, int, int]  # top, left, rows, columns


def added(builder: Builder, contributions: Sequence[tuple[int, Guard]]) -> tuple[int, Guard]:
    """Return the sum of a variable's cotangents, and the guard under which it can differ from zero."""
    if len(contributions) == 1:
        ((value, guard),) = contributions
        return value, compact(guard, builder)
    joined = _joined(builder, contributions)
    total = reduce(lambda a, b: builder.emit("add", a, b), (value for value, _ in joined))
    return total, compact(either([guard for _, guard in joined]), builder)


def _joined(builder: Builder, contributions: Sequence[tuple[int, Guard]]) -> list[tuple[int, Guard]]:
    """The contributions, those that are parts of a matrix joined where they do not overlap."""
    parts = [c for c in contributions if builder.assignments[c[0]].operation == "embed"]
    if len(parts) < 2:
        return list(contributions)
    shape = builder.assignments[parts[0][0]].shape
    sheets: list[tuple[_Sheet, list[tuple[int, Guard]]]] = []
    for part in parts:
        places = [place for _, place in _parts(builder, part[0])]
        number = next((n for n, (sheet, _) in enumerate(sheets) if sheet.has_room(places)), len(sheets))
        if number == len(sheets):
            sheets.append((_Sheet(shape), []))
        sheets[number][0].cover(places)
        sheets[number][1].append(part)
    alone = [c for c in contributions if builder.assignments[c[0]].operation != "embed"]
    return [*alone, *(_side_by_side(builder, members, sheet.is_covered) for sheet, members in sheets)]


def _parts(builder: Builder, embedded: int) -> list[tuple[int, _Part]]:
    """What a matrix of zeros has in it, and where."""
    step = builder.assignments[embedded]
    assert isinstance(step.attribute, tuple)
    places = zip(step.attribute[:-2:2], step.attribute[1:-2:2], strict=True)
    shapes = (builder.assignments[a].shape for a in step.arguments)
    return [(a, (*at, *shape)) for a, at, shape in zip(step.arguments, places, shapes, strict=True)]  # type: ignore[misc]


def _side_by_side(builder: Builder, members: Sequence[tuple[int, Guard]], covered: bool) -> tuple[int, Guard]:
    if len(members) == 1:
        return members[0]
    parts = [part for value, _ in members for part in _parts(builder, value)]
    shape = builder.assignments[members[0][0]].shape
    value = _embedded(builder, parts, shape)
    own = [_inside(builder, value, place) for _, place in parts]
    if [guard for _, guard in members] != own:
        return value, either([guard for _, guard in members])
    if covered:
        return value, ALWAYS
    ones = [(builder.filled(builder.constant(1.0), place[2:]), place) for _, place in parts]
    somewhere = builder.emit("ne", _embedded(builder, ones, shape), builder.constant(0.0))
    return value, literal(somewhere, builder)


def _embedded(builder: Builder, parts: Iterable[tuple[int, _Part]], shape: Shape) -> int:
    arguments, places = zip(*parts, strict=True)
    corners = chain.from_iterable(place[:2] for place in places)
    return builder.filled(builder.emit("embed", *arguments, attribute=(*corners, *shape)), shape)


def _inside(builder: Builder, matrix: int, part: _Part) -> Guard:
    """The guard that a slice alone gives its matrix: the elements in it can matter."""
    guards = TABLE["slice"].guards
    assert guards is not None
    (inside,) = guards(Value(builder, matrix), part)
    return literal(inside.variable, builder)


class _Sheet:
    """Which elements of a matrix are covered by parts that do not overlap."""

    def __init__(self, shape: Shape) -> None:
        self._columns = shape[1]
        self._covered = bytearray(size_of(shape))
        self._left = size_of(shape)

    @property
    def is_covered(self) -> bool:
        return not self._left

    def has_room(self, places: Iterable[_Part]) -> bool:
        return not any(self._covered.find(1, *run) >= 0 for place in places for run in self._runs(place))

    def cover(self, places: Iterable[_Part]) -> None:
        for place in places:
            for start, end in self._runs(place):
                self._covered[start:end] = b"\1" * (end - start)
                self._left -= end - start

    def _runs(self, place: _Part) -> Iterable[tuple[int, int]]:
        """Where each row of a part begins and ends, in C order; rows that meet are one."""
        top, left, rows, columns = place
        if columns == self._columns:
            return [(top * columns, (top + rows) * columns)]
        starts = (row * self._columns + left for row in range(top, top + rows))
        return ((start, start + columns) for start in starts)
