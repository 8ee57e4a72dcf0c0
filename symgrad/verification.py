"""Verification: the compiled derivatives against the oracle's, in units in the last place.

A derivative passes at a point if it is within :data:`GATE` ULP of the true one, or within :data:`SLACK` times what
double precision itself strays at that point (``Reference.attainable_error``): a formula that cancels digits away does
so in any implementation. The slack: correct code with a nearly correctly rounded libm was seen at up to 10 times that
estimate (8 models, 20 seeds), and vector libraries err by up to 4 ULP where libm errs by 1.

Where there are very many parameters each point looks at some of the derivatives, drawn at random and in turn, so that
the points together look at all of them if they can; and where a single loss takes very many operations there are fewer
points. The report says so.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import mpmath
import numpy as np
from numpy.typing import NDArray

from .pipeline import compile as compile_risk
from .problem import EmpiricalRisk
from .reference import Reference, Sample, flat_names
from .verification_points import Block, draw
from .verification_report import GATE, Report, Row, rank

__all__ = ["GATE", "Report", "Row", "ulp_error", "verify", "verify_compiled"]

SLACK = 16.0
RUNS, MORE_RUNS = 4, 32  # of Monte Carlo arithmetic, at a point with an error past GATE, and at one that seems to fail
NO_DIGITS = 2.0**53  # a bound beyond this many ULP leaves no digit to compare
LEAST_DIGITS = 20
MANY = 500  # derivatives that are checked at one point, more only where the points would not get round to all
EFFORT = 4_000_000  # scalar operations of the loss, over all points: a minute or two
LEAST_SAMPLES = 20  # that the largest model gets

Progress = Callable[[int, int], None]
Array = NDArray[np.float64]
Point = tuple[float, ...]  # the values of all symbols


class Compiled(Protocol):
    """What is verified: the per-sample functions of a compiled risk."""

    def per_sample_loss(self, theta: Array, inputs: Array, targets: Array) -> Array: ...

    def per_sample_gradient(self, theta: Array, inputs: Array, targets: Array) -> Array: ...


def verify(
    risk: EmpiricalRisk, samples: int = 200, digits: int = 50, *, seed: int = 0, progress: Progress | None = None
) -> Report:
    """Compile a risk and compare its per-sample loss and gradient with the oracle's.

    Args:
        risk: the declared risk; it is compiled (or found in the cache) in float64.
        samples: how many points, about five for each ``theta``; most of them in the loss' domain. Models whose loss
            takes more than 20,000 operations get fewer than 200, and at least 20 of those asked for.
        digits: the decimal digits that the oracle starts with, at least 20; it raises them by itself where needed.
        seed: the same points (and, where there are more than 500, the same derivatives) for the same seed.
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
    wanted = min(samples, max(LEAST_SAMPLES, EFFORT // reference.operations))
    tallies = _Tallies(risk.parameters)
    turns = _Turns(reference.sizes[0], wanted, seed)
    done = undefined = 0
    for block in draw(risk, reference, wanted, seed):
        losses, gradients = _compiled_values(compiled, block)
        for row, (inputs, targets) in enumerate(zip(block.inputs, block.targets, strict=True)):
            positions = turns.take()
            exact = reference.sample(block.theta, inputs, targets, digits, parameters=positions)
            got = [float(losses[row]), *map(float, gradients[row][positions])]
            undefined += exact.loss is not None and bool(mpmath.isnan(exact.loss))
            _compare(tallies, reference, (block.theta, inputs, targets), got, exact, positions, seed=done)
            done += 1
            if progress is not None:
                progress(done, wanted)
    named = _Names(flat_names((*risk.parameters, *risk.inputs, *risk.targets)))
    loss, *rows = (tally.row(named, turns.each < turns.count) for tally in tallies.all)
    each = turns.each if turns.each < turns.count else 0
    asked = samples if wanted < samples else 0
    return Report(risk.name, tuple(rows), loss, done, undefined, digits, seed, each, asked)


class _Turns:
    """Which derivatives each point looks at: all, or so many at random, each once before any comes again."""

    def __init__(self, count: int, points: int, seed: int) -> None:
        self.count = count
        self.each = min(count, max(MANY, -(-count // points)))
        self._order = list(range(count))
        self._place = 0
        if self.each < count:
            random.Random(seed).shuffle(self._order)

    def take(self) -> list[int]:
        """The flat positions of the parameters for the next point, in order."""
        if self.each == self.count:
            return self._order
        taken = [self._order[(self._place + i) % self.count] for i in range(self.each)]
        self._place = (self._place + self.each) % self.count
        return sorted(taken)


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
    """What is remembered of the derivatives by one symbol while the samples go by."""

    name: str
    indices: Sequence[str] = ("",)  # of a matrix: of its elements, as text
    errors: list[float] = field(default_factory=list)
    worst: tuple[float, float, float, Any, Point, int] | None = None  # ulp, bound, got, expected, point, element
    compared: set[int] = field(default_factory=set)
    without_truth: int = 0
    out_of_reach: int = 0

    def add(self, ulp: float, bound: float, got: float, expected: Any, point: Point, element: int = 0) -> None:
        self.errors.append(ulp)
        self.compared.add(element)
        if self.worst is None or rank(ulp, bound) > rank(*self.worst[:2]):
            self.worst = (ulp, bound, got, expected, point, element)

    def row(self, named: Callable[[Point], Mapping[str, float]], drawn: bool = False) -> Row:
        lost = (self.without_truth, self.out_of_reach)
        size = len(self.indices)
        if self.worst is None:
            return Row(self.name, math.nan, GATE, math.nan, math.nan, "", {}, 0, *lost, "", size, size, drawn)
        ulp, bound, got, expected, point, element = self.worst
        median = sorted(self.errors)[len(self.errors) // 2]
        text, count = mpmath.nstr(expected, 20), len(self.errors)
        index, unchecked = self.indices[element], size - len(self.compared)
        return Row(self.name, ulp, bound, median, got, text, named(point), count, *lost, index, size, unchecked, drawn)


class _Tallies:
    """The loss' tally, and those of the declared parameters."""

    def __init__(self, symbols: Sequence[Any]) -> None:
        self.all = [_Tally("loss")]
        self._places: list[tuple[_Tally, int]] = []  # for each flat parameter
        for symbol in symbols:
            name = str(symbol.name)
            tally = _Tally(name, [flat_name[len(name) :] for flat_name in flat_names([symbol])])
            self.all.append(tally)
            self._places += [(tally, element) for element in range(len(tally.indices))]

    def of(self, positions: Sequence[int]) -> list[tuple[_Tally, int]]:
        """The loss' tally, then those of some flat parameters, each with the element."""
        return [(self.all[0], 0), *(self._places[position] for position in positions)]


class _Names:
    """A point as a mapping from names, the same object for the same point."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._known: dict[int, Mapping[str, float]] = {}

    def __call__(self, point: Point) -> Mapping[str, float]:
        if id(point) not in self._known:
            self._known[id(point)] = dict(zip(self._names, point, strict=True))
        return self._known[id(point)]


def _compare(
    tallies: _Tallies,
    reference: Reference,
    values: tuple[Point, Point, Point],
    got: Sequence[float],
    exact: Sample,
    positions: Sequence[int],
    seed: int,
) -> None:
    """Put one sample's errors into the tallies. Where the loss is undefined its derivatives say nothing."""
    if exact.loss is not None and mpmath.isnan(exact.loss):
        exact, positions = Sample(exact.loss, ()), ()
    wanted: Sequence[Any] = (exact.loss, *exact.gradient)
    errors = [math.nan if e is None else ulp_error(g, e) for g, e in zip(got, wanted, strict=False)]
    bounds = _bounds(reference, values, exact, positions, errors, seed)
    point = tuple(value for group in values for value in group)
    for (tally, element), error, g, e, bound in zip(tallies.of(positions), errors, got, wanted, bounds, strict=False):
        if e is None:
            tally.without_truth += 1
        elif GATE < error <= bound and bound > NO_DIGITS:
            tally.out_of_reach += 1
        else:
            tally.add(error, bound, g, e, point, element)


def _bounds(
    reference: Reference,
    values: tuple[Point, Point, Point],
    exact: Sample,
    positions: Sequence[int],
    errors: Sequence[float],
    seed: int,
) -> list[float]:
    """What passes, in ULP, for the loss and each derivative; it is worth an estimate only where there are errors."""
    wanted = (exact.loss, *exact.gradient)
    if not any(error > GATE for error in errors):
        return [GATE] * len(wanted)
    strays = reference.attainable_error(*values, exact, RUNS, seed, parameters=positions)
    bounds = [_bound(stray, e) for stray, e in zip(strays, wanted, strict=True)]
    failing = [i for i, (error, bound) in enumerate(zip(errors, bounds, strict=True)) if error > bound]
    if failing:
        derivatives = [i - 1 for i in failing if i]
        again = Sample(exact.loss, tuple(exact.gradient[i] for i in derivatives))
        chosen = [positions[i] for i in derivatives]
        strays = reference.attainable_error(*values, again, MORE_RUNS, seed, parameters=chosen)
        for i, stray in zip((0, *(i + 1 for i in derivatives)), strays, strict=True):
            bounds[i] = _bound(stray, wanted[i])
    return bounds


def _bound(stray: float, expected: Any) -> float:
    """What passes at this point, in ULP."""
    if not stray or expected is None or not mpmath.isfinite(expected):
        return GATE
    return max(GATE, SLACK * float(mpmath.ldexp(mpmath.mpf(stray), -_ulp_exponent(expected))))


def _compiled_values(compiled: Compiled, block: Block) -> tuple[Array, Array]:
    """The compiled losses and derivatives of the samples of a block."""
    count = len(block.inputs)
    theta = np.array(block.theta, dtype=np.float64)
    inputs = np.array(block.inputs, dtype=np.float64).reshape(count, -1 if block.inputs[0] else 0)
    targets = np.array(block.targets, dtype=np.float64).reshape(count, -1 if block.targets[0] else 0)
    losses = np.asarray(compiled.per_sample_loss(theta, inputs, targets), dtype=np.float64)
    gradients = np.asarray(compiled.per_sample_gradient(theta, inputs, targets), dtype=np.float64)
    return losses, gradients


def _check_counts(samples: int, digits: int) -> None:
    if samples < 1:
        raise ValueError(f"samples: expected at least 1, got {samples}; 200 is a good start")
    if digits < LEAST_DIGITS:
        raise ValueError(
            f"digits: expected at least {LEAST_DIGITS} (a double has 17), got {digits}; leave it out to get 50"
        )
