"""Workers and rounds: every tool in a process of its own, one at a time, round after round.

What disturbs a machine comes and goes; in a round the tools are measured one after another, so that a ratio of two of
them is of the same moment. What is kept are the rounds' numbers, from which medians are taken.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from . import workloads_numpy as by_hand
from .performance_tools import TOOLS
from .performance_worker import SLOW
from .workloads import Data, Workload

ROOT = Path(__file__).parents[1]
PREPARE_LIMIT = 120.0  # seconds
PAUSE = 0.03  # seconds, in which the threads of the tool before stop to wait for work
Key = tuple[str, int]
"""A tool and its number of threads."""


@dataclass(frozen=True, slots=True)
class Row:
    """One workload measured: for each (tool, threads) the seconds of a call in each round, or why there are none."""

    workload: Workload
    parameters: int
    columns: int
    operations: int
    """that symgrad counts for one sample"""
    seconds: Mapping[Key, tuple[float, ...]]
    reasons: Mapping[Key, str]
    notes: Mapping[Key, str] = field(default_factory=dict)

    def median(self, key: Key) -> float | None:
        return median(self.seconds[key]) if key in self.seconds else None

    def ratio(self, key: Key, ours: Key) -> float | None:
        """The median over rounds of the time of ``key`` divided by that of ``ours``; None where one is missing."""
        pairs = zip(self.seconds.get(key, ()), self.seconds.get(ours, ()), strict=False)
        ratios = [theirs / own for theirs, own in pairs]
        return median(ratios) if ratios else None


class Worker:
    """A tool's process. After a failure (its end, or a limit of time) there is a new one for the next workload.

    Between a reply and the next request it is stopped: the threads of some tools spin while they wait for work.
    """

    def __init__(self, tool: str, threads: int) -> None:
        self.key: Key = (tool, threads)
        self.process: subprocess.Popen[bytes] | None = None
        self.buffer = b""

    def send(self, **request: Any) -> None:
        if self.process is None:
            tool, threads = self.key
            self.process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.performance_worker", tool, str(threads)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                cwd=ROOT, env=_environment(tool, threads),
            )  # fmt: skip
            self.buffer = b""
        assert self.process.stdin is not None
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, which `receive` finds

    def receive(self, limit: float) -> dict[str, Any]:
        """The reply, or a reason why there is none."""
        assert self.process is not None
        assert self.process.stdout is not None
        end = time.monotonic() + limit
        while b"\n" not in self.buffer:
            ready = select.select([self.process.stdout], [], [], max(0.0, end - time.monotonic()))[0]
            if not ready:
                self.close()
                return {"reason": f"not ready after {limit:.0f} s"}
            part = os.read(self.process.stdout.fileno(), 1 << 16)
            if not part:
                code = self.process.wait()
                self.close()
                return {"reason": f"its process ended ({code})"}
            self.buffer += part
        self.process.send_signal(signal.SIGSTOP)
        line, _, self.buffer = self.buffer.partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def _environment(tool: str, threads: int) -> dict[str, str]:
    blas = 1 if tool.startswith("numba") else threads  # Numba's own threads call it, each for its rows
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    return os.environ | dict.fromkeys(names, str(threads)) | {"OPENBLAS_NUM_THREADS": str(blas)}


def write_arrays(workload: Workload, data: Data, folder: Path) -> None:
    """The workload's arrays and, in double precision, the reference that every tool is held against."""
    for part in ("theta", "inputs", "targets"):
        np.save(folder / f"{part}.npy", getattr(data, part))
    theta, inputs, targets = (np.asarray(a, dtype=np.float64) for a in (data.theta, data.inputs, data.targets))
    if workload.kind == "samples":
        out = np.empty((len(inputs), len(theta)))
        reference = by_hand.per_sample(workload.model, theta, inputs, targets, out)
    else:
        reference = by_hand.mean_gradient(workload.model, theta, inputs, targets)
    np.save(folder / "reference.npy", reference)


def measure(workload: Workload, data: Data, workers: Iterable[Worker], folder: Path, rounds: int) -> Row:
    """One row: all workers get ready at once, then they work one at a time."""
    write_arrays(workload, data, folder)
    workers = list(workers)
    for worker in workers:
        worker.send(do="prepare", workload=workload.name, folder=str(folder))
    replies = {worker.key: worker.receive(PREPARE_LIMIT) for worker in workers}
    reasons = {key: reply["reason"] for key, reply in replies.items() if "reason" in reply}
    able = [worker for worker in workers if worker.key not in reasons]
    seconds, lost = _rounds(able, rounds, {key: reply.get("seconds", 0.0) for key, reply in replies.items()})
    for worker in able:
        if worker.key not in lost:
            worker.send(do="release")
            worker.receive(PREPARE_LIMIT)
    return Row(
        workload=workload, parameters=len(data.theta), columns=data.inputs.shape[1] + data.targets.shape[1],
        operations=max(reply.get("operations", 0) for reply in replies.values()),
        seconds={key: tuple(found) for key, found in seconds.items()},
        reasons=reasons | lost,
        notes={key: reply["note"] for key, reply in replies.items() if reply.get("note")},
    )  # fmt: skip


def _rounds(
    workers: list[Worker], rounds: int, expected: dict[Key, float]
) -> tuple[dict[Key, list[float]], dict[Key, str]]:
    """The seconds of each round, and why a tool was lost on the way: then none of its rounds count.

    Each round begins with another tool. One that takes long is left out of the later rounds.
    """
    seconds: dict[Key, list[float]] = {worker.key: [] for worker in workers}
    lost: dict[Key, str] = {}
    for number in range(rounds):
        start = number * len(workers) // rounds
        for worker in (*workers[start:], *workers[:start]):
            key = worker.key
            if key in lost or (number >= 2 and expected[key] > SLOW):
                continue
            time.sleep(PAUSE)
            worker.send(do="measure", seconds=0.03)
            reply = worker.receive(PREPARE_LIMIT)
            if "reason" in reply:
                lost[key] = reply["reason"]
                continue
            expected[key] = reply["seconds"]
            seconds[key].append(reply["seconds"])
    return {key: found for key, found in seconds.items() if key not in lost}, lost


def all_workers(threads: Iterable[int], tools: Iterable[str] = TOOLS) -> list[Worker]:
    return [Worker(tool, t) for tool in tools for t in threads if t == 1 or TOOLS[tool].threads]
