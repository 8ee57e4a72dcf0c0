"""Errors to text: the cells and tables of docs/accuracy.md."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mpmath import mp

from tests.helpers.atoms import ulps

SMALLEST_NORMAL = 2.0**-1022
GATE = 4.0


@dataclass(frozen=True, slots=True)
class Found:
    """One result: its error in ULP, where, what came, and the double nearest to what is true."""

    error: float
    at: tuple[float, ...]
    got: float
    true: float


@dataclass(frozen=True, slots=True)
class Cell:
    """The worst result over ordinary points, and over those where a number is subnormal; None: no such points."""

    ordinary: Found | None
    subnormal: Found | None

    @property
    def worst(self) -> float:
        return max(found.error for found in (self.ordinary, self.subnormal) if found is not None)


def judged(points: Sequence[tuple[float, ...]], got: Sequence[float], truths: Sequence[Any]) -> Cell:
    ordinary, subnormal = list[Found](), list[Found]()
    for at, g, true in zip(points, got, truths, strict=True):
        if mp.isnan(true):
            continue
        small = any(0 < abs(x) < SMALLEST_NORMAL for x in at)
        # a result that is not even finite is nothing that a subnormal truth could excuse
        small = small or (0 < abs(true) < SMALLEST_NORMAL and math.isfinite(g))
        (subnormal if small else ordinary).append(Found(ulps(g, true), at, g, float(true)))
    return Cell(_worst(ordinary), _worst(subnormal))


def _worst(results: list[Found]) -> Found | None:
    """The greatest error; among equals (many a NaN) the one nearest to 1, where one looks first."""
    return max(results, key=lambda f: (f.error, -sum(abs(math.log(abs(x) or 1)) for x in f.at)), default=None)


def cell_text(cell: Cell | None) -> str:
    if cell is None or cell.ordinary is None:
        return "none"
    found = cell.ordinary
    return "0" if found.error == 0 else error_at(found)


def error_at(found: Found) -> str:
    return f"{_error_text(found)} at {place(found.at)}"


def _error_text(found: Found) -> str:
    if math.isfinite(found.error):
        return number(found.error)
    if math.isnan(found.got):
        return "NaN"
    if math.isinf(found.got):
        return "inf" if found.got > 0 else "-inf"
    return "not inf" if math.isinf(found.true) else ">1e308"


def number(error: float) -> str:
    if error == 0:
        return "0"
    if error < 0.05:
        return "<0.1"
    return f"{error:.1f}" if error < 10 else f"{error:.0f}" if error < 1000 else _short(f"{error:.0e}")


def place(at: tuple[float, ...]) -> str:
    texts = [_coordinate(x) for x in at]
    return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"


def _coordinate(x: float) -> str:
    text = _short(f"{x:.3g}")
    if abs(float(text)) == 1 and abs(x) != 1:  # the neighbours of 1
        return f"{text}{'+' if x > float(text) else '-'}{_short(f'{abs(x - float(text)):.1e}')}"
    return text


def _short(text: str) -> str:
    return text.replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")


def table(heading: str, columns: Sequence[str], rows: Mapping[str, Sequence[Cell | str | None]]) -> list[str]:
    lines = [f"| {heading} | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for name, cells in rows.items():
        texts = [cell if isinstance(cell, str) else cell_text(cell) for cell in cells]
        lines.append(f"| `{name}` | {' | '.join(texts)} |")
    return lines


def paragraph(text: str) -> str:
    """Lines as long as the page's others."""
    return "\n".join(
        textwrap.wrap(text, 120, subsequent_indent="  " if text.startswith("- ") else "", break_on_hyphens=False)
    )


def tally(cells: Sequence[Cell | None], of: str) -> str:
    """How many cells' results are beyond the gate, of those that there are."""
    found = [f for cell in cells if cell is not None and (f := getattr(cell, of)) is not None]
    return f"{sum(f.error > GATE for f in found)} of {len(found)}" if found else "none"
