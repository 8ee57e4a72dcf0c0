"""Gradients by hand in NumPy: a peer, and what every other tool's results are held against.

Each function takes ``theta``, ``inputs`` (N, D) and ``targets`` (N, M) and gives the gradients' sum, (P,). Rows are
taken in blocks that stay in the processor's cache, as a careful writer of NumPy does. Where the gradient of a sample is
asked for, ``per_sample`` gives an (N, P) array.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import digamma

from .workloads import MIXTURE, SIZES, Array

Columns = Callable[[Array, Array, Array], list[Array]]
Sums = Callable[[Array, Array, Array], Array]
BLOCK = 4096


def mean_gradient(model: str, theta: Array, inputs: Array, targets: Array) -> Array:
    """The mean gradient, (P,)."""
    total = np.zeros_like(theta)
    block = WIDE_BLOCK if model in SUMS else BLOCK
    for start in range(0, len(inputs), block):
        u, y = inputs[start : start + block], targets[start : start + block]
        total += SUMS[model](theta, u, y) if model in SUMS else _sum(COLUMNS[model](theta, u, y))
    return total / len(inputs)


def per_sample(model: str, theta: Array, inputs: Array, targets: Array, out: Array) -> Array:
    """The gradient of each sample, written to ``out`` (N, P)."""
    for start in range(0, len(inputs), BLOCK):
        rows = slice(start, start + BLOCK)
        ROWS[model](theta, inputs[rows], targets[rows], out[rows])
    return out


WIDE_BLOCK = 1 << 14


def _sum(columns: list[Array]) -> Array:
    return np.array([c.sum() for c in columns])


# --- formulas: each parameter's derivative as a column of N numbers --------------------------------------------------


def _gauss1(theta: Array, inputs: Array, targets: Array) -> list[Array]:
    b1, b2, b3, b4, b5, b6, b7, b8 = theta
    x, y = inputs[:, 0], targets[:, 0]
    e1, t1, t2 = np.exp(-b2 * x), (x - b4) / b5, (x - b7) / b8
    e2, e3 = np.exp(-t1 * t1), np.exp(-t2 * t2)
    r = 2 * (b1 * e1 + b3 * e2 + b6 * e3 - y)
    decay, left, right = r * e1, r * e2, r * e3
    place1, place2 = left * t1 * (2 * b3 / b5), right * t2 * (2 * b6 / b8)
    return [decay, decay * x * -b1, left, place1, place1 * t1, right, place2, place2 * t2]


def _enso(theta: Array, inputs: Array, targets: Array) -> list[Array]:
    b1, b2, b3, b4, b5, b6, b7, b8, b9 = theta
    x, y = inputs[:, 0], targets[:, 0]
    year, first, second = (x * (2 * np.pi / period) for period in (12.0, b4, b7))
    c0, s0, c1, s1, c2, s2 = (f(phase) for phase in (year, first, second) for f in (np.cos, np.sin))
    r = 2 * (b1 + b2 * c0 + b3 * s0 + b5 * c1 + b6 * s1 + b8 * c2 + b9 * s2 - y)
    period1 = r * (b5 * s1 - b6 * c1) * first / b4
    period2 = r * (b8 * s2 - b9 * c2) * second / b7
    return [r, r * c0, r * s0, period1, r * c1, r * s1, period2, r * c2, r * s2]


def _tyre(theta: Array, inputs: Array, targets: Array) -> list[Array]:
    b, c, d, e = theta
    x = inputs[:, 0]
    slip = b * x
    bent = np.arctan(slip)
    inner = slip - e * (slip - bent)
    angle = np.arctan(inner)
    wave = np.sin(c * angle)
    r = d * wave - targets[:, 0]
    by_angle = r * d * np.cos(c * angle)
    by_inner = by_angle * c / (1 + inner * inner)
    by_slip = by_inner * (1 - e + e / (1 + slip * slip))
    return [by_slip * x, by_angle * angle, r * wave, by_inner * (bent - slip)]


def _decay(theta: Array, inputs: Array, targets: Array) -> list[Array]:
    a, k, c = theta
    x = inputs[:, 0]
    e = np.exp(-k * x)
    r = a * e + c - targets[:, 0]
    by_a = r * e
    return [by_a, by_a * x * -a, r]


def rotation(r: Array) -> tuple[Array, Array]:
    """Rodrigues' matrix R (3, 3) of a rotation vector, and its derivatives dR[i] = dR/dr_i (3, 3, 3)."""
    angle = np.sqrt(r @ r)
    a, c, s = r / angle, np.cos(angle), np.sin(angle)
    cross = np.array([[0, -a[2], a[1]], [a[2], 0, -a[0]], [-a[1], a[0], 0]])
    turned = c * np.eye(3) + s * cross + (1 - c) * np.outer(a, a)
    slopes = np.empty((3, 3, 3))
    for i in range(3):
        da = (np.eye(3)[i] - a[i] * a) / angle
        dcross = np.array([[0, -da[2], da[1]], [da[2], 0, -da[0]], [-da[1], da[0], 0]])
        spread = np.outer(da, a) + np.outer(a, da)
        by_angle = -s * np.eye(3) + c * cross + s * np.outer(a, a)
        slopes[i] = a[i] * by_angle + s * dcross + (1 - c) * spread
    return turned, slopes


