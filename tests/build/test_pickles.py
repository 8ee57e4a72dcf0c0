"""Compiled risks, bound arrays and their methods in other processes: the declaration travels, the cache comes first."""

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.build import Recipe
from symgrad.data import FileRows
from symgrad.errors import ArrayError, BuildError, CompilerNotFoundError
from symgrad.load import revived

x, y, A, k, z = sp.symbols("x y A k z")
DECAY = sg.EmpiricalRisk(sg.Model(A * sp.exp(-k * x), [x], [A, k]), sg.Loss((z - y) ** 2 / 2, z, y), name="decay")
NEW = sg.EmpiricalRisk.from_expression(A * x**2, inputs=[x], targets=[], parameters=[A], name="new")
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
pickle.dump((bound, hessian, theta), open(sys.argv[1], "wb"))
"""


@pytest.fixture(scope="module")
def compiled() -> Any:
    return sg.compile(DECAY)


def again(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))  # noqa: S301


def reading(path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", ALONE, str(path)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})


@pytest.mark.parametrize("risk", [DECAY, *sg.gallery.RISKS], ids=lambda risk: risk.name)
def test_the_declaration_is_the_same_after_a_pickle(risk: Any) -> None:
    fingerprint, read = risk.fingerprint, again(risk)
    assert "fingerprint" not in vars(read)  # it is taken anew
    assert read.fingerprint == fingerprint


def test_everything_comes_back(compiled: Any) -> None:
    bound = compiled.bind(ROWS, ROWS**2, np.ones(9), threads=1)
    value = bound(THETA)[1].tobytes()
    for thing in (again(bound), copy.copy(bound), copy.deepcopy(bound), again(compiled).bind(ROWS, ROWS**2)):
        assert thing(THETA)[1].tobytes() == value
    assert again(compiled.gradient)(THETA, ROWS, ROWS**2).tobytes() == value
    assert again(compiled.reduce)(THETA, ROWS, ROWS**2, want="mean")["mean"].tobytes() == value
    assert again(bound.hessian)(THETA).tobytes() == bound.hessian(THETA).tobytes()
    assert copy.copy(compiled) is copy.deepcopy(compiled) is compiled
    assert copy.deepcopy(compiled.gradient) is compiled.gradient


def test_a_deep_copy_has_arrays_of_its_own(compiled: Any) -> None:
    targets = ROWS**2
    shared = compiled.bind(ROWS, targets)
    own, before = copy.deepcopy(shared), shared(THETA)[0]
    targets += 1
    assert own(THETA)[0] == before != shared(THETA)[0] == copy.copy(shared)(THETA)[0]


def test_another_process_needs_neither_sympy_nor_compiler(compiled: Any, tmp_path: Path) -> None:
    """And what it sends on travels as well: the declaration's bytes go through it unread."""
    bound, path = compiled.bind(ROWS, ROWS**2), tmp_path / "travels"
    expected = f"{bound(THETA)[1].tobytes().hex()} {bound.hessian(THETA).tobytes().hex()}"
    path.write_bytes(pickle.dumps((bound, bound.hessian, THETA)))
    for environment in ({}, {"PATH": str(tmp_path), "CC": ""}):
        assert reading(path, **environment).stdout.strip() == expected
    sent_on, _, _ = pickle.loads(path.read_bytes())  # noqa: S301
    assert sent_on(THETA)[1].tobytes() == bound(THETA)[1].tobytes()


def test_where_neither_module_nor_sympy_is_there_it_is_told(compiled: Any, tmp_path: Path) -> None:
    path = tmp_path / "travels"
    path.write_bytes(pickle.dumps((compiled.bind(ROWS, ROWS**2), compiled.hessian, THETA)))
    said = reading(path, SYMGRAD_CACHE_DIR=str(tmp_path / "empty")).stderr.splitlines()[-1]
    assert "BuildError: decay: expected its module in the cache, or what builds it, got neither (sympy); set " in said


def test_spawned_processes_take_bound_arrays(compiled: Any) -> None:
    bound = compiled.bind(ROWS, ROWS**2)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(bound, (THETA,))[1].tobytes() == bound(THETA)[1].tobytes()


def test_joblib_takes_methods_and_objectives(compiled: Any) -> None:
    joblib = pytest.importorskip("joblib")
    bound, objective = compiled.bind(ROWS, ROWS**2), sg.objective(sg.losses.squared(), floor=0.25)
    calls: list[Any] = [(bound, THETA), (bound.hessian, THETA), (compiled.predict, THETA, ROWS)]
    calls += [(objective, ROWS, ROWS**2), (objective.metric, ROWS, ROWS**2)]
    there = joblib.Parallel(n_jobs=2)(joblib.delayed(function)(*arguments) for function, *arguments in calls)
    for found, (function, *arguments) in zip(there, calls, strict=True):
        np.testing.assert_equal(found, function(*arguments))


def test_rows_of_a_file_are_opened_there(compiled: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", ROWS)
    np.asarray(ROWS).tofile(tmp_path / "rows")
    opened = FileRows(tmp_path / "rows.npy")
    plain = FileRows(tmp_path / "rows", dtype=float, columns=1)
    bound = compiled.bind(opened, ROWS**2)
    assert again(bound)(THETA)[1].tobytes() == bound(THETA)[1].tobytes()
    assert np.array_equal(again(plain)[:], plain[:])
    travels = pickle.dumps(opened)
    np.save(tmp_path / "other.npy", ROWS[1:])
    (tmp_path / "other.npy").replace(opened.path)
    with pytest.raises(ArrayError, match=r"expected float64 of shape \(9,\), as when it was pickled"):
        pickle.loads(travels)  # noqa: S301


def test_what_is_not_in_the_cache_is_built(compiled: Any) -> None:
    found = revived(sg.__version__, *Recipe("new", NEW.fingerprint, "float64", False, True, None, NEW).packed())
    assert found.path.is_relative_to(Path(os.environ["SYMGRAD_CACHE_DIR"]).resolve())
    assert found.gradient([3.0], ROWS, None).tolist() == [np.mean(ROWS**2)]
    assert again(found) is not found
    assert again(found).gradient is found.gradient


def test_what_was_compiled_without_a_cache_does_without_it(
    compiled: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    revive, (version, *fields) = compiled.__reduce__()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert revive(version, *fields).gradient is compiled.gradient  # no compiler is needed
    fields[4] = False
    with pytest.raises(CompilerNotFoundError):
        revive(version, *fields)


def test_a_pickle_that_reads_otherwise_is_refused(
    compiled: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    revive, (_, *fields) = compiled.__reduce__()
    with pytest.raises(BuildError, match=r"symgrad 0\.0\.1 has pickled: expected one of this version"):
        revive("0.0.1", "fields of", "another number")
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", str(tmp_path))
    fields[1] = "0" * 64
    with pytest.raises(
        BuildError, match=r"decay: expected a declaration with the fingerprint 0+, got [0-9a-f]{64}: it "
    ):
        revive(sg.__version__, *fields)


def test_what_pickle_cannot_follow_is_told() -> None:
    deep = x
    for _ in range(3000):
        deep = sp.sin(deep * A)
    with pytest.raises(
        pickle.PicklingError, match=r"deep: expected a declaration that pickle can follow, got one that"
    ):
        Recipe("deep", "", "float64", True, True, None, deep).packed()
