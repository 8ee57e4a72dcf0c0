"""symgrad's answers to GradBench timed beside those of its hand-differentiated C++, in turn, on one core.

    python benchmarks/gradbench_times.py FOLDER [NAME ...]

FOLDER has GradBench's tool `manual` as built (a program for each eval: `make -C tools/manual` there). Each shape is run
by both, one after the other, ROUNDS times; a row has the least times, in microseconds, of the derivative's function.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROUNDS, SECONDS = 3, 0.3
GMM = [(d, k) for d in (2, 10, 20, 32, 64) for k in (5, 10, 25, 50, 100, 200) if d * d * k <= 25_600]


def shapes() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Return evals, their derivative's function, what a shape is called, and an input of it."""
    draw = np.random.default_rng(31337)
    for d, k in GMM:
        parts = {"alpha": k, "mu": (k, d), "q": (k, d), "l": (k, d * (d - 1) // 2)}
        given = {name: draw.normal(size=size).tolist() for name, size in parts.items()}
        more = {"d": d, "k": k, "n": 1000, "m": 0, "gamma": 1.0, "x": draw.random((1000, d)).tolist()}
        yield "gmm", "jacobian", f"d={d} k={k}", {**given, **more}
    for m, n in ((128, 16), (128, 256), (128, 1024), (128, 4096), (8, 1000)):
        yield "llsq", "gradient", f"m={m} n={n}", {"x": draw.random(m).tolist(), "n": n}
    for k, n, d in ((10, 1000, 8), (100, 1000, 8), (100, 1000, 16), (1000, 1000, 8)):
        points = draw.random((n, d)).tolist()
        yield "kmeans", "dir", f"k={k} n={n} d={d}", {"points": points, "centroids": points[-k:]}
    camera = [-0.758453, -1.109613, -0.845551, 34.556073, -5.83, 7.2, 399.75, 0.31, 0.22, -3e-7, 5e-13]
    for n, m, p in ((21, 500, 1000), (49, 7776, 31843)):
        sample = {"cam": camera, "x": [7.203245, 0.001144, 3.023326], "w": 0.417022, "feat": [271.760969, 834.209256]}
        yield "ba", "jacobian", f"p={p}", {"n": n, "m": m, "p": p, **sample}
    for size in (5, 7):
        yield "det", "gradient", f"l={size}", {"A": draw.random(size * size).tolist(), "ell": size}
    for n in (2500, 10_000):
        yield "lse", "gradient", f"n={n}", {"x": draw.normal(size=n).tolist()}


def by_hand(program: Path, function: str, given: dict[str, Any]) -> float:
    """Return the least nanoseconds that a program of `manual` took."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({**given, "min_runs": 3, "min_seconds": SECONDS}, file)
        file.flush()
        done = subprocess.run([program, file.name, function], capture_output=True, text=True, check=True)
    _, *timings = (json.loads(line) for line in done.stdout.splitlines())
    return float(min(row["nanoseconds"] for row in timings if row["name"] == "evaluate"))


def by_symgrad(tool: subprocess.Popen[str], message: dict[str, Any]) -> float:
    """Return the least nanoseconds that symgrad's tool took."""
    assert tool.stdin is not None
    assert tool.stdout is not None
    tool.stdin.write(json.dumps(message) + "\n")
    tool.stdin.flush()
    answer = json.loads(tool.stdout.readline())
    assert answer["success"], answer
    return float(min(row["nanoseconds"] for row in answer["timings"]))


def main(folder: str, *names: str) -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # the tools' too
    command = [sys.executable, str(Path(__file__).with_name("gradbench.py"))]
    print("| eval | shape | by hand | symgrad | symgrad / by hand |\n|---|---|---:|---:|---:|")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as tool:
        for number, (name, function, shape, given) in enumerate(shapes()):
            if names and name not in names:
                continue
            runs = {"min_runs": 3, "min_seconds": SECONDS}
            message = {"id": number, "kind": "evaluate", "module": name, "function": function}
            message["input"] = {**given, **runs}
            times = [
                (by_hand(Path(folder) / name, function, given), by_symgrad(tool, message)) for _ in range(ROUNDS)
            ]
            theirs, ours = (min(column) / 1000 for column in zip(*times, strict=True))
            print(f"| {name} | {shape} | {theirs:,.1f} | {ours:,.1f} | {ours / theirs:.2f} |", flush=True)
        assert tool.stdin is not None
        tool.stdin.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
