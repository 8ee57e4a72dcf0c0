"""What is measured: each workload's data, from a fixed seed or from the gallery's real data by repetition.

A workload is one model with one loss, at one place theta. Its mathematics stands in the modules beside this one, once
for each way of writing it: ``workloads_formulas`` (scalars), ``workloads_batched`` (arrays), ``workloads_risks``
(symgrad), ``workloads_numpy`` and ``workloads_numba`` (gradients by hand).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
SEED = 20240229
SIZES = {"net64": (64, 32, 10), "net784": (784, 128, 10)}
MIXTURE = (10, 5)  # dimensions, components
# Camera, point and weight of ADBench's first bundle-adjustment file.
CAMERA = (
    *(-0.758453, -1.109613, -0.845551, 34.556073, 39.676747, 53.881673),
    *(419.194514, 5.864426, -8.51887, 0.087812, 0.002739, 7.203245, 0.001144, 3.023326, 0.417022),
)


@dataclass(frozen=True, slots=True)
class Data:
    """Arrays of one workload: ``theta`` (P,), ``inputs`` (N, D), ``targets`` (N, M), C order, of one dtype."""

    theta: Array
    inputs: Array
    targets: Array


@dataclass(frozen=True, slots=True)
class Workload:
    """One row of the table: a model, how many samples, and which gradient."""

    name: str
    model: str
    title: str
    n: int
    kind: str = "mean"
    """"mean": the mean gradient; "samples": the gradient of each sample, (N, P); "bound": the mean gradient and the
    risk by a function that was given the data before, where a tool has one."""
    dtype: str = "float64"
    formula: bool = False
    """whether it is one of those that the issue of formulas is about: written in scalars, limited by arithmetic"""


WORKLOADS = (
    Workload("linear16", "linear16", "linear regression, 16 features", 1_000_000),
    Workload("linear200", "linear200", "linear regression, 200 features", 100_000),
    Workload("logistic16", "logistic16", "logistic regression, 16 features", 1_000_000),
    Workload("logistic200", "logistic200", "logistic regression, 200 features", 100_000),
    Workload("gauss1", "gauss1", "NIST Gauss1, 8 parameters", 1_000_000, formula=True),
    Workload("enso", "enso", "NIST ENSO, 9 parameters", 1_000_000, formula=True),
    Workload("tyre", "tyre", "tyre magic formula, 4 parameters", 1_000_000, formula=True),
    Workload("bundle", "bundle", "bundle adjustment, 15 parameters, 2 residuals", 200_000, formula=True),
    Workload("mixture", "mixture", "Gaussian mixture, d=10, K=5, 330 parameters", 20_000),
    Workload("net1", "net1", "network 1-8-1 in scalars, tanh", 200_000, formula=True),
    Workload("student", "student", "Student-t likelihood, loggamma, 3 parameters", 1_000_000, formula=True),
    Workload("net64", "net64", "network 64-32-10, tanh, softmax", 20_000),
    Workload("net64-f32", "net64", "network 64-32-10, tanh, softmax", 20_000, dtype="float32"),
    Workload("net784", "net784", "network 784-128-10, tanh, softmax", 4_000),
    Workload("net784-f32", "net784", "network 784-128-10, tanh, softmax", 4_000, dtype="float32"),
    Workload("gauss1-samples", "gauss1", "NIST Gauss1, 8 parameters", 1_000_000, "samples"),
    Workload("decay-samples", "decay", "A exp(-k x) + C, 3 parameters", 4_000_000, "samples"),
    Workload("logistic16-samples", "logistic16", "logistic regression, 16 features", 500_000, "samples"),
    Workload("net64-samples", "net64", "network 64-32-10, tanh, softmax", 4_000, "samples"),
    *(Workload(f"sweep-1e{e}", "gauss1", "NIST Gauss1, 8 parameters", 10**e, "bound") for e in range(1, 8)),
)


def data_of(workload: Workload, n: int | None = None) -> Data:
    """The workload's arrays with ``n`` samples (by default as many as it has); the same at every call."""
    count = workload.n if n is None else n
    rng = np.random.default_rng(SEED)
    theta, inputs, targets = _MAKERS[workload.model](rng, count)
    dtype = np.dtype(workload.dtype)
    return Data(*(np.ascontiguousarray(a, dtype=dtype) for a in (theta, inputs, targets.reshape(count, -1))))


