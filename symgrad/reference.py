"""The oracle: a declared risk evaluated and differentiated with mpmath, sharing nothing with what symgrad compiles.

The *declared* expressions are flattened (``reference_tape``) and run forward as dual numbers: a value and its partial
derivatives in those parameters it depends on (Wengert 1964; Griewank and Walther, *Evaluating Derivatives*, chapter
3), with the hand-written rules of ``reference_functions``. Results are real numbers of any precision:

* complex or undefined values are NaN; a division by zero or a logarithm of zero is an infinity, zero counting as +0;
* the range is not a double's: nothing overflows, and a result past the largest double is simply larger;
* everything is evaluated twice, at ``digits`` and at twice as many. Where the two differ, the precision doubles until
  they agree; where they never do, the result is None: there is no ground truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mpmath

from .problem import EmpiricalRisk, leaves
from .reference_functions import OutOfReach
from .reference_run import TAINT, RandomRounding, Run, context_of
from .reference_tape import Tape, leaf_key, record

MOST_DIGITS = 3200
_NOTHING = mpmath.mpf(10) ** -330  # two results below this round to the same double, zero
_OVERFLOW = mpmath.mpf(2) ** 1024
_AGREEMENT = 0.6  # two evaluations agree if they share this part of the lower one's digits


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample's loss and its gradient (flat parameters), as mpf; None where there is no ground truth."""

    loss: Any
    gradient: tuple[Any, ...]


