"""The workloads that are written in scalars, once for every tool: the loss of one sample, or of arrays of them.

``m`` has the tool's functions, ``p``, ``u`` and ``y`` are its parameters, inputs and targets, one by one. Nothing is
imported but the sizes, so that the same text serves SymPy, CasADi, JAX, PyTorch and PyTensor.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .workloads import MIXTURE

Values = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Formula:
    """How many parameters, inputs and targets, and the loss of a sample ``loss(m, p, u, y)``."""

    parameters: int
    inputs: int
    targets: int
    loss: Callable[[Any, Values, Values, Values], Any]


def _gauss1(m: Any, p: Values, u: Values, y: Values) -> Any:
    b1, b2, b3, b4, b5, b6, b7, b8 = p
    x = u[0]
    peaks = b3 * m.exp(-((x - b4) ** 2) / b5**2) + b6 * m.exp(-((x - b7) ** 2) / b8**2)
    return (b1 * m.exp(-b2 * x) + peaks - y[0]) ** 2


def _enso(m: Any, p: Values, u: Values, y: Values) -> Any:
    b1, b2, b3, b4, b5, b6, b7, b8, b9 = p
    year, first, second = (2 * m.pi * u[0] / period for period in (12, b4, b7))
    waves = b2 * m.cos(year) + b3 * m.sin(year) + b5 * m.cos(first) + b6 * m.sin(first)
    return (b1 + waves + b8 * m.cos(second) + b9 * m.sin(second) - y[0]) ** 2


def _tyre(m: Any, p: Values, u: Values, y: Values) -> Any:
    stiffness, shape, peak, curvature = p
    slip = stiffness * u[0]
    return (peak * m.sin(shape * m.atan(slip - curvature * (slip - m.atan(slip)))) - y[0]) ** 2 / 2


def _decay(m: Any, p: Values, u: Values, y: Values) -> Any:
    return (p[0] * m.exp(-p[1] * u[0]) + p[2] - y[0]) ** 2 / 2


def _bundle(m: Any, p: Values, u: Values, y: Values) -> Any:
    """Rodrigues' rotation, a pinhole with radial distortion: ADBench's projection, the weight on both residuals."""
    r, centre, f, u0, v0, k1, k2 = p[0:3], p[3:6], *p[6:11]
    place, weight = p[11:14], p[14]
    v = [place[i] + u[i] - centre[i] for i in range(3)]
    angle = m.sqrt(r[0] ** 2 + r[1] ** 2 + r[2] ** 2)
    cosine, sine = m.cos(angle), m.sin(angle)
    a = [r[i] / angle for i in range(3)]
    cross = (a[1] * v[2] - a[2] * v[1], a[2] * v[0] - a[0] * v[2], a[0] * v[1] - a[1] * v[0])
    along = (a[0] * v[0] + a[1] * v[1] + a[2] * v[2]) * (1 - cosine)
    turned = [v[i] * cosine + cross[i] * sine + a[i] * along for i in range(3)]
    left, up = turned[0] / turned[2], turned[1] / turned[2]
    square = left**2 + up**2
    bend = 1 + k1 * square + k2 * square**2
    return (weight * (left * bend * f + u0 - y[0])) ** 2 + (weight * (up * bend * f + v0 - y[1])) ** 2


def _small_network(m: Any, p: Values, u: Values, y: Values) -> Any:
    inner, shift, outer, last = p[0:8], p[8:16], p[16:24], p[24]
    hidden = [m.tanh(w * u[0] + c) for w, c in zip(inner, shift, strict=True)]
    return (m.add([last, *(v * h for v, h in zip(outer, hidden, strict=True))]) - y[0]) ** 2 / 2


def _student(m: Any, p: Values, u: Values, y: Values) -> Any:
    """Minus the log-density; the scale is given by its logarithm."""
    mean, log_scale, nu = p
    square = ((y[0] - mean) * m.exp(-log_scale)) ** 2
    constant = m.loggamma(nu / 2) - m.loggamma((nu + 1) / 2) + m.log(nu * m.pi) / 2 + log_scale
    return constant + (nu + 1) / 2 * m.log1p(square / nu)


def _mixture(m: Any, p: Values, u: Values, y: Values) -> Any:
    """Minus the log-density, as GradBench has it: the factor of each inverse covariance is a triangle."""
    d, count = MIXTURE
    alpha, mu, q, lower = p[:count], p[count:], p[count + count * d :], p[count + 2 * count * d :]
    exponents = []
    for k in range(count):
        x = [u[i] - mu[k * d + i] for i in range(d)]
        entries = iter(lower[k * d * (d - 1) // 2 :])
        rows = [m.add([m.exp(q[k * d + i]) * x[i], *(next(entries) * x[j] for j in range(i))]) for i in range(d)]
        diagonal = m.add([q[k * d + i] for i in range(d)])
        exponents.append(alpha[k] + diagonal - m.add([row**2 for row in rows]) / 2)
    return m.logsumexp(list(alpha)) - m.logsumexp(exponents)


def _linear(m: Any, p: Values, u: Values, y: Values) -> Any:
    return (m.add([a * b for a, b in zip(p, u, strict=True)]) - y[0]) ** 2 / 2


def _logistic(m: Any, p: Values, u: Values, y: Values) -> Any:
    z = m.add([a * b for a, b in zip(p, u, strict=True)])
    return m.softplus(z) - y[0] * z


FORMULAS = {
    "gauss1": Formula(8, 1, 1, _gauss1),
    "enso": Formula(9, 1, 1, _enso),
    "tyre": Formula(4, 1, 1, _tyre),
    "decay": Formula(3, 1, 1, _decay),
    "bundle": Formula(15, 3, 2, _bundle),
    "net1": Formula(25, 1, 1, _small_network),
    "student": Formula(3, 0, 1, _student),
}
# Where a tool has products of matrices, it is given workloads_batched; these are for those that have scalars alone.
WRITTEN_OUT = {
    "linear16": Formula(16, 16, 1, _linear),
    "linear200": Formula(200, 200, 1, _linear),
    "logistic16": Formula(16, 16, 1, _logistic),
    "logistic200": Formula(200, 200, 1, _logistic),
    "mixture": Formula(330, 10, 0, _mixture),
}
