"""Where a compiled gradient is tried: points that suit the symbols' assumptions and lie mostly in the loss' domain.

Many samples share one ``theta``, as in an epoch. Most values are moderate; the others are powers of ten, small
integers, zeros, the declaration's own numbers (where kinks are) and copies of other values (ties of ``Max``). The
elements of a matrix of k columns are smaller by the root of k, so that its product with a vector is as large as the
vector; and of very many values only a few are unusual, or no point would be in reach.

At a share of the points one value is extreme (``extremes``) and the others moderate: were all extreme,
hardly a point would be in the domain.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import mpmath
import sympy as sp

from symgrad.declare import EmpiricalRisk
from symgrad.oracle import Reference

from .extremes import extreme

ROWS = 5  # samples that share one theta
OUTSIDE = 0.1  # the share of samples where the loss is undefined or past a double's range
# About three samples in ten hold an extreme value: mostly a parameter, at these of nine thetas ...
_UNUSUAL = (1, 3, 4, 6, 8)
_BROKEN = 0.12  # ... and at so many of the others an input or a target
_ONES = 0.3  # how often the other values are ones there, so that the extreme one meets the functions as it is
_TRIES = 6  # for one sample, before it may be one of those
_PATIENCE = 10  # as many thetas are tried as are wanted, times this
_ODD = 0.6  # the share of unusual values where they are asked for ...
_MOST_ODD = 12  # ... and about how many there are at most


@dataclass(frozen=True, slots=True)
class Block:
    """Samples that share their parameters: flat ``theta``, and one flat row for each sample.

    ``extremes`` of them hold an extreme value.
    """

    theta: tuple[float, ...]
    inputs: tuple[tuple[float, ...], ...]
    targets: tuple[tuple[float, ...], ...]
    extremes: int = 0


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One scalar of the declaration, and which values it may take."""

    whole: bool
    sign: int  # +1 and -1 for assumptions about the sign, else 0
    zero: bool
    choices: int  # for a class label: 0 ... choices - 1
    scale: float = 1.0  # of moderate values
    usual: float = 1 - _ODD  # how likely a moderate value is where unusual ones are asked for

    @property
    def free(self) -> bool:
        return not (self.whole or self.sign or self.choices) and self.zero

    def draw(self, rng: random.Random, mode: str, constants: Sequence[float]) -> float:
        if self.choices:
            return float(rng.randrange(self.choices))
        return self.suited(1.0 if mode == "ones" else self._free(rng, mode, constants) + 0.0)  # no -0

    def suited(self, value: float) -> float:
        """The value as the assumptions allow it."""
        if self.whole:
            value = float(round(value)) if abs(value) < 2**53 else value
        if self.sign:
            value = math.copysign(value, self.sign)
        if value == 0 and not (self.zero and self.sign == 0):
            return 0.0 if self.zero else float(self.sign or 1)
        return value

    def _free(self, rng: random.Random, mode: str, constants: Sequence[float]) -> float:
        size = math.exp(rng.uniform(-3.0, 1.5)) * (3 if self.whole else 1)
        sign = rng.choice((-1.0, 1.0)) if mode != "positive" else 1.0
        if mode != "odd" or rng.random() < self.usual:
            return sign * size * self.scale
        kind = rng.choice(("power", "integer", "zero", "constant", "near", "wide"))
        if kind == "power":
            return sign * size * 10.0 ** rng.randint(-9, 9)
        if kind == "integer":
            return sign * rng.randint(1, 4)
        if kind == "zero":
            return 0.0
        if kind == "wide" and rng.random() < 0.3:
            return sign * size * 10.0 ** rng.randint(-300, 300)
        constant = sign * (rng.choice(constants) if constants else 1.0)
        return constant if kind == "constant" else math.nextafter(constant, sign * math.inf)


@dataclass(frozen=True, slots=True)
class _Row:
    """A sample, whether the loss is worth comparing there, and whether a value is extreme."""

    inputs: tuple[float, ...]
    targets: tuple[float, ...]
    good: bool
    extreme: bool


