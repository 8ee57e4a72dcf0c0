"""What a verification found: one row for each declared parameter and one for the loss, and the table for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

GATE = 4.0  # ULP that every derivative may be off
SHOWN = 20  # with more parameters than this the table shows the worst of them


@dataclass(frozen=True, slots=True)
class Row:
    """The worst point of the derivatives by one declared parameter (or of the loss).

    For a matrix ``element`` tells which of its ``elements`` derivatives is shown, e.g. ``[3, 5]``, and the counts are
    over all of them. ``unchecked`` were never compared; where ``drawn``, a point looked only at some of them.

    ``ulp`` is the error there and ``bound`` what would have passed; ``got`` is the compiled double, ``expected`` the
    true number to 20 digits, ``point`` the value of every symbol by name. A failing point is always preferred. Values
    without ground truth, and those ``out_of_reach`` of double precision, are counted and not ``compared``.
    """

    name: str
    ulp: float
    bound: float
    median: float
    got: float
    expected: str
    point: Mapping[str, float]
    compared: int
    without_truth: int
    out_of_reach: int
    element: str = ""
    elements: int = 1
    unchecked: int = 0
    drawn: bool = False

    @property
    def passed(self) -> bool:
        """Whether everything that was compared is within its bound, and nothing is missing that was to be compared."""
        return self.compared > 0 and self.ulp <= self.bound and (self.drawn or not self.unchecked)

    @property
    def label(self) -> str:
        return self.name + self.element


@dataclass(frozen=True)
class Report:
    """What ``verify`` found: one row for each declared parameter, in order, and one for the loss.

    ``each`` of the ``derivatives`` were compared at each point, all of them if it is 0; ``asked`` is the number of
    samples that were asked for, if that is more than a model of this size gets.
    """

    name: str
    rows: tuple[Row, ...]
    loss: Row
    samples: int
    undefined: int
    digits: int
    seed: int
    each: int = 0
    asked: int = 0

    @property
    def derivatives(self) -> int:
        return sum(row.elements for row in self.rows)

    @property
    def passed(self) -> bool:
        """Whether every derivative and the loss are as close to the true numbers as double precision can come."""
        return self.loss.passed and all(row.passed for row in self.rows)

    @property
    def worst(self) -> Row:
        """The row with the largest error, a failing one first."""
        return max(self.rows, key=badness)

    def table(self) -> str:
        """The report as text for a person; the worst rows first (and only those) where there are many."""
        shown = list(self.rows)
        if len(shown) > SHOWN:
            shown = sorted(shown, key=badness, reverse=True)[:SHOWN]
        points = list({id(row.point): row.point for row in (*shown, self.loss) if row.compared}.values())
        number = {id(point): f"({n})" for n, point in enumerate(points, 1)}
        cells = [
            _cells(name, row, number) for name, row in [*((f"d/d {r.label}", r) for r in shown), ("loss", self.loss)]
        ]
        lines = [self._headline(), "", *_aligned([_HEADER, *cells])]
        if len(shown) < len(self.rows):
            lines.insert(-1, f"  ... and {len(self.rows) - len(shown)} more derivatives, none of them worse")
        where = [f"  ({n}) {_point(point)}" for n, point in enumerate(points, 1)]
        return "\n".join([*lines, "", *where, *self._notes()])

    __str__ = table

    def _headline(self) -> str:
        what = (
            f"{self.name}: compiled gradient against {self.digits} digits at {self.samples} samples (seed {self.seed})"
        )
        if self.passed:
            checked = " that was checked" if any(row.unchecked for row in self.rows) else ""
            bound = f"{GATE:g} ULP, or what rounding costs the formula as written"
            return f"{what}\nPASSED: every value{checked} is within its bound: {bound}"
        failed = [row.label for row in (*self.rows, self.loss) if not row.passed]
        more = f" and {len(failed) - 5} more" if len(failed) > 5 else ""
        return f"{what}\nFAILED: {', '.join(failed[:5])}{more} (the row shows a point past its bound)"

    def _notes(self) -> list[str]:
        everything = (*self.rows, self.loss)
        notes = self._extent()
        if not self.samples - self.undefined:
            notes.append(
                "no point was found where the loss is defined: give the symbols assumptions, such as positive=True"
            )
        if self.undefined:
            notes.append(
                f"at {self.undefined} of the samples the loss is undefined: there it has to be NaN or infinite"
            )
        if lost := sum(row.out_of_reach for row in everything):
            notes.append(
                f"{lost} values are out of double precision's reach (an infinity on the way, or cancellation to the "
                "last digit): not counted; rescale or rearrange the formula if they matter"
            )
        if unknown := sum(row.without_truth for row in everything):
            notes.append(f"{unknown} values have no ground truth (digits did not settle): not counted")
        return ["", *(f"* {note}" for note in notes)] if notes else []

    def _extent(self) -> list[str]:
        """What was not looked at, because the model is large."""
        notes = []
        if self.asked:
            notes.append(f"{self.samples} samples instead of {self.asked}: each takes long, because the model is large")
        if self.each:
            notes.append(f"each point checks {self.each:,} of {self.derivatives:,} derivatives, drawn at random")
        if missing := [row for row in self.rows if row.unchecked and row.elements > 1]:
            where = ", ".join(f"{row.unchecked:,} of {row.name}" for row in missing)
            cure = "more samples reach more of them" if self.each else "no point was found where they can be"
            notes.append(f"{sum(row.unchecked for row in missing):,} derivatives were never checked ({where}): {cure}")
        return notes


def rank(ulp: float, bound: float) -> tuple[bool, float]:
    """A point past its bound ranks above all that are not, by how far it is past; the others by their error."""
    failed = ulp > bound
    return failed, (ulp / bound if failed else ulp)


def badness(row: Row) -> tuple[bool, bool, float]:
    return (not row.passed, *rank(row.ulp, row.bound)) if row.compared else (True, False, -1.0)


_HEADER = ["", "worst ULP", "bound", "median", "compiled", "true", "at"]


def _cells(name: str, row: Row, number: Mapping[int, str]) -> list[str]:
    mark = ("  " if row.passed else "! ") + name
    if not row.compared:
        return [mark, "not compared", "", "", "", "", ""]
    numbers = [_short(row.ulp), _short(row.bound), _short(row.median), repr(row.got), row.expected]
    return [mark, *numbers, number[id(row.point)]]


def _short(number: float) -> str:
    return f"{number:.2f}" if number < 1000 else f"{number:.1e}"


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Lines with names and true numbers to the left of their columns, the other numbers to the right."""
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    left = (0, 5, 6)
    padded = [
        [cell.ljust(w) if i in left else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))]
        for line in table
    ]
    return ["  ".join(line).rstrip() for line in padded]


def _point(point: Mapping[str, float]) -> str:
    most = 12 if len(point) <= 50 else 4  # of a network's hundreds no dozen would tell more
    shown = [f"{name}={value!r}" for name, value in list(point.items())[:most]]
    return ", ".join(shown) + (f", ... ({len(point) - most} more)" if len(point) > most else "")
