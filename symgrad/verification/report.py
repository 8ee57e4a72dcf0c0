"""What a verification found: one row for each declared parameter and one for the loss, and the table for a person."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from symgrad.errors import visible_lines

GATE = 4.0  # ULP that every derivative may be off
SHOWN = 20  # with more parameters than this the table shows the worst of them
_WIDTH = 78  # of the text: it may be indented, and a terminal has 80 columns
_PLACES = 5  # of lost digits that are shown
_LONG = 20  # characters of a row's name
_JOINED = "\N{NO-BREAK SPACE}"  # in W[0, 1]
BEYOND = ("overflows", "underflows")


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
        """The name with the element, if it is one of a matrix."""
        return self.name + self.element


@dataclass(frozen=True, slots=True)
class Finding:
    """A part of the declaration, ``where``, that loses ``bits`` of the 53 of a value, the one that is called ``label``.

    ``kind`` tells why: "overflows" and "underflows" where it leaves the range of doubles; "data" where the true value
    itself moves as much when the data move in their last places, so that no formula could do better; "formula" where
    another form could.
    """

    bits: int
    kind: str
    where: str
    label: str
    point: Mapping[str, float] = field(default_factory=dict)

    def at(self, point: Mapping[str, float]) -> Finding:
        """Return the finding at a point: values by the names of symbols."""
        return replace(self, point=point)

    @property
    def does(self) -> str:
        """What the formula does, in short."""
        return f"{self.kind} in {self.where}" if self.kind in BEYOND else f"loses {self.bits} bits in {self.where}"

    def __str__(self) -> str:
        name = self.label if self.label == "loss" or self.label.startswith("penalty") else f"d/d {self.label}"
        if self.kind in BEYOND:
            what = f"{self.where} {self.kind} on the way to {name}, whose true value is a double:"
        else:
            what = f"{self.bits} bits of {name} are lost in {self.where}"
            what += " (another form may keep them):" if self.kind == "formula" else " (the data's last bits decide):"
        return visible_lines(f"{what} {_point(self.point)}")


@dataclass(frozen=True)
class Report:
    """What ``verify`` found: one row for each declared parameter (or two, see ``order``), and one for the loss.

    ``each`` of the ``derivatives`` were compared at each point, all of them if it is 0; ``asked`` is the number of
    samples that were asked for, if that is more than a model of this size gets. ``penalty`` is the row of the penalty's
    value and derivatives, if there is one. At ``extremes`` of the samples a value is at an end of a double's range, at
    a kink or where a function overflows.

    ``findings`` are the parts of the declaration that lose more than half of the digits, within the bound: the worst
    of each. ``ill_conditioned`` values do. ``order`` is 2 for second derivatives: a row for each two parameters.
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
    penalty: Row | None = None
    extremes: int = 0
    findings: tuple[Finding, ...] = ()
    ill_conditioned: int = 0
    order: int = 1

    @property
    def others(self) -> tuple[Row, ...]:
        """The rows of the loss and, if there is one, of the penalty."""
        return (self.loss,) if self.penalty is None else (self.loss, self.penalty)

    @property
    def derivatives(self) -> int:
        """How many derivatives there are, each element of a matrix counted."""
        return sum(row.elements for row in self.rows)

    @property
    def passed(self) -> bool:
        """Whether every derivative, the loss and the penalty are within their bounds."""
        return all(row.passed for row in (*self.rows, *self.others))

    @property
    def worst(self) -> Row:
        """The row with the largest error, a failing one first."""
        return max(self.rows, key=badness)

    def table(self) -> str:
        """Return the report as text for a person, 80 columns wide; of many rows the worst alone, and those first."""
        shown = list(self.rows)
        if len(shown) > SHOWN:
            shown = sorted(shown, key=badness, reverse=True)[:SHOWN]
        rows = [*((f"d/d {row.label}", row) for row in shown), *((row.label, row) for row in self.others)]
        points = list({id(row.point): row.point for _, row in rows if row.compared}.values())
        number = {id(point): f"({n})" for n, point in enumerate(points, 1)}
        lines = [*self._headline(), "", *_aligned([_HEADER, *(_cells(name, row, number) for name, row in rows)])]
        if len(shown) < len(self.rows):
            more = f"  ... and {len(self.rows) - len(shown)} more derivatives, none of them worse"
            lines.insert(len(lines) - len(self.others), more)
        where = [line for n, point in enumerate(points, 1) for line in _wrapped(f"  ({n}) ", _point(point))]
        wrong = [
            line
            for name, row in rows
            if row.compared and not row.passed
            for line in _wrapped("! ", f"{name} at {number[id(row.point)]}: compiled {row.got!r}, true {row.expected}")
        ]
        return visible_lines("\n".join([*lines, "", *where, *([""] if wrong else []), *wrong, *self._notes()]))

    __str__ = table

    def _headline(self) -> list[str]:
        what = (
            f"{self.name}: compiled {'gradient' if self.order == 1 else 'Hessian'} against {self.digits} digits at "
            f"{self.samples} samples (seed {self.seed})"
        )
        if self.passed:
            checked = " that was checked" if any(row.unchecked for row in self.rows) else ""
            bound = f"{GATE:g} ULP, or 4 times the formula's running error bound"
            lines = [what, *_wrapped("", f"PASSED: every value{checked} is within its bound: {bound}", 0)]
            return [*lines, *self._lost()]
        failed = [row.label for row in (*self.rows, *self.others) if not row.passed]
        more = f" and {len(failed) - 5} more" if len(failed) > 5 else ""
        verdict = f"FAILED: {', '.join(failed[:5])}{more} (the row shows a point past its bound)"
        return [what, *_wrapped("", verdict, 0), *self._lost()]

    def _lost(self) -> list[str]:
        """The worst that the formula itself does."""
        if not self.findings:
            return []
        rest = len(self.findings) - 1
        more = "" if not rest else f", and in {rest} more place{'s' * (rest > 1)}"
        does = self.findings[0].does
        return _wrapped("", f"but the formula {does}{more}: see below", 0)

    def _notes(self) -> list[str]:
        notes = [*map(str, self.findings[:_PLACES]), *self._extent()]
        if len(self.findings) > _PLACES:
            notes.insert(_PLACES, f"... and {len(self.findings) - _PLACES} more such places")
        if not self.samples - self.undefined:
            notes.append(
                "no point was found where the loss is defined: give the symbols assumptions, such as positive=True"
            )
        if self.extremes:
            notes.append(f"{self.extremes} of the samples hold an extreme value: an end of the range, a kink, an edge")
        if self.undefined:
            notes.append(
                f"at {self.undefined} of the samples the loss is undefined: there it has to be NaN or infinite"
            )
        everything = (*self.rows, *self.others)
        if lost := sum(row.out_of_reach for row in everything):
            notes.append(
                f"{lost} values are out of double precision's reach (the formula overflows or underflows on the "
                "way, or cancels to the last digit): not counted; rescale or rearrange it if they matter"
            )
        if unknown := sum(row.without_truth for row in everything):
            notes.append(f"{unknown} values have no ground truth (digits did not settle): not counted")
        lines = [line for note in notes for line in _wrapped("* ", note)]
        return ["", *lines] if lines else []

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
    """Return what points are ordered by: those past their bound first, by how far; then the others, by their error."""
    failed = ulp > bound
    return failed, (ulp / bound if failed else ulp)


