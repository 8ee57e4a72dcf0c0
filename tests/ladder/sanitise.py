"""Every function of a module built with sanitizers, called with odd shapes: run as a process of its own.

``python tests/ladder/sanitise.py LIBRARY NAME ROWS`` with the sanitizers' runtimes preloaded. What they report ends the
process, or is on stderr; ROWS is the file of the data (``inputs``, ``targets``, ``theta``).
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from symgrad.build import load_module

FUNCTIONS = ("risk", "gradient", "risk_and_gradient", "per_sample_loss", "per_sample_gradient")


def layouts(array: Any) -> Iterator[Any]:
    """The same numbers as arrays of every kind that a caller may have; each lies at the end of its memory."""
    yield array.copy()
    yield np.asfortranarray(array)
    yield np.repeat(array, 2, axis=0)[::2]
    yield array[::-1].copy()[::-1]
    yield array.astype(np.float32)
    wide = np.zeros((len(array), array.shape[1] + 3))
    wide[:, 1 : 1 + array.shape[1]] = array
    yield wide[:, 1 : 1 + array.shape[1]]


def good(module: Any, theta: Any, inputs: Any, targets: Any) -> None:
    """Numbers of rows around the sizes of lanes, calls and tiles; weights, layouts, threads."""
    for n in (1, 2, 15, 16, 17, 63, 64, 65, 1023, 1025, 2100):
        rows = np.arange(n) % len(targets)
        u, y, weights = inputs[rows], targets[rows], np.linspace(0, 2, n) + (n == 1)
        for name in FUNCTIONS:
            getattr(module, name)(theta, u, y)
        module.risk_and_gradient(theta, u, y, weights)
        module.predict(theta, u)
        module.reduce(theta, u, y, want="squared_norms")
        module.merge_sums(theta, module.partial_sums(theta, u, y, weights))
        for threads in (1, 3):
            module.bind(u, y, weights, threads=threads)(theta)
        module.bind(u, y)(theta)
    for u, y in zip(layouts(inputs[:70]), layouts(targets[:70]), strict=True):
        for name in FUNCTIONS:
            getattr(module, name)(theta, u, y)
        module.reduce(theta, u, y, want="squared_norms")
    for label in (np.nan, np.inf, -np.inf, -1.0, 1e308, 0.5, 2.0**31, -(2.0**63)):  # a class label that is none
        for name in FUNCTIONS:
            getattr(module, name)(theta, inputs[:5] * label, np.full_like(targets[:5], label))
    module.unpack(theta)


def bad(module: Any, theta: Any, inputs: Any, targets: Any) -> None:
    """What has to be refused is: by an exception, before it is read."""
    crooked = np.frombuffer(bytearray(inputs.nbytes + 1), np.uint8)[1:].view(np.float64).reshape(inputs.shape)
    odd: list[Any] = [
        (theta[:-1], inputs, targets), (np.append(theta, 1.0), inputs, targets), (theta, inputs[:-1], targets),
        (theta, inputs, targets[:-1]), (theta, inputs[:0], targets[:0]), (theta, inputs[:, :0], targets),
        (None, inputs, targets), (theta, None, None), (theta, inputs.reshape(-1, 1, 1), targets), ([], [], []),
        (theta, inputs.astype(complex), targets), (theta, np.array(["x"] * len(inputs)), targets),
        (theta, crooked, targets),
        (theta, inputs, targets, np.ones(len(targets) - 1)), (theta, inputs, targets, np.zeros(len(targets))),
        (theta, inputs, targets, -np.ones(len(targets))), (theta, inputs, targets, np.full(len(targets), np.nan)),
    ]  # fmt: skip
    for arguments in odd:
        for name in FUNCTIONS:
            with contextlib.suppress(ValueError, TypeError):
                getattr(module, name)(*arguments)
        with contextlib.suppress(ValueError, TypeError):
            module.bind(*arguments[1:])(arguments[0])


def main(library: str, name: str, rows: str) -> None:
    module = load_module(Path(library), name)
    data = np.load(rows)
    theta, inputs, targets = (np.ascontiguousarray(data[key]) for key in ("theta", "inputs", "targets"))
    with np.errstate(all="ignore"):
        good(module, theta, inputs, targets)
        bad(module, theta, inputs, targets)
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