def _bundle(theta: Array, inputs: Array, targets: Array) -> Array:
    """The sum itself: the turn's derivatives are products with one 3 by 3 matrix of sums."""
    f, u0, v0, k1, k2 = theta[6:11]
    weight = theta[14]
    turn, slopes = rotation(theta[:3])
    v = inputs + (theta[11:14] - theta[3:6])
    t = v @ turn.T
    left, up = t[:, 0] / t[:, 2], t[:, 1] / t[:, 2]
    square = left * left + up * up
    bend = 1 + k1 * square + k2 * square * square
    r1, r2 = left * bend * f + u0 - targets[:, 0], up * bend * f + v0 - targets[:, 1]
    g1, g2 = 2 * weight * weight * r1, 2 * weight * weight * r2
    by_bend = (g1 * left + g2 * up) * f
    by_square = by_bend * (k1 + 2 * k2 * square)
    by_left, by_up = g1 * bend * f + 2 * by_square * left, g2 * bend * f + 2 * by_square * up
    by_t = np.column_stack([by_left / t[:, 2], by_up / t[:, 2], -(by_left * left + by_up * up) / t[:, 2]])
    by_turn = by_t.T @ v
    by_place = by_t.sum(0) @ turn
    return np.concatenate([
        [(slope * by_turn).sum() for slope in slopes], -by_place, [by_bend @ bend / f, g1.sum(), g2.sum()],
        [by_bend @ square, by_bend @ (square * square)], by_place, [2 * weight * (r1 @ r1 + r2 @ r2)],
    ])  # fmt: skip


def _small_network(theta: Array, inputs: Array, targets: Array) -> Array:
    inner, shift, outer, last = theta[0:8], theta[8:16], theta[16:24], theta[24]
    hidden = np.tanh(inputs * inner + shift)
    r = hidden @ outer + last - targets[:, 0]
    by_hidden = r[:, None] * (1 - hidden * hidden) * outer
    return np.concatenate([inputs[:, 0] @ by_hidden, by_hidden.sum(0), r @ hidden, [r.sum()]])


def _student(theta: Array, inputs: Array, targets: Array) -> Array:
    mean, log_scale, nu = theta
    scale = np.exp(-log_scale)
    t = (targets[:, 0] - mean) * scale
    square = t * t / nu
    share = 1 / (1 + square)
    by_square = (nu + 1) / 2 * share
    constant = (digamma(nu / 2) - digamma((nu + 1) / 2) + 1 / nu) / 2
    pull = by_square @ square
    by_nu = len(t) * constant + np.log1p(square).sum() / 2 - pull / nu
    return np.array([by_square @ t * (-2 * scale / nu), len(t) - 2 * pull, by_nu])


# --- and those in matrices ------------------------------------------------------------------------------------------


def _linear(theta: Array, inputs: Array, targets: Array) -> Array:
    return (inputs @ theta - targets[:, 0]) @ inputs


def _logistic(theta: Array, inputs: Array, targets: Array) -> Array:
    return (_sigmoid(inputs @ theta) - targets[:, 0]) @ inputs


