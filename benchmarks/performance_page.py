"""Rows of measurements to tables: everything on the page but its own words, which are in performance_template.md."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import geometric_mean

from .performance_limits import Limits, Work, share
from .performance_rounds import Key, Row
from .performance_stages import MODELS, Stages
from .performance_tools import TOOLS
from .workloads import Workload

PEERS = [name for name in TOOLS if name != "symgrad"]
DEEP = ("jax", "torch")
BY_HAND = ("numba", "numba-libmvec")


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that one run measured."""

    rows: Sequence[Row]
    limits: Mapping[int, Limits]
    """by number of threads"""
    stages: Mapping[str, Stages]
    machine: str
    versions: Sequence[str]


def texts(results: Results) -> dict[str, str]:
    """What the template's marks ``[[...]]`` stand for."""
    threads = sorted(results.limits)
    means, samples, sweep = (_of_kind(results.rows, kind) for kind in ("mean", "samples", "bound"))
    many = threads[-1]
    found = {
        "MACHINE": results.machine,
        "VERSIONS": "; ".join(results.versions),
        "LIMITS": limits_table(results.limits),
        "SUMMARY": "\n".join(summary(results)),
        "MEAN": "\n\n".join(_section("Mean gradient", means, t, results.limits) for t in threads),
        "SAMPLES": "\n\n".join(_section("Gradient of each sample", samples, t, results.limits) for t in threads),
        "SWEEP": time_table(sweep, many),
        "THREADS": scaling_table([*means, *samples], many),
        "STAGES": stages_table(results.stages),
        "LOST": "\n".join(lost(results)),
        "MISSING": "\n".join(missing(results.rows)),
    }
    return {key: text or "Nothing of this was measured." for key, text in found.items()}


def _of_kind(rows: Iterable[Row], kind: str) -> list[Row]:
    return [row for row in rows if row.workload.kind == kind]


def _section(title: str, rows: Sequence[Row], threads: int, limits: Mapping[int, Limits]) -> str:
    count = "one thread" if threads == 1 else f"{threads} threads"
    return f"### {title}, {count}\n\n{ratio_table(rows, threads, limits)}" if rows else ""


# --- who is compared -------------------------------------------------------------------------------------------------


def key_of(row: Row, tool: str, threads: int) -> Key | None:
    """The tool's own best with up to ``threads`` threads; None where it was not measured."""
    keys = [(tool, t) for t in (1, threads) if (tool, t) in row.seconds]
    return min(keys, key=lambda key: row.median(key) or math.inf, default=None)


def ratio(row: Row, peer: str, threads: int) -> float | None:
    """The peer's time divided by symgrad's, by rounds; None where one of them is missing."""
    key = key_of(row, peer, threads)
    return None if key is None else row.ratio(key, ("symgrad", threads))


def best(row: Row, threads: int, peers: Iterable[str] = PEERS) -> tuple[str, float] | None:
    """The fastest of the peers and its time divided by symgrad's."""
    found = [(peer, r) for peer in peers if (r := ratio(row, peer, threads)) is not None]
    return min(found, key=lambda pair: pair[1], default=None)


# --- tables ----------------------------------------------------------------------------------------------------------


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([f"| {' | '.join(header)} |", f"|---|{'---:|' * (len(header) - 1)}", *rows]) if rows else ""


def ratio_table(rows: Sequence[Row], threads: int, limits: Mapping[int, Limits]) -> str:
    """symgrad's time for a sample and its share of the limit; how many times longer each peer takes."""
    header = ["workload", "N", "symgrad, ns", "of the limit", *(TOOLS[peer].title for peer in PEERS)]
    lines = []
    for row in rows:
        seconds = row.median(("symgrad", threads))
        own = ["none", "none"]
        if seconds is not None:
            bound, part = share(work_of(row), limits[threads], seconds)
            own = [number(1e9 * seconds / row.workload.n), f"{100 * part:.0f} % {bound}"]
        ratios = [_times(ratio(row, peer, threads)) for peer in PEERS]
        lines.append([title_of(row.workload), f"{row.workload.n:,}", *own, *ratios])
    return table(header, lines)


def work_of(row: Row) -> Work:
    size = 8 if row.workload.dtype == "float64" else 4
    n = row.workload.n
    written = n * row.parameters * size if row.workload.kind == "samples" else 0
    return Work(n * row.columns * size, written, n * row.operations, row.workload.dtype)


def title_of(workload: Workload) -> str:
    return f"{workload.title} (float32)" if workload.dtype == "float32" else workload.title


