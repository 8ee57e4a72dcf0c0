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

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import mpmath
from mpmath.libmp import mpf_pos, mpf_shift

from .problem import EmpiricalRisk, leaves
from .reference_functions import FUNCTIONS, OutOfReach, Real, apply, check_reach
from .reference_tape import Operation, Tape, leaf_key, record

Dual = tuple[Any, dict[int, Any]]  # a value (mpf, or bool or None for a condition), and its partial derivatives

MOST_DIGITS = 3200
_NOTHING = mpmath.mpf(10) ** -330  # two results below this round to the same double, zero
_AGREEMENT = 0.6  # two evaluations agree if they share this part of the lower one's digits
_TAINT = -1  # the "parameter" in which a result that came through an infinity has a derivative (NaN)
_NONE: dict[int, Any] = {}


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
        flat = [[leaf_key(leaf) for symbol in group for leaf in leaves(symbol)] for group in groups]
        self.names = tuple(str(leaf) for symbol in risk.parameters for leaf in leaves(symbol))
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
            noise = _RandomRounding(1_000_003 * seed + run)
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
        noise: _RandomRounding | None = None,
    ) -> list[Any]:
        """One run: the value, then the derivatives (as mpf of the common context); None past what can be computed."""
        count = self.sizes[0] if gradient else 0
        try:
            value, partials = _Run(_context(digits), values, count, noise).of(self._tape.operations, self._needed(slot))
        except OutOfReach:
            return [None] * (1 + count)
        if _TAINT in partials:
            return [mpmath.nan] * (1 + count)
        common = mpmath.mp.make_mpf
        return [
            common(value._mpf_),
            *(common(partials[i]._mpf_) if i in partials else mpmath.mpf(0) for i in range(count)),
        ]


class _RandomRounding:
    """Rounds to a double, up or down at random; what is a double already stays.

    Subnormal numbers are rounded 5 bits coarser than they are: how far below the range a product dips, and so how many
    digits it loses, depends on the order of its factors, and each order is a fair implementation.
    """

    def __init__(self, seed: int) -> None:
        self._bits = random.Random(seed).getrandbits

    def sign(self) -> int:
        return 2 * self._bits(1) - 1

    def __call__(self, m: Any, x: Any) -> Any:
        sign, mantissa, exponent, bits = x._mpf_
        if not mantissa:
            return x  # zero, an infinity, NaN
        if exponent + bits > 1024:
            return -m.inf if sign else m.inf
        keep = min(53, exponent + bits + 1069)  # fewer near the smallest numbers: see the class
        if bits <= keep:
            return x
        up = self._bits(1)
        if keep <= 0:
            smallest = mpf_shift((sign, 1, 0, 1), -1069)
            return m.make_mpf(smallest) if up else m.zero
        rounded = m.make_mpf(mpf_pos(x._mpf_, keep, "u" if up else "d"))
        return rounded if rounded._mpf_[2] + rounded._mpf_[3] <= 1024 else m.inf * m.sign(rounded)


