"""GradBench's protocol, answered by symgrad: a message on each line of standard input, an answer on each of the output.

    python benchmarks/gradbench.py

is a *tool* in GradBench's words (gradben.ch; its CONTRIBUTING.md has the protocol): it is asked to ``define`` a module,
"gmm" say, and to ``evaluate`` one of its functions for an input, as often as the input's ``min_runs`` and
``min_seconds`` say. What is timed is the answer itself: the numbers of the input are arrays before, the result becomes
JSON after. A shape that is new is declared and compiled before its first run.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from gradbench_risks import MODULES

Answer = dict[str, Any]


def answers(lines: Iterable[str]) -> Iterator[str]:
    """Return the answer to each message, a line in JSON each."""
    for line in lines:
        message = json.loads(line)
        yield json.dumps({"id": message["id"], **_answer(message)})


def _answer(message: Mapping[str, Any]) -> Answer:
    kind = message["kind"]
    if kind == "start":
        return {"tool": "symgrad"}
    if kind == "define":
        known = message["module"] in MODULES
        return {"success": known} if known else {"success": False, "error": f"no module {message['module']!r}"}
    if kind == "evaluate":
        return _evaluated(message)
    return {}


def _evaluated(message: Mapping[str, Any]) -> Answer:
    functions = MODULES.get(message["module"], {})
    prepare = functions.get(message["function"])
    if prepare is None:
        return {"success": False, "error": f"no function {message['function']!r} among {sorted(functions)}"}
    given = message["input"]
    runs, seconds = (given.get("min_runs", 1), given.get("min_seconds", 0.0)) if isinstance(given, dict) else (1, 0.0)
    run, written = prepare(given)
    result, nanoseconds = _timed(run, runs, seconds)
    timings = [{"name": "evaluate", "nanoseconds": n} for n in nanoseconds]
    return {"success": True, "output": written(result), "timings": timings}


def _timed(run: Callable[[], Any], runs: int, seconds: float) -> tuple[Any, list[int]]:
    """Return the result and the nanoseconds of each run, after one that nobody counts: it wakes threads and caches."""
    run()
    taken: list[int] = []
    while True:
        start = time.perf_counter_ns()
        result = run()
        taken.append(time.perf_counter_ns() - start)
        if len(taken) >= runs and sum(taken) >= seconds * 1e9:
            return result, taken


def main() -> None:
    for answer in answers(sys.stdin):
        print(answer, flush=True)


if __name__ == "__main__":
    main()
