"""Verification: the compiled derivative of every parameter against the oracle's, in units in the last place.

A derivative passes at a point if it is within :data:`GATE` ULP of the true one, or within :data:`SLACK` times what
double precision itself strays at that point (``Reference.attainable_error``): a formula that cancels digits away does
so in any implementation. The slack: correct code with a nearly correctly rounded libm was seen at up to 10 times that
estimate (8 models, 20 seeds), and vector libraries err by up to 4 ULP where libm errs by 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import mpmath
import numpy as np
from numpy.typing import NDArray

from .pipeline import compile as compile_risk
from .problem import EmpiricalRisk, leaves
from .reference import Reference, Sample
from .verification_points import Block, draw

GATE = 4.0
SLACK = 16.0
RUNS, MORE_RUNS = 4, 32  # of Monte Carlo arithmetic, at a point with an error past GATE, and at one that seems to fail
NO_DIGITS = 2.0**53  # a bound beyond this many ULP leaves no digit to compare
LEAST_DIGITS = 20
SHOWN = 20  # with more parameters than this the table shows the worst of them

Progress = Callable[[int, int], None]
Array = NDArray[np.float64]


class Compiled(Protocol):
    """What is verified: the per-sample functions of a compiled risk."""

    def per_sample_loss(self, theta: Array, inputs: Array, targets: Array) -> Array: ...

    def per_sample_gradient(self, theta: Array, inputs: Array, targets: Array) -> Array: ...


@dataclass(frozen=True, slots=True)
class Row:
    """The worst point of one derivative (or of the loss).

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

    @property
    def passed(self) -> bool:
        return self.compared > 0 and self.ulp <= self.bound


