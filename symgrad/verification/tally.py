"""What is remembered while samples go by: the worst of each row, and where the declaration loses digits."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import mpmath

from symgrad.oracle import flat_names

from .report import GATE, Finding, Row, rank

Point = tuple[float, ...]  # the values of all symbols
Naming = Callable[[Point], Mapping[str, float]]

MANY = 500  # derivatives that are checked at one point, more only where the points would not get round to all


class Turns:
    """Which derivatives each point looks at: all, or so many at random, each once before any comes again."""

    def __init__(self, count: int, points: int, seed: int, many: int) -> None:
        self.count = count
        self.each = min(count, max(many, -(-count // points)))
        self._order = list(range(count))
        self._place = 0
        if self.each < count:
            random.Random(seed).shuffle(self._order)

    def take(self) -> list[int]:
        """Return the flat positions of the parameters for the next point, in order."""
        if self.each == self.count:
            return self._order
        taken = [self._order[(self._place + i) % self.count] for i in range(self.each)]
        self._place = (self._place + self.each) % self.count
        return sorted(taken)


@dataclass(slots=True)
class Tally:
    """What is remembered of the derivatives by one symbol while the samples go by."""

    name: str
    indices: Sequence[str] = ("",)  # of a matrix: of its elements, as text
    errors: list[float] = field(default_factory=list)
    worst: tuple[float, float, float, Any, Point, int] | None = None  # ulp, bound, got, expected, point, element
    compared: set[int] = field(default_factory=set)
    without_truth: int = 0
    out_of_reach: int = 0

    def add(self, ulp: float, bound: float, got: float, expected: Any, point: Point, element: int = 0) -> None:
        """Count an error, in ULP; the one furthest past its bound is kept with its point."""
        self.errors.append(ulp)
        self.compared.add(element)
        if self.worst is None or rank(ulp, bound) > rank(*self.worst[:2]):
            self.worst = (ulp, bound, got, expected, point, element)

    def label(self, element: int) -> str:
        """Return the name of one element."""
        return self.name + self.indices[element]

    def row(self, named: Naming, drawn: bool = False) -> Row:
        """Return what was tallied as a row of the report; ``drawn``: only some elements are checked at a point."""
        lost = (self.without_truth, self.out_of_reach)
        size = len(self.indices)
        if self.worst is None:
            return Row(self.name, math.nan, GATE, math.nan, math.nan, "", {}, 0, *lost, "", size, size, drawn)
        ulp, bound, got, expected, point, element = self.worst
        median = sorted(self.errors)[len(self.errors) // 2]
        index, unchecked = self.indices[element], size - len(self.compared)
        return Row(
            self.name, ulp, bound, median, got, digits_of(expected), named(point), len(self.errors), *lost,
            index, size, unchecked, drawn,
        )  # fmt: skip


class Tallies:
    """The loss' tally, those of the declared parameters, and the penalty's with its derivatives."""

    def __init__(self, symbols: Sequence[Any]) -> None:
        self.loss, self.rows = Tally("loss"), list[Tally]()
        self._places: list[tuple[Tally, int]] = []  # for each flat parameter
        for symbol in symbols:
            name = str(symbol.name)
            tally = Tally(name, [flat_name[len(name) :] for flat_name in flat_names([symbol])])
            self.rows.append(tally)
            self._places += [(tally, element) for element in range(len(tally.indices))]
        self.penalty = Tally("penalty", ["", *(f" by {name}" for name in flat_names(symbols))])

    def of(self, positions: Sequence[int]) -> list[tuple[Tally, int]]:
        """Return the loss' tally, then those of some flat parameters, each with the element."""
        return [(self.loss, 0), *(self._places[position] for position in positions)]

    def of_penalty(self, positions: Sequence[int]) -> list[tuple[Tally, int]]:
        """Return the penalty's tally, for its value and for its derivatives by some flat parameters."""
        return [(self.penalty, 0), *((self.penalty, 1 + position) for position in positions)]


