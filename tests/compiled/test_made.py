"""What the sweep makes of gradients before they are summed, beside the same in NumPy, of all gradients at once."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad import gallery
from symgrad.build import reductions, rows
from tests.helpers import risks_of_before

MADE_UP = {risk.name: risk for risk in risks_of_before.RISKS}
# Formulas, linear predictors, products of one column and of several; with and without a penalty.
NAMES = ("gauss1", "digits", "sunspots_recurrent", "iris_softmax", "linear_16", "network")
SEED = 3


def example(name: str, dtype: str, count: int) -> tuple[Any, tuple[Any, ...]]:
    """A compiled risk, and theta, inputs, targets, weights: some of these are zero, of rows that are NaN."""
    risk = MADE_UP.get(name) or next(risk for risk in gallery.RISKS if risk.name == name)
    compiled, rng = sg.compile(risk, dtype=dtype), np.random.default_rng(SEED)
    if name in MADE_UP:
        columns = sum(int(np.prod(shape)) for _, shape in compiled.module.INPUTS)
        theta, inputs = rng.normal(size=compiled.N_PARAMETERS) / 4, rng.normal(size=(count, columns))
        targets = rng.uniform(size=count).round()
    else:
        data = gallery.load(name)
        drawn = rng.integers(0, len(data.inputs), count)
        theta, inputs, targets = data.theta, data.inputs[drawn], data.targets[drawn]
    weights = np.where(rng.random(count) < 0.1, 0.0, rng.random(count))
    inputs = np.array(inputs, dtype)
    inputs[weights == 0] = np.nan
    return compiled, (theta, inputs, np.asarray(targets, dtype), weights)


def near(found: Any, expected: Any, dtype: str) -> bool:
    tolerance = 3e-14 if dtype == "float64" else 3e-6
    return bool(np.abs(found - expected).max() <= tolerance * np.abs(expected).max())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", NAMES)
def test_sums_are_those_of_gradients_in_an_array(name: str, dtype: str) -> None:
    compiled, (theta, inputs, targets, weights) = example(name, dtype, 1400)
    gradients = np.zeros((1400, len(theta)))
    some = weights != 0
    gradients[some] = compiled.per_sample_gradient(theta, inputs[some], targets[some])
    norms = np.sqrt((gradients**2).sum(1))
    bound = float(np.median(norms[some])) * 1.001
    codes = np.random.default_rng(SEED).integers(-1, 5, 1400).astype(np.int16)
    wants = [
        "second_moment",
        "clipped_sum",
        "clipped_fraction",
        "group_sums",
        *(["outer"] if len(theta) < 1024 else []),
    ]
    got = compiled.reduce(theta, inputs, targets, weights, want=wants, clip=bound, groups=codes, n_groups=6)
    scaled = weights[:, None] * gradients
    assert near(got["second_moment"], (scaled * gradients).sum(0) / weights.sum(), dtype)
    assert near(got["clipped_sum"], (scaled * np.minimum(1, bound / np.where(some, norms, 1))[:, None]).sum(0), dtype)
    assert abs(got["clipped_fraction"] - weights[norms > bound].sum() / weights.sum()) < (
        1e-12 if dtype == "float64" else 0.01
    )
    assert near(got["group_sums"], np.stack([scaled[codes == k].sum(0) for k in range(6)]), dtype)
    assert not got["group_sums"][5].any()
    if "outer" in got:
        assert near(got["outer"], scaled.T @ gradients / weights.sum(), dtype)
        assert np.array_equal(got["outer"], got["outer"].T)


@pytest.mark.parametrize("name", ["gauss1", "digits", "linear_16"])
def test_blocks_of_parameters_have_bounds_of_their_own(name: str) -> None:
    compiled, (theta, inputs, targets, weights) = example(name, "float64", 300)
    some = weights != 0
    gradients = np.asarray(compiled.per_sample_gradient(theta, inputs[some], targets[some]))
    names = [parameter for parameter, _ in compiled.PARAMETERS]
    starts = np.cumsum([0, *(int(np.prod(shape)) for _, shape in compiled.PARAMETERS)])
    bounds, expected = {}, np.zeros(len(theta))
    for block in (names[::2], names[1::2]) if len(names) > 1 else (names,):
        at = np.concatenate([np.arange(starts[k], starts[k + 1]) for k in map(names.index, block)])
        norms = np.sqrt((gradients[:, at] ** 2).sum(1))
        bounds[tuple(block)] = float(np.median(norms))
        factor = np.minimum(1, bounds[tuple(block)] / np.maximum(norms, 1e-300)) * weights[some]
        expected[at] = factor @ gradients[:, at]
    got = compiled.reduce(theta, inputs, targets, weights, want="clipped_sum", clip=bounds)["clipped_sum"]
    assert near(got, expected, "float64")


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_norms_whose_squares_leave_the_range_clip(size: float) -> None:
    compiled, (theta, inputs, targets, weights) = example("linear_16", "float64", 100)
    some = weights != 0
    far = inputs[some] * size
    gradients = np.asarray(compiled.per_sample_gradient(theta * 0, far, targets[some]))
    norms = np.abs(gradients).max(1) * np.sqrt(((gradients / np.abs(gradients).max(1, keepdims=True)) ** 2).sum(1))
    bound = float(np.median(norms))
    got = compiled.reduce(theta * 0, far, targets[some], want=["clipped_sum", "clipped_fraction"], clip=bound)
    assert near(got["clipped_sum"], (gradients * np.minimum(1, bound / norms)[:, None]).sum(0), "float64")
    assert got["clipped_fraction"] == np.mean(norms > bound)


def test_blocks_of_rows_and_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, (theta, inputs, targets, weights) = example("gauss1", "float64", 9000)
    wants = ["mean", "second_moment", "clipped_mean", "outer", "outer_squared_weights", "group_sums", "top", "variance"]
    options = {"clip": 50.0, "top": 5, "groups": np.arange(9000) % 700, "nonfinite": "zero"}
    inputs[17], weights[17] = np.inf, 1.0
    whole = compiled.reduce(theta, inputs, targets, weights, want=wants, threads=1, **options)
    assert whole["nonfinite_rows"] == 1
    fine = compiled.reduce(theta, inputs[18:], targets[18:], weights[18:], want="mean", nonfinite="raise")
    assert fine["mean"].tobytes() == compiled.gradient(theta, inputs[18:], targets[18:], weights[18:]).tobytes()
    for module in (rows, reductions):
        monkeypatch.setattr(module, "BLOCK", 2048)
    parts = [
        compiled.partial_reduce(
            theta, inputs[a:b], targets[a:b], weights[a:b], want=wants, first=a, threads=3, n_groups=700,
            **{**options, "groups": options["groups"][a:b]},
        )
        for a, b in ((0, 1), (1, 5000), (5000, 9000))
    ]  # fmt: skip
    for found in (
        compiled.reduce(theta, inputs, targets, weights, want=wants, threads=2, **options),
        compiled.merge_reduce(theta, *parts[::-1]),
    ):
        assert all(np.array_equal(found[name], whole[name]) for name in wants if name != "top")
        assert [x.tolist() for x in found["top"]] == [x.tolist() for x in whole["top"]]


def test_no_reduction_holds_a_number_for_each_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of 10**6 rows in files nothing is in memory but some rows at a time; 10**8 rows take as much."""
    n, risk = 10**6, next(risk for risk in gallery.RISKS if risk.name == "misra1a")
    compiled = sg.compile(risk, dtype="float32")  # the files' own: no block of rows is converted
    theta = gallery.load("misra1a").theta
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=n)
    x[:] = np.linspace(0, 700, n)
    codes = np.memmap(tmp_path / "g", np.uint8, "w+", shape=n)
    out = np.memmap(tmp_path / "o", np.float64, "w+", shape=n)
    for module in (rows, reductions):
        monkeypatch.setattr(module, "BLOCK", 1 << 14)
    wants: list[tuple[Any, dict[str, Any]]] = [
        (["mean", "second_moment", "variance", "noise", "outer", "hessian"], {}),
        (["clipped_mean", "clipped_fraction"], {"clip": 1e-3, "weights": x}),
        ("outer_squared_weights", {"weights": x}),
        ("group_sums", {"groups": codes}),
        ("top", {"top": 3}),
        ("mean", {"nonfinite": "zero"}),
        ("squared_norms", {"out": {"squared_norms": out}, "nonfinite": "raise"}),
        ("along", {"out": {"along": out}, "along": [1.0, 2.0]}),
    ]
    for want, options in wants:
        compiled.reduce(theta, x[:3000], x[:3000], want=want, **{k: _cut(v, 3000) for k, v in options.items()})
        tracemalloc.start()
        compiled.reduce(theta, x, x, want=want, **options)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2_000_000, want


def _cut(value: Any, count: int) -> Any:
    """Of arrays, and of those in a dictionary, the first rows."""
    if isinstance(value, dict):
        return {key: _cut(array, count) for key, array in value.items()}
    return value[:count] if isinstance(value, np.ndarray) else value
