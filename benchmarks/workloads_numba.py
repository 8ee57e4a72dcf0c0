"""Gradients by hand in Numba: loops that LLVM makes vector code of, with everything that it may do to make them fast.

``fastmath`` lets it reorder sums, so each formula is one loop with a scalar for each parameter's sum. What has a
vector version in some library (exp, log, sin, cos) is preferred: tanh and log1p are written with exp and log, which
loses a few digits and keeps those that are compared. A formula's ``u`` and ``y`` are (D, N) and (M, N), so that columns
lie in a row; those of products are (N, D) and (N, M). A chunk adds up rows ``low`` to ``high`` into ``g`` (P,); threads
share the chunks.
"""

from collections.abc import Callable
from math import atan, cos, exp, log, sin
from typing import Any

import numpy as np
from numba import njit, prange  # type: ignore[import-not-found, unused-ignore]
from scipy.special import digamma

from .workloads import Array
from .workloads_numba_products import PRODUCT_ROWS, PRODUCTS, fast
from .workloads_numpy import rotation


@fast
def _gauss1(theta: Any, u: Any, y: Any, low: int, high: int, g: Any) -> None:
    b1, b2, b3, b4, b5, b6, b7, b8 = theta
    x, target = u[0], y[0]
    w5, w8, f1, f2 = 1 / b5, 1 / b8, 2 * b3 / b5, 2 * b6 / b8
    s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = 0.0
    for i in range(low, high):
        t1, t2 = (x[i] - b4) * w5, (x[i] - b7) * w8
        e1, e2, e3 = exp(-b2 * x[i]), exp(-t1 * t1), exp(-t2 * t2)
        r = 2 * (b1 * e1 + b3 * e2 + b6 * e3 - target[i])
        decay, left, right = r * e1, r * e2, r * e3
        place1, place2 = left * t1, right * t2
        s1 += decay
        s2 += decay * x[i]
        s3 += left
        s4 += place1
        s5 += place1 * t1
        s6 += right
        s7 += place2
        s8 += place2 * t2
    g[0], g[1], g[2], g[3], g[4] = s1, -b1 * s2, s3, f1 * s4, f1 * s5
    g[5], g[6], g[7] = s6, f2 * s7, f2 * s8


@fast
def _enso(theta: Any, u: Any, y: Any, low: int, high: int, g: Any) -> None:
    b1, b2, b3, b4, b5, b6, b7, b8, b9 = theta
    x, target = u[0], y[0]
    f0, f1, f2 = np.pi / 6, 2 * np.pi / b4, 2 * np.pi / b7
    t1 = t2 = t3 = t4 = t5 = t6 = t7 = t8 = t9 = 0.0
    for i in range(low, high):
        c0, s0 = cos(f0 * x[i]), sin(f0 * x[i])
        c1, s1 = cos(f1 * x[i]), sin(f1 * x[i])
        c2, s2 = cos(f2 * x[i]), sin(f2 * x[i])
        r = 2 * (b1 + b2 * c0 + b3 * s0 + b5 * c1 + b6 * s1 + b8 * c2 + b9 * s2 - target[i])
        t1 += r
        t2 += r * c0
        t3 += r * s0
        t4 += r * (b5 * s1 - b6 * c1) * x[i]
        t5 += r * c1
        t6 += r * s1
        t7 += r * (b8 * s2 - b9 * c2) * x[i]
        t8 += r * c2
        t9 += r * s2
    g[0], g[1], g[2], g[3], g[4] = t1, t2, t3, t4 * f1 / b4, t5
    g[5], g[6], g[7], g[8] = t6, t7 * f2 / b7, t8, t9


@fast
def _tyre(theta: Any, u: Any, y: Any, low: int, high: int, g: Any) -> None:
    b, c, d, e = theta
    x, target = u[0], y[0]
    s1 = s2 = s3 = s4 = 0.0
    for i in range(low, high):
        slip = b * x[i]
        bent = atan(slip)
        inner = slip - e * (slip - bent)
        angle = atan(inner)
        wave = sin(c * angle)
        r = d * wave - target[i]
        by_angle = r * cos(c * angle)
        by_inner = by_angle / (1 + inner * inner)
        s1 += by_inner * (1 - e + e / (1 + slip * slip)) * x[i]
        s2 += by_angle * angle
        s3 += r * wave
        s4 += by_inner * (bent - slip)
    g[0], g[1], g[2], g[3] = d * c * s1, d * s2, s3, d * c * s4


