"""The plot of the page: how many times longer each peer takes, workload by workload, and the time of a call over N."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from .performance_page import PEERS, Results, key_of, ratio
from .performance_tools import TOOLS
from .workloads import Workload


def draw(results: Results, path: Path) -> None:
    """Writes an SVG. Needs Matplotlib; the same results give the same bytes."""
    matplotlib: Any = import_module("matplotlib")
    matplotlib.use("svg")
    plt: Any = import_module("matplotlib.pyplot")
    plt.rcParams.update({"svg.hashsalt": "symgrad", "font.size": 9})
    threads = max(results.limits)
    rows = [row for row in results.rows if row.workload.kind != "bound"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 6.5), width_ratios=[3, 2], layout="constrained")
    _ratios(left, results, [row.workload for row in rows], threads)
    _sweep(right, results, threads)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _ratios(axes: Any, results: Results, workloads: Sequence[Workload], threads: int) -> None:
    rows = {row.workload.name: row for row in results.rows}
    for number, peer in enumerate(PEERS):
        places = [(r, i) for i, w in enumerate(workloads) if (r := ratio(rows[w.name], peer, threads)) is not None]
        x, y = ([p[k] for p in places] for k in (0, 1))
        axes.plot(x, y, "osD^v<>PX"[number % 9], color=f"C{number}", label=TOOLS[peer].title, alpha=0.8)
    axes.axvline(1, color="black", linewidth=1)
    axes.set(xscale="log", xlabel=f"time / symgrad's time, {threads} thread(s): right of 1 is slower than symgrad")
    axes.set_yticks(range(len(workloads)), [w.name for w in workloads])
    axes.invert_yaxis()
    axes.grid(True, alpha=0.3)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=5)  # above: points are everywhere


def _sweep(axes: Any, results: Results, threads: int) -> None:
    rows = [row for row in results.rows if row.workload.kind == "bound"]
    for number, tool in enumerate(TOOLS):
        found = [(row.workload.n, row.median(key)) for row in rows if (key := key_of(row, tool, threads))]
        if found:
            style: dict[str, Any] = {"color": f"C{number - 1}"} if number else {"color": "black", "linewidth": 2.5}
            axes.plot(*zip(*found, strict=True), marker=".", label=TOOLS[tool].title, **style)
    axes.set(xscale="log", yscale="log", xlabel="samples", ylabel="seconds for a gradient of NIST Gauss1")
    axes.grid(True, alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="best")
