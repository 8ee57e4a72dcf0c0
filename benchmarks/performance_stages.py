"""How long symgrad takes until the first gradient, stage by stage: each measured in a new process and a new cache.

The *first* compile on a machine builds the sweep too; a *cold* one finds it in the cache; a *warm* one, its module.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

MODELS = {"gauss1": "NIST Gauss1", "net64": "network 64-32-10", "net784": "network 784-128-10"}
ROOT = Path(__file__).parents[1]
Stages = dict[str, float]


def measured(rounds: int = 3) -> dict[str, Stages]:
    """Return the medians, in seconds: of a first, a cold (with its stages) and a warm compile by model; of imports."""
    found = {"imports": _medians(rounds, lambda: _run("imports"))}
    for model in MODELS:
        found[model] = _medians(rounds, lambda model=model: _cold_and_warm(model))  # type: ignore[misc]
    return found


def _cold_and_warm(model: str) -> Stages:
    with tempfile.TemporaryDirectory(prefix="symgrad-cold-") as cache:
        first = _run(model, cache)
        _forget_models(Path(cache))
        cold, warm = (_run(model, cache) for _ in range(2))
    stages = {name: seconds for name, seconds in cold.items() if name != "compile"}
    return {"first": first["compile"], "cold": cold["compile"], "warm": warm["compile"], **stages}


def _forget_models(cache: Path) -> None:
    """Take every entry but the sweep's out of the cache."""
    for record in cache.glob("*/entry.json"):
        if not json.loads(record.read_text(encoding="utf-8"))["content"]["name"].startswith("_sweep"):
            shutil.rmtree(record.parent)


def _medians(rounds: int, run: Callable[[], Stages]) -> Stages:
    results = [run() for _ in range(rounds)]
    return {name: median(result[name] for result in results) for name in results[0]}


def _run(what: str, cache: str | None = None) -> Stages:
    environment = os.environ | ({"SYMGRAD_CACHE_DIR": cache} if cache else {})
    command = [sys.executable, "-m", "benchmarks.performance_stages", what]
    finished = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} failed: {finished.stderr.strip()}")
    stages: Stages = json.loads(finished.stdout)
    return stages


def main() -> None:
    from importlib import import_module  # what is imported is what is measured
    from time import perf_counter

    if sys.argv[1] == "imports":
        start = perf_counter()
        import_module("numpy")
        numpy_there = perf_counter()
        import_module("sympy")
        sympy_there = perf_counter()
        symgrad = import_module("symgrad")
        for name in ("EmpiricalRisk", "compile"):
            getattr(symgrad, name)
        end = perf_counter()
        print(
            json.dumps({"numpy": numpy_there - start, "sympy": sympy_there - numpy_there, "symgrad": end - sympy_there})
        )
        return
    risk = import_module("benchmarks.workloads_risks").risk_of(sys.argv[1])
    compile_risk = import_module("symgrad").compile
    start = perf_counter()
    compiled = compile_risk(risk)
    print(json.dumps({"compile": perf_counter() - start, **compiled.timings}))


if __name__ == "__main__":
    main()
