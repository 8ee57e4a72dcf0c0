"""Every function of a module, as `sanitise` calls them but fewer: run as a process of its own, under valgrind.

``valgrind python tests/ladder/memcheck.py LIBRARY NAME ROWS``; ROWS is the file of the data, as for `sanitise`.
"""

import contextlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from symgrad.build import load_module
from tests.ladder.sanitise import FUNCTIONS, bad, crooked, layouts, merged


def calls(module: Any, theta: Any, inputs: Any, targets: Any) -> None:
    """Numbers of rows around the sizes of lanes, calls and tiles, on two threads; weights, layouts, parts."""
    for n in (1, 7, 65, module.TILE + 3, 2 * module.TILE + 70):
        rows = np.arange(n) % len(targets)
        u, y, weights = inputs[rows], targets[rows], np.linspace(0.5, 2.0, n)
        module.risk_and_gradient(theta, u, y, weights, threads=2)
        module.per_sample_gradient(theta, u, y, threads=2)
        module.per_sample_loss(theta, u, y)
        module.reduce(theta, u, y, want="squared_norms", threads=2)
        module.bind(u, y, np.full(n, 5e-324), threads=2)(theta)
        with contextlib.suppress(TypeError):  # a risk of one expression
            module.predict(theta, u)
        merged(module, theta, u, y, weights)
    for u, y in zip(layouts(inputs[:70]), layouts(targets[:70]), strict=True):
        module.risk_and_gradient(crooked(theta), u, y)
    for label in (np.nan, -1.0, 1e308):  # a class label that is none
        for name in FUNCTIONS:
            getattr(module, name)(theta, inputs[:5] * label, np.full_like(targets[:5], label))


def main(library: str, name: str, rows: str) -> None:
    module = load_module(Path(library), name)
    data = np.load(rows)
    theta, inputs, targets = (np.ascontiguousarray(data[key]) for key in ("theta", "inputs", "targets"))
    with np.errstate(all="ignore"):
        calls(module, theta, inputs, targets)
        bad(module, theta, inputs, targets)
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
