"""A sweep through a memory-mapped file keeps the process small: beyond the file's pages it needs next to nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg

a, b, x, y = sp.symbols("a b x y")
ROWS = 20_000_000
MOST = 200  # MB beyond the mapped pages

PROGRAM = """
import json, sys, threading, time
from pathlib import Path
import numpy as np
from symgrad.load import load_module
module = load_module(Path(sys.argv[1]), "line")
kind, rows, threads = sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
data = np.memmap(sys.argv[2], dtype=kind, mode="r", shape=(rows, 2))
highest, stop = [0, 0], threading.Event()
def read():
    fields = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return [int(fields[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile")]
before = read()[0]
def watch():
    while not stop.is_set():
        highest[:] = map(max, highest, read())
        time.sleep(0.002)
watcher = threading.Thread(target=watch)
watcher.start()
start = time.perf_counter()
weights = data[:, 1] if len(sys.argv) > 6 else None
gradient = module.gradient([1.0, -2.0], data[:, :1], data[:, 1:], weights, threads=threads)
seconds = time.perf_counter() - start
stop.set(); watcher.join()
print(json.dumps([gradient.tolist(), highest[0], highest[0] - before, highest[1], seconds]))
"""


@pytest.fixture(scope="module")
def line() -> Any:
    return sg.compile(sg.EmpiricalRisk(sg.Model(a + b * x, [x], [a, b]), sg.losses.squared(), name="line"))


def written(path: Path, kind: str, rows: int) -> Path:
    """Rows of small whole numbers, a million at a time: exact in every kind of number."""
    block = np.stack([np.arange(1_000_000) % 7, np.arange(1_000_000) % 5], 1).astype(kind)
    with path.open("wb") as file:
        for _ in range(rows // 1_000_000):
            block.tofile(file)
    return path


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' account of memory")
@pytest.mark.parametrize(("kind", "threads"), [("<f8", 2), ("<f8", 1), ("<f4", 2), (">f8", 2), ("<i2", 1)])
def test_a_memory_mapped_sweep_needs_little_memory(kind: str, threads: int, line: Any, tmp_path: Path) -> None:
    rows = ROWS if kind == "<f8" and threads == 2 else ROWS // 5
    path = written(tmp_path / "rows.bin", kind, rows)
    try:
        for extra in ([], ["weighted"]):
            run = subprocess.run(
                [sys.executable, "-c", PROGRAM, str(line.path), str(path), kind, str(rows), str(threads), *extra],
                capture_output=True, text=True, check=True, timeout=100,
            )  # fmt: skip
            gradient, anonymous, grown, _, _ = json.loads(run.stdout)
            assert anonymous < MOST
            assert grown < MOST / 2
            if not extra:
                one = np.arange(1_000_000)
                residual = 1.0 - 2.0 * (one % 7) - one % 5
                assert gradient == pytest.approx([residual.mean(), (residual * (one % 7)).mean()], rel=1e-12)
    finally:
        path.unlink()