Parts: TypeAlias = tuple[Array, Array, Array]


def _linear(features: int, classes: bool) -> Callable[[np.random.Generator, int], Parts]:
    def make(rng: np.random.Generator, n: int) -> Parts:
        inputs = rng.standard_normal((n, features))
        true, theta = rng.standard_normal((2, features)) / np.sqrt(features)
        noisy = inputs @ true + 0.3 * rng.standard_normal(n)
        return theta, inputs, (noisy > 0).astype(float) if classes else noisy

    return make


def _of_nist(name: str) -> Callable[[np.random.Generator, int], Parts]:
    def make(_: np.random.Generator, n: int) -> Parts:
        from symgrad import gallery  # here, because it brings SymPy, which workers of the peers need not load

        example = gallery.load(name)
        times = -(-n // len(example.inputs))
        return example.theta, np.tile(example.inputs, (times, 1))[:n], np.tile(example.targets, (times, 1))[:n]

    return make


def _tyre(rng: np.random.Generator, n: int) -> Parts:
    slip = rng.uniform(-0.3, 0.3, (n, 1))
    force = np.sin(1.9 * np.arctan(10 * slip)) + 0.02 * rng.standard_normal((n, 1))
    return np.array([8.0, 1.7, 1.1, 0.7]), slip, force


def _decay(rng: np.random.Generator, n: int) -> Parts:
    x = rng.uniform(0, 5, (n, 1))
    return np.array([2.0, 0.7, 0.4]), x, 2.5 * np.exp(-1.3 * x) + 0.5 + 0.05 * rng.standard_normal((n, 1))


def _bundle(rng: np.random.Generator, n: int) -> Parts:
    """Points of a rigid body, whose place is to be found, and the pixels where one camera sees them."""
    return np.array(CAMERA), 0.5 * rng.standard_normal((n, 3)), rng.uniform(200, 800, (n, 2))


def _mixture(rng: np.random.Generator, n: int) -> Parts:
    d, k = MIXTURE
    centres = rng.standard_normal((k, d))
    theta = np.concatenate([
        rng.standard_normal(k), centres.ravel(), 0.3 * rng.standard_normal(k * d),
        0.2 * rng.standard_normal(k * d * (d - 1) // 2),
    ])  # fmt: skip
    points = centres[rng.integers(k, size=n)] + rng.standard_normal((n, d))
    return theta, points, np.empty((n, 0))


def _small_network(rng: np.random.Generator, n: int) -> Parts:
    x = rng.uniform(-3, 3, (n, 1))
    return 0.7 * rng.standard_normal(25), x, np.sin(2 * x) + 0.1 * rng.standard_normal((n, 1))


def _network(name: str) -> Callable[[np.random.Generator, int], Parts]:
    d, h, c = SIZES[name]

    def make(rng: np.random.Generator, n: int) -> Parts:
        theta = np.concatenate([
            rng.standard_normal(h * d) / np.sqrt(d), 0.1 * rng.standard_normal(h),
            rng.standard_normal(c * h) / np.sqrt(h), 0.1 * rng.standard_normal(c),
        ])  # fmt: skip
        return theta, rng.standard_normal((n, d)), rng.integers(c, size=n).astype(float)

    return make


def _student(rng: np.random.Generator, n: int) -> Parts:
    return np.array([0.3, -0.2, 5.0]), np.empty((n, 0)), 0.5 + 0.7 * rng.standard_t(4, (n, 1))


_MAKERS: dict[str, Callable[[np.random.Generator, int], Parts]] = {
    "linear16": _linear(16, classes=False),
    "linear200": _linear(200, classes=False),
    "logistic16": _linear(16, classes=True),
    "logistic200": _linear(200, classes=True),
    "gauss1": _of_nist("gauss1"),
    "enso": _of_nist("enso"),
    "tyre": _tyre,
    "decay": _decay,
    "bundle": _bundle,
    "mixture": _mixture,
    "net1": _small_network,
    "student": _student,
    "net64": _network("net64"),
    "net784": _network("net784"),
}
