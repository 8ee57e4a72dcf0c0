"""GradBench's evals as risks: declared for a shape when that is first asked for, and compiled once.

Each function of a module takes an input as GradBench describes it (evals/NAME/README.md there) and returns two
functions: one that computes the answer, which is what is timed, and one that writes it down for JSON.

GradBench's objectives are sums over samples, and risks are means: N times the one is the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import sympy as sp

import symgrad as sg

Run: TypeAlias = tuple[Callable[[], Any], Callable[[Any], Any]]
Input: TypeAlias = Mapping[str, Any]

_NOTHING = np.empty((1, 0))  # one sample, without data


def _array(values: Any) -> np.ndarray:
    return np.array(values, dtype=np.float64)


# --------------------------------------------------------------------------------------------------------------- hello


@cache
def _square() -> Any:
    x = sp.Symbol("x")
    risk = sg.EmpiricalRisk.from_expression(x**2, inputs=[], targets=[], parameters=[x], name="square")
    return sg.compile(risk).bind(_NOTHING, None)


def hello(which: int) -> Callable[[float], Run]:
    return lambda x: ((lambda: _square()(_array([x]))[which]), lambda y: float(np.ravel(y)[0]))


# ---------------------------------------------------------------------------------------------------------------- llsq


@cache
def _least_squares(m: int) -> Any:
    """Half the square of s - x0 - x1 t - x2 t^2 - ..."""
    t, s, j = sp.Symbol("t"), sp.Symbol("s"), sp.Idx("j", m)
    x = sp.MatrixSymbol("x", m, 1)
    model = sg.Model(sp.Sum(x[j, 0] * t**j, (j, 0, m - 1)), inputs=[t], parameters=[x])
    prediction = sp.Symbol("prediction")
    loss = sg.Loss((s - prediction) ** 2 / 2, prediction=prediction, target=s)
    return sg.compile(sg.EmpiricalRisk(model, loss, name="llsq"))


def llsq(gradient: bool) -> Callable[[Input], Run]:
    def prepare(given: Input) -> Run:
        x, n = _array(given["x"]), given["n"]
        t = -1 + np.arange(n) * 2 / (n - 1)
        bound = _least_squares(len(x)).bind(t, np.sign(t))
        compiled = _least_squares(len(x))
        if gradient:
            return (lambda: n * bound(x)[1]), np.ndarray.tolist
        return (lambda: n * compiled.risk(x, t, np.sign(t))), float

    return prepare


# ----------------------------------------------------------------------------------------------------------------- gmm


@cache
def _mixture(d: int, k: int) -> Any:
    """The log density of a mixture, log sum exp beta, but for what no sample changes.

    Row r of all components' triangular matrices is one matrix, k x r, times the first r elements of x. So the text
    grows with d alone, and the means need not be subtracted from x component by component: rows @ (x - mu) is
    rows @ x less a column that no sample changes.
    """
    x, z, i = sp.MatrixSymbol("x", d, 1), sp.MatrixSymbol("z", k, 1), sp.Idx("i", k)
    alpha, mu, q = sp.MatrixSymbol("alpha", k, 1), sp.MatrixSymbol("mu", k, d), sp.MatrixSymbol("q", k, d)
    below = [sp.MatrixSymbol(f"l{r}", k, r) for r in range(1, d)]
    beta = alpha + q * sp.OneMatrix(d, 1)
    for r in range(d):
        diagonal = q[:, r : r + 1].applyfunc(sp.exp)
        rows = diagonal if r == 0 else sp.BlockMatrix([[below[r - 1], diagonal]])
        at_mean = sp.HadamardProduct(rows, mu[:, : r + 1]) * sp.OneMatrix(r + 1, 1)
        beta -= sp.HadamardPower(rows * x[: r + 1, :] - at_mean, 2) / 2
    model = sg.Model(beta, inputs=[x], parameters=[alpha, mu, q, *below])
    loss = sg.Loss(sp.log(sp.Sum(sp.exp(z[i, 0]), (i, 0, k - 1))), prediction=z, target=[])
    return sg.compile(sg.EmpiricalRisk(model, loss, name="gmm"))


class _Mixture:
    """An input of gmm: theta, and what is beside the sum over samples."""

    def __init__(self, given: Input) -> None:
        self.d, self.k, self.n = given["d"], given["k"], given["n"]
        self.alpha, self.mu, self.q = _array(given["alpha"]), _array(given["mu"]), _array(given["q"])
        self.l = _array(given["l"]).reshape(self.k, -1)
        self.m, self.gamma = given["m"], given["gamma"]
        # the place of row r, column c of a triangular matrix in l, which is filled column by column
        columns, rows = np.triu_indices(self.d, 1)
        place = {(r, c): i for i, (c, r) in enumerate(zip(columns.tolist(), rows.tolist(), strict=True))}
        self.rows = [[place[r, c] for c in range(r)] for r in range(1, self.d)]
        self.bound = _mixture(self.d, self.k).bind(_array(given["x"]).reshape(self.n, self.d), None)

    def risk_and_gradient(self) -> tuple[float, np.ndarray]:
        below = [self.l[:, row].ravel() for row in self.rows]
        return self.bound(np.concatenate([self.alpha, self.mu.ravel(), self.q.ravel(), *below]))

    def objective(self) -> float:
        """The log posterior: that of the samples, and the Wishart prior."""
        risk, _ = self.risk_and_gradient()
        constant = -self.n * (self.d * np.log(2 * np.pi) / 2 + self._log_sum())
        return float(self.n * risk + constant + self._prior())

    def _log_sum(self) -> float:
        largest = self.alpha.max()
        return float(largest + np.log(np.exp(self.alpha - largest).sum()))

    def _prior(self) -> float:
        degrees = self.d + self.m + 1
        log_gamma = sum(math.lgamma((degrees - j) / 2) for j in range(self.d))
        constant = degrees * self.d * np.log(self.gamma / np.sqrt(2))
        constant -= log_gamma + self.d * (self.d - 1) / 4 * np.log(np.pi)
        squares = (np.exp(self.q) ** 2).sum() + (self.l**2).sum()
        return float(self.k * constant - self.gamma**2 / 2 * squares + self.m * self.q.sum())

    def jacobian(self) -> dict[str, np.ndarray]:
        _, gradient = self.risk_and_gradient()
        gradient *= self.n
        size = self.k * self.d
        shares = np.exp(self.alpha - self.alpha.max())
        of_q = gradient[self.k + size : self.k + 2 * size].reshape(self.k, self.d)
        of_l, at = np.empty_like(self.l), self.k + 2 * size
        for row in self.rows:
            of_l[:, row] = gradient[at : at + self.k * len(row)].reshape(self.k, -1)
            at += self.k * len(row)
        return {
            "alpha": gradient[: self.k] - self.n * (shares / shares.sum()),
            "mu": gradient[self.k : self.k + size].reshape(self.k, self.d),
            "q": of_q - self.gamma**2 * np.exp(2 * self.q) + self.m,
            "l": of_l - self.gamma**2 * self.l,
        }


def gmm_objective(given: Input) -> Run:
    return _Mixture(given).objective, float


def gmm_jacobian(given: Input) -> Run:
    return _Mixture(given).jacobian, lambda parts: {name: part.tolist() for name, part in parts.items()}


# -------------------------------------------------------------------------------------------------------------- kmeans


@cache
def _clusters(k: int, d: int) -> Any:
    """The squared distance to the nearest centroid: |x|^2 less the greatest of 2 c.x - |c|^2 - e.

    The e are zeros. The derivative by one is its cluster's share of the samples: half of the Hessian's diagonal.
    """
    x, c, e = sp.MatrixSymbol("x", d, 1), sp.MatrixSymbol("c", k, d), sp.MatrixSymbol("e", k, 1)
    z, i = sp.MatrixSymbol("z", k, 1), sp.Idx("i", k)
    norms = sp.HadamardPower(c, 2) * sp.OneMatrix(d, 1) + e
    model = sg.Model(2 * c * x - norms, inputs=[x], parameters=[c, e])
    loss = sg.Loss(-sg.functions.maximum(z[i, 0], (i, 0, k - 1)), prediction=z, target=[])
    return sg.compile(sg.EmpiricalRisk(model, loss, name="kmeans"))


def kmeans(direction: bool) -> Callable[[Input], Run]:
    def prepare(given: Input) -> Run:
        points, centroids = _array(given["points"]), _array(given["centroids"])
        (n, d), k = points.shape, len(centroids)
        compiled = _clusters(k, d)
        bound = compiled.bind(points, None)

        def theta() -> np.ndarray:
            return np.concatenate([centroids.ravel(), np.zeros(k)])

        def cost() -> float:
            return float(n * compiled.risk(theta(), points, None) + np.vdot(points, points))

        def newton() -> np.ndarray:
            gradient = bound(theta())[1]
            return gradient[: k * d].reshape(k, d) / (2 * gradient[k * d :, None])

        return (newton, np.ndarray.tolist) if direction else (cost, float)

    return prepare


# ------------------------------------------------------------------------------------------------------------------ ba


def _rotated(r: list[Any], p: list[Any]) -> list[Any]:
    """Rodrigues' formula: p, turned about r by its length."""
    square = sum(x**2 for x in r)
    angle = sp.sqrt(square)
    axis = [x / angle for x in r]
    cross = [axis[1] * p[2] - axis[2] * p[1], axis[2] * p[0] - axis[0] * p[2], axis[0] * p[1] - axis[1] * p[0]]
    along = sum(a * b for a, b in zip(axis, p, strict=True)) * (1 - sp.cos(angle))
    return [p[j] * sp.cos(angle) + cross[j] * sp.sin(angle) + axis[j] * along for j in range(3)]


