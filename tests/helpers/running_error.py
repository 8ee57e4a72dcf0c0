"""How far double precision may stray in a declared formula: a running error bound of its value and its gradient.

A tree is evaluated with many digits, forwards and backwards. Beside each value goes the first-order bound of what
roundings do to it (Wilkinson; Higham, *Accuracy and Stability*, section 3.3): each arithmetic operation rounds by half
a unit, each function and each derivative of one by a whole unit, and nothing cancels. Four times that is what symgrad
promises of a composite, and four units of the result in any case.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp
from mpmath import mp, mpf

from symgrad import functions

from .forward_mode import CONNECTIVES, FLAT, RELATIONS, OutOfReach, local, number_of

HALF_ULP, TINY, TOP = mpf(2) ** -53, mpf(2) ** -1074, mpf(2) ** 1024
ARITHMETIC = (sp.Add, sp.Mul, sp.Abs, sp.re, sp.Max, sp.Min, *FLAT)
SLACK, GATE = 4, 4


class Undecided(Exception):
    """Roundings decide a branch, or leave a function an argument without digits: nothing can be said."""


@dataclass(frozen=True)
class Truth:
    """A loss or one derivative: the true number, and the bound of what roundings do to it."""

    value: Any
    bound: Any

    def error(self, got: float) -> float:
        """0 if a double is as promised; else how many times beyond it, infinite if it is no number and should be."""
        if not mp.isfinite(self.value):
            return math.inf if math.isfinite(got) else 0.0
        if not math.isfinite(got) and self.bound >= abs(self.value) > 0:
            return 0.0  # roundings alone may lead to a pole
        if math.isnan(got):
            return math.inf
        allowed = max(GATE * ulp(self.value), SLACK * self.bound)
        if math.isinf(got):
            return 0.0 if abs(self.value) + allowed >= TOP and (got > 0) == (self.value > 0) else math.inf
        distance = abs(mpf(got) - self.value)
        return 0.0 if distance <= allowed else float(distance / allowed)

    def says_something(self) -> bool:
        """Whether the bound leaves a digit to compare."""
        return not mp.isfinite(self.value) or self.bound <= abs(self.value) / 1000 or not self.bound


@dataclass(frozen=True)
class Judgement:
    """One formula at one point; ``in_range`` unless something on the way leaves a double's range.

    Where the loss is no finite number its derivatives say nothing, and there are none.
    """

    loss: Truth
    gradient: tuple[Truth, ...]
    in_range: bool


def ulp(x: Any) -> Any:
    """The unit in the last place of a double near a real number."""
    return mpf(2) ** max(-1074, int(mp.mag(x)) - 53) if x else TINY


def judge(tree: Any, values: Mapping[Any, float], symbols: Sequence[Any]) -> Judgement:
    """What is true of a formula at a point. Raises `Undecided`, and `OutOfReach`."""
    for digits in (60, 250, 1000):
        with mp.workdps(digits):
            run = _Run({s: mpf(x) for s, x in values.items()})
            found = run.judge(tree, symbols)
            if run.lost < mpf(10) ** (digits - 30):
                return found
    raise Undecided


class _Run:
    def __init__(self, values: Mapping[Any, Any]) -> None:
        self._values: dict[Any, Any] = dict(values)
        self._errors: dict[Any, Any] = {symbol: mpf(0) for symbol in values}
        self._order: list[tuple[Any, tuple[Any, ...], list[Any]]] = []  # node, arguments, partials
        self._in_range = True
        self.lost = mpf(1)  # by what factor roundings grew

    def judge(self, tree: Any, symbols: Sequence[Any]) -> Judgement:
        value = self._visit(tree)
        if not mp.isfinite(value):
            if mp.isnan(value) and any(mp.isinf(x) for x in self._values.values()):
                raise Undecided  # what an infinity means on the way is a convention
            return Judgement(Truth(value, mpf(0)), (), self._in_range)
        zero = (mpf(0), mpf(0), mpf(0))
        swept = self._sweep(tree)
        derivatives = []
        for symbol in symbols:
            slope, _, error = swept.get(symbol, zero)
            self._note(slope if abs(slope) > TINY else mpf(0), error)
            derivatives.append(Truth(slope, error))
        return Judgement(Truth(value, self._errors[tree]), tuple(derivatives), self._in_range)

    def _note(self, value: Any, error: Any) -> None:
        if mp.isfinite(value) and mp.isfinite(error) and error > TINY * 1000:
            self.lost = max(self.lost, error / (HALF_ULP * max(abs(value), TINY)))
        self._in_range &= not abs(value) >= TOP and not 0 < abs(value) < TINY

    # ------------------------------------------------------------------------------------------------- forwards

    def _visit(self, tree: Any) -> Any:
        if tree not in self._values:
            value, error = self._node(tree)
            self._values[tree], self._errors[tree] = value, error
            self._note(value, error)
        return self._values[tree]

    def _node(self, tree: Any) -> tuple[Any, Any]:
        if tree.is_number and not tree.is_Piecewise:
            value = number_of(tree, False) if tree.is_Number or tree.is_NumberSymbol else self._constant(tree)
            return value, (mpf(0) if _is_double(value) else max(HALF_ULP * abs(value), TINY / 2))
        if isinstance(tree, sp.Piecewise):
            branch = next((branch for branch, condition in tree.args if self._holds(condition)), None)
            if branch is None:
                return mp.nan, mpf(0)
            value = self._visit(branch)
            self._order.append((tree, (branch,), [mpf(1)]))
            return value, self._errors[branch]
        xs = [self._visit(argument) for argument in tree.args]
        errors = [self._errors[argument] for argument in tree.args]
        value, partials = local(tree.func, xs)
        if tree.func not in ARITHMETIC:
            self._check_digits(xs, errors)
            self._check_domain(tree.func, value, xs, errors)
        if tree.func is sp.Pow and xs[1] < 0 and mp.isfinite(xs[0]):
            self._note(abs(xs[0]) ** -xs[1], mpf(0))  # what is below the bar
        self._order.append((tree, tree.args, partials))
        return value, self._error(tree.func, value, xs, errors, partials)

    def _constant(self, tree: Any) -> Any:
        """A number that is written as a formula: it is rounded once."""
        xs = [self._visit(argument) for argument in tree.args]
        return local(tree.func, xs)[0]

    def _check_digits(self, xs: Sequence[Any], errors: Sequence[Any]) -> None:
        for x, error in zip(xs, errors, strict=True):
            if mp.isfinite(x) and error > abs(x) / 1000 and error > mpf(10) ** -290:
                raise Undecided

    def _check_domain(self, kind: Any, value: Any, xs: Sequence[Any], errors: Sequence[Any]) -> None:
        """Where roundings alone may lead out of a function's domain, nothing can be known of it."""
        if mp.isnan(value) or kind is sp.Mod:
            return
        for j, (x, error) in enumerate(zip(xs, errors, strict=True)):
            for moved in (x - SLACK * error, x + SLACK * error) if error and mp.isfinite(x) else ():
                if mp.isnan(local(kind, [*xs[:j], moved, *xs[j + 1 :]])[0]):
                    raise Undecided

    def _error(self, kind: Any, value: Any, xs: Sequence[Any], errors: Sequence[Any], partials: Sequence[Any]) -> Any:
        if not mp.isfinite(value):
            return mpf(0)
        if kind in (sp.Max, sp.Min):
            self._check_choice(value, xs, errors)
            return max(errors)
        if kind in FLAT or kind is sp.Mod:
            self._check_step(kind, xs, errors)
        passed = mp.fsum(abs(p) * e for p, e in zip(partials, errors, strict=True) if e)
        if kind in (sp.Abs, sp.re):
            if kind is sp.Abs:
                self._check_step(sp.sign, xs, errors)
            return passed
        if kind in FLAT:
            return mpf(0)
        if kind is sp.Add:
            rounding = HALF_ULP * (abs(value) if len(xs) == 2 else (len(xs) - 1) * mp.fsum(map(abs, xs)))
        elif kind is sp.Mul:
            rounding = HALF_ULP * (len(xs) - 1) * abs(value) + TINY
        else:
            rounding = _units(kind, xs) * HALF_ULP * abs(value) + TINY
        if kind is functions.logsumexp:  # near its zero it is no better than the logarithm of a sum near 1
            rounding += HALF_ULP * (len(xs) + 1)
        exact = not passed and _is_double(value) and (len(xs) == 2 and kind in (sp.Add, sp.Mul))
        return mpf(0) if exact else passed + rounding

    def _check_choice(self, best: Any, xs: Sequence[Any], errors: Sequence[Any]) -> None:
        most = max(errors)
        for x, error in zip(xs, errors, strict=True):
            if abs(x - best) <= SLACK * (most + error) and (x != best or error) and most:
                near = sum(abs(y - best) <= SLACK * (most + e) for y, e in zip(xs, errors, strict=True))
                if near > 1:
                    raise Undecided

    def _check_step(self, kind: Any, xs: Sequence[Any], errors: Sequence[Any]) -> None:
        if kind in (sp.sign, sp.Heaviside):
            if errors[0] and abs(xs[0]) <= SLACK * errors[0]:
                raise Undecided
            return
        x = xs[0] / xs[1] if kind is sp.Mod else xs[0]
        error = (errors[0] + abs(x) * errors[1]) / abs(xs[1]) if kind is sp.Mod else errors[0]
        if error and abs(x - mp.nint(x)) <= SLACK * error:
            raise Undecided

    def _holds(self, condition: Any) -> bool:
        if condition in (sp.true, sp.false):
            return bool(condition)
        if condition.func in RELATIONS:
            left, right = (self._visit(side) for side in condition.args)
            error = SLACK * (self._errors[condition.args[0]] + self._errors[condition.args[1]])
            if error and abs(left - right) <= error:
                raise Undecided
            self._in_range &= left == left and right == right
            return bool(RELATIONS[condition.func](left, right))
        return CONNECTIVES[condition.func]([self._holds(part) for part in condition.args])

    # ------------------------------------------------------------------------------------------------ backwards

    def _sweep(self, tree: Any) -> dict[Any, tuple[Any, Any, Any]]:
        """For each node the derivative of the whole by it, what that is if nothing cancels, and the bound."""
        zero = (mpf(0), mpf(0), mpf(0))
        found = {tree: (mpf(1), mpf(1), mpf(0))}
        for node, arguments, partials in reversed(self._order):
            if node not in found:
                continue
            slope, size, error = found[node]
            if not size and error <= 1000 * TINY:  # a factor that is zero, and stays it
                self._in_range &= not any(TOP / 4 <= abs(p) < mp.inf for p in partials)
                found = dict.fromkeys(arguments, zero) | found
                continue
            strays = self._strays(node, partials)
            self._check_order(node, size)
            for argument, partial, stray in zip(arguments, partials, strays, strict=True):
                if argument.is_number:
                    continue
                old = found.get(argument, zero)
                share = abs(partial) * size
                new = abs(partial) * error + size * stray
                if partial != 1 and partial != -1:
                    new += HALF_ULP * share + TINY
                whole = old[1] + share
                found[argument] = (old[0] + partial * slope, whole, old[2] + new + (HALF_ULP * whole if old[1] else 0))
                self._in_range &= not max(whole, abs(partial), found[argument][2]) >= TOP / 4
        return found

    def _check_order(self, node: Any, size: Any) -> None:
        """Where some order of the factors of a product and of the cotangent leaves the range, digits may be lost."""
        if node.func is sp.Mul:
            sizes = [int(mp.mag(x)) for x in (size, *(self._values[a] for a in node.args)) if x and mp.isfinite(x)]
            self._in_range &= sum(s for s in sizes if s > 0) < 1024 and sum(s for s in sizes if s < 0) > -1022

    def _strays(self, node: Any, partials: Sequence[Any]) -> list[Any]:
        """The bound of the error of each partial derivative itself."""
        kind = node.func
        if kind in (sp.Add, sp.Abs, sp.re, sp.Max, sp.Min, sp.Piecewise, *FLAT):
            return [mpf(0)] * len(partials)
        xs = [self._values[argument] for argument in node.args]
        errors = [self._errors[argument] for argument in node.args]
        rounding = [_units(kind, xs) * HALF_ULP * abs(p) + TINY for p in partials]
        if kind is sp.Mul:
            rounding = [max(0, len(xs) - 2) * HALF_ULP * abs(p) + (TINY if len(xs) > 2 else 0) for p in partials]
        if kind is sp.Mod:
            rounding = [mpf(0)] * 2
        for j, (x, error) in enumerate(zip(xs, errors, strict=True)):
            if error and not (kind is sp.Pow and j == 1 and node.args[1].is_Integer):
                step = (abs(x) or mpf(1)) * mpf(10) ** -20
                high, low = (local(kind, [*xs[:j], x + d, *xs[j + 1 :]])[1] for d in (step, -step))
                for i in range(len(partials)):
                    rounding[i] += abs(high[i] - low[i]) / (2 * step) * error
        return rounding


def _units(kind: Any, xs: Sequence[Any]) -> Any:
    """By how many halves of a unit a function rounds; four times that is what a chain of products does for a power."""
    return max(2, (abs(xs[1]) - 1) / SLACK) if kind is sp.Pow and xs[1] == mp.nint(xs[1]) else 2


def _is_double(value: Any) -> bool:
    """Whether a number is a double."""
    if not mp.isfinite(value) or not value:
        return True
    _, _, exponent, bits = value._mpf_
    return bits <= 53 and exponent >= -1074 and exponent + bits <= 1024


__all__ = ["Judgement", "OutOfReach", "Truth", "Undecided", "judge", "ulp"]
