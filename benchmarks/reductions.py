"""Reductions beside JAX and PyTorch: ``python -m benchmarks.reductions`` writes docs/reductions.md.

Each number is from a process of its own: the least of some calls, and by how much its memory grew at most. Peers that
are not installed are left out, and the page says so. One thread each. JAX in two ways: `vmap`, all gradients in one
array, and `scan` over blocks of 1,024 rows, which needs no such array.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

WANTS = ("mean", "squared_norms", "clipped_mean", "second_moment", "outer")
TOOLS = ("symgrad", "jax vmap", "jax scan", "torch vmap")
ROWS = {"logistic, 16 features": 1_000_000, "network 64-32-10": 40_000}
PAGE = Path(__file__).parents[1] / "docs" / "reductions.md"
BOUND, BLOCK, SECONDS = 1.0, 1024, 4.0


def data(workload: str) -> tuple[Any, Any, Any]:
    rng, n = np.random.default_rng(0), ROWS[workload]
    if workload.startswith("logistic"):
        return rng.normal(size=16) / 3, rng.normal(size=(n, 16)), (rng.random(n) > 0.5) * 1.0
    return rng.normal(size=2410) / 8, rng.normal(size=(n, 64)), rng.integers(0, 10, n).astype(float)


def with_symgrad(workload: str, want: str) -> Callable[[], Any]:
    import sympy as sp

    import symgrad as sg

    theta, rows, targets = data(workload)
    if workload.startswith("logistic"):
        x, b = sp.MatrixSymbol("x", 16, 1), sp.MatrixSymbol("b", 16, 1)
        risk = sg.EmpiricalRisk(sg.Model((b.T * x)[0, 0], [x], [b]), sg.losses.logistic(), name="logistic")
    else:
        u, v = sp.MatrixSymbol("u", 64, 1), sp.MatrixSymbol("v", 10, 1)
        w1, b1, w2, b2 = (sp.MatrixSymbol(*s) for s in (("w", 32, 64), ("b", 32, 1), ("w2", 10, 32), ("b2", 10, 1)))
        i, label = sp.Idx("i", 10), sp.Symbol("label", integer=True)
        loss = sg.Loss(sp.log(sp.Sum(sp.exp(v[i, 0]), (i, 0, 9))) - v[label, 0], prediction=v, target=label)
        model = sg.Model(w2 * (w1 * u + b1).applyfunc(sp.tanh) + b2, inputs=[u], parameters=[w1, b1, w2, b2])
        risk = sg.EmpiricalRisk(model, loss, name="network")
    compiled = sg.compile(risk)
    if want == "mean":
        return lambda: compiled.gradient(theta, rows, targets, threads=1)
    return lambda: compiled.reduce(theta, rows, targets, want=want, clip=BOUND, threads=1)


def loss_in(xp: Any, workload: str) -> Callable[..., Any]:
    """The loss of one sample in the manner of JAX, or of PyTorch."""
    if workload.startswith("logistic"):
        return lambda theta, x, y: xp.logaddexp(0 * (theta @ x), theta @ x) - y * (theta @ x)

    def network(theta: Any, x: Any, y: Any) -> Any:
        hidden = xp.tanh(theta[:2048].reshape(32, 64) @ x + theta[2048:2080])
        z = theta[2080:2400].reshape(10, 32) @ hidden + theta[2400:]
        return xp.log(xp.exp(z - z.max()).sum()) + z.max() - (z * (xp.arange(10) == y)).sum()

    return network


def reduced(xp: Any, want: str, g: Any) -> Any:
    """A block's gradients (rows, P), reduced: the sum of what is wanted, or the norms."""
    if want == "mean":
        return g.sum(0)
    squares = (g * g).sum(1)
    if want == "clipped_mean":
        return (g * (BOUND / xp.sqrt(squares)).clip(None, 1.0)[:, None]).sum(0)
    return {"squared_norms": lambda: squares, "second_moment": lambda: (g * g).sum(0), "outer": lambda: g.T @ g}[want]()