@dataclass(frozen=True)
class Report:
    """What ``verify`` found: one row for each derivative, in the parameters' order, and one for the loss."""

    name: str
    rows: tuple[Row, ...]
    loss: Row
    samples: int
    undefined: int
    digits: int
    seed: int

    @property
    def passed(self) -> bool:
        """Whether every derivative and the loss are as close to the true numbers as double precision can come."""
        return self.loss.passed and all(row.passed for row in self.rows)

    @property
    def worst(self) -> Row:
        """The row with the largest error, a failing one first."""
        return max(self.rows, key=_badness)

    def table(self) -> str:
        """The report as text for a person; the worst rows first (and only those) where there are many."""
        shown = list(self.rows)
        if len(shown) > SHOWN:
            shown = sorted(shown, key=_badness, reverse=True)[:SHOWN]
        points = list({id(row.point): row.point for row in (*shown, self.loss) if row.compared}.values())
        number = {id(point): f"({n})" for n, point in enumerate(points, 1)}
        cells = [
            _cells(name, row, number) for name, row in [*((f"d/d {r.name}", r) for r in shown), ("loss", self.loss)]
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
            bound = f"{GATE:g} ULP, or what rounding costs the formula as written"
            return f"{what}\nPASSED: every value is within its bound: {bound}"
        failed = [row.name for row in (*self.rows, self.loss) if not row.passed]
        more = f" and {len(failed) - 5} more" if len(failed) > 5 else ""
        return f"{what}\nFAILED: {', '.join(failed[:5])}{more} (the row shows a point past its bound)"

    def _notes(self) -> list[str]:
        everything = (*self.rows, self.loss)
        notes = []
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


def verify(
    risk: EmpiricalRisk, samples: int = 200, digits: int = 50, *, seed: int = 0, progress: Progress | None = None
) -> Report:
    """Compile a risk and compare its per-sample loss and gradient with the oracle's.

    Args:
        risk: the declared risk; it is compiled (or found in the cache) in float64.
        samples: how many points, about ten for each ``theta``; most of them in the loss' domain.
        digits: the decimal digits that the oracle starts with, at least 20; it raises them by itself where needed.
        seed: the same points for the same seed.
        progress: called with (samples done, samples wanted) as the work goes on.

    Raises:
        ValueError: samples or digits too small.
        BuildError: the risk could not be compiled.
    """
    _check_counts(samples, digits)
    return verify_compiled(risk, compile_risk(risk), samples, digits, seed=seed, progress=progress)


def verify_compiled(
    risk: EmpiricalRisk,
    compiled: Compiled,
    samples: int = 200,
    digits: int = 50,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Report:
    """As :func:`verify`, for a risk that has been compiled already (or for anything with its two functions)."""
    _check_counts(samples, digits)
    reference = Reference(risk)
    symbols = tuple(map(str, leaves(*risk.parameters, *risk.inputs, *risk.targets)))
    tallies = [_Tally(name) for name in ("loss", *reference.names)]
    done = undefined = 0
    for block in draw(risk, reference, samples, seed):
        got = _compiled_values(compiled, block)
        for values, inputs, targets in zip(got, block.inputs, block.targets, strict=True):
            exact = reference.sample(block.theta, inputs, targets, digits)
            point = dict(zip(symbols, (*block.theta, *inputs, *targets), strict=True))
            undefined += exact.loss is not None and bool(mpmath.isnan(exact.loss))
            _compare(tallies, reference, point, values, exact, seed=done)
            done += 1
            if progress is not None:
                progress(done, samples)
    loss, *rows = (tally.row() for tally in tallies)
    return Report(risk.name, tuple(rows), loss, done, undefined, digits, seed)


def ulp_error(got: float, expected: Any) -> float:
    """The distance of a double from a real number (mpf), in units in the last place of the latter's binade.

    Subnormal numbers share the unit 2**-1074. A number past the largest double counts as 2**1024, and so does an
    infinite ``got``, so that overflow is right exactly where the true number overflows. Where the true number is NaN
    or an exact infinity (a pole) there is no number to be near: NaN and both infinities are right, others are not.
    """
    if not mpmath.isfinite(expected):
        return math.inf if math.isfinite(got) else 0.0
    if math.isnan(got):
        return math.inf
    top = mpmath.mpf(2) ** 1024
    with mpmath.workprec(max(300, expected._mpf_[3] + 60)):
        true = max(-top, min(top, expected))
        if math.isinf(got) and abs(true) < top / 2:
            return math.inf
        found = math.copysign(1, got) * top if math.isinf(got) else mpmath.mpf(got)
        return float(mpmath.ldexp(abs(found - true), -_ulp_exponent(true)))


def _ulp_exponent(x: Any) -> int:
    """e with ulp(x) = 2**e."""
    _, mantissa, exponent, bits = x._mpf_
    return min(971, max(-1074, exponent + bits - 53)) if mantissa else -1074


@dataclass(slots=True)
class _Tally:
    """What is remembered of one derivative while the samples go by."""

    name: str
    errors: list[float] = field(default_factory=list)
    worst: tuple[float, float, float, Any, Mapping[str, float]] | None = None  # ulp, bound, got, expected, point
    without_truth: int = 0
    out_of_reach: int = 0

    def add(self, ulp: float, bound: float, got: float, expected: Any, point: Mapping[str, float]) -> None:
        self.errors.append(ulp)
        if self.worst is None or _rank(ulp, bound) > _rank(*self.worst[:2]):
            self.worst = (ulp, bound, got, expected, point)

    def row(self) -> Row:
        if self.worst is None:
            nothing: Mapping[str, float] = {}
            return Row(
                self.name, math.nan, GATE, math.nan, math.nan, "", nothing, 0, self.without_truth, self.out_of_reach
            )
        ulp, bound, got, expected, point = self.worst
        median = sorted(self.errors)[len(self.errors) // 2]
        text = mpmath.nstr(expected, 20)
        count = len(self.errors)
        return Row(self.name, ulp, bound, median, got, text, point, count, self.without_truth, self.out_of_reach)


def _rank(ulp: float, bound: float) -> tuple[bool, float]:
    """A point past its bound ranks above all that are not, by how far it is past; the others by their error."""
    failed = ulp > bound
    return failed, (ulp / bound if failed else ulp)


def _badness(row: Row) -> tuple[bool, float]:
    return (not row.passed, -1.0) if row.compared == 0 else _rank(row.ulp, row.bound)


def _compare(
    tallies: Sequence[_Tally],
    reference: Reference,
    point: Mapping[str, float],
    got: Sequence[float],
    exact: Sample,
    seed: int,
) -> None:
    """Put one sample's errors into the tallies. Where the loss is undefined its derivatives say nothing."""
    wanted: Sequence[Any] = (exact.loss, *exact.gradient)
    if exact.loss is not None and mpmath.isnan(exact.loss):
        wanted = wanted[:1]
    errors = [math.nan if e is None else ulp_error(g, e) for g, e in zip(got, wanted, strict=False)]
    strays: Sequence[float] = [0.0] * len(errors)
    if any(error > GATE for error in errors):
        theta, inputs, targets = _split(reference, tuple(point.values()))
        strays = reference.attainable_error(theta, inputs, targets, exact, RUNS, seed)
        if any(error > _bound(s, e) for error, s, e in zip(errors, strays, wanted, strict=False) if e is not None):
            strays = reference.attainable_error(theta, inputs, targets, exact, MORE_RUNS, seed)
    for tally, error, g, e, stray in zip(tallies, errors, got, wanted, strays, strict=False):
        if e is None:
            tally.without_truth += 1
            continue
        bound = _bound(stray, e)
        if GATE < error <= bound and bound > NO_DIGITS:
            tally.out_of_reach += 1
        else:
            tally.add(error, bound, g, e, point)


def _bound(stray: float, expected: Any) -> float:
    """What passes at this point, in ULP."""
    if not stray or not mpmath.isfinite(expected):
        return GATE
    return max(GATE, SLACK * float(mpmath.ldexp(mpmath.mpf(stray), -_ulp_exponent(expected))))


def _split(reference: Reference, values: tuple[float, ...]) -> tuple[tuple[float, ...], ...]:
    parameters, inputs, _ = reference.sizes
    return values[:parameters], values[parameters : parameters + inputs], values[parameters + inputs :]


def _compiled_values(compiled: Compiled, block: Block) -> list[list[float]]:
    """For each sample of a block the compiled loss, then its derivatives."""
    count = len(block.inputs)
    theta = np.array(block.theta, dtype=np.float64)
    inputs = np.array(block.inputs, dtype=np.float64).reshape(count, -1 if block.inputs[0] else 0)
    targets = np.array(block.targets, dtype=np.float64).reshape(count, -1 if block.targets[0] else 0)
    losses = np.asarray(compiled.per_sample_loss(theta, inputs, targets), dtype=np.float64)
    gradients = np.asarray(compiled.per_sample_gradient(theta, inputs, targets), dtype=np.float64)
    return [[float(loss), *map(float, row)] for loss, row in zip(losses, gradients, strict=True)]


def _check_counts(samples: int, digits: int) -> None:
    if samples < 1:
        raise ValueError(f"samples: expected at least 1, got {samples}; 200 is a good start")
    if digits < LEAST_DIGITS:
        raise ValueError(
            f"digits: expected at least {LEAST_DIGITS} (a double has 17), got {digits}; leave it out to get 50"
        )


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
    shown = [f"{name}={value!r}" for name, value in list(point.items())[:12]]
    return ", ".join(shown) + (f", ... ({len(point) - 12} more)" if len(point) > 12 else "")
