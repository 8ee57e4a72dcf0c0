"""The public table of speed: ``python -m benchmarks.performance`` writes docs/performance.md and its plot.

symgrad and its peers, on the same arrays in one run, and beside them what the machine can do. Every result is compared
with a reference before it is timed. It needs the extra ``[bench]`` in this interpreter; ``make bench`` sees to that.
"""

import argparse
import os
import platform
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from . import performance_limits as limits
from . import performance_page as page
from . import performance_stages as stages
from .performance_plot import draw
from .performance_rounds import Row, Worker, all_workers, measure
from .performance_tools import TOOLS
from .workloads import WORKLOADS, Workload, data_of

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
ROUNDS = 7
QUICK_ROUNDS, QUICK_DIVISOR, QUICK_LARGEST = 3, 10, 100_000


def chosen(only: Sequence[str], quick: bool) -> list[Workload]:
    """The workloads of a run; a quick one has fewer samples, and no sweep beyond 10^5."""
    unknown = set(only) - {w.name for w in WORKLOADS}
    if unknown:
        known = ", ".join(w.name for w in WORKLOADS)
        sys.exit(f"--only: expected names of workloads, got {', '.join(sorted(unknown))}; choose among {known}")
    found = [w for w in WORKLOADS if not only or w.name in only]
    if not quick:
        return found
    smaller = [w if w.kind == "bound" else replace(w, n=w.n // QUICK_DIVISOR) for w in found]
    return [w for w in smaller if w.kind != "bound" or w.n <= QUICK_LARGEST]


def measured(workloads: Sequence[Workload], threads: Sequence[int], tools: Sequence[str], rounds: int) -> list[Row]:
    workers = all_workers(threads, tools)
    rows = []
    try:
        for workload in workloads:
            with tempfile.TemporaryDirectory(prefix="symgrad-bench-") as folder:
                rows.append(measure(workload, data_of(workload), _asked(workload, workers), Path(folder), rounds))
            print(_line(rows[-1], max(threads)), flush=True)
    finally:
        for worker in workers:
            worker.close()
    return rows


def _asked(workload: Workload, workers: Sequence[Worker]) -> list[Worker]:
    """In the sweep a tool chooses its threads: one that has them is asked with all of them, and up to 10^5 with one."""
    most = max(worker.key[1] for worker in workers)
    if workload.kind != "bound" or workload.n <= QUICK_LARGEST:
        return list(workers)
    return [w for w in workers if w.key[1] == most or not TOOLS[w.key[0]].threads]


def _line(row: Row, threads: int) -> str:
    seconds, pair = row.median(("symgrad", threads)), page.best(row, threads)
    own = "none" if seconds is None else f"{1e9 * seconds / row.workload.n:.2f} ns a sample"
    peer = f"best peer {TOOLS[pair[0]].title} {pair[1]:.2f}x" if pair else "no peer"
    reasons = "".join(f"\n    {TOOLS[tool].title} ({t}): {why}" for (tool, t), why in row.reasons.items())
    return f"{row.workload.name}: {own}; {peer}{reasons}"


def installed() -> dict[str, str]:
    """The tools that there are, with their versions."""
    found = {}
    for name, tool in TOOLS.items():
        try:
            found[name] = tool.version
        except PackageNotFoundError:
            print(f"{tool.title} is not installed: not measured")
    return found


def machine() -> str:
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else ""
    parts = (platform.system(), " ".join(platform.libc_ver()), f"Python {platform.python_version()}")
    return f"{model or platform.machine()}, {_cores()} cores, {', '.join(parts)}"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def written(results: page.Results) -> str:
    text = (HERE / "performance_template.md").read_text()
    for key, value in page.texts(results).items():
        wrap = key in ("MACHINE", "VERSIONS", "SUMMARY", "LOST", "MISSING")
        text = text.replace(f"[[{key}]]", _wrapped(value) if wrap else value)
    return text


def _wrapped(text: str) -> str:
    return "\n".join(
        textwrap.fill(line, 110, subsequent_indent="  " if line.startswith("- ") else "", break_on_hyphens=False)
        for line in text.splitlines()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes docs/performance.md and docs/performance.svg.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and samples: for a look, not for the page")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these workloads alone")
    parser.add_argument("--output", type=Path, default=PAGE, help="the page; the plot is written beside it")
    arguments = parser.parse_args()
    workloads = chosen(arguments.only, arguments.quick)
    versions = installed()
    threads = sorted({1, _cores()})
    machine_limits = {t: limits.measured(t) for t in threads}
    print(page.limits_table(machine_limits), flush=True)
    timings = stages.measured(1 if arguments.quick else 3)
    print(page.stages_table(timings), flush=True)
    rounds = QUICK_ROUNDS if arguments.quick else ROUNDS
    rows = measured(workloads, threads, list(versions), rounds)
    machine_limits = {t: limit.or_better(limits.measured(t)) for t, limit in machine_limits.items()}
    results = page.Results(rows, machine_limits, timings, machine(), list(versions.values()))
    arguments.output.write_text(written(results))
    draw(results, arguments.output.with_suffix(".svg"))
    print("\n".join(page.summary(results)))
    print(f"{arguments.output.name} is written")


if __name__ == "__main__":
    main()