@cache
def _reprojection() -> Any:
    """Both errors of an observation. They are differentiated by zeros that are added to the sample's numbers."""
    names = "r1 r2 r3 c1 c2 c3 f u v k1 k2 x1 x2 x3 w"
    given, zeros = sp.symbols(names), sp.symbols([f"d_{name}" for name in names.split()])
    feature = sp.symbols("feature1 feature2")
    values = [a + b for a, b in zip(given, zeros, strict=True)]
    r, centre, (f, u, v, k1, k2), point, w = values[:3], values[3:6], values[6:11], values[11:14], values[14]
    seen = _rotated(r, [a - b for a, b in zip(point, centre, strict=True)])
    x, y = seen[0] / seen[2], seen[1] / seen[2]
    square = x**2 + y**2
    distortion = 1 + k1 * square + k2 * square**2
    errors = [w * (x * distortion * f + u - feature[0]), w * (y * distortion * f + v - feature[1])]
    model = sg.Model(sp.Matrix(errors), inputs=[*given, *feature], parameters=list(zeros))
    z = sp.MatrixSymbol("z", 2, 1)
    return sg.compile(sg.EmpiricalRisk(model, sg.Loss((z.T * z)[0, 0], prediction=z, target=[]), name="ba"))


@cache
def _weight_error() -> Any:
    w, d = sp.symbols("w d")
    model, z = sg.Model(1 - (w + d) ** 2, inputs=[w], parameters=[d]), sp.Symbol("z")
    return sg.compile(sg.EmpiricalRisk(model, sg.Loss(z**2, prediction=z, target=[]), name="ba_weight"))


