"""Compiled risks, bound arrays and their methods in other processes: the declaration travels, the cache comes first."""

import copy
import multiprocessing
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.errors import BuildError
from symgrad.load import revived

x, y, A, k, z = sp.symbols("x y A k z")
DECAY = sg.EmpiricalRisk(sg.Model(A * sp.exp(-k * x), [x], [A, k]), sg.Loss((z - y) ** 2 / 2, z, y), name="decay")
THETA, ROWS = np.array([1.0, 2.0]), np.linspace(0, 1, 9)
# A process in which SymPy, Cython and Jinja cannot be imported: what is in the cache needs none of them.
ALONE = """
import pickle, sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("sympy", "Cython", "jinja2"):
            raise ImportError(name)
sys.meta_path.insert(0, Nothing())
bound, hessian, theta = pickle.load(open(sys.argv[1], "rb"))
print(bound(theta)[1].tobytes().hex(), hessian(theta).tobytes().hex())
"""


@pytest.fixture(scope="module")
def compiled() -> Any:
    return sg.compile(DECAY)


def again(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))  # noqa: S301


def test_the_declaration_is_the_same_after_a_pickle() -> None:
    assert again(DECAY).fingerprint == DECAY.fingerprint


def test_everything_comes_back(compiled: Any) -> None:
    bound = compiled.bind(ROWS, ROWS**2, np.ones(9), threads=1)
    value = bound(THETA)[1].tobytes()
    for thing in (again(bound), copy.copy(bound), copy.deepcopy(bound), again(compiled).bind(ROWS, ROWS**2)):
        assert thing(THETA)[1].tobytes() == value
    assert again(compiled.gradient)(THETA, ROWS, ROWS**2).tobytes() == value
    assert again(compiled.reduce)(THETA, ROWS, ROWS**2, want="mean")["mean"].tobytes() == value
    assert again(bound.hessian)(THETA).tobytes() == bound.hessian(THETA).tobytes()
    assert copy.deepcopy(compiled).gradient is compiled.gradient


def test_another_process_needs_neither_sympy_nor_cython(compiled: Any, tmp_path: Path) -> None:
    bound = compiled.bind(ROWS, ROWS**2)
    expected = f"{bound(THETA)[1].tobytes().hex()} {bound.hessian(THETA).tobytes().hex()}"
    (tmp_path / "travels").write_bytes(pickle.dumps((bound, bound.hessian, THETA)))
    command = [sys.executable, "-c", ALONE, str(tmp_path / "travels")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == expected


def test_spawned_processes_take_bound_arrays(compiled: Any) -> None:
    bound = compiled.bind(ROWS, ROWS**2)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(bound, (THETA,))[1].tobytes() == bound(THETA)[1].tobytes()


def test_an_empty_cache_is_filled(compiled: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", str(tmp_path))
    found = again(compiled)
    assert found.path.is_relative_to(tmp_path.resolve())
    assert found.gradient(THETA, ROWS, ROWS**2).tobytes() == compiled.gradient(THETA, ROWS, ROWS**2).tobytes()


def test_a_pickle_of_another_version_is_refused(compiled: Any) -> None:
    _, (recipe,) = compiled.__reduce__()
    with pytest.raises(BuildError, match=r"symgrad 0\.0\.1 has pickled: expected one of this version"):
        revived(replace(recipe, version="0.0.1"))