@fast
def _bundle(theta: Any, u: Any, y: Any, low: int, high: int, g: Any) -> None:
    """``theta`` is followed by the turn and its derivatives, which no sample changes: 36 numbers."""
    f, u0, v0, k1, k2, weight = theta[6], theta[7], theta[8], theta[9], theta[10], theta[14]
    h1, h2, h3 = theta[11] - theta[3], theta[12] - theta[4], theta[13] - theta[5]
    r11, r12, r13, r21, r22, r23, r31, r32, r33 = theta[15:24]
    p1, p2, p3, m1, m2 = u[0], u[1], u[2], y[0], y[1]
    a11 = a12 = a13 = a21 = a22 = a23 = a31 = a32 = a33 = q1 = q2 = q3 = 0.0
    by_f = by_u = by_v = by_k1 = by_k2 = squares = 0.0
    for i in range(low, high):
        v1, v2, v3 = p1[i] + h1, p2[i] + h2, p3[i] + h3
        depth = 1 / (r31 * v1 + r32 * v2 + r33 * v3)
        left, up = (r11 * v1 + r12 * v2 + r13 * v3) * depth, (r21 * v1 + r22 * v2 + r23 * v3) * depth
        square = left * left + up * up
        bend = 1 + square * (k1 + k2 * square)
        g1, g2 = left * bend * f + u0 - m1[i], up * bend * f + v0 - m2[i]
        squares += g1 * g1 + g2 * g2
        by_u += g1
        by_v += g2
        by_bend = g1 * left + g2 * up
        by_f += by_bend * bend
        by_k1 += by_bend * square
        by_k2 += by_bend * square * square
        by_square = 2 * by_bend * (k1 + 2 * k2 * square)
        t1, t2 = (g1 * bend + by_square * left) * depth * f, (g2 * bend + by_square * up) * depth * f
        t3 = -(t1 * left + t2 * up)
        q1, q2, q3 = q1 + t1, q2 + t2, q3 + t3
        a11, a12, a13 = a11 + t1 * v1, a12 + t1 * v2, a13 + t1 * v3
        a21, a22, a23 = a21 + t2 * v1, a22 + t2 * v2, a23 + t2 * v3
        a31, a32, a33 = a31 + t3 * v1, a32 + t3 * v2, a33 + t3 * v3
    by_turn = (a11, a12, a13, a21, a22, a23, a31, a32, a33)
    w = 2 * weight * weight
    for i in range(3):
        total = 0.0
        for j in range(9):
            total += theta[24 + 9 * i + j] * by_turn[j]
        g[i] = w * total
        g[11 + i] = w * (q1 * theta[15 + i] + q2 * theta[18 + i] + q3 * theta[21 + i])
        g[3 + i] = -g[11 + i]
    g[6], g[7], g[8], g[9], g[10] = w * by_f, w * by_u, w * by_v, w * f * by_k1, w * f * by_k2
    g[14] = 2 * weight * squares


@fast
def _small_network(theta: Any, u: Any, y: Any, low: int, high: int, g: Any) -> None:
    """Blocks of samples: a loop over the samples for each unit, which is what becomes vector code."""
    hidden, r = np.empty((8, 256)), np.empty(256)
    g[:] = 0.0
    for start in range(low, high, 256):
        n = min(256, high - start)
        x = u[0, start : start + n]
        for i in range(n):
            r[i] = theta[24] - y[0, start + i]
        for k in range(8):
            w, c, v = theta[k], theta[8 + k], theta[16 + k]
            for i in range(n):
                t = 1 - 2 / (1 + exp(2 * (w * x[i] + c)))
                hidden[k, i] = t
                r[i] += v * t
        total = 0.0
        for i in range(n):
            total += r[i]
        g[24] += total
        for k in range(8):
            s1 = s2 = s3 = 0.0
            for i in range(n):
                t = hidden[k, i]
                pull = r[i] * (1 - t * t)
                s1 += pull * x[i]
                s2 += pull
                s3 += r[i] * t
            g[k] += theta[16 + k] * s1
            g[8 + k] += theta[16 + k] * s2
            g[16 + k] += s3


@fast
def _student(theta: Any, u: Any, y: Any, low: int, high: int, g: Any) -> None:
    """``theta`` is followed by the derivative of the gamma functions, which no sample changes."""
    mean, scale, nu, constant = theta[0], exp(-theta[1]), theta[2], theta[3]
    target = y[0]
    s1 = s2 = s3 = 0.0
    for i in range(low, high):
        t = (target[i] - mean) * scale
        square = t * t / nu
        share = 1 / (1 + square)
        s1 += t * share
        s2 += square * share
        s3 += log(1 + square)
    n = high - low
    pull = (nu + 1) / 2 * s2
    g[0], g[1] = -(nu + 1) * scale / nu * s1, n - 2 * pull
    g[2] = n * constant + s3 / 2 - pull / nu


