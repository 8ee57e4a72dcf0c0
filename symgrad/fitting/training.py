"""Training by mini-batches: Adam on a compiled gradient, and how well the result does on rows that it has not seen.

    learn, test = held_back(len(inputs))
    for epoch in adam(compiled.gradient, theta, inputs[learn], targets[learn], epochs=30):
        print(epoch.number, accuracy(compiled.predict(epoch.theta, inputs[test]), targets[test]))

Knows NumPy and nothing of symgrad: any gradient will do that takes parameters and rows.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_FADING, _FADING_SQUARES = 0.9, 0.999  # how much of the running means is kept at a step
_SMALLEST = 1e-8  # beside a gradient's size


@dataclass(frozen=True, slots=True, eq=False)
class Epoch:
    """What one sweep over the rows has come to."""

    number: int
    """1 for the first"""
    theta: Array
    """``(P,)``: the parameters after it, an array of its own"""
    seconds: float
    """what the sweep took, without what was done between the epochs"""


def adam(
    gradient: Callable[[Array, Array, Array], Array], theta: ArrayLike, inputs: Array, targets: Array, *,
    epochs: int, batch: int = 64, rate: float = 0.01, seed: int = 0,
) -> Iterator[Epoch]:  # fmt: skip
    """Train, and yield a report after each epoch; whoever has seen enough stops asking.

    Each epoch takes the rows in a new order, ``batch`` at a time, and steps against running means of the gradient,
    each parameter on the scale of its own: at most about ``rate`` in a step. ``seed`` decides the orders.

    Args:
        gradient: a compiled risk's ``gradient``; called with ``theta`` and some rows of both tables.
        theta: ``(P,)``, where to start; it is left as it is.
        inputs: ``(N, D)``.
        targets: ``(N, M)`` or ``(N,)``.

    Raises:
        ValueError: for epochs or batch below 1, and where there is no row.

    Source: Kingma, D. P., and J. Ba (2015). Adam: A Method for Stochastic Optimization. ICLR, algorithm 1.
    """
    for name, number in (("epochs", epochs), ("batch", batch), ("inputs: the number of rows", len(inputs))):
        if number < 1:
            raise ValueError(f"{name}: expected a whole number >= 1, got {number!r}; write e.g. epochs=30, batch=64")
    return _adam(gradient, np.array(theta, dtype=np.float64), inputs, targets, epochs, batch, rate, seed)


def _adam(
    gradient: Callable[[Array, Array, Array], Array], theta: Array, inputs: Array, targets: Array,
    epochs: int, batch: int, rate: float, seed: int,
) -> Iterator[Epoch]:  # fmt: skip
    orders = np.random.default_rng(seed)
    mean, square, step = np.zeros_like(theta), np.zeros_like(theta), 0
    for number in range(1, epochs + 1):
        begin = time.perf_counter()
        order = orders.permutation(len(inputs))
        for first in range(0, len(order), batch):
            rows = order[first : first + batch]
            slope = gradient(theta, inputs[rows], targets[rows])
            step += 1
            mean += (1 - _FADING) * (slope - mean)
            square += (1 - _FADING_SQUARES) * (slope * slope - square)
            # Both means started at zero, and are still short by these factors.
            size = np.sqrt(square / (1 - _FADING_SQUARES**step)) + _SMALLEST
            theta -= rate / (1 - _FADING**step) * mean / size
        yield Epoch(number, theta.copy(), time.perf_counter() - begin)


def held_back(rows: int, every: int = 5) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return row numbers to learn from, and to test on: every fifth row is held back, whatever the machine or the day.

    Raises ``ValueError`` for ``every`` below 2, which would leave nothing to learn from.
    """
    if every < 2:
        raise ValueError(f"every: expected a whole number >= 2, got {every!r}; write e.g. every=5")
    numbers = np.arange(rows)
    back = numbers % every == every - 1
    return numbers[~back], numbers[back]


def accuracy(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return the share of rows whose greatest score is their label's: of scores (N, M) and labels (N,) or (N, 1).

    Raises ``ValueError`` where there are not as many labels as rows of scores.
    """
    table, wanted = np.asarray(scores), np.asarray(labels).ravel()
    if table.ndim != 2 or len(table) != len(wanted):
        raise ValueError(
            f"scores: expected (N, M) beside {len(wanted)} labels, got {table.shape}; "
            "pass compiled.predict(theta, inputs) of the rows that the labels belong to"
        )
    return float(np.mean(np.argmax(table, axis=1) == wanted))