class PairTallies(Tallies):
    """The loss' tally, those of second derivatives by two declared parameters, and the penalty's with its own.

    Positions are pairs of flat parameters, in any order.
    """

    def __init__(self, symbols: Sequence[Any]) -> None:
        names = [(str(symbol.name), flat_names([symbol])) for symbol in symbols]
        self.loss, self.rows = Tally("loss"), list[Tally]()
        self._homes = [(s, i) for s, (_, elements) in enumerate(names) for i in range(len(elements))]
        self._sizes = [len(elements) for _, elements in names]
        self._pairs: dict[tuple[int, int], Tally] = {}
        for b, (second, columns) in enumerate(names):
            for a, (first, rows) in enumerate(names[: b + 1]):
                own = [name[len(first) :] for name in rows], [name[len(second) :] for name in columns]
                tally = Tally(f"{first} d/d {second}", _Elements(*own, triangle=a == b))
                self._pairs[a, b] = tally
                self.rows.append(tally)
        whole = flat_names(symbols)
        self.penalty = Tally("penalty", _WithValue(_Elements(whole, whole, triangle=True)))

    def of(self, positions: Sequence[Any]) -> list[tuple[Tally, int]]:
        """Return the loss' tally, then those of some pairs of flat parameters, each with the element."""
        return [(self.loss, 0), *(self._place(*sorted(pair)) for pair in positions)]

    def of_penalty(self, positions: Sequence[Any]) -> list[tuple[Tally, int]]:
        """Return the penalty's tally, for its value and for its derivatives by some pairs of flat parameters."""
        return [(self.penalty, 0), *((self.penalty, 1 + triangle_place(*pair)) for pair in positions)]

    def _place(self, low: int, high: int) -> tuple[Tally, int]:
        (a, i), (b, j) = self._homes[low], self._homes[high]
        return self._pairs[a, b], triangle_place(i, j) if a == b else i * self._sizes[b] + j


class _Elements(Sequence[str]):
    """The names of a matrix' entries, made when they are asked for: there may be very many."""

    def __init__(self, rows: Sequence[str], columns: Sequence[str], *, triangle: bool) -> None:
        self._rows, self._columns, self._triangle = rows, columns, triangle

    def __len__(self) -> int:
        rows = len(self._rows)
        return rows * (rows + 1) // 2 if self._triangle else rows * len(self._columns)

    def __getitem__(self, place: Any) -> Any:
        row, column = divmod(place, len(self._columns))
        if self._triangle:
            row = (math.isqrt(8 * place + 1) - 1) // 2
            column = place - row * (row + 1) // 2
        return ", ".join(name for name in (self._rows[row], self._columns[column]) if name)


class _WithValue(Sequence[str]):
    """The names of a value and of its second derivatives."""

    def __init__(self, entries: _Elements) -> None:
        self._entries = entries

    def __len__(self) -> int:
        return 1 + len(self._entries)

    def __getitem__(self, place: Any) -> Any:
        return f" by {self._entries[place - 1]}" if place else ""


def triangle_place(row: int, column: int) -> int:
    """Return where an entry of a symmetric matrix stands in its lower triangle, row by row."""
    low, high = sorted((row, column))
    return high * (high + 1) // 2 + low


class Findings:
    """The places of the declaration where digits are lost, the worst of each."""

    def __init__(self) -> None:
        self.count = 0
        self._found: dict[tuple[str, str], tuple[Finding, Point]] = {}

    def add(self, finding: Finding, point: Point) -> None:
        """Keep a finding, unless its place loses more bits at another point."""
        key = (finding.kind, finding.where)
        if key not in self._found or finding.bits > self._found[key][0].bits:
            self._found[key] = (finding, point)

    def all(self, named: Naming) -> tuple[Finding, ...]:
        """Return the findings: lost digits first, by their number; then what leaves the range."""
        first = {"formula": 0, "data": 1}  # what the user can change, before what is the data's nature or far out
        ordered = sorted(self._found.values(), key=lambda found: (first.get(found[0].kind, 2), -found[0].bits))
        return tuple(finding.at(named(point)) for finding, point in ordered)


class Names:
    """A point as a mapping from names, the same object for the same point."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._known: dict[int, Mapping[str, float]] = {}

    def __call__(self, point: Point) -> Mapping[str, float]:
        if id(point) not in self._known:
            self._known[id(point)] = dict(zip(self._names, point, strict=False))
        return self._known[id(point)]


def digits_of(number: Any) -> str:
    """Return a true number to 20 digits; what is far past a double's range by its size alone."""
    if mpmath.isfinite(number) and number != 0 and abs(mpmath.mag(number)) > 10_000:
        size = "10**3000" if mpmath.mag(number) > 0 else "10**-3000"
        return f"{'-' if number < 0 else ''}{'more' if mpmath.mag(number) > 0 else 'less'} than {size}"
    return str(mpmath.nstr(number, 20))
