"""Where a compiled gradient is tried: points that suit the symbols' assumptions and lie mostly in the loss' domain.

Many samples share one ``theta``, as in an epoch. Most values are moderate; the others are powers of ten, small
integers, zeros, the declaration's own numbers (where kinks are) and copies of other values (ties of ``Max``). The
elements of a matrix of k columns are smaller by the root of k, so that its product with a vector is as large as the
vector; and of very many values only a few are unusual, or no point would be in reach.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import mpmath
import sympy as sp

from .problem import EmpiricalRisk
from .reference import Reference

ROWS = 5  # samples that share one theta
OUTSIDE = 0.1  # the share of samples where the loss is undefined or past a double's range
_TRIES = 6  # for one sample, before it may be one of those
_PATIENCE = 10  # as many thetas are tried as are wanted, times this
_ODD = 0.6  # the share of unusual values where they are asked for ...
_MOST_ODD = 12  # ... and about how many there are at most


@dataclass(frozen=True, slots=True)
class Block:
    """Samples that share their parameters: flat ``theta``, and one flat row for each sample."""

    theta: tuple[float, ...]
    inputs: tuple[tuple[float, ...], ...]
    targets: tuple[tuple[float, ...], ...]


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
        value = self._free(rng, mode, constants)
        if self.whole:
            value = float(round(value)) if abs(value) < 2**53 else value
        if self.sign:
            value = math.copysign(value, self.sign)
        if value == 0:
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


def draw(risk: EmpiricalRisk, reference: Reference, samples: int, seed: int) -> list[Block]:
    """``samples`` points in blocks of one ``theta`` each, the same ones for the same seed.

    Fewer come back only where hardly any point of the domain is found.
    """
    rng = random.Random(seed)
    constants, plan = reference.constants(), _plan(risk, reference)
    kinks = _kinks(rng, plan[0], constants, _PATIENCE * samples)
    # all the terms of a matrix product positive: every unit of a network would be saturated
    modes = ("positive", "mixed", "odd", "mixed" if any(leaf.scale < 1 for leaf in plan[0]) else "positive")
    blocks: list[Block] = []
    found = outside = 0
    for attempt in range(_PATIENCE * (-(-samples // ROWS))):
        mode = modes[attempt % len(modes)]
        theta = tuple(leaf.draw(rng, mode, constants) for leaf in plan[0])
        if kinks and attempt % 4 == 3:
            place, value = kinks.pop()
            theta = (*theta[:place], value, *theta[place + 1 :])
        wanted = min(ROWS, samples - found)
        rows = list(_rows(reference, rng, mode, constants, theta, plan, wanted))
        inside = [row for row in rows if row[2]]
        allowed = max(0, int(OUTSIDE * samples) - outside)
        kept = inside + [row for row in rows if not row[2]][:allowed]
        if not inside and attempt % 7:
            continue  # a theta without one good sample is worth keeping now and then only
        outside += len(kept) - len(inside)
        found += len(kept)
        if kept:
            blocks.append(Block(theta, tuple(row[0] for row in kept), tuple(row[1] for row in kept)))
        if found >= samples:
            break
    return blocks


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


def _rows(
    reference: Reference,
    rng: random.Random,
    mode: str,
    constants: Sequence[float],
    theta: tuple[float, ...],
    plan: Sequence[Sequence[_Leaf]],
    wanted: int,
) -> Iterator[tuple[tuple[float, ...], tuple[float, ...], bool]]:
    """Samples for one theta: inputs, targets, and whether the loss is an ordinary number there."""
    for _ in range(wanted):
        for _ in range(_TRIES):
            inputs, targets = (tuple(leaf.draw(rng, mode, constants) for leaf in group) for group in plan[1:])
            inputs, targets = _tied(rng, theta, inputs, plan[1]), _tied(rng, theta + inputs, targets, plan[2])
            good = _ordinary(reference.rough_loss(theta, inputs, targets))
            if good or (not plan[1] and not plan[2]):
                break
        yield inputs, targets, good


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


def _described(symbol: Any, usual: float) -> list[_Leaf]:
    """What a symbol's assumptions say of its scalars; an undecided assumption (None) restricts nothing."""
    if isinstance(symbol, sp.MatrixSymbol):
        rows, columns = (int(size) for size in symbol.shape)
        return [_Leaf(False, 0, True, 0, columns**-0.5, usual)] * (rows * columns)
    sign = 1 if symbol.is_nonnegative else -1 if symbol.is_nonpositive else 0
    zero = symbol.is_zero is not False and not symbol.is_nonzero
    return [_Leaf(whole=bool(symbol.is_integer), sign=sign, zero=zero, choices=0, usual=usual)]
