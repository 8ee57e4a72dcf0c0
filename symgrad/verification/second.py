"""Verifying second derivatives: entries of the compiled Hessian beside the oracle's, by the same bounds.

All samples of one theta look at the same columns: all of them where there are few parameters, else some, in turn. The
first of them are one of each declared parameter, so that no row of the report stays empty.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np

from symgrad.declare import EmpiricalRisk
from symgrad.oracle import Reference, Rounding, Sample, flat_names

from .comparing import Array, Groups, Judge, arrays_of
from .points import ROWS, Block, draw
from .report import Report
from .tally import PairTallies, Point, triangle_place

EFFORT = 100_000  # scalar operations of the loss, over all points and columns: a minute or two
LEAST_SAMPLES = 20  # that the largest model gets
ENTRIES = 64  # that each sample looks at, more only where the points would not get round to all parameters

Pairs = list[tuple[int, int]]


def verify_second(
    risk: EmpiricalRisk,
    compiled: Any,
    samples: int = 200,
    digits: int = 50,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Return the report on the second derivatives of a compiled risk: see ``verify``."""
    reference = Reference(risk)
    many = reference.sizes[0]
    each = min(many, max(1, ENTRIES // max(1, many), -(-ROWS * len(risk.parameters) // samples)))
    wanted = min(samples, max(LEAST_SAMPLES, EFFORT // (reference.operations * max(1, each))))
    order = _order(risk, many, seed, all_=each == many)
    judge = _SecondJudge(PairTallies(risk.parameters), reference, digits)
    done = extremes = 0
    for block in draw(risk, reference, wanted, seed):
        columns, order = sorted(order[:each]), order[each:] + order[:each]
        pairs = [(row, column) for column in columns for row in range(many)]
        losses, entries = _compiled_values(compiled, block, columns, pairs)
        extremes += block.extremes
        for row, (inputs, targets) in enumerate(zip(block.inputs, block.targets, strict=True)):
            judge.sample((block.theta, inputs, targets), [float(losses[row]), *map(float, entries[row])], pairs)
            done += 1
            if progress is not None:
                progress(done, wanted)
        if risk.penalty is not None:
            judge.penalty(block, _sums(compiled, block, columns, pairs), losses, entries, pairs)
    seen = each * many - each * (each - 1) // 2 if each < many else 0
    return judge.report(risk, done, extremes, seed, seen, samples if wanted < samples else 0)


class _SecondJudge(Judge):
    """Compares entries of the Hessian; positions are pairs, all rows of one column after those of another."""

    order = 2

    def _exact(self, values: Groups, positions: Sequence[Any]) -> Sample:
        return _finite(self._reference.second(*values, self._digits, columns=_columns(positions)))

    def _exact_penalty(self, theta: Point, positions: Sequence[Any]) -> Sample:
        inputs, targets = ((0.0,) * size for size in self._reference.sizes[1:])
        columns = _columns(positions)
        return _finite(self._reference.second(theta, inputs, targets, self._digits, columns=columns, penalty=True))

    def _rounding(self, values: Groups, digits: int, wanted: Sequence[Any], penalty: bool) -> Rounding | None:
        return self._reference.rounding(*values, digits, columns=_columns(wanted) or [0], penalty=penalty)


def _finite(exact: Sample) -> Sample:
    """A pole of a second derivative is no number to be near: without truth."""
    entries = tuple(e if e is not None and mpmath.isfinite(e) else None for e in exact.gradient)
    return Sample(exact.loss, entries, exact.digits)


def _columns(pairs: Sequence[tuple[int, int]]) -> list[int]:
    return sorted({column for _, column in pairs})


def _order(risk: EmpiricalRisk, many: int, seed: int, *, all_: bool) -> list[int]:
    """The flat parameters in the order in which columns are looked at."""
    if all_:
        return list(range(many))
    rng, first, start = random.Random(seed), list[int](), 0
    for symbol in risk.parameters:
        size = len(flat_names([symbol]))
        first.append(start + rng.randrange(size))
        start += size
    rest = sorted(set(range(many)) - set(first))
    rng.shuffle(rest)
    return first + rest


def _compiled_values(compiled: Any, block: Block, columns: Sequence[int], pairs: Pairs) -> tuple[Array, Array]:
    """The losses of the samples of a block, and the entries of their Hessians, the penalty's left out."""
    theta, inputs, targets = arrays_of(block)
    losses = np.asarray(compiled.per_sample_loss(theta, inputs, targets), dtype=np.float64)
    if compiled.quantities.at_once:
        lower = compiled.quantities["hessian"].per_sample_gradient(theta, inputs, targets)
        return losses, np.asarray(lower[:, [triangle_place(*pair) for pair in pairs]])
    product = compiled.quantities["hessian_vector"].per_sample_gradient
    units = np.eye(len(theta))
    return losses, np.hstack([product(np.concatenate([theta, units[c]]), inputs, targets) for c in columns])


def _sums(compiled: Any, block: Block, columns: Sequence[int], pairs: Pairs) -> Array:
    """The risk and the entries of its Hessian of each sample of a block alone: its own, plus the penalty's."""
    theta, inputs, targets = arrays_of(block)
    units = np.eye(len(theta))[:, columns]
    found = []
    with np.errstate(all="ignore"):
        for i in range(len(inputs)):
            one = inputs[i : i + 1], targets[i : i + 1]
            if compiled.quantities.at_once:
                entries = compiled.hessian(theta, *one)[:, columns]
            else:
                entries = compiled.hessian_vector(theta, units, *one)
            found.append([compiled.risk(theta, *one), *entries.T.reshape(-1)])
    return np.array(found)
