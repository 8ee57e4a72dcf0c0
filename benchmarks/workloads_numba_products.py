"""The workloads with products of matrices by hand in Numba: see ``workloads_numba``.

Regressions take four rows at a time, so that the sums are read and written once for four; networks take blocks of rows
through BLAS. Sizes are constants, which LLVM unrolls by.
"""

from collections.abc import Callable
from math import exp
from typing import Any, TypeVar

import numpy as np
from numba import njit  # type: ignore[import-not-found, unused-ignore]

from .workloads import MIXTURE, SIZES

_Function = TypeVar("_Function", bound=Callable[..., Any])


def fast(function: _Function) -> _Function:
    """Compiled by Numba with everything that makes it fast."""
    compiled: _Function = njit(fastmath=True, error_model="numpy")(function)
    return compiled


def _regression(features: int, classes: bool) -> Any:
    @fast
    def pull(z: Any, y: Any) -> Any:
        return (1 / (1 + exp(-z)) if classes else z) - y

    @fast
    def chunk(theta: Any, u: Any, y: Any, low: int, high: int, g: Any) -> None:
        total = np.zeros(features)
        i = low
        while i + 4 <= high:
            a, b, c, d = u[i], u[i + 1], u[i + 2], u[i + 3]
            z1 = z2 = z3 = z4 = 0.0
            for j in range(features):
                z1 += a[j] * theta[j]
                z2 += b[j] * theta[j]
                z3 += c[j] * theta[j]
                z4 += d[j] * theta[j]
            r1, r2, r3, r4 = pull(z1, y[i, 0]), pull(z2, y[i + 1, 0]), pull(z3, y[i + 2, 0]), pull(z4, y[i + 3, 0])
            for j in range(features):
                total[j] += r1 * a[j] + r2 * b[j] + r3 * c[j] + r4 * d[j]
            i += 4
        for k in range(i, high):
            z = 0.0
            for j in range(features):
                z += u[k, j] * theta[j]
            r = pull(z, y[k, 0])
            for j in range(features):
                total[j] += r * u[k, j]
        g[:] = total

    return chunk


def _logistic_rows(features: int) -> Any:
    @fast
    def chunk(theta: Any, u: Any, y: Any, low: int, high: int, out: Any) -> None:
        for i in range(low, high):
            z = 0.0
            for j in range(features):
                z += u[i, j] * theta[j]
            r = 1 / (1 + exp(-z)) - y[i, 0]
            for j in range(features):
                out[i, j] = r * u[i, j]

    return chunk