class _Observations:
    """An input of ba, repeated as it asks for: rows of cameras, points, weights and features."""

    def __init__(self, given: Input) -> None:
        self.n, self.m, self.p = given["n"], given["m"], given["p"]
        self.cameras = np.tile(_array(given["cam"]), (self.n, 1))
        self.points = np.tile(_array(given["x"]), (self.m, 1))
        self.weights = np.full((self.p, 1), float(given["w"]))
        self.features = np.tile(_array(given["feat"]), (self.p, 1))
        self.camera, self.point = np.arange(self.p) % self.n, np.arange(self.p) % self.m

    def rows(self) -> np.ndarray:
        parts = self.cameras[self.camera], self.points[self.point], self.weights, self.features
        return np.concatenate(parts, axis=1)

    def objective(self) -> tuple[np.ndarray, np.ndarray]:
        return _reprojection().predict(np.zeros(15), self.rows()), _weight_error().predict(np.zeros(1), self.weights)

    def jacobian(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The sparse Jacobian: where its rows begin, its columns, its values."""
        errors = _reprojection().jacobian(np.zeros(15), self.rows())
        of_weights = _weight_error().jacobian(np.zeros(1), self.weights)
        begin = np.concatenate([np.arange(2 * self.p + 1) * 15, 30 * self.p + 1 + np.arange(self.p)])
        places = np.empty((self.p, 2, 15), np.int64)
        places[:, :, :11] = (11 * self.camera[:, None] + np.arange(11))[:, None]
        places[:, :, 11:14] = (11 * self.n + 3 * self.point[:, None] + np.arange(3))[:, None]
        places[:, :, 14] = (11 * self.n + 3 * self.m + np.arange(self.p))[:, None]
        columns = np.concatenate([places.ravel(), places[:, 0, 14]])
        return begin, columns, np.concatenate([errors.ravel(), of_weights.ravel()])


def ba_objective(given: Input) -> Run:
    def written(result: tuple[np.ndarray, np.ndarray]) -> Any:
        errors, weights = result
        first = {"elements": errors[0].tolist(), "repeated": len(errors)}
        return {"reproj_error": first, "w_err": {"element": float(weights.ravel()[0]), "repeated": len(weights)}}

    return _Observations(given).objective, written


def ba_jacobian(given: Input) -> Run:
    def written(result: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Any:
        parts = zip(("rows", "cols", "vals"), result, strict=True)
        return {name: [*part[:30].tolist(), part[-1].item()] for name, part in parts}

    return _Observations(given).jacobian, written


# ----------------------------------------------------------------------------------------------------------- det, lse


@cache
def _determinant(size: int) -> Any:
    """Expansion by minors, each of which is written once."""
    a = [[sp.Symbol(f"a_{r}_{c}") for c in range(size)] for r in range(size)]
    minors: dict[tuple[int, ...], Any] = {(): sp.Integer(1)}

    def minor(columns: tuple[int, ...]) -> Any:
        if columns not in minors:
            row = size - len(columns)
            terms = (
                (-1) ** j * a[row][c] * minor((*columns[:j], *columns[j + 1 :])) for j, c in enumerate(columns)
            )
            minors[columns] = sp.Add(*terms)
        return minors[columns]

    parameters = [symbol for row in a for symbol in row]
    value = minor(tuple(range(size)))
    risk = sg.EmpiricalRisk.from_expression(value, inputs=[], targets=[], parameters=parameters, name="det")
    return sg.compile(risk, limit=None).bind(_NOTHING, None)


@cache
def _log_sum_exp(n: int) -> Any:
    x, i = sp.MatrixSymbol("x", n, 1), sp.Idx("i", n)
    value = sp.log(sp.Sum(sp.exp(x[i, 0]), (i, 0, n - 1)))
    risk = sg.EmpiricalRisk.from_expression(value, inputs=[], targets=[], parameters=[x], name="lse")
    return sg.compile(risk).bind(_NOTHING, None)


def _of_one_sample(bound: Callable[[int], Any], name: str, size: Callable[[Input], int], gradient: bool) -> Any:
    def prepare(given: Input) -> Run:
        theta, f = _array(given[name]), bound(size(given))
        if gradient:
            return (lambda: f(theta)[1]), np.ndarray.tolist
        return (lambda: f(theta)[0]), float

    return prepare


def _length(given: Input) -> int:
    return len(given["x"])


MODULES: dict[str, dict[str, Callable[[Any], Run]]] = {
    "hello": {"square": hello(0), "double": hello(1)},
    "llsq": {"primal": llsq(False), "gradient": llsq(True)},
    "gmm": {"objective": gmm_objective, "jacobian": gmm_jacobian},
    "kmeans": {"cost": kmeans(False), "dir": kmeans(True)},
    "ba": {"objective": ba_objective, "jacobian": ba_jacobian},
    "det": {
        "primal": _of_one_sample(_determinant, "A", lambda given: given["ell"], False),
        "gradient": _of_one_sample(_determinant, "A", lambda given: given["ell"], True),
    },
    "lse": {
        "primal": _of_one_sample(_log_sum_exp, "x", _length, False),
        "gradient": _of_one_sample(_log_sum_exp, "x", _length, True),
    },
}
