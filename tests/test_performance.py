"""The public table of speed: every workload computes what it says, and the page says what was measured. No clocks."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from benchmarks import performance_page as page
from benchmarks import workloads_numpy as by_hand
from benchmarks.performance import chosen, written
from benchmarks.performance_limits import Limits, Work, share
from benchmarks.performance_rounds import Key, Row
from benchmarks.performance_worker import disagreement
from benchmarks.workloads import WORKLOADS, Workload, data_of
from benchmarks.workloads_risks import risk_of

ROOT = Path(__file__).parents[1]
LARGER = {"linear200", "logistic200", "net784"}  # declared and derived by the code of the smaller ones
MODELS = {w.model: w for w in WORKLOADS if w.dtype == "float64" and w.model not in LARGER}
SAMPLES = 70  # one call of 64 lanes, and a few of the next
LIMITS = {1: Limits(10, 10, 20, 100, 200), 2: Limits(20, 20, 40, 200, 400)}


@pytest.mark.parametrize("model", MODELS)
def test_the_reference_by_hand_is_symgrads_gradient(model: str) -> None:
    data = data_of(MODELS[model], SAMPLES)
    compiled = sg.compile(risk_of(model))
    arrays = (data.theta, data.inputs, data.targets)
    assert disagreement(compiled.gradient(*arrays), by_hand.mean_gradient(model, *arrays)) < 1e-12
    if model in by_hand.ROWS:
        rows = by_hand.per_sample(model, *arrays, np.empty((SAMPLES, compiled.N_PARAMETERS)))
        assert disagreement(compiled.per_sample_gradient(*arrays), rows) < 1e-12


def test_the_reference_by_hand_is_sympys_derivative() -> None:
    data = data_of(MODELS["enso"], 5)
    x, y, *b = sp.symbols("x y b1:10")
    year, first, second = (2 * sp.pi * x / period for period in (12, b[3], b[6]))
    waves = b[1] * sp.cos(year) + b[2] * sp.sin(year) + b[4] * sp.cos(first) + b[5] * sp.sin(first)
    loss = (b[0] + waves + b[7] * sp.cos(second) + b[8] * sp.sin(second) - y) ** 2
    rows = [
        [float(loss.diff(p).evalf(25, subs=dict(zip([x, y, *b], [u, t, *data.theta], strict=True)))) for p in b]
        for u, t in zip(data.inputs[:, 0], data.targets[:, 0], strict=True)
    ]
    found = by_hand.mean_gradient("enso", data.theta, data.inputs, data.targets)
    assert disagreement(found, np.mean(rows, axis=0)) < 1e-12


def test_every_workload_has_data_of_its_size_and_dtype_and_the_same_twice() -> None:
    assert len({w.name for w in WORKLOADS}) == len(WORKLOADS)
    for workload in WORKLOADS:
        data, again = (data_of(workload, SAMPLES) for _ in range(2))
        assert data.inputs.shape[0] == data.targets.shape[0] == SAMPLES
        for part in ("theta", "inputs", "targets"):
            assert getattr(data, part).dtype == workload.dtype
            np.testing.assert_array_equal(getattr(data, part), getattr(again, part))


def test_a_wrong_result_is_told_from_a_right_one() -> None:
    right = np.array([1.0, -3.0])
    assert disagreement(right, right) == 0
    assert disagreement(right + np.array([0.0, 2e-3]), right) == pytest.approx(1e-3)
    assert disagreement(right[:1], right) == np.inf
    assert not disagreement(np.array([1.0, np.nan]), right) <= 1.0


# --- the page, from numbers that are made up --------------------------------------------------------------------------


def row(name: str, seconds: Mapping[Key, tuple[float, ...]], **changes: object) -> Row:
    workload = next(w for w in WORKLOADS if w.name == name)
    made = Row(workload, parameters=8, columns=2, operations=50, seconds=seconds, reasons={("sklearn", 1): "is not"})
    return replace(made, **changes)  # type: ignore[arg-type]


GAUSS = row(
    "gauss1",
    {
        ("symgrad", 1): (0.004, 0.008, 0.004), ("jax", 1): (0.012, 0.024, 0.100), ("numba", 1): (0.002, 0.004, 0.002),
        ("symgrad", 2): (0.002, 0.002, 0.002), ("jax", 2): (0.020, 0.020, 0.020), ("numba", 2): (0.006, 0.006, 0.006),
    },
)  # fmt: skip


def test_ratios_are_of_the_same_round_and_the_peer_takes_its_best_threads() -> None:
    assert page.ratio(GAUSS, "jax", 1) == pytest.approx(3)  # of medians it would be 6
    assert page.ratio(GAUSS, "numba", 2) == pytest.approx(1)  # with one thread it is faster than with two
    assert page.ratio(GAUSS, "torch", 1) is None
    best = page.best(GAUSS, 1)
    assert best is not None
    assert best[0] == "numba"
    assert best[1] == pytest.approx(0.5)


def test_the_share_of_the_limit_is_of_the_one_that_binds() -> None:
    for work, seconds, limit in (
        (Work(10**9, 0, 10**9, "float64"), 0.2, "read"),
        (Work(10**8, 0, 10**10, "float64"), 0.2, "arithmetic"),
        (Work(10**8, 0, 10**11, "float32"), 1.0, "arithmetic"),
        (Work(10**10, 2 * 10**9, 0, "float64"), 0.2, "write"),
    ):
        bound, part = share(work, LIMITS[1], seconds)
        assert bound == limit
        assert part == pytest.approx(0.5)


def test_the_page_says_who_was_faster_and_who_was_not_measured() -> None:
    results = page.Results([GAUSS], LIMITS, {}, "a machine", ["symgrad 1", "JAX 2"])
    text = written(results)
    assert "[[" not in text
    assert "| NIST Gauss1, 8 parameters | 1,000,000 | 4.00 | 40 % read | 3.00x |" in text
    assert "**0.50x**" in text
    assert "geometric mean of (best peer / symgrad) is **0.50**" in " ".join(text.split())
    assert "1 thread: Numba takes 0.50 of symgrad's time" in " ".join(text.split())
    assert "scikit-learn not measured (is not): gauss1." in text
    assert "a machine" in text
    assert "symgrad 1; JAX 2" in text


def test_the_sweep_is_a_table_of_times() -> None:
    rows = [
        row(f"sweep-1e{e}", {("symgrad", 1): (2e-6,), ("symgrad", 2): (3e-6,), ("numpy", 1): (1e-4,)}) for e in (1, 2)
    ]
    table = page.time_table(rows, 2)
    assert table.splitlines() == [
        "| N | symgrad | NumPy |",
        "|---|---:|---:|",
        "| 10 | 2.00 | 100 |",
        "| 100 | 2.00 | 100 |",
    ]


def test_where_nobody_was_faster_the_page_says_so() -> None:
    ahead = row("tyre", {("symgrad", 1): (1.0,), ("jax", 1): (2.0,)})
    assert page.lost(page.Results([ahead], {1: LIMITS[1]}, {}, "", [])) == ["Nowhere: no peer was faster on any row."]


def test_a_quick_run_has_fewer_samples_and_an_unknown_name_is_told() -> None:
    quick: list[Workload] = chosen([], quick=True)
    assert max(w.n for w in quick) < max(w.n for w in WORKLOADS)
    assert [w.name for w in chosen(["tyre"], quick=False)] == ["tyre"]
    with pytest.raises(SystemExit, match="gauss1"):
        chosen(["gaus1"], quick=False)


def test_the_template_has_a_place_for_everything_that_is_written() -> None:
    template = (ROOT / "benchmarks" / "performance_template.md").read_text()
    results = page.Results([GAUSS], LIMITS, {}, "", [])
    assert all(template.count(f"[[{key}]]") == 1 for key in page.texts(results))
