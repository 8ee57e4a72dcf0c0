"""The oracle: a declared risk evaluated and differentiated with mpmath, sharing nothing with what symgrad compiles.

The *declared* expressions are flattened (``record``), matrices element by element (``matrices``),
and run (``run``) with the hand-written rules of ``functions``. Results are real numbers of any
precision:

* complex or undefined values are NaN; a division by zero or a logarithm of zero is an infinity, zero counting as +0;
* the range is not a double's: nothing overflows, and a result past the largest double is simply larger;
* everything is evaluated twice, at ``digits`` and at twice as many. Where the two differ, or digits may have been
  swallowed (``exactness``), the precision doubles until they agree; where they never do, the result is None:
  there is no ground truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import mpmath
import sympy as sp

from symgrad.declare import EmpiricalRisk, show

from .forms import PROMISED, promised
from .functions import TELL_ZEROS
from .record import record, record_value
from .rounding import Place, Rounding
from .rule import OutOfReach
from .run import Run, context_of
from .special import SLOW
from .tape import Grid, Tape, Value, flat, scalar

MOST_DIGITS = 3200
_SLOW_DIGITS = 400  # a second at 3200
_NOTHING = mpmath.mpf(10) ** -330  # two results below this round to the same double, zero
_LONG = 60  # characters of a formula, for a person
_AGREEMENT, _ENOUGH = 0.6, 30  # two evaluations agree if they share this part of the lower one's digits, or so many


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample's loss and its gradient (flat parameters), as mpf; None where there is no ground truth.

    ``digits`` is the precision that was needed.
    """

    loss: Any
    gradient: tuple[Any, ...]
    digits: int = field(default=50, compare=False)


