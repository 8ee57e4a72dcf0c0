"""One tool in a process of its own: ``python -m benchmarks.performance_worker TOOL THREADS``.

Requests come as JSON on standard input, one in a line, and so do replies on standard output. ``prepare`` reads a
workload's arrays from a folder, gets the tool ready, and compares its result with the reference there; ``measure``
times some calls; ``release`` lets go of the arrays. Whatever a tool prints goes to standard error.
"""

import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from .performance_tools import TOOLS, NotMeasured, Prepared
from .workloads import WORKLOADS, Data

# Relative to the mean of the reference's absolute values.
TOLERANCE = {"float64": 1e-9, "float32": 1e-3}
SLOW = 0.2  # seconds; a call that takes longer is not repeated, nor preceded by one that is not counted


class Worker:
    def __init__(self, tool: str, threads: int) -> None:
        self.tool, self.threads = TOOLS[tool], threads
        self.prepared: Prepared | None = None
        self.seconds = 0.0

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["do"] == "prepare":
            return self.prepare(request["workload"], Path(request["folder"]))
        if request["do"] == "measure":
            return self.measure(request["seconds"])
        if request["do"] == "release":
            self.prepared = None
            gc.collect()
            return {}
        return {"version": self.tool.version}

    def prepare(self, name: str, folder: Path) -> dict[str, Any]:
        workload = next(w for w in WORKLOADS if w.name == name)
        data = Data(*(np.load(folder / f"{part}.npy") for part in ("theta", "inputs", "targets")))
        try:
            prepared = self.tool.prepare(workload, data, self.threads)
            error = disagreement(np.asarray(prepared.run()), np.load(folder / "reference.npy"))
        except NotMeasured as reason:
            return {"reason": str(reason)}
        except Exception as problem:  # a tool's own: the table says so
            return {"reason": f"{type(problem).__name__}: {' '.join(str(problem).split())[:160]}"}
        if not error <= TOLERANCE[workload.dtype]:
            return {"reason": f"wrong: differs by {error:.1e} of the mean"}
        self.prepared = prepared
        self.seconds = _timed(prepared)
        return {"note": prepared.note, "operations": prepared.operations, "seconds": self.seconds, "error": error}

    def measure(self, seconds: float) -> dict[str, Any]:
        """The mean time of a call, over as many as fill ``seconds``, after a tenth of a second of calls.

        These bring the arrays near, and the cores back from their sleep, which take their time to start threads then.
        """
        assert self.prepared is not None, "prepare comes before measure"
        warm = time.perf_counter() + 0.1
        while self.seconds < SLOW and time.perf_counter() < warm:
            self.prepared.run()
        calls = max(1, min(100_000, round(seconds / self.seconds)))
        run = self.prepared.run
        start = time.perf_counter()
        for _ in range(calls):
            run()
        self.seconds = (time.perf_counter() - start) / calls
        return {"seconds": self.seconds}


def _timed(prepared: Prepared) -> float:
    start = time.perf_counter()
    prepared.run()
    return max(time.perf_counter() - start, 1e-9)


def disagreement(found: np.ndarray, reference: np.ndarray) -> float:
    """The greatest difference, relative to the mean absolute value of the reference; infinite for another shape."""
    if found.shape != reference.shape:
        return float("inf")
    return float(np.max(np.abs(found - reference)) / np.mean(np.abs(reference)))


def main() -> None:
    tool, threads = sys.argv[1], int(sys.argv[2])
    if threads == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # some tools know no other way
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    worker = Worker(tool, threads)
    for line in sys.stdin:
        replies.write(json.dumps(worker.answer(json.loads(line))) + "\n")


if __name__ == "__main__":
    main()
