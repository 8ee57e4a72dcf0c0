"""The workloads whose natural writing is in matrices, once for JAX, PyTorch and PyTensor: the losses of N samples.

``m`` has the tool's functions on arrays; ``theta`` is the flat vector, ``inputs`` an (N, D) and ``targets`` an (N,)
array (labels as whole numbers, where the targets are classes).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .workloads import MIXTURE, SIZES

Batched = Callable[[Any, Any, Any, Any], Any]


def _linear(m: Any, theta: Any, inputs: Any, targets: Any) -> Any:
    return (inputs @ theta - targets) ** 2 / 2


def _logistic(m: Any, theta: Any, inputs: Any, targets: Any) -> Any:
    z = inputs @ theta
    return m.softplus(z) - targets * z


def _mixture(m: Any, theta: Any, inputs: Any, _: Any) -> Any:
    """Each component's triangle is put together by two constant matrices of zeros and ones, and applied to all rows."""
    d, count = MIXTURE
    alpha, mu = theta[:count], theta[count : count + count * d].reshape((count, d))
    q = theta[count + count * d : count + 2 * count * d].reshape((count, d))
    lower = theta[count + 2 * count * d :].reshape((count, d * (d - 1) // 2))
    below, diagonal = (m.constant(a) for a in places(d))
    exponents = []
    for k in range(count):
        factor = (lower[k] @ below + m.exp(q[k]) @ diagonal).reshape((d, d))
        rows = (inputs - mu[k]) @ factor.T
        exponents.append(alpha[k] + q[k].sum() - (rows**2).sum(1) / 2)
    return m.logsumexp(alpha, 0) - m.logsumexp(m.stack(exponents), 0)


def places(d: int) -> tuple[np.ndarray, np.ndarray]:
    """What puts d (d - 1)/2 numbers below the diagonal of a d by d matrix, row by row, and d numbers on it."""
    rows, columns = np.tril_indices(d, -1)
    below, diagonal = np.zeros((len(rows), d * d)), np.zeros((d, d * d))
    below[np.arange(len(rows)), rows * d + columns] = 1
    diagonal[np.arange(d), np.arange(d) * (d + 1)] = 1
    return below, diagonal


def _network(sizes: tuple[int, int, int]) -> Batched:
    d, h, c = sizes

    def losses(m: Any, theta: Any, inputs: Any, labels: Any) -> Any:
        first = h * d
        second = first + h + c * h
        hidden = m.tanh(inputs @ theta[:first].reshape((h, d)).T + theta[first : first + h])
        scores = hidden @ theta[first + h : second].reshape((c, h)).T + theta[second:]
        return m.logsumexp(scores, 1) - m.pick(scores, labels)

    return losses


BATCHED: dict[str, Batched] = {
    "linear16": _linear,
    "linear200": _linear,
    "logistic16": _logistic,
    "logistic200": _logistic,
    "mixture": _mixture,
    **{name: _network(sizes) for name, sizes in SIZES.items()},
}
CLASSES = frozenset(SIZES)