def _mixture() -> Any:
    d, count = MIXTURE
    start_mu, start_q, start_l = count, count + count * d, count + 2 * count * d
    size = d * (d - 1) // 2
    block = 128

    @fast
    def chunk(theta: Any, u: Any, y: Any, low: int, high: int, g: Any) -> None:
        """Blocks of samples with the samples innermost, so that a sum over a row of the triangle is vector code."""
        shifted, turned = np.empty((count, d, block)), np.empty((count, d, block))
        weights, largest, total = np.empty((count, block)), np.empty(block), np.empty(block)
        scale = np.exp(theta[start_q:start_l])
        g[:] = 0.0
        for start in range(low, high, block):
            n = min(block, high - start)
            for k in range(count):
                w = weights[k]
                constant = theta[k]
                for i in range(d):
                    constant += theta[start_q + k * d + i]
                for s in range(n):
                    w[s] = constant
                for i in range(d):
                    x, t = shifted[k, i], turned[k, i]
                    mean, factor = theta[start_mu + k * d + i], scale[k * d + i]
                    for s in range(n):
                        x[s] = u[start + s, i] - mean
                        t[s] = factor * x[s]
                    for j in range(i):
                        entry, other = theta[start_l + k * size + i * (i - 1) // 2 + j], shifted[k, j]
                        for s in range(n):
                            t[s] += entry * other[s]
                    for s in range(n):
                        w[s] -= t[s] * t[s] / 2
            for s in range(n):
                largest[s] = weights[0, s]
                total[s] = 0.0
            for k in range(1, count):
                for s in range(n):
                    largest[s] = max(largest[s], weights[k, s])
            for k in range(count):
                for s in range(n):
                    weights[k, s] = exp(weights[k, s] - largest[s])
                    total[s] += weights[k, s]
            for k in range(count):
                w = weights[k]
                mass = 0.0
                for s in range(n):
                    w[s] /= total[s]
                    mass += w[s]
                g[k] -= mass
                for i in range(d):
                    t, x = turned[k, i], shifted[k, i]
                    pulls = along = 0.0
                    for s in range(n):
                        t[s] *= w[s]
                        pulls += t[s]
                        along += t[s] * x[s]
                    g[start_mu + k * d + i] -= scale[k * d + i] * pulls
                    g[start_q + k * d + i] += scale[k * d + i] * along - mass
                    for j in range(i):
                        at, other, entry_sum = k * size + i * (i - 1) // 2 + j, shifted[k, j], 0.0
                        for s in range(n):
                            entry_sum += t[s] * other[s]
                        g[start_l + at] += entry_sum
                        g[start_mu + k * d + j] -= theta[start_l + at] * pulls
        prior = np.exp(theta[:count] - theta[:count].max())
        g[:count] += (high - low) * prior / prior.sum()

    return chunk


def _pulls(classes: int) -> Any:
    @fast
    def pulls(scores: Any, last: Any, y: Any, start: int) -> None:
        """Scores become the slopes of the loss by them."""
        for i in range(scores.shape[0]):
            row = scores[i]
            largest = row[0] + last[0]
            for k in range(classes):
                row[k] += last[k]
                largest = max(largest, row[k])
            total = row[0] * 0
            for k in range(classes):
                row[k] = exp(row[k] - largest)
                total += row[k]
            for k in range(classes):
                row[k] /= total
            row[int(y[start + i, 0])] -= 1

    return pulls


def _network(name: str) -> Any:
    d, h, c = SIZES[name]
    pulls, block = _pulls(c), 256

    @fast
    def chunk(theta: Any, u: Any, y: Any, low: int, high: int, g: Any) -> None:
        first = h * d
        second = first + h + c * h
        w1, w2 = theta[:first].reshape((h, d)), theta[first + h : second].reshape((c, h))
        b1, b2 = theta[first : first + h], theta[second:]
        by_w1, by_w2 = g[:first].reshape((h, d)), g[first + h : second].reshape((c, h))
        g[:] = 0
        for start in range(low, high, block):
            x = u[start : min(start + block, high)]
            hidden = np.dot(x, w1.T)
            for i in range(hidden.shape[0]):
                for k in range(h):
                    hidden[i, k] = 1 - 2 / (1 + exp(2 * (hidden[i, k] + b1[k])))
            scores = np.dot(hidden, w2.T)
            pulls(scores, b2, y, start)
            inner = np.dot(scores, w2)
            by_w2 += np.dot(scores.T, hidden)
            for i in range(hidden.shape[0]):
                for k in range(h):
                    inner[i, k] *= 1 - hidden[i, k] * hidden[i, k]
                    g[first + k] += inner[i, k]
                for k in range(c):
                    g[second + k] += scores[i, k]
            by_w1 += np.dot(inner.T, x)

    return chunk


def _network_rows(name: str) -> Any:
    d, h, c = SIZES[name]
    pulls = _pulls(c)

    @fast
    def chunk(theta: Any, u: Any, y: Any, low: int, high: int, out: Any) -> None:
        first = h * d
        second = first + h + c * h
        w1, w2 = theta[:first].reshape((h, d)), theta[first + h : second].reshape((c, h))
        hidden = np.dot(u[low:high], w1.T)
        for i in range(hidden.shape[0]):
            for k in range(h):
                hidden[i, k] = 1 - 2 / (1 + exp(2 * (hidden[i, k] + theta[first + k])))
        scores = np.dot(hidden, w2.T)
        pulls(scores, theta[second:], y, low)
        inner = np.dot(scores, w2)
        for i in range(hidden.shape[0]):
            row = out[low + i]
            for k in range(h):
                pull = inner[i, k] * (1 - hidden[i, k] * hidden[i, k])
                row[first + k] = pull
                for j in range(d):
                    row[k * d + j] = pull * u[low + i, j]
            for k in range(c):
                row[second + k] = scores[i, k]
                for j in range(h):
                    row[first + h + k * h + j] = scores[i, k] * hidden[i, j]

    return chunk


PRODUCTS: dict[str, Any] = {
    "linear16": _regression(16, classes=False),
    "linear200": _regression(200, classes=False),
    "logistic16": _regression(16, classes=True),
    "logistic200": _regression(200, classes=True),
    "mixture": _mixture(),
    **{name: _network(name) for name in SIZES},
}
PRODUCT_ROWS: dict[str, Any] = {"logistic16": _logistic_rows(16), "net64": _network_rows("net64")}