class _Run:
    """One forward sweep over a tape at one precision."""

    def __init__(self, context: Any, values: Sequence[float], count: int, noise: _RandomRounding | None) -> None:
        self.m = context
        self._values, self._count, self._noise = values, count, noise
        self._slot = 0
        self._spans: dict[int, tuple[int, int]] = {}  # of the sums' terms, in a run with noise
        self._steps: dict[str, Callable[[Operation, list[Dual]], Dual]] = {
            name.removeprefix("_do_"): getattr(self, name) for name in dir(self) if name.startswith("_do_")
        }

    def of(self, operations: Sequence[Operation], plan: Sequence[int]) -> Dual:
        """The value and partial derivatives of the last slot of a plan, from those before it."""
        duals: dict[int, Dual] = {}
        steps = self._steps
        for slot in plan:
            operation, self._slot = operations[slot], slot
            dual = steps[operation.kind](operation, [duals[a] for a in operation.arguments])
            duals[slot] = dual if self._noise is None else self._tainted(dual)
        return duals[plan[-1]]

    def _tainted(self, dual: Dual) -> Dual:
        """Marks an infinite value, and through the partial derivatives all that is computed from it."""
        value, partials = dual
        if value is None or isinstance(value, bool) or not self.m.isinf(value):
            return dual
        return value, {**partials, _TAINT: self.m.nan}

    def _rounded(self, x: Real) -> Real:
        return x if self._noise is None else self._noise(self.m, x)

    def _do_leaf(self, operation: Operation, _: list[Dual]) -> Dual:
        number = operation.payload
        partials = {number: self.m.one} if number < self._count else _NONE
        return self.m.mpf(self._values[number]), partials

    def _do_rational(self, operation: Operation, _: list[Dual]) -> Dual:
        numerator, denominator = operation.payload
        return self._rounded(self.m.mpf(numerator) / denominator), _NONE

    def _do_float(self, operation: Operation, _: list[Dual]) -> Dual:
        return self._rounded(self.m.make_mpf(operation.payload)), _NONE

    def _do_constant(self, operation: Operation, _: list[Dual]) -> Dual:
        raw = operation.payload._as_mpf_val(self.m.prec + 10)
        return self._rounded(+self.m.make_mpf(raw)), _NONE

    def _do_special(self, operation: Operation, _: list[Dual]) -> Dual:
        return self.m.mpf(operation.payload), _NONE

    def _do_truth(self, operation: Operation, _: list[Dual]) -> Dual:
        return operation.payload, _NONE

    def _do_pair(self, operation: Operation, arguments: list[Dual]) -> Dual:
        return None, _NONE  # the Piecewise around it reads the pair's own arguments

    def _do_add(self, operation: Operation, arguments: list[Dual]) -> Dual:
        total: Real = self.m.zero
        sums: dict[int, Any] = {}
        for value, partials in arguments:
            total = self._rounded(total + value)
            for i, p in partials.items():
                sums[i] = self._rounded(sums[i] + p) if i in sums else p
        if self._noise is not None:
            total = self._in_any_order(operation, total, [value for value, _ in arguments], self._noise)
        return total, sums

    def _in_any_order(self, operation: Operation, total: Real, terms: list[Real], noise: _RandomRounding) -> Real:
        """The sum with the error that some order of its terms (and of those of sums within it) would have made.

        Sums within sums may be taken apart by any fair implementation. Where all the terms' bits lie within 53, every
        order is exact, and so is the sum.
        """
        spans = [self._spans.get(slot) or _span(x) for slot, x in zip(operation.arguments, terms, strict=True)]
        high, low = max(h for h, _ in spans), min(w for _, w in spans)
        self._spans[self._slot] = (high, low)
        return total if high - low <= 53 else noise(self.m, total + noise.sign() * self.m.ldexp(1, high - 53))

    def _do_mul(self, operation: Operation, arguments: list[Dual]) -> Dual:
        product, partials = arguments[0]
        for value, others in arguments[1:]:
            merged = {i: self._rounded(p * value) for i, p in partials.items()}
            self._accumulate(merged, product, others)
            product, partials = self._rounded(product * value), merged
        return product, partials

    def _accumulate(self, sums: dict[int, Any], factor: Real, partials: dict[int, Any]) -> None:
        for i, p in partials.items():
            term = self._rounded(factor * p)
            sums[i] = self._rounded(sums[i] + term) if i in sums else term

    def _do_call(self, operation: Operation, arguments: list[Dual]) -> Dual:
        rule, numbers = FUNCTIONS[operation.payload], tuple(value for value, _ in arguments)
        check_reach(operation.payload, numbers)
        value = apply(rule.value, self.m, *numbers)
        sums: dict[int, Any] = {}
        for index, (_, partials) in enumerate(arguments):
            if partials:
                factor = apply(rule.partial(index), self.m, value, *numbers) if value == value else self.m.nan
                self._accumulate(sums, self._rounded(factor), partials)
        return self._rounded(value), sums

    def _do_piecewise(self, operation: Operation, arguments: list[Dual]) -> Dual:
        for branch, (condition, _) in zip(arguments[::2], arguments[1::2], strict=True):
            if condition is None:
                return self._undefined(arguments)
            if condition:
                return branch
        return self._undefined(arguments)

    def _undefined(self, arguments: list[Dual]) -> Dual:
        return self.m.nan, {i: self.m.nan for _, partials in arguments for i in partials}

    def _do_select(self, operation: Operation, arguments: list[Dual]) -> Dual:
        sizes = operation.payload
        place = 0
        for (index, _), size in zip(arguments, sizes, strict=False):
            if not self.m.isint(index) or not 0 <= index < size:
                return self._undefined(arguments)
            place = place * size + int(index)
        return arguments[len(sizes) + place]

    def _do_relation(self, operation: Operation, arguments: list[Dual]) -> Dual:
        (left, _), (right, _) = arguments
        if left is None or right is None or left != left or right != right:
            return None, _NONE
        relations = {
            "eq": left == right, "ne": left != right, "lt": left < right,
            "le": left <= right, "gt": left > right, "ge": left >= right,
        }  # fmt: skip
        return relations[operation.payload], _NONE

    def _do_and(self, operation: Operation, arguments: list[Dual]) -> Dual:
        return _all([condition for condition, _ in arguments]), _NONE

    def _do_or(self, operation: Operation, arguments: list[Dual]) -> Dual:
        return _not(_all([_not(condition) for condition, _ in arguments])), _NONE

    def _do_not(self, operation: Operation, arguments: list[Dual]) -> Dual:
        return _not(arguments[0][0]), _NONE

    def _do_xor(self, operation: Operation, arguments: list[Dual]) -> Dual:
        conditions = [condition for condition, _ in arguments]
        return (None if None in conditions else sum(map(bool, conditions)) % 2 == 1), _NONE

    def _do_ite(self, operation: Operation, arguments: list[Dual]) -> Dual:
        (condition, _), yes, no = arguments
        return (None, _NONE) if condition is None else (yes if condition else no)


def _span(x: Any) -> tuple[int, int]:
    """The exponents of a number's first and last bit; of a zero, those that no other number has."""
    _, mantissa, exponent, bits = x._mpf_
    return (exponent + bits, exponent) if mantissa else (-(10**9), 10**9)


@lru_cache(maxsize=32)
def _context(digits: int) -> Any:
    """An mpmath context of its own for each precision: the caller's is left alone."""
    context = mpmath.ctx_mp.MPContext()
    context.dps = digits
    return context


def _all(conditions: list[bool | None]) -> bool | None:
    """Kleene's "and": one that is false decides, whatever the undefined ones would have been."""
    if any(condition is False for condition in conditions):
        return False
    return None if None in conditions else True


def _not(condition: bool | None) -> bool | None:
    return None if condition is None else not condition


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
    """|found - exact|; infinite if only one of them is a number, 0 if neither is."""
    if exact is None or not mpmath.isfinite(exact):
        return 0.0
    if found is None or not mpmath.isfinite(found):
        return float("inf")
    return float(abs(found - exact))


def _mean(values: Sequence[Any], weights: Sequence[float], penalty: Any) -> Any:
    if penalty is None or any(value is None for value in values):
        return None
    total = mpmath.fsum(mpmath.mpf(w) * v for w, v in zip(weights, values, strict=True))
    return total / mpmath.fsum(weights) + penalty
