"""Verification: the compiled derivatives against the oracle's, in units in the last place.

A derivative passes at a point if it is within :data:`GATE` ULP of the true one, or within :data:`SLACK` times the
running error bound of the formula there (``rounding``): half a unit in the last place for arithmetic, one for a
function, each as far as the result hangs on it. What symgrad promises to compute as one function, ``log(1 + exp(x))``
say, counts as one function. A NaN or an infinity where the true number is a double fails, unless the formula as it
stands has not one digit left there, which is mostly because it leaves the range of doubles on the way.

Where more than half of the digits are lost within the bound, the report names the part of the declaration that loses
them, and whether another form could keep them.

Where there are very many parameters each point looks at some of the derivatives, drawn at random and in turn, so that
the points together look at all of them if they can; and where a single loss takes very many operations there are fewer
points. The report says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import mpmath
import numpy as np
from numpy.typing import NDArray

from symgrad.declare import EmpiricalRisk
from symgrad.oracle import Bound, Reference, Rounding, Sample, flat_names
from symgrad.pipeline import compile as compile_risk

from .points import Block, draw
from .report import GATE, Finding, Report, Row
from .tally import MANY, Findings, Names, Point, Tallies, Tally, Turns
from .ulp import penalty_error, ulp_error

__all__ = ["GATE", "Report", "Row", "ulp_error", "verify", "verify_compiled"]

SLACK = 4.0
NO_DIGITS = 2.0**50  # a bound beyond this many ULP leaves no digit to compare
HALF = 2.0**26  # an error of so many ULP takes half of the digits
LEAST_DIGITS = 20
EFFORT = 4_000_000  # scalar operations of the loss, over all points: a minute or two
LEAST_SAMPLES = 20  # that the largest model gets
_PLACES = 100  # that are looked for, of lost digits: each takes a while

Progress = Callable[[int, int], None]
Array = NDArray[np.float64]
Groups = tuple[Point, Point, Point]  # parameters, inputs and targets


class Compiled(Protocol):
    """What is verified: the per-sample functions of a compiled risk; of one with a penalty the mean ones too."""

    def per_sample_loss(self, theta: Array, inputs: Array, targets: Array) -> Array:
        """Return the losses (N,) of samples at one theta (P,)."""

    def per_sample_gradient(self, theta: Array, inputs: Array, targets: Array) -> Array:
        """Return the losses' gradients (N, P) at one theta (P,)."""