def _sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def _mixture(theta: Array, inputs: Array, _: Array) -> Array:
    d, count = MIXTURE
    rows, columns = np.tril_indices(d, -1)
    alpha, mu = theta[:count], theta[count : count + count * d].reshape(count, d)
    q = theta[count + count * d : count + 2 * count * d].reshape(count, d)
    lower = theta[count + 2 * count * d :].reshape(count, -1)
    factors = np.zeros((count, d, d))
    factors[:, rows, columns] = lower
    factors[:, np.arange(d), np.arange(d)] = np.exp(q)
    shifted = [inputs - mu[k] for k in range(count)]
    turned = [shifted[k] @ factors[k].T for k in range(count)]
    squares = [np.einsum("ij,ij->i", t, t) for t in turned]
    exponents = np.array([alpha[k] + q[k].sum() - squares[k] / 2 for k in range(count)])
    weights = np.exp(exponents - exponents.max(0))
    weights /= weights.sum(0)
    prior = np.exp(alpha - alpha.max())
    total = weights.sum(1)
    by_mu, by_q, by_lower = np.empty((count, d)), np.empty((count, d)), np.empty_like(lower)
    for k in range(count):
        pulled = turned[k] * weights[k][:, None]
        by_factor = pulled.T @ shifted[k]
        by_mu[k] = -(pulled.sum(0) @ factors[k])
        by_q[k] = np.diag(by_factor) * np.exp(q[k]) - total[k]
        by_lower[k] = by_factor[rows, columns]
    by_alpha = len(inputs) * prior / prior.sum() - total
    return np.concatenate([by_alpha, by_mu.ravel(), by_q.ravel(), by_lower.ravel()])


def _pulls(sizes: tuple[int, int, int], theta: Array, u: Array, y: Array) -> tuple[Array, Array, Array]:
    """The hidden units of all rows, and the slopes of the loss by what goes into them and by the scores."""
    d, h, c = sizes
    w1, b1, w2, b2 = np.split(theta, np.cumsum([h * d, h, c * h]))
    hidden = np.tanh(u @ w1.reshape(h, d).T + b1)
    scores = hidden @ w2.reshape(c, h).T + b2
    scores -= scores.max(1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(1, keepdims=True)
    scores[np.arange(len(u)), y[:, 0].astype(np.intp)] -= 1
    return hidden, (scores @ w2.reshape(c, h)) * (1 - hidden * hidden), scores


def _network(sizes: tuple[int, int, int]) -> Sums:
    def total(theta: Array, u: Array, y: Array) -> Array:
        hidden, inner, outer = _pulls(sizes, theta, u, y)
        return np.concatenate([(inner.T @ u).ravel(), inner.sum(0), (outer.T @ hidden).ravel(), outer.sum(0)])

    return total


# --- gradients of each sample ----------------------------------------------------------------------------------------


def _rows_of(columns: Columns) -> Callable[[Array, Array, Array, Array], None]:
    def write(theta: Array, u: Array, y: Array, out: Array) -> None:
        for k, column in enumerate(columns(theta, u, y)):
            out[:, k] = column

    return write


def _logistic_rows(theta: Array, u: Array, y: Array, out: Array) -> None:
    np.multiply(u, (_sigmoid(u @ theta) - y[:, 0])[:, None], out=out)


def _network_rows(theta: Array, u: Array, y: Array, out: Array) -> None:
    d, h, c = SIZES["net64"]
    hidden, inner, outer = _pulls((d, h, c), theta, u, y)
    n, first, second = len(u), h * d, h * d + h + c * h
    np.multiply(inner[:, :, None], u[:, None, :], out=out[:, :first].reshape(n, h, d))
    out[:, first : first + h] = inner
    np.multiply(outer[:, :, None], hidden[:, None, :], out=out[:, first + h : second].reshape(n, c, h))
    out[:, second:] = outer


COLUMNS: dict[str, Columns] = {"gauss1": _gauss1, "enso": _enso, "tyre": _tyre, "decay": _decay}
SUMS: dict[str, Sums] = {
    "bundle": _bundle,
    "net1": _small_network,
    "student": _student,
    "linear16": _linear,
    "linear200": _linear,
    "logistic16": _logistic,
    "logistic200": _logistic,
    "mixture": _mixture,
    **{name: _network(sizes) for name, sizes in SIZES.items()},
}
ROWS: dict[str, Callable[[Array, Array, Array, Array], None]] = {
    "gauss1": _rows_of(_gauss1),
    "decay": _rows_of(_decay),
    "logistic16": _logistic_rows,
    "net64": _network_rows,
}
