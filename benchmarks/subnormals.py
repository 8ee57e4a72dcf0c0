"""How much slower is data of subnormal numbers? ``python -m benchmarks.subnormals``: symgrad's ratio beside NumPy's.

Subnormal numbers are kept (they are never flushed to zero), and some processors work on each of them in microcode. The
table says what that costs here: the time for subnormal data over the time for data around 1, the least of several.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import sympy as sp

import symgrad as sg

a, b, x, y = sp.symbols("a b x y")
TINY = {"float64": 1e-312, "float32": 1e-42}
THETA = (1.0, 0.5)


def line(u: Any, t: Any) -> Any:
    """The gradients of the straight line's loss, in NumPy."""
    residual = THETA[0] + u.dtype.type(THETA[1]) * u - t
    return residual, residual * u


def decay(u: Any, t: Any) -> Any:
    """The same of an exponential decay."""
    wave = np.exp(u.dtype.type(-THETA[1]) * u)
    residual = wave - t
    return residual * wave, -residual * wave * u


def logistic(u: Any, t: Any) -> Any:
    """The same of a logistic regression."""
    residual = 1 / (1 + np.exp(u.dtype.type(-THETA[1]) * u - 1)) - t
    return residual, residual * u


MODELS = {
    "line": ((a + b * x - y) ** 2 / 2, line),
    "decay": ((a * sp.exp(-b * x) - y) ** 2 / 2, decay),
    "logistic": (sp.log(1 + sp.exp(a + b * x)) - y * (a + b * x), logistic),
}


def least(calls: list[Callable[[], Any]], times: int) -> list[float]:
    """Return the least seconds of each of several calls, which take turns."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(times):
        for call, taken in zip(calls, seconds, strict=True):
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return [min(taken) for taken in seconds]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--times", type=int, default=15)
    chosen = parser.parse_args()
    random = np.random.default_rng(0)
    print("| dtype | model | symgrad | NumPy |\n|---|---|---|---|")
    for dtype, tiny in TINY.items():
        for name, (loss, in_numpy) in MODELS.items():
            risk = sg.EmpiricalRisk.from_expression(loss, inputs=[x], targets=[y], parameters=[a, b], name=name)
            gradient = sg.compile(risk, dtype=dtype).gradient
            u, t = (random.normal(size=(chosen.rows, 1)).astype(dtype) for _ in range(2))
            data = [(u, t), (u * np.asarray(tiny, dtype), t * np.asarray(tiny, dtype))]
            ours = least([partial(gradient, THETA, *pair, threads=1) for pair in data], chosen.times)
            peers = least([partial(in_numpy, *pair) for pair in data], chosen.times)
            print(f"| {dtype} | {name} | {ours[1] / ours[0]:.1f} | {peers[1] / peers[0]:.1f} |")


if __name__ == "__main__":
    main()
