"""Comparing: what was computed beside what is true, sample by sample, within the bounds of ``judge``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from symgrad.declare import EmpiricalRisk
from symgrad.oracle import Bound, Reference, Result, Rounding, Sample, flat_names

from .points import Block
from .report import GATE, Finding, Report
from .tally import Findings, Names, Point, Tally
from .ulp import penalty_error, ulp_error

SLACK = 4.0
NO_DIGITS = 2.0**50  # a bound beyond this many ULP leaves no digit to compare
HALF = 2.0**26  # an error of so many ULP takes half of the digits
_PLACES = 100  # that are looked for, of lost digits: each takes a while

Array = NDArray[np.float64]
Groups = tuple[Point, Point, Point]  # parameters, inputs and targets


class Judge:
    """Compares gradients sample by sample, and remembers."""

    order = 1

    def __init__(self, tallies: Any, reference: Reference, digits: int) -> None:
        self._reference, self._digits = reference, digits
        self._tallies, self._findings = tallies, Findings()
        self._undefined = self._places = 0

    def sample(self, values: Groups, got: Sequence[float], positions: Sequence[Any]) -> None:
        """Compare a sample's loss and derivatives. Where the loss is undefined its derivatives say nothing."""
        exact = self._exact(values, positions)
        if exact.loss is not None and mpmath.isnan(exact.loss):
            self._undefined += 1
            exact, positions = Sample(exact.loss, (), exact.digits), ()
        wanted = (exact.loss, *exact.gradient)
        errors = [math.nan if e is None else ulp_error(g, e) for g, e in zip(got, wanted, strict=False)]
        self._compare(self._tallies.of(positions), values, got, exact, positions, errors)

    def penalty(self, block: Block, sums: Array, losses: Array, gradients: Array, positions: Sequence[Any]) -> None:
        """Compare the penalty, which shows in what the mean of one sample has more than the sample.

        ``gradients`` hold the derivatives at some positions, ``sums`` the loss and then these.
        """
        exact = self._exact_penalty(block.theta, positions)
        if exact.loss is None or mpmath.isnan(exact.loss):
            return
        own = np.column_stack([losses, gradients])
        values = (block.theta, (0.0,) * self._reference.sizes[1], (0.0,) * self._reference.sizes[2])
        got, errors = [], []
        for column, expected in enumerate((exact.loss, *exact.gradient)):
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
        positions: Sequence[Any],
        errors: Sequence[float],
        *,
        penalty: bool = False,
    ) -> None:
        # a derivative that is NaN for the oracle came through an infinity: there may be a limit, as in exp(-1/0)
        point = values[0] if penalty else tuple(value for group in values for value in group)
        results: list[Result] = [None, *positions]
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
        self, values: Groups, exact: Sample, results: Sequence[Result], penalty: bool
    ) -> tuple[Rounding | None, Sequence[Bound]]:
        """The bounds of some results; they are worth their time only where there are errors."""
        if not results:
            return None, []
        rounding = self._rounding(values, exact.digits, [r for r in results if r is not None], penalty)
        return rounding, [Bound(math.inf)] * len(results) if rounding is None else rounding.bounds(results)

    def _exact(self, values: Groups, positions: Sequence[Any]) -> Sample:
        return self._reference.sample(*values, self._digits, parameters=positions)

    def _exact_penalty(self, theta: Point, positions: Sequence[Any]) -> Sample:
        return self._reference.penalty(theta, self._digits, parameters=positions)

    def _rounding(self, values: Groups, digits: int, wanted: Sequence[Any], penalty: bool) -> Rounding | None:
        return self._reference.rounding(*values, digits, parameters=wanted, penalty=penalty)

    def _find(
        self,
        rounding: Rounding,
        result: Result,
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
        """Return what was found."""
        named = Names(flat_names((*risk.parameters, *risk.inputs, *risk.targets)))
        tallies = self._tallies
        return Report(
            risk.name, tuple(tally.row(named, each > 0) for tally in tallies.rows), tallies.loss.row(named),
            samples, self._undefined, self._digits, seed, each, asked,
            penalty=None if risk.penalty is None else tallies.penalty.row(named, drawn=True),
            extremes=extremes, findings=self._findings.all(named), ill_conditioned=self._findings.count,
            order=self.order,
        )  # fmt: skip


def _allowed(bound: Bound, got: float, expected: Any) -> float:
    """The bound that counts: an overflow on the way is no excuse for a number where the true one overflows too."""
    if not mpmath.isfinite(expected):
        return 0.0
    return bound.within if abs(expected) >= mpmath.ldexp(1, 1024) and not math.isnan(got) else bound.error


def arrays_of(block: Block) -> tuple[Array, Array, Array]:
    """Return theta, inputs and targets of a block's samples."""
    count = len(block.inputs)
    theta = np.array(block.theta, dtype=np.float64)
    inputs = np.array(block.inputs, dtype=np.float64).reshape(count, -1 if block.inputs[0] else 0)
    targets = np.array(block.targets, dtype=np.float64).reshape(count, -1 if block.targets[0] else 0)
    return theta, inputs, targets