class Reference:
    """A declared risk, ready to be evaluated.

    Values go in as doubles and are taken exactly: ``theta`` flat, ``inputs`` and ``targets`` one flat row each (for
    :meth:`mean` one row for each sample), matrices in C order. ``parameters`` are flat positions of parameters: the
    gradient then holds their derivatives alone, in that order. ``names`` are those of all flat parameters, ``sizes``
    the flat lengths of parameters, inputs and targets.

    >>> reference = Reference(risk)                            # doctest: +SKIP
    >>> reference.sample([238.9, 5.5e-4], [77.6], [10.07]).gradient    # doctest: +SKIP
    """

    def __init__(self, risk: EmpiricalRisk) -> None:
        self._tape = Tape()
        self._plans: dict[int, tuple[int, ...]] = {}
        self._promised: dict[int, tuple[Tape, dict[int, int]]] = {}
        self._origins: dict[int, Any] = {}
        count = 0
        groups: list[dict[Any, Value]] = []
        for symbols in (risk.parameters, risk.inputs, risk.targets):
            groups.append({})
            for symbol in symbols:
                groups[-1][symbol] = _leaves(self._tape, symbol, count)
                count += len(flat(groups[-1][symbol]))
        parameters, inputs, targets = groups
        self.names = flat_names(risk.parameters)
        self.sizes = tuple(sum(len(flat(value)) for value in group.values()) for group in groups)
        outputs = [record_value(self._tape, output, parameters | inputs, self._origins) for output in risk.outputs]
        self._outputs = tuple(slot for output in outputs for slot in flat(output))
        bound = _bound(risk.predictions, outputs) if outputs else {}
        scope = {**parameters, **bound, **targets} if outputs else parameters | inputs | targets
        self._loss = record(self._tape, risk.loss, scope, self._origins)
        self._penalty: int | None = None
        if risk.penalty is not None:
            self._penalty = record(self._tape, risk.penalty, parameters, self._origins)

    @property
    def operations(self) -> int:
        """How many scalar operations the loss takes, a product of vectors counting as its length."""
        return sum(1 + len(self._tape.operations[slot].arguments) // 2 for slot in self._needed(self._loss))

    def sample(
        self,
        theta: Sequence[float],
        inputs: Sequence[float],
        targets: Sequence[float],
        digits: int = 50,
        *,
        parameters: Sequence[int] | None = None,
    ) -> Sample:
        """Return the loss of one sample and its gradient; the penalty is no part of it."""
        wanted = self._wanted(parameters)
        (loss, *gradient), used = self._settled(self._loss, [*theta, *inputs, *targets], digits, wanted)
        return Sample(loss, tuple(gradient), used)

    def penalty(self, theta: Sequence[float], digits: int = 50, *, parameters: Sequence[int] | None = None) -> Sample:
        """Return the penalty and its gradient: zeros if the risk has none."""
        wanted = self._wanted(parameters)
        if self._penalty is None:
            return Sample(mpmath.mpf(0), (mpmath.mpf(0),) * len(wanted))
        padding = [0.0] * (self.sizes[1] + self.sizes[2])
        (value, *gradient), used = self._settled(self._penalty, [*theta, *padding], digits, wanted)
        return Sample(value, tuple(gradient), used)

    def mean(
        self,
        theta: Sequence[float],
        inputs: Sequence[Sequence[float]],
        targets: Sequence[Sequence[float]],
        weights: Sequence[float] | None = None,
        digits: int = 50,
        *,
        parameters: Sequence[int] | None = None,
    ) -> Sample:
        """Return the empirical risk (weighted mean of the losses, plus the penalty) and its gradient."""
        wanted = self._wanted(parameters)
        rows = [self.sample(theta, u, y, digits, parameters=wanted) for u, y in zip(inputs, targets, strict=True)]
        share = [1.0] * len(rows) if weights is None else list(weights)
        penalty = self.penalty(theta, digits, parameters=wanted)
        with mpmath.workdps(2 * digits):
            loss = _mean([row.loss for row in rows], share, penalty.loss)
            columns = ([row.gradient[p] for row in rows] for p in range(len(wanted)))
            gradient = tuple(_mean(c, share, q) for c, q in zip(columns, penalty.gradient, strict=True))
        return Sample(loss, gradient)

    def predict(self, theta: Sequence[float], inputs: Sequence[float], digits: int = 50) -> tuple[Any, ...]:
        """Return the model's outputs for one input, in C order; empty for a risk declared from one expression."""
        values = [*theta, *inputs, *([0.0] * self.sizes[2])]
        return tuple(self._settled(slot, values, digits, ())[0][0] for slot in self._outputs)

    def rough_loss(self, theta: Sequence[float], inputs: Sequence[float], targets: Sequence[float]) -> Any:
        """Return the loss to about 15 digits without its gradient: to see cheaply whether a point is in the domain."""
        return self._evaluate(self._loss, [*theta, *inputs, *targets], 15, ())[0][0]

    def rounding(
        self,
        theta: Sequence[float],
        inputs: Sequence[float],
        targets: Sequence[float],
        digits: int = 50,
        *,
        parameters: Sequence[int] | None = None,
        penalty: bool = False,
    ) -> Rounding | None:
        """Return what rounding may do to the loss (or the penalty) and its derivatives at this point.

        ``digits`` are those that the true values needed. None past what can be computed.
        """
        slot = self._penalty if penalty and self._penalty is not None else self._loss
        if slot not in self._promised:
            self._promised[slot] = promised(self._tape, self._needed(slot))
        tape, places = self._promised[slot]
        try:
            values = [*theta, *inputs, *targets]
            run = Run(context_of(digits), tape.operations, tape.needed(places[slot]), values, PROMISED)
            return Rounding(run, set(self._wanted(parameters)))
        except OutOfReach:
            return None

    def text(self, place: Place, *, penalty: bool = False) -> str:
        """Return the part of the declaration where digits are lost."""
        slot = self._penalty if penalty and self._penalty is not None else self._loss
        declared = [old for old, new in self._promised[slot][1].items() if new == place.slot]
        shown = show(self._origins[declared[0]]) if declared and declared[0] in self._origins else "the loss"
        shown = shown if len(shown) <= _LONG else shown[: _LONG - 3] + "..."
        return {"value": "", "slope": "the derivative of ", "adjoint": "the derivative by "}[place.role] + shown

    def constants(self) -> tuple[float, ...]:
        """Return the numbers in the declaration, as doubles: where kinks and branches tend to be."""
        operations = [self._tape.operations[slot] for slot in self._tape.needed(*self._roots())]
        ratios = (o.payload for o in operations if o.kind == "rational")
        floats = (mpmath.mp.make_mpf(o.payload) for o in operations if o.kind == "float")
        numbers = {float(mpmath.mpf(p) / q) for p, q in ratios} | {float(f) for f in floats}
        return tuple(sorted(n for n in numbers if abs(n) < 1e300))

    def tells_zeros(self) -> bool:
        """Return whether anything in the declaration may tell -0 from 0, which the oracle does not."""
        operations = [self._tape.operations[slot] for slot in self._tape.needed(*self._roots())]
        return any(o.payload in TELL_ZEROS or self._may_divide(o) for o in operations if o.kind == "call")

    def _may_divide(self, operation: Any) -> bool:
        if operation.payload != "Pow":
            return False
        exponent = self._tape.operations[operation.arguments[1]]
        return bool(exponent.kind != "rational" or exponent.payload[0] < 0)

    def labels(self) -> dict[int, int]:
        """Return leaves (numbered over parameters, inputs, targets) used as an index, with the number of choices."""
        found: dict[int, int] = {}
        for operation in self._tape.operations:
            if operation.kind == "select":
                for slot, size in zip(operation.arguments, operation.payload, strict=False):
                    if self._tape.operations[slot].kind == "leaf":
                        leaf = self._tape.operations[slot].payload
                        found[leaf] = min(size, found.get(leaf, size))
        return found

    def _roots(self) -> tuple[int, ...]:
        penalty = () if self._penalty is None else (self._penalty,)
        return (*self._outputs, self._loss, *penalty)

    def _wanted(self, parameters: Sequence[int] | None) -> Sequence[int]:
        return range(self.sizes[0]) if parameters is None else parameters

    def _needed(self, slot: int) -> tuple[int, ...]:
        if slot not in self._plans:
            self._plans[slot] = self._tape.needed(slot)
        return self._plans[slot]

    def _settled(self, slot: int, values: Sequence[float], digits: int, wanted: Sequence[int]) -> tuple[list[Any], int]:
        """The value, then the derivatives that are wanted, each once two precisions agree on it; and the higher one."""
        low, _ = self._evaluate(slot, values, digits, wanted)
        settled: list[Any] = [None] * len(low)
        open_ = list(range(len(low)))
        most = self._most_digits(slot)
        while open_ and digits < most:
            high, doubtful = self._evaluate(slot, values, 2 * digits, wanted)
            left = []
            for i in open_:
                if _agree(low[i], high[i], digits) and (
                    not doubtful or (2 * digits >= most and mpmath.isfinite(high[i]))
                ):
                    settled[i] = high[i]
                else:
                    left.append(i)
            open_, low, digits = left, high, 2 * digits
        return settled, digits

    def _most_digits(self, slot: int) -> int:
        slow = any(self._tape.operations[needed].payload in SLOW for needed in self._needed(slot))
        return _SLOW_DIGITS if slow else MOST_DIGITS

    def _evaluate(
        self, slot: int, values: Sequence[float], digits: int, wanted: Sequence[int]
    ) -> tuple[list[Any], bool]:
        """One run: the value, then the derivatives (as mpf of the common context); None past what can be computed.

        And whether the run is doubtful: its precision may have been too low.
        """
        try:
            run = Run(context_of(digits), self._tape.operations, self._needed(slot), values)
            partials = run.gradient(set(wanted)) if wanted else {}
        except OutOfReach:
            return [None] * (1 + len(wanted)), False
        common, zero = mpmath.mp.make_mpf, mpmath.mpf(0)
        found = [common(run.value._mpf_)]
        found += [common(partials[i]._mpf_) if i in partials else zero for i in wanted]
        return found, run.doubtful


def flat_names(symbols: Iterable[Any]) -> tuple[str, ...]:
    """Return the names of the scalars of some symbols, those of a matrix in C order: ``W[0, 0]``, ``W[0, 1]``, ..."""
    names: list[str] = []
    for symbol in symbols:
        if isinstance(symbol, sp.MatrixSymbol):
            rows, columns = (int(size) for size in symbol.shape)
            names += [f"{symbol.name}[{i}, {j}]" for i in range(rows) for j in range(columns)]
        else:
            names.append(str(symbol))
    return tuple(names)


def _leaves(tape: Tape, symbol: Any, start: int) -> Value:
    """The leaves of one symbol, numbered from ``start``."""
    if not isinstance(symbol, sp.MatrixSymbol):
        return tape.emit("leaf", (), start)
    rows, columns = (int(size) for size in symbol.shape)
    return tuple(tuple(tape.emit("leaf", (), start + i * columns + j) for j in range(columns)) for i in range(rows))


def _bound(predictions: Sequence[Any], outputs: Sequence[Value]) -> Mapping[Any, Value]:
    """The placeholder bound to the model's output: whole, or by its elements in C order."""
    first = predictions[0]
    if isinstance(first, sp.MatrixSymbol):
        (output,) = outputs
        whole: Grid = ((output,),) if isinstance(output, int) else output
        return {first: whole}
    if isinstance(first, sp.Symbol):
        return {first: scalar(outputs[0])}
    placeholder = first.args[0]
    columns = int(placeholder.shape[1])
    slots = [scalar(output) for output in outputs]
    return {placeholder: tuple(tuple(slots[i : i + columns]) for i in range(0, len(slots), columns))}


def _agree(low: Any, high: Any, digits: int) -> bool:
    if low is None or high is None:
        return False
    if mpmath.isnan(low) or mpmath.isnan(high):
        return bool(mpmath.isnan(low) and mpmath.isnan(high))
    if low == high or (abs(low) < _NOTHING and abs(high) < _NOTHING):
        return True
    if mpmath.isinf(low) or mpmath.isinf(high):
        return False
    return bool(abs(low - high) <= abs(high) * mpmath.mpf(10) ** -min(_ENOUGH, _AGREEMENT * digits))


def _mean(values: Sequence[Any], weights: Sequence[float], penalty: Any) -> Any:
    if penalty is None or any(value is None for value in values):
        return None
    total = mpmath.fsum(mpmath.mpf(w) * v for w, v in zip(weights, values, strict=True))
    return total / mpmath.fsum(weights) + penalty