def badness(row: Row) -> tuple[bool, bool, float]:
    """Return what rows are ordered by, the worst greatest: those that fail above all others, then by their error."""
    return (not row.passed, *rank(row.ulp, row.bound)) if row.compared else (True, False, -1.0)


_HEADER = ["", "worst ULP", "bound", "median", "compiled", "at"]


def _cells(name: str, row: Row, number: Mapping[int, str]) -> list[str]:
    shown = name if len(name) <= _LONG else f"{name[: _LONG // 2]}...{name[3 - _LONG // 2 :]}"
    mark = ("  " if row.passed else "! ") + shown
    if not row.compared:
        return [mark, "not compared", "", "", "", ""]
    return [mark, _short(row.ulp), _short(row.bound), _short(row.median), f"{row.got:.9g}", number[id(row.point)]]


def _wrapped(start: str, text: str, indent: int | None = None) -> list[str]:
    """Lines of at most 78 columns; the later ones indented as far as the start, or as told."""
    inside = " " * (len(start) if indent is None else indent)
    lines = textwrap.wrap(text, _WIDTH, initial_indent=start, subsequent_indent=inside, break_on_hyphens=False)
    return [line.replace(_JOINED, " ") for line in lines]


def _short(number: float) -> str:
    return f"{number:.2f}" if number < 1000 else f"{number:.1e}"


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Lines with names and points to the left of their columns, numbers to the right."""
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    left = (0, 5)
    padded = [
        [cell.ljust(w) if i in left else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))]
        for line in table
    ]
    return ["  ".join(line).rstrip() for line in padded]


def _point(point: Mapping[str, float]) -> str:
    most = 12 if len(point) <= 50 else 4  # of a network's hundreds no dozen would tell more
    shown = [f"{name}={value!r}".replace(" ", _JOINED) for name, value in list(point.items())[:most]]
    return ", ".join(shown) + (f", ... ({len(point) - most} more)" if len(point) > most else "")