class Reference:
    """A declared risk, ready to be evaluated.

    Values go in as doubles and are taken exactly: ``theta`` flat, ``inputs`` and ``targets`` one flat row each (for
    :meth:`mean` one row for each sample), matrices in C order.

    >>> reference = Reference(risk)                            # doctest: +SKIP
    >>> reference.sample([238.9, 5.5e-4], [77.6], [10.07]).gradient    # doctest: +SKIP
    """

    def __init__(self, risk: EmpiricalRisk) -> None:
        self._tape = Tape()
        self._plans: dict[int, tuple[int, ...]] = {}
        groups = (risk.parameters, risk.inputs, risk.targets)
        flat = [[leaf_key(leaf) for leaf in leaves(*group)] for group in groups]
        self.names = tuple(str(leaf) for leaf in leaves(*risk.parameters))
        self.sizes = tuple(len(group) for group in flat)
        everything = [key for group in flat for key in group]
        slots = {key: self._tape.emit("leaf", (), number) for number, key in enumerate(everything)}
        parameters, inputs, targets = ({key: slots[key] for key in group} for group in flat)
        self._outputs = tuple(record(self._tape, output, parameters | inputs) for output in risk.outputs)
        if risk.outputs:
            placeholders = (leaf_key(leaf) for leaf in risk.predictions)
            scope = dict(zip(placeholders, self._outputs, strict=True)) | targets
        else:
            scope = slots
        self._loss = record(self._tape, risk.loss, scope)
        self._penalty = None if risk.penalty is None else record(self._tape, risk.penalty, parameters)

    def sample(
        self, theta: Sequence[float], inputs: Sequence[float], targets: Sequence[float], digits: int = 50
    ) -> Sample:
        """The loss of one sample and its gradient; the penalty is no part of it."""
        loss, *gradient = self._settled(self._loss, [*theta, *inputs, *targets], digits)
        return Sample(loss, tuple(gradient))

    def penalty(self, theta: Sequence[float], digits: int = 50) -> Sample:
        """The penalty and its gradient: zeros if the risk has none."""
        if self._penalty is None:
            return Sample(mpmath.mpf(0), (mpmath.mpf(0),) * self.sizes[0])
        padding = [0.0] * (self.sizes[1] + self.sizes[2])
        value, *gradient = self._settled(self._penalty, [*theta, *padding], digits)
        return Sample(value, tuple(gradient))

    def mean(
        self,
        theta: Sequence[float],
        inputs: Sequence[Sequence[float]],
        targets: Sequence[Sequence[float]],
        weights: Sequence[float] | None = None,
        digits: int = 50,
    ) -> Sample:
        """The empirical risk (weighted mean of the losses, plus the penalty) and its gradient."""
        rows = [self.sample(theta, u, y, digits) for u, y in zip(inputs, targets, strict=True)]
        share = [1.0] * len(rows) if weights is None else list(weights)
        penalty = self.penalty(theta, digits)
        with mpmath.workdps(2 * digits):
            loss = _mean([row.loss for row in rows], share, penalty.loss)
            columns = ([row.gradient[p] for row in rows] for p in range(self.sizes[0]))
            gradient = tuple(_mean(c, share, q) for c, q in zip(columns, penalty.gradient, strict=True))
        return Sample(loss, gradient)

    def predict(self, theta: Sequence[float], inputs: Sequence[float], digits: int = 50) -> tuple[Any, ...]:
        """The model's outputs for one input, in C order; empty for a risk declared from one expression."""
        values = [*theta, *inputs, *([0.0] * self.sizes[2])]
        return tuple(self._settled(slot, values, digits, gradient=False)[0] for slot in self._outputs)

    def rough_loss(self, theta: Sequence[float], inputs: Sequence[float], targets: Sequence[float]) -> Any:
        """The loss to about 15 digits without its gradient: to see cheaply whether a point is in the domain."""
        return self._evaluate(self._loss, [*theta, *inputs, *targets], 15, gradient=False)[0]

    def attainable_error(
        self,
        theta: Sequence[float],
        inputs: Sequence[float],
        targets: Sequence[float],
        exact: Sample,
        runs: int = 4,
        seed: int = 0,
    ) -> tuple[float, ...]:
        """How far double precision strays at this point: absolute errors of the loss, then of each derivative.

        Monte Carlo arithmetic with random rounding (Parker 1997; Vignes 2004): the same dual numbers, with every
        result rounded to a double up or down at random (and to a double's range) and sums as in their worst order,
        ``runs`` times; the largest deviation from ``exact`` counts. Infinite where such a run meets an infinity on
        the way: past a double's range, or at a pole.
        """
        wanted = (exact.loss, *exact.gradient)
        worst = [0.0] * len(wanted)
        values = [*theta, *inputs, *targets]
        for run in range(runs):
            noise = RandomRounding(1_000_003 * seed + run)
            found = self._evaluate(self._loss, values, 25, noise=noise)
            worst = [max(w, _deviation(f, e)) for w, f, e in zip(worst, found, wanted, strict=True)]
        return tuple(worst)

    def constants(self) -> tuple[float, ...]:
        """The numbers in the declaration, as doubles: where kinks and branches tend to be."""
        operations = self._tape.operations
        ratios = (o.payload for o in operations if o.kind == "rational")
        floats = (mpmath.mp.make_mpf(o.payload) for o in operations if o.kind == "float")
        numbers = {float(mpmath.mpf(p) / q) for p, q in ratios} | {float(f) for f in floats}
        return tuple(sorted(n for n in numbers if abs(n) < 1e300))

    def labels(self) -> dict[int, int]:
        """Leaves (numbered over parameters, inputs, targets) used as an index, with the number of choices."""
        found: dict[int, int] = {}
        for operation in self._tape.operations:
            if operation.kind == "select":
                for slot, size in zip(operation.arguments, operation.payload, strict=False):
                    if self._tape.operations[slot].kind == "leaf":
                        leaf = self._tape.operations[slot].payload
                        found[leaf] = min(size, found.get(leaf, size))
        return found

    def _needed(self, slot: int) -> tuple[int, ...]:
        if slot not in self._plans:
            self._plans[slot] = self._tape.needed(slot)
        return self._plans[slot]

    def _settled(self, slot: int, values: Sequence[float], digits: int, gradient: bool = True) -> list[Any]:
        """The value, then the derivatives, each once two precisions agree on it."""
        low = self._evaluate(slot, values, digits, gradient)
        settled: list[Any] = [None] * len(low)
        open_ = list(range(len(low)))
        while open_ and digits < MOST_DIGITS:
            high = self._evaluate(slot, values, 2 * digits, gradient)
            agreed = [i for i in open_ if _agree(low[i], high[i], digits)]
            for i in agreed:
                settled[i] = high[i]
            open_ = [i for i in open_ if i not in set(agreed)]
            low, digits = high, 2 * digits
        return settled

    def _evaluate(
        self,
        slot: int,
        values: Sequence[float],
        digits: int,
        gradient: bool = True,
        noise: RandomRounding | None = None,
    ) -> list[Any]:
        """One run: the value, then the derivatives (as mpf of the common context); None past what can be computed."""
        count = self.sizes[0] if gradient else 0
        try:
            value, partials = Run(context_of(digits), values, count, noise).of(
                self._tape.operations, self._needed(slot)
            )
        except OutOfReach:
            return [None] * (1 + count)
        common = mpmath.mp.make_mpf
        found = [common(value._mpf_)]
        found += [common(partials[i]._mpf_) if i in partials else mpmath.mpf(0) for i in range(count)]
        return [f if mpmath.isinf(f) else mpmath.nan for f in found] if TAINT in partials else found


def _agree(low: Any, high: Any, digits: int) -> bool:
    if low is None or high is None:
        return False
    if mpmath.isnan(low) or mpmath.isnan(high):
        return bool(mpmath.isnan(low) and mpmath.isnan(high))
    if low == high or (abs(low) < _NOTHING and abs(high) < _NOTHING):
        return True
    if mpmath.isinf(low) or mpmath.isinf(high):
        return False
    return bool(abs(low - high) <= abs(high) * mpmath.mpf(10) ** (-_AGREEMENT * digits))


def _deviation(found: Any, exact: Any) -> float:
    """|found - exact|; 0 if both overflow alike or nothing is exact; infinite if only one of them is a number."""
    if exact is None or not mpmath.isfinite(exact):
        return 0.0
    if found is not None and mpmath.isinf(found) and abs(exact) >= _OVERFLOW:
        return 0.0 if (found > 0) == (exact > 0) else float("inf")
    if found is None or not mpmath.isfinite(found):
        return float("inf")
    return float(abs(found - exact))


def _mean(values: Sequence[Any], weights: Sequence[float], penalty: Any) -> Any:
    if penalty is None or any(value is None for value in values):
        return None
    total = mpmath.fsum(mpmath.mpf(w) * v for w, v in zip(weights, values, strict=True))
    return total / mpmath.fsum(weights) + penalty
