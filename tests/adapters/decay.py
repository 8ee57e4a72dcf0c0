"""Rows of a decaying curve, bound to its compiled risk: what the tests of several adapters fit."""

from typing import Any

import numpy as np
import sympy as sp

import symgrad as sg

x, y, A, k, C, z = sp.symbols("x y A k C z", real=True)
S = sp.Symbol("S", positive=True)
START = {"A": 1.0, "k": 1.0, "C": 0.0}
DECAY = sg.EmpiricalRisk(
    sg.Model(A * sp.exp(-k * x) + C, [x], [A, k, C]), sg.Loss((z - y) ** 2 / 2, z, y), name="decay_and_level"
)
RANDOM = np.random.default_rng(3)
ROWS = RANDOM.uniform(0, 5, 200)
AIMS = 3 * np.exp(-0.7 * ROWS) + 0.2 + 0.05 * RANDOM.normal(size=200)
WEIGHTS = RANDOM.integers(0, 3, 200).astype(float)


def curve(rows: Any, A: Any, k: Any, C: Any) -> Any:
    return A * np.exp(-k * rows) + C


def bound(weights: Any = None) -> Any:
    return sg.compile(DECAY).bind(ROWS, AIMS, weights)