def verify(
    risk: EmpiricalRisk, samples: int = 200, digits: int = 50, *, seed: int = 0, progress: Progress | None = None
) -> Report:
    """Compile a risk and compare its per-sample loss and gradient with the oracle's.

    Args:
        risk: the declared risk; it is compiled (or found in the cache) in float64.
        samples: how many points, up to five for each ``theta``; most of them in the loss' domain. Models whose loss
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
    """Return the report of :func:`verify` on a compiled risk, or on anything that has its two functions."""
    _check_counts(samples, digits)
    reference = Reference(risk)
    wanted = min(samples, max(LEAST_SAMPLES, EFFORT // reference.operations))
    judge, turns = _Judge(risk, reference, digits), Turns(reference.sizes[0], wanted, seed, MANY)
    done = extremes = 0
    for block in draw(risk, reference, wanted, seed):
        losses, gradients = _compiled_values(compiled, block)
        extremes += block.extremes
        positions = list[int]()
        for row, (inputs, targets) in enumerate(zip(block.inputs, block.targets, strict=True)):
            positions = turns.take()
            got = [float(losses[row]), *map(float, gradients[row][positions])]
            judge.sample((block.theta, inputs, targets), got, positions)
            done += 1
            if progress is not None:
                progress(done, wanted)
        if risk.penalty is not None:
            judge.penalty(block, _sums(compiled, block), losses, gradients, positions)
    each = turns.each if turns.each < turns.count else 0
    return judge.report(risk, done, extremes, seed, each, samples if wanted < samples else 0)


class _Judge:
    """Compares sample by sample, and remembers."""

    def __init__(self, risk: EmpiricalRisk, reference: Reference, digits: int) -> None:
        self._reference, self._digits = reference, digits
        self._tallies, self._findings = Tallies(risk.parameters), Findings()
        self._undefined = self._places = 0

    def sample(self, values: Groups, got: Sequence[float], positions: Sequence[int]) -> None:
        """Compare a sample's loss and derivatives. Where the loss is undefined its derivatives say nothing."""
        exact = self._reference.sample(*values, self._digits, parameters=positions)
        if exact.loss is not None and mpmath.isnan(exact.loss):
            self._undefined += 1
            exact, positions = Sample(exact.loss, (), exact.digits), ()
        wanted = (exact.loss, *exact.gradient)
        errors = [math.nan if e is None else ulp_error(g, e) for g, e in zip(got, wanted, strict=False)]
        self._compare(self._tallies.of(positions), values, got, exact, positions, errors)

    def penalty(self, block: Block, sums: Array, losses: Array, gradients: Array, positions: Sequence[int]) -> None:
        """Compare the penalty, which shows in what the mean of one sample has more than the sample."""
        exact = self._reference.penalty(block.theta, self._digits, parameters=positions)
        if exact.loss is None or mpmath.isnan(exact.loss):
            return
        own = np.column_stack([losses, gradients])
        values = (block.theta, (0.0,) * self._reference.sizes[1], (0.0,) * self._reference.sizes[2])
        got, errors = [], []
        for column, expected in zip((0, *(1 + p for p in positions)), (exact.loss, *exact.gradient), strict=True):
            row = int(np.argmin(np.where(np.isfinite(own[:, column]), np.abs(own[:, column]), np.inf)))
            together, alone = float(sums[row, column]), float(own[row, column])
            got.append(together - alone)
            errors.append(math.nan if expected is None else penalty_error(together, alone, expected))
        self._compare(self._tallies.of_penalty(positions), values, got, exact, positions, errors, penalty=True)

    def _compare(
        self,
        tallies: Sequence[tuple[Tally, int]],
        values: Groups,
        got: Sequence[float],
        exact: Sample,
        positions: Sequence[int],
        errors: Sequence[float],
        *,
        penalty: bool = False,
    ) -> None:
        # a derivative that is NaN for the oracle came through an infinity: there may be a limit, as in exp(-1/0)
        point = values[0] if penalty else tuple(value for group in values for value in group)
        results: list[int | None] = [None, *positions]
        large = [i for i, error in enumerate(errors) if error > GATE]
        rounding, bounds = self._bounds(values, exact, [results[i] for i in large], penalty)
        allowed = dict(zip(large, bounds, strict=True))
        for i, ((tally, element), error, g, e) in enumerate(
            zip(tallies, errors, got, (exact.loss, *exact.gradient), strict=False)
        ):
            bound = max(GATE, SLACK * _allowed(allowed[i], g, e)) if i in allowed else GATE
            if e is None or (i > 0 and mpmath.isnan(e) and not math.isnan(g)):
                tally.without_truth += 1
                continue
            if math.isnan(error):
                continue  # of a penalty, where no sample has a finite value to tell it from
            beyond = bound > NO_DIGITS
            if beyond:
                tally.out_of_reach += 1
            else:
                tally.add(error, bound, g, e, point, element)
            if rounding is not None and error > HALF and (beyond or error <= bound):
                self._find(rounding, results[i], error, allowed[i], tally.label(element), point, penalty)

    def _bounds(
        self, values: Groups, exact: Sample, results: Sequence[int | None], penalty: bool
    ) -> tuple[Rounding | None, Sequence[Bound]]:
        """The bounds of some results; they are worth their time only where there are errors."""
        if not results:
            return None, []
        wanted = [result for result in results if result is not None]
        rounding = self._reference.rounding(*values, exact.digits, parameters=wanted, penalty=penalty)
        return rounding, [Bound(math.inf)] * len(results) if rounding is None else rounding.bounds(results)

    def _find(
        self,
        rounding: Rounding,
        result: int | None,
        error: float,
        bound: Bound,
        label: str,
        point: Point,
        penalty: bool,
    ) -> None:
        self._findings.count += 1
        self._places += 1
        place = rounding.place(result) if self._places <= _PLACES else None
        if place is not None:
            moved = bound.conditioning * 4 * SLACK >= min(error, NO_DIGITS)
            kind = place.beyond or ("data" if moved else "formula")
            where = self._reference.text(place, penalty=penalty)
            bits = min(53, int(math.log2(error))) if error < math.inf else 53
            self._findings.add(Finding(bits, kind, where, label), point)

    def report(self, risk: EmpiricalRisk, samples: int, extremes: int, seed: int, each: int, asked: int) -> Report:
        named = Names(flat_names((*risk.parameters, *risk.inputs, *risk.targets)))
        tallies = self._tallies
        return Report(
            risk.name, tuple(tally.row(named, each > 0) for tally in tallies.rows), tallies.loss.row(named),
            samples, self._undefined, self._digits, seed, each, asked,
            penalty=None if risk.penalty is None else tallies.penalty.row(named, drawn=True),
            extremes=extremes, findings=self._findings.all(named), ill_conditioned=self._findings.count,
        )  # fmt: skip


def _allowed(bound: Bound, got: float, expected: Any) -> float:
    """The bound that counts: an overflow on the way is no excuse for a number where the true one overflows too."""
    if not mpmath.isfinite(expected):
        return 0.0
    return bound.within if abs(expected) >= mpmath.ldexp(1, 1024) and not math.isnan(got) else bound.error


def _sums(compiled: Any, block: Block) -> Array:
    """The mean loss and gradient of each sample of a block alone: its own, plus the penalty's."""
    theta, inputs, targets = _arrays(block)
    with np.errstate(all="ignore"):
        return np.array(
            [
                [compiled.risk(theta, u, t), *compiled.gradient(theta, u, t)]
                for u, t in ((inputs[i : i + 1], targets[i : i + 1]) for i in range(len(inputs)))
            ]
        )


def _compiled_values(compiled: Compiled, block: Block) -> tuple[Array, Array]:
    """The compiled losses and derivatives of the samples of a block."""
    theta, inputs, targets = _arrays(block)
    losses = np.asarray(compiled.per_sample_loss(theta, inputs, targets), dtype=np.float64)
    gradients = np.asarray(compiled.per_sample_gradient(theta, inputs, targets), dtype=np.float64)
    return losses, gradients


def _arrays(block: Block) -> tuple[Array, Array, Array]:
    count = len(block.inputs)
    theta = np.array(block.theta, dtype=np.float64)
    inputs = np.array(block.inputs, dtype=np.float64).reshape(count, -1 if block.inputs[0] else 0)
    targets = np.array(block.targets, dtype=np.float64).reshape(count, -1 if block.targets[0] else 0)
    return theta, inputs, targets


def _check_counts(samples: int, digits: int) -> None:
    if samples < 1:
        raise ValueError(f"samples: expected at least 1, got {samples}; 200 is a good start")
    if digits < LEAST_DIGITS:
        raise ValueError(
            f"digits: expected at least {LEAST_DIGITS} (a double has 17), got {digits}; leave it out to get 50"
        )
