"""Every function of a module built with sanitizers, called with odd shapes: run as a process of its own.

``python tests/ladder/sanitise.py LIBRARY NAME ROWS KIND`` with the sanitizers' runtimes preloaded. What they report
ends the process, or is on stderr. ROWS is the file of the data (``inputs``, ``targets``, ``theta``), KIND what is
looked for: ``memory`` or ``threads``.
"""

import contextlib
import sys
import threading
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
    yield crooked(array)
    yield crooked(array.astype(np.float32))
    yield crooked(np.asfortranarray(array).T).T


def crooked(array: Any) -> Any:
    """The same numbers where none of their size may lie, at the end of their memory."""
    result = np.frombuffer(bytearray(array.nbytes + 1), np.uint8)[1:].view(array.dtype).reshape(array.shape)
    result[...] = array
    return result


def sizes(n: int) -> Iterator[Any]:
    """Weights from the least to the greatest number, alike, mixed, and with tiles that have none."""
    for size in (5e-324, 1e-300, 1e-40, 1e38, 1e308):
        yield np.full(n, size)
    yield np.where(np.arange(n) < 1024, 5e-324, 1.0)
    yield np.where(np.arange(n) % 3, 1e300, 1e-300)
    yield np.where(np.arange(n) < 1024, 0.0, 3e-320)


def good(module: Any, theta: Any, inputs: Any, targets: Any) -> None:
    """Numbers of rows around the sizes of lanes, calls and tiles; weights, layouts, threads, parts."""
    predicts = True
    try:
        module.predict(theta, inputs[:1])
    except TypeError:  # a risk of one expression
        predicts = False
    for n in (1, 2, 15, 16, 17, 63, 64, 65, 1023, 1025, 2100):
        rows = np.arange(n) % len(targets)
        u, y, weights = inputs[rows], targets[rows], np.linspace(0, 2, n) + (n == 1)
        for name in FUNCTIONS:
            getattr(module, name)(theta, u, y)
        module.risk_and_gradient(theta, u, y, weights)
        if predicts:
            module.predict(theta, u)
        module.reduce(theta, u, y, want="squared_norms")
        module.merge_sums(theta, module.partial_sums(theta, u, y, weights))
        for threads in (1, 3):
            module.bind(u, y, weights, threads=threads)(theta)
        module.bind(u, y)(theta)
        for weights in sizes(n):
            with contextlib.suppress(ValueError):  # in single precision some are zero, or infinite
                module.bind(u, crooked(y), crooked(weights), threads=2)(crooked(theta))
                merged(module, theta, u, y, weights)
    for u, y in zip(layouts(inputs[:70]), layouts(targets[:70]), strict=True):
        for name in FUNCTIONS:
            getattr(module, name)(theta, u, y)
        module.reduce(theta, u, y, want="squared_norms")
        module.gradient(crooked(theta), u, y, crooked(np.ones(len(y))))
    for label in (np.nan, np.inf, -np.inf, -1.0, 1e308, 0.5, 2.0**31, -(2.0**63)):  # a class label that is none
        for name in FUNCTIONS:
            getattr(module, name)(theta, inputs[:5] * label, np.full_like(targets[:5], label))
    module.unpack(crooked(theta))


def merged(module: Any, theta: Any, inputs: Any, targets: Any, weights: Any) -> None:
    """Parts whose nodes lie crookedly, of which some are of another theta or damaged, in any order."""
    cut = min(len(targets) // 2 // module.TILE * module.TILE, module.TILE)
    parts = [module.partial_sums(theta, inputs[a:b], targets[a:b], weights[a:b], first=a)
             for a, b in ((cut, len(targets)), (0, cut))]  # fmt: skip
    nodes = {key: crooked(node) for part in parts for key, node in part.items()}
    module.merge_sums(crooked(theta), nodes)
    for key, node in nodes.items():
        damaged = node.copy()
        damaged[-2, 1] = 5.0
        for wrong in ({**nodes, key: damaged}, {(key[0] + 1, 0): node}, {key: node[:-1]}):
            with contextlib.suppress(ValueError):
                module.merge_sums(theta, wrong)


def bad(module: Any, theta: Any, inputs: Any, targets: Any) -> None:
    """What has to be refused is: by an exception, before it is read."""
    odd: list[Any] = [
        (theta[:-1], inputs, targets), (np.append(theta, 1.0), inputs, targets), (theta, inputs[:-1], targets),
        (theta, inputs, targets[:-1]), (theta, inputs[:0], targets[:0]), (theta, inputs[:, :0], targets),
        (None, inputs, targets), (theta, None, None), (theta, inputs.reshape(-1, 1, 1), targets), ([], [], []),
        (theta, inputs.astype(complex), targets), (theta, np.array(["x"] * len(inputs)), targets),
        (theta, crooked(inputs)[:-1], targets), (crooked(theta)[:-1], inputs, targets),
        (theta, inputs, targets, np.ones(len(targets) - 1)), (theta, inputs, targets, np.zeros(len(targets))),
        (theta, inputs, targets, -np.ones(len(targets))), (theta, inputs, targets, np.full(len(targets), np.nan)),
    ]  # fmt: skip
    for arguments in odd:
        for name in FUNCTIONS:
            with contextlib.suppress(ValueError, TypeError):
                getattr(module, name)(*arguments)
        with contextlib.suppress(ValueError, TypeError):
            module.bind(*arguments[1:])(arguments[0])


def together(module: Any, theta: Any, inputs: Any, targets: Any) -> None:
    """Sweeps over many blocks on several threads, and several of them at once."""
    rows = np.arange(200_000 // (1 + module.N_PARAMETERS // 10)) % len(targets)
    u, y, weights = inputs[rows], targets[rows], np.linspace(0, 2, len(rows))
    bound = module.bind(u, y, weights, threads=3)

    def calls() -> None:
        for threads in (2, 5):
            bound(theta)
            module.per_sample_gradient(theta, u, y, threads=threads)
            module.merge_sums(theta, module.partial_sums(theta, u, y, weights, threads=threads))
            module.reduce(theta, u, y, want="squared_norms", threads=threads)

    callers = [threading.Thread(target=calls) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()


def main(library: str, name: str, rows: str, kind: str) -> None:
    module = load_module(Path(library), name)
    data = np.load(rows)
    theta, inputs, targets = (np.ascontiguousarray(data[key]) for key in ("theta", "inputs", "targets"))
    with np.errstate(all="ignore"):
        if kind == "threads":
            together(module, theta, inputs, targets)
        good(module, theta, inputs, targets)
        bad(module, theta, inputs, targets)
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
