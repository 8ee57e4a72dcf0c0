"""The tool for GradBench: recorded sessions get the answers of GradBench's own tool, in a process of its own."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).parent
TOOL = HERE.parents[1] / "benchmarks" / "gradbench.py"
Message = dict[str, Any]


def asked(messages: list[Message]) -> list[Message]:
    """Return the tool's answers."""
    lines = "".join(json.dumps(message) + "\n" for message in messages)
    done = subprocess.run([sys.executable, TOOL], input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def same(got: Any, true: Any) -> bool:
    """Are they alike by GradBench's rule, with a tolerance of 1e-12 where it has 1e-4?"""
    if isinstance(true, dict):
        return got.keys() == true.keys() and all(same(got[key], true[key]) for key in true)
    if isinstance(true, list):
        return len(got) == len(true) and all(map(same, got, true))
    return bool(abs(got - true) <= 1e-12 * max(1.0, abs(got) + abs(true)))


@pytest.mark.parametrize("path", sorted(HERE.glob("session_*")), ids=lambda path: path.name.split(".")[0])
def test_a_recorded_session(path: Path) -> None:
    with gzip.open(path, "rt") as file:
        records = [json.loads(line) for line in file]
    answers = asked([record["message"] for record in records])
    assert len(answers) == len(records)
    assert any("golden" in record for record in records)
    for record, answer in zip(records, answers, strict=True):
        assert answer["id"] == record["message"]["id"]
        if "golden" in record:
            assert same(answer["output"], record["golden"]), record["message"].get("description")
            assert all(timing["nanoseconds"] > 0 for timing in answer["timings"])


def evaluate(module: str, function: str, given: Any) -> Message:
    runs = {"min_runs": 3, "min_seconds": 0.0}
    return {"id": 7, "kind": "evaluate", "module": module, "function": function, "input": {**given, **runs}}


def test_what_has_no_session() -> None:
    """The nearest centroids, and log sum exp, beside NumPy's."""
    draw = np.random.default_rng(1)
    points = draw.random((200, 3))
    centroids, x = points[-5:], draw.normal(size=40) * 9
    given = {"points": points.tolist(), "centroids": centroids.tolist()}
    messages = [evaluate("kmeans", "cost", given), evaluate("kmeans", "dir", given)]
    messages += [evaluate("lse", name, {"x": x.tolist()}) for name in ("primal", "gradient")]
    cost, direction, value, slope = (answer["output"] for answer in asked(messages))
    distances = ((points[:, None] - centroids) ** 2).sum(2)
    nearest = distances.argmin(1)
    assert same(cost, float(distances.min(1).sum()))
    means = np.array([points[nearest == k].mean(0) for k in range(5)])
    assert same(direction, (centroids - means).tolist())
    assert same(value, float(np.log(np.exp(x - x.max()).sum()) + x.max()))
    assert same(slope, (np.exp(x - x.max()) / np.exp(x - x.max()).sum()).tolist())


def test_what_it_does_not_know_is_said() -> None:
    start, define, unknown, analysis = asked(
        [
            {"id": 0, "kind": "start", "eval": "saddle"},
            {"id": 1, "kind": "define", "module": "saddle"},
            evaluate("gmm", "hessian", {}),
            {"id": 9, "kind": "analysis", "of": 7, "valid": False},
        ]
    )
    assert start == {"id": 0, "tool": "symgrad"}
    assert not define["success"]
    assert "saddle" in define["error"]
    assert not unknown["success"]
    assert "objective" in unknown["error"]
    assert analysis == {"id": 9}