def with_jax(workload: str, want: str, scan: bool) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    theta, rows, targets = map(jnp.asarray, data(workload))
    gradients = jax.vmap(jax.grad(loss_in(jnp, workload)), (None, 0, 0))
    if want == "mean" and not scan:
        mean = jax.jit(jax.grad(lambda t, x, y: jax.vmap(loss_in(jnp, workload), (None, 0, 0))(t, x, y).mean()))
        return lambda: mean(theta, rows, targets).block_until_ready()

    def in_blocks(t: Any, x: Any, y: Any) -> Any:
        whole = len(x) // BLOCK * BLOCK
        blocks = x[:whole].reshape(-1, BLOCK, x.shape[1]), y[:whole].reshape(-1, BLOCK)
        rest = reduced(jnp, want, gradients(t, x[whole:], y[whole:]))
        if want == "squared_norms":
            _, norms = jax.lax.scan(lambda c, b: (c, reduced(jnp, want, gradients(t, *b))), 0, blocks)
            return jnp.concatenate([norms.reshape(-1), rest])
        return jax.lax.scan(lambda c, b: (c + reduced(jnp, want, gradients(t, *b)), None), rest, blocks)[0]

    function = jax.jit(in_blocks if scan else lambda t, x, y: reduced(jnp, want, gradients(t, x, y)))
    return lambda: function(theta, rows, targets).block_until_ready()


def with_torch(workload: str, want: str) -> Callable[[], Any]:
    import torch

    torch.set_num_threads(1)
    theta, rows, targets = map(torch.from_numpy, data(workload))
    gradients = torch.func.vmap(torch.func.grad(loss_in(torch, workload)), (None, 0, 0))
    return lambda: reduced(torch, want, gradients(theta, rows, targets))


def memory() -> float:
    """MB of this process' own memory; where that is not told, the most it had."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def work(tool: str, workload: str, want: str) -> None:
    """One measurement: least seconds, and MB above what there was before the first call, with the data in memory."""
    kind, _, way = tool.partition(" ")
    made = {"symgrad": with_symgrad, "torch": with_torch}.get(kind) or (lambda w, r: with_jax(w, r, way == "scan"))
    call, times, means = made(workload, want), list[float](), list[float]()
    mean = with_symgrad(workload, "mean") if kind == "symgrad" else lambda: None
    before, peak, done = memory(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    call()  # what is compiled then is held too
    start = time.perf_counter()
    while len(times) < 3 or (time.perf_counter() - start < SECONDS and len(times) < 50):
        times.append(seconds(call))
        means.append(seconds(mean))
    done.set()
    watcher.join()
    print(json.dumps([min(times), max(0.0, peak[0] - before), min(times) / min(means)]))


def measured(tool: str, workload: str, want: str) -> tuple[float, float, float] | None:
    """Seconds, MB, and how many mean gradients that is; None where the tool is not there, or gives up."""
    one = {"OMP_NUM_THREADS": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "benchmarks.reductions", tool, workload, want]
    pinned = ["taskset", "-c", "0"] if os.path.exists("/usr/bin/taskset") else []
    done = subprocess.run([*pinned, *command], capture_output=True, text=True, env=os.environ | one, check=False)
    return None if done.returncode else tuple(json.loads(done.stdout.splitlines()[-1]))


def page() -> str:
    """The page, measured now."""
    lines = [
        "# Reductions beside JAX and PyTorch", "",
        "Milliseconds of one pass, and in brackets by how many MB the process grew at most, compiler and all, when it",
        "had the data: one thread, double precision, least of several calls. `vmap` has all gradients in one array;",
        "`scan` goes over blocks of 1,024 rows.",
        f"Written by `python -m benchmarks.reductions` on {platform.machine()}, {os.cpu_count()} cores.", "",
    ]  # fmt: skip
    missing = set(TOOLS)
    for workload, n in ROWS.items():
        heads = ["", *TOOLS, "symgrad: times its mean gradient"]
        lines += [f"## {workload}, {n:,} rows", "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        for want in WANTS:
            if want == "outer" and workload.startswith("network"):
                continue
            found = {tool: measured(tool, workload, want) for tool in TOOLS}
            missing -= {tool for tool, value in found.items() if value}
            own = found["symgrad"] or (0, 0, float("nan"))
            cells = [f"{f[0] * 1e3:,.1f} ({f[1]:,.0f})" if f else "none" for f in found.values()]
            lines.append(f"| {want} | {' | '.join(cells)} | {own[2]:.2f} |")
            print(lines[-1], flush=True)
        lines.append("")
    if missing:
        lines += [f"Not installed where this was measured, or failed: {', '.join(sorted(missing))}.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:]:
        work(*sys.argv[1:])
    else:
        PAGE.write_text(page(), encoding="utf-8")