def draw(risk: EmpiricalRisk, reference: Reference, samples: int, seed: int) -> list[Block]:
    """Return ``samples`` points in blocks of one ``theta`` each, the same ones for the same seed.

    Fewer come back only where hardly any point of the domain is found.
    """
    source = _Source(random.Random(seed), risk, reference)
    kinks = _kinks(source.rng, source.plan[0], source.constants, _PATIENCE * samples)
    # all the terms of a matrix product positive: every unit of a network would be saturated
    modes = ("positive", "mixed", "odd", "mixed" if source.scaled else "positive")
    each = ROWS if source.has_data else 1
    blocks: list[Block] = []
    found = outside = 0
    for attempt in range(2 * _PATIENCE * (-(-samples // each))):
        unusual = attempt % 9 in _UNUSUAL  # with one sample for each, a fifth of all
        mode = "extreme" if unusual else modes[attempt % len(modes)]
        theta = source.theta(mode)
        if kinks and attempt % 4 == 3 and not unusual:
            place, value = kinks.pop()
            theta = (*theta[:place], value, *theta[place + 1 :])
        rows = list(source.rows(mode, theta, min(1 if unusual else each, samples - found)))
        inside = [row for row in rows if row.good]
        allowed = max(0, int(OUTSIDE * samples) - outside)
        kept = inside + [row for row in rows if not row.good][:allowed]
        if not inside and attempt % 7:
            continue  # a theta without one good sample is worth keeping now and then only
        outside += len(kept) - len(inside)
        found += len(kept)
        if kept:
            inputs, targets = tuple(row.inputs for row in kept), tuple(row.targets for row in kept)
            blocks.append(Block(theta, inputs, targets, sum(row.extreme for row in kept)))
        if found >= samples:
            break
    return blocks


class _Source:
    """Where points come from."""

    def __init__(self, rng: random.Random, risk: EmpiricalRisk, reference: Reference) -> None:
        self.rng, self._reference = rng, reference
        self.constants, self.plan = reference.constants(), _plan(risk, reference)
        self.scaled = any(leaf.scale < 1 for leaf in self.plan[0])
        self._signed_zeros = not reference.tells_zeros()

    @property
    def has_data(self) -> bool:
        return bool(self.plan[1] or self.plan[2])

    def theta(self, mode: str) -> tuple[float, ...]:
        """Parameters, one of them extreme if ``mode`` is."""
        ones = self.rng.random() < _ONES and not self.scaled
        rest = ("ones" if ones else "mixed") if mode == "extreme" else mode
        theta = tuple(leaf.draw(self.rng, rest, self.constants) for leaf in self.plan[0])
        return self._broken(theta, self.plan[0]) if mode == "extreme" else theta

    def rows(self, mode: str, theta: tuple[float, ...], wanted: int) -> Iterator[_Row]:
        """Samples for one theta."""
        unusual = mode == "extreme"
        for _ in range(wanted):
            broken = not unusual and self.rng.random() < _BROKEN
            for _ in range(_TRIES):
                row = self._row("mixed" if unusual else mode, theta, broken, unusual)
                if row.good or not self.has_data:
                    break
            yield row

    def _row(self, mode: str, theta: tuple[float, ...], broken: bool, unusual: bool) -> _Row:
        rng = self.rng
        inputs, targets = (tuple(leaf.draw(rng, mode, self.constants) for leaf in group) for group in self.plan[1:])
        inputs = _tied(rng, theta, inputs, self.plan[1])
        targets = _tied(rng, theta + inputs, targets, self.plan[2])
        leaves = (*self.plan[1], *self.plan[2])
        broken = broken and any(not leaf.choices for leaf in leaves)
        if broken:
            values = self._broken(inputs + targets, leaves)
            inputs, targets = values[: len(inputs)], values[len(inputs) :]
        loss = self._reference.rough_loss(theta, inputs, targets)
        good = _defined(loss) if broken or unusual else _ordinary(loss)
        return _Row(inputs, targets, good, broken or unusual)

    def _broken(self, values: tuple[float, ...], leaves: Sequence[_Leaf]) -> tuple[float, ...]:
        """The values with one of them extreme."""
        free = [place for place, leaf in enumerate(leaves) if not leaf.choices]
        place = self.rng.choice(free)
        value = leaves[place].suited(extreme(self.rng, self.constants, self._signed_zeros))
        return (*values[:place], value, *values[place + 1 :])


def _plan(risk: EmpiricalRisk, reference: Reference) -> list[list[_Leaf]]:
    """The scalars of parameters, inputs and targets."""
    labels = reference.labels()
    plan: list[list[_Leaf]] = []
    start = 0
    for group, size in zip((risk.parameters, risk.inputs, risk.targets), reference.sizes, strict=True):
        usual = 1 - min(_ODD, _MOST_ODD / max(1, size))
        scalars = [leaf for symbol in group for leaf in _described(symbol, usual)]
        for place in range(size):
            if start + place in labels:
                scalars[place] = replace(scalars[place], choices=labels[start + place])
        plan.append(scalars)
        start += size
    return plan


def _kinks(
    rng: random.Random, leaves: Sequence[_Leaf], constants: Sequence[float], most: int
) -> list[tuple[int, float]]:
    """Places of parameters with one of the declaration's numbers or its negative to put there, in any order."""
    free = [place for place, leaf in enumerate(leaves) if leaf.free]
    count = 2 * len(constants) * len(free)
    order = list(range(count)) if count <= most else rng.sample(range(count), most)
    if count <= most:
        rng.shuffle(order)
    signed = [sign * value for value in constants for sign in (1, -1)]
    return [(free[k // len(signed)], signed[k % len(signed)]) for k in order]


def _tied(
    rng: random.Random, others: Sequence[float], values: tuple[float, ...], leaves_: Sequence[_Leaf]
) -> tuple[float, ...]:
    """Now and then one value is made equal to another symbol's."""
    free = [i for i, leaf in enumerate(leaves_) if leaf.free]
    if not free or not others or rng.random() > 0.05:
        return values
    place = rng.choice(free)
    return (*values[:place], rng.choice(others), *values[place + 1 :])


def _ordinary(loss: Any) -> bool:
    return loss is not None and bool(mpmath.isfinite(loss)) and abs(loss) < 1e300


def _defined(loss: Any) -> bool:
    return loss is not None and not mpmath.isnan(loss)


def _described(symbol: Any, usual: float) -> list[_Leaf]:
    """What a symbol's assumptions say of its scalars; an undecided assumption (None) restricts nothing."""
    if isinstance(symbol, sp.MatrixSymbol):
        rows, columns = (int(size) for size in symbol.shape)
        return [_Leaf(False, 0, True, 0, columns**-0.5, usual)] * (rows * columns)
    sign = 1 if symbol.is_nonnegative else -1 if symbol.is_nonpositive else 0
    zero = symbol.is_zero is not False and not symbol.is_nonzero
    return [_Leaf(whole=bool(symbol.is_integer), sign=sign, zero=zero, choices=0, usual=usual)]