@fast
def _gauss1_rows(theta: Any, u: Any, y: Any, low: int, high: int, out: Any) -> None:
    b1, b2, b3, b4, b5, b6, b7, b8 = theta
    x, target = u[0], y[0]
    w5, w8, f1, f2 = 1 / b5, 1 / b8, 2 * b3 / b5, 2 * b6 / b8
    for i in range(low, high):
        t1, t2 = (x[i] - b4) * w5, (x[i] - b7) * w8
        e1, e2, e3 = exp(-b2 * x[i]), exp(-t1 * t1), exp(-t2 * t2)
        r = 2 * (b1 * e1 + b3 * e2 + b6 * e3 - target[i])
        left, right = r * e2, r * e3
        place1, place2 = f1 * left * t1, f2 * right * t2
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = r * e1, -b1 * x[i] * r * e1, left, place1
        out[i, 4], out[i, 5], out[i, 6], out[i, 7] = place1 * t1, right, place2, place2 * t2


@fast
def _decay_rows(theta: Any, u: Any, y: Any, low: int, high: int, out: Any) -> None:
    a, k, c = theta
    x, target = u[0], y[0]
    for i in range(low, high):
        e = exp(-k * x[i])
        r = a * e + c - target[i]
        out[i, 0], out[i, 1], out[i, 2] = r * e, -a * x[i] * r * e, r


def invariant(model: str, theta: Array) -> Array:
    """What a person would take out of the loop, put behind the parameters."""
    if model == "bundle":
        turn, slopes = rotation(theta[:3])
        return np.concatenate([theta, turn.ravel(), slopes.ravel()])
    if model == "student":
        nu = theta[2]
        return np.append(theta, (digamma(nu / 2) - digamma((nu + 1) / 2) + 1 / nu) / 2)
    return theta


Chunk = Callable[[Any, Any, Any, int, int, Any], None]
FORMULA_CHUNKS: dict[str, Chunk] = {
    "gauss1": _gauss1,
    "enso": _enso,
    "tyre": _tyre,
    "bundle": _bundle,
    "net1": _small_network,
    "student": _student,
}
FORMULA_ROWS: dict[str, Chunk] = {"gauss1": _gauss1_rows, "decay": _decay_rows}


def gradient_of(model: str, inputs: Array, targets: Array, parameters: int) -> Callable[[Array], Array]:
    """A function from theta (P,) to the mean gradient (P,)."""
    chunk: Any = FORMULA_CHUNKS.get(model) or PRODUCTS[model]
    u, y = _laid_out(model in FORMULA_CHUNKS, inputs, targets)
    n = len(inputs)

    @njit(parallel=True, fastmath=True)  # type: ignore[untyped-decorator, unused-ignore]
    def run(theta: Any, u: Any, y: Any, parts: Any) -> None:
        chunks = parts.shape[0]
        for c in prange(chunks):
            chunk(theta, u, y, n * c // chunks, n * (c + 1) // chunks, parts[c])

    parts = np.empty((min(16, 1 + n // 1000), parameters), dtype=inputs.dtype)

    def gradient(theta: Array) -> Array:
        run(invariant(model, theta), u, y, parts)
        total: Array = parts.sum(0) / n
        return total

    return gradient


def rows_of(model: str, inputs: Array, targets: Array, parameters: int) -> Callable[[Array], Array]:
    """A function from theta (P,) to the gradient of each sample, (N, P), an array that is used again."""
    chunk: Any = FORMULA_ROWS.get(model) or PRODUCT_ROWS[model]
    u, y = _laid_out(model in FORMULA_ROWS, inputs, targets)
    n = len(inputs)
    out = np.empty((n, parameters))

    @njit(parallel=True, fastmath=True)  # type: ignore[untyped-decorator, unused-ignore]
    def run(theta: Any, u: Any, y: Any, out: Any) -> None:
        for c in prange(16):
            chunk(theta, u, y, n * c // 16, n * (c + 1) // 16, out)

    def rows(theta: Array) -> Array:
        run(theta, u, y, out)
        return out

    return rows


def _laid_out(by_column: bool, inputs: Array, targets: Array) -> tuple[Array, Array]:
    if by_column:
        return np.ascontiguousarray(inputs.T), np.ascontiguousarray(targets.T)
    return inputs, targets
