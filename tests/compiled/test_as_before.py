"""Modules on the sweep give the bits of version 0.1.0's, each of which carried the whole runtime.

The old sources are data: what symgrad 0.1.0 generated for the same risks. A few are compared on each run, all of them
with `pytest -m soak`. Linear predictors are left out: their products are fused since, and their multiples
summed plainly over a call (test_predictors).
"""

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad import gallery
from symgrad.build import Toolchain, build, load_module
from tests.helpers import risks_of_before

ARCHIVE = Path(__file__).resolve().parents[1] / "data" / "one_file_modules.tar.xz"
ALWAYS = ("gauss1", "digits", "float32 waves_60")
SEED = 20261130
OTHERS = tuple(risk.name for risk in risks_of_before.RISKS if not risk.name.startswith("linear"))
NAMES = (*gallery.names(), *OTHERS)
SINGLE = ("gauss1", "digits", *OTHERS)
CASES = (*NAMES, *(f"float32 {name}" for name in SINGLE))


@pytest.fixture(scope="module")
def old_sources() -> dict[str, str]:
    with tarfile.open(ARCHIVE) as tar:
        files = [(member.name, tar.extractfile(member)) for member in tar.getmembers()]
        return {name: file.read().decode() for name, file in files if file is not None}


@pytest.fixture
def old(old_sources: dict[str, str], tmp_path: Path) -> Callable[[str, str], ModuleType]:
    def module(name: str, dtype: str) -> ModuleType:
        built = build(old_sources[f"{dtype}/{name}.pyx"], name, Toolchain.detect(), folder=tmp_path)
        return load_module(built.library, name)

    return module


def _risk(name: str) -> Any:
    extra = {risk.name: risk for risk in risks_of_before.RISKS}
    return extra[name] if name in extra else next(risk for risk in gallery.RISKS if risk.name == name)


def _data(name: str, module: Any, rows: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """A theta, and so many rows: drawn from those of the gallery, or made up."""
    if name in gallery.names():
        example = gallery.load(name)
        drawn = rng.integers(0, len(example.inputs), rows)
        theta = example.theta * rng.uniform(0.95, 1.05, len(example.theta))
        return theta, example.inputs[drawn], example.targets[drawn]
    columns = sum(int(np.prod(shape)) for _, shape in module.INPUTS)
    return rng.normal(size=module.N_PARAMETERS) / 4, rng.normal(size=(rows, columns)), rng.uniform(size=rows).round()


def _results(module: Any, theta: Any, u: Any, y: Any, w: Any) -> Iterator[tuple[str, Any]]:
    """Everything that a module computes: with weights and without, for each layout, and in parts."""
    large = 1e300 if module.gradient(theta, u, y).dtype == np.float64 else 1e36
    for threads in (None, 1, 2):
        for weights in (None, w, w * large):
            yield "risk and gradient", np.hstack(module.risk_and_gradient(theta, u, y, weights, threads=threads))
    yield "risk", np.array(module.risk(theta, u, y, w))
    yield "bound", module.bind(u, y)(theta)[1]
    yield "losses", module.per_sample_loss(theta, u, y)
    yield "gradients", module.per_sample_gradient(theta, u, y)
    yield "one precision from another", module.gradient(theta, u.astype("f4"), y)
    yield "columns", module.gradient(theta, np.asfortranarray(u), y)
    yield "every second column", module.gradient(theta, np.repeat(u, 2, axis=1)[:, ::2], y)
    if _predicts(module, theta, u):
        yield "predictions", module.predict(theta, u)
    parts = getattr(module, "module", module).partial_sums(theta, u, y, w)  # of a compiled risk, its module's
    for key in sorted(parts):
        yield f"node {key}", parts[key][: module.N_PARAMETERS + 3]  # they had no digests
    yield "merged", module.merge_sums(theta, parts)[1]


def _predicts(module: Any, theta: Any, u: Any) -> bool:
    try:
        module.predict(theta, u)
    except TypeError:
        return False
    return True


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if case in ALWAYS else pytest.mark.soak) for case in CASES]
)
def test_the_bits_are_those_of_before(case: str, old: Callable[[str, str], ModuleType]) -> None:
    dtype, name = case.split() if " " in case else ("float64", case)
    before, now = old(name, dtype), sg.compile(_risk(name), dtype=dtype)
    for attribute in ("PARAMETERS", "INPUTS", "TARGETS", "N_PARAMETERS", "TILE"):
        assert getattr(before, attribute) == getattr(now, attribute)
    rng = np.random.default_rng(SEED)
    for rows in (7, 3 * now.TILE + 17):
        theta, u, y = _data(name, now, rows, rng)
        w = rng.uniform(0, 2, rows) * (rng.uniform(size=rows) > 0.2)
        for (what, x), (_, z) in zip(_results(before, theta, u, y, w), _results(now, theta, u, y, w), strict=True):
            assert x.shape == z.shape, what
            assert x.tobytes() == z.tobytes(), what
