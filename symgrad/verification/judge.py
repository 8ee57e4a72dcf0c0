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

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from symgrad.declare import EmpiricalRisk
from symgrad.oracle import Reference
from symgrad.pipeline import compile as compile_risk

from .comparing import Array, Judge, arrays_of
from .points import Block, draw
from .report import GATE, Report, Row
from .second import verify_second
from .tally import MANY, Tallies, Turns
from .ulp import ulp_error

__all__ = ["GATE", "Report", "Row", "ulp_error", "verify", "verify_compiled"]

LEAST_DIGITS = 20
EFFORT = 4_000_000  # scalar operations of the loss, over all points: a minute or two
LEAST_SAMPLES = 20  # that the largest model gets

Progress = Callable[[int, int], None]


class Compiled(Protocol):
    """What is verified: the per-sample functions of a compiled risk; of one with a penalty the mean ones too."""

    def per_sample_loss(self, theta: Array, inputs: Array, targets: Array) -> Array:
        """Return the losses (N,) of samples at one theta (P,)."""

    def per_sample_gradient(self, theta: Array, inputs: Array, targets: Array) -> Array:
        """Return the losses' gradients (N, P) at one theta (P,)."""


def verify(
    risk: EmpiricalRisk,
    samples: int = 200,
    digits: int = 50,
    *,
    order: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> Report:
    """Compile a risk and compare its per-sample loss and gradient with the oracle's.

    Args:
        risk: the declared risk; it is compiled (or found in the cache) in float64.
        samples: how many points, up to five for each ``theta``; most of them in the loss' domain. Models whose loss
            takes more than 20,000 operations get fewer than 200, and at least 20 of those asked for.
        digits: the decimal digits that the oracle starts with, at least 20; it raises them by itself where needed.
        order: 1 for the gradient, 2 for the Hessian, penalty included: one row for each two declared parameters. Of
            many parameters each theta looks at some columns.
        seed: the same points (and, where there are more than 500, the same derivatives) for the same seed.
        progress: called with (samples done, samples wanted) as the work goes on.

    Raises:
        ValueError: samples or digits too small, or another order.
        BuildError: the risk could not be compiled.
    """
    _check_counts(samples, digits)
    if order not in (1, 2):
        raise ValueError(f"order: expected 1 (the gradient) or 2 (the Hessian), got {order!r}; leave it out to get 1")
    way = verify_compiled if order == 1 else verify_second
    return way(risk, compile_risk(risk), samples, digits, seed=seed, progress=progress)


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
    judge, turns = Judge(Tallies(risk.parameters), reference, digits), Turns(reference.sizes[0], wanted, seed, MANY)
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
            sums = _sums(compiled, block)[:, [0, *(1 + position for position in positions)]]
            judge.penalty(block, sums, losses, gradients[:, positions], positions)
    each = turns.each if turns.each < turns.count else 0
    return judge.report(risk, done, extremes, seed, each, samples if wanted < samples else 0)


def _sums(compiled: Any, block: Block) -> Array:
    """The mean loss and gradient of each sample of a block alone: its own, plus the penalty's."""
    theta, inputs, targets = arrays_of(block)
    with np.errstate(all="ignore"):
        return np.array(
            [
                [compiled.risk(theta, u, t), *compiled.gradient(theta, u, t)]
                for u, t in ((inputs[i : i + 1], targets[i : i + 1]) for i in range(len(inputs)))
            ]
        )


def _compiled_values(compiled: Compiled, block: Block) -> tuple[Array, Array]:
    """The compiled losses and derivatives of the samples of a block."""
    theta, inputs, targets = arrays_of(block)
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