def time_table(rows: Sequence[Row], threads: int) -> str:
    """Microseconds of a call, for each tool its best number of threads."""
    tools = [tool for tool in TOOLS if any(key_of(row, tool, threads) for row in rows)]
    lines = []
    for row in rows:
        medians = [row.median(key) if (key := key_of(row, tool, threads)) else None for tool in tools]
        lines.append([f"{row.workload.n:,}", *("none" if s is None else number(1e6 * s) for s in medians)])
    return table(["N", *(TOOLS[tool].title for tool in tools)], lines)


def scaling_table(rows: Sequence[Row], threads: int) -> str:
    """How many times faster ``threads`` threads are than one, for each tool."""
    if threads == 1:
        return ""
    tools = [tool for tool in TOOLS if TOOLS[tool].threads]
    lines = [
        [title_of(row.workload), row.workload.kind, *(_factor(row.ratio((t, 1), (t, threads))) for t in tools)]
        for row in rows
    ]
    return table(["workload", "gradient", *(TOOLS[tool].title for tool in tools)], lines)


def limits_table(limits: Mapping[int, Limits]) -> str:
    names = {
        "read": "read, GB/s", "write": "write, GB/s", "stream": "write past the caches, GB/s",
        "fma64": "multiply-add, float64, 10^9/s", "fma32": "multiply-add, float32, 10^9/s",
    }  # fmt: skip
    lines = [[title, *(number(getattr(limit, name)) for limit in limits.values())] for name, title in names.items()]
    return table(["limit", *("1 thread" if t == 1 else f"{t} threads" for t in limits)], lines)


def stages_table(stages: Mapping[str, Stages]) -> str:
    lines = []
    for model, title in MODELS.items():
        found = stages.get(model)
        if found:
            inner = ", ".join(f"{name} {s:.2f}" for name, s in found.items() if name not in ("first", "cold", "warm"))
            lines.append([title, f"{found['first']:.2f}", f"{found['cold']:.2f}", f"{1000 * found['warm']:.0f}", inner])
    text = table(["model", "first on a machine, s", "cold, s", "warm, ms", "the stages of the cold one, s"], lines)
    imports = stages.get("imports")
    if imports:
        parts = ", ".join(f"{name} {1000 * s:.0f} ms" for name, s in imports.items())
        text += f"\n\nImports: {parts}; each without those before it."
    return text.strip()


# --- words -----------------------------------------------------------------------------------------------------------


def summary(results: Results) -> list[str]:
    lines = []
    means = _of_kind(results.rows, "mean")
    for threads in results.limits:
        count = "one thread" if threads == 1 else f"{threads} threads"
        found = [pair[1] for row in means if (pair := best(row, threads))]
        if not found:
            continue
        led = sum(r > 1 for r in found)
        lines.append(
            f"- Mean gradient, {count}: symgrad leads every peer on {led} of {len(found)} workloads; the geometric "
            f"mean of (best peer / symgrad) is **{geometric_mean(found):.2f}**."
        )
        for title, peers in (("the best of JAX and PyTorch", DEEP), ("Numba by hand", BY_HAND)):
            ratios = [pair[1] for row in means if row.workload.formula and (pair := best(row, threads, peers))]
            if ratios:
                lines.append(
                    f"- Formulas, {count}: {title} / symgrad from {min(ratios):.2f} to {max(ratios):.2f}, "
                    f"geometric mean {geometric_mean(ratios):.2f}."
                )
    return lines


def lost(results: Results) -> list[str]:
    """Where a peer was faster, or the machine's limit is far."""
    lines = []
    for row in results.rows:
        for threads in results.limits:
            pair = best(row, threads)
            if pair and pair[1] < 1:
                lines.append(
                    f"- {title_of(row.workload)}, N = {row.workload.n:,} ({KINDS[row.workload.kind]}), {threads} "
                    f"thread{'s' * (threads > 1)}: {TOOLS[pair[0]].title} takes {pair[1]:.2f} of symgrad's time."
                )
    return lines or ["Nowhere: no peer was faster on any row."]


KINDS = {"mean": "mean gradient", "samples": "gradient of each sample", "bound": "small and large N"}


def missing(rows: Iterable[Row]) -> list[str]:
    """A line for each tool and reason, with the workloads that it is about; and one for each note."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for said, verb in ((row.reasons, "not measured"), (row.notes, "measured")):
            for (tool, _), reason in said.items():
                names = found.setdefault((tool, f"{verb} ({reason})"), [])
                if row.workload.name not in names:
                    names.append(row.workload.name)
    return [f"- {TOOLS[tool].title} {reason}: {', '.join(names)}." for (tool, reason), names in found.items()]


def number(value: float) -> str:
    """Three digits, never an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _times(value: float | None) -> str:
    if value is None:
        return "none"
    text = f"{number(value)}x"
    return f"**{text}**" if value < 1 else text


def _factor(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"
