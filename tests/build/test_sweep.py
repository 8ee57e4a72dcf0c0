"""Models and the sweep that they run on: built by anyone, side by side, and the sweep once for all."""

import inspect
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad import gallery
from symgrad.build import EXTENSION_SUFFIX, Cache
from symgrad.build.command import Step
from symgrad.cli import main
from symgrad.render import SWEEPS, render_sweep

a, b, x, y, z = sp.symbols("a b x y z")
SQUARES = sg.Loss((z - y) ** 2, prediction=z, target=y)
# No function of the C library, of which another compiler's flags choose other versions.
CUBIC = sg.EmpiricalRisk(sg.Model(a * x**3 + b * x, [x], [a, b]), SQUARES, name="cubic")
SLOPE = sg.EmpiricalRisk(sg.Model(a * x, [x], [a]), SQUARES, penalty=a**2, name="slope")
W, u, t, v = (sp.MatrixSymbol(*args) for args in (("W", 9, 20), ("u", 20, 1), ("t", 9, 1), ("v", 9, 1)))
LAYER = sg.EmpiricalRisk(
    sg.Model(W * u, inputs=[u], parameters=[W]), sg.Loss(((v - t).T * (v - t))[0, 0], v, t), name="layer"
)
WAVE = gallery.load("gauss1").risk  # its parameters are eight, its function is exp
RISKS = {risk.name: risk for risk in (CUBIC, LAYER, WAVE)}
FUNCTIONS = ("risk", "gradient", "per_sample_loss", "per_sample_gradient")


def arguments(columns: dict[str, int]) -> tuple[Any, Any, Any]:
    """A theta, and rows of several tiles."""
    random = np.random.default_rng(5)
    rows = 3001
    theta = random.uniform(0.5, 1.5, columns["parameters"])
    return theta, random.normal(size=(rows, columns["inputs"])), random.normal(size=(rows, columns["targets"]))


def columns_of(module: Any) -> dict[str, int]:
    tables = {"parameters": module.PARAMETERS, "inputs": module.INPUTS, "targets": module.TARGETS}
    return {name: sum(int(np.prod(shape)) for _, shape in table) for name, table in tables.items()}


# What a program does with modules that it imports: all their functions in turn, one module after the other.
CALLS = """
import hashlib, json, sys
import numpy as np
def bits(modules, data, threads=(None, 1, 3)):
    digests = {name: [] for name in modules}
    for count in threads:
        for function in ("risk", "gradient", "per_sample_loss", "per_sample_gradient"):
            for name, module in modules.items():
                result = np.asarray(getattr(module, function)(*data[name], threads=count))
                digests[name].append(hashlib.sha256(result.tobytes()).hexdigest())
    return digests
rows = np.load(sys.argv[1])
data = {name: [rows[f"{name} {i}"] for i in range(3)] for name in sys.argv[3:]}
"""


def run(program: str, folder: Path, *argv: str) -> Any:
    """What a program prints, in a process of its own that finds nothing but NumPy and what is in the folder."""
    (folder / "program.py").write_text(CALLS + program, encoding="utf-8")
    without = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, str(folder / "program.py"), *argv]
    done = subprocess.run(command, cwd=folder, env=without, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def modules() -> dict[str, Any]:
    """Symgrad's own builds."""
    return {name: sg.compile(risk) for name, risk in RISKS.items()}


@pytest.fixture(scope="module")
def data(modules: dict[str, Any]) -> dict[str, tuple[Any, Any, Any]]:
    return {name: arguments(columns_of(module)) for name, module in modules.items()}


@pytest.fixture(scope="module")
def rows(data: dict[str, tuple[Any, Any, Any]], tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("rows") / "rows.npz"
    np.savez(path, **{f"{name} {i}": part for name, parts in data.items() for i, part in enumerate(parts)})
    return str(path)


# --- built by a user ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["as a package", "as bare modules"])
def by_hand(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder above the texts, built with a plain `cythonize -i` and nothing of symgrad."""
    above = tmp_path_factory.mktemp("by_hand")
    folder = above / "models" if request.param == "as a package" else above
    folder.mkdir(exist_ok=True)
    if folder != above:
        (folder / "__init__.py").touch()
    (folder / "_sweep.pyx").write_text(render_sweep("float64"), encoding="utf-8")
    for name, risk in RISKS.items():
        (folder / f"{name}.pyx").write_text(sg.generate(risk).source, encoding="utf-8")
    command = [sys.executable, "-m", "Cython.Build.Cythonize", "-i", *(path.name for path in folder.glob("*.pyx"))]
    flags = {"CFLAGS": "-Og"}  # of what is not hot; it is quicker than what Python was built with
    done = subprocess.run(command, cwd=folder, env={**os.environ, **flags}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return above


def test_what_a_user_builds_gives_the_same(
    by_hand: Path, modules: dict[str, Any], data: dict[str, tuple[Any, Any, Any]], rows: str
) -> None:
    """The same bits where no function of the C library is called; all models run on one sweep, in turn."""
    program = f"""
import importlib
names = sys.argv[3:]
package = {"models." if (by_hand / "models").is_dir() else ""!r}
modules = {{name: importlib.import_module(package + name) for name in names}}
assert len({{id(module._sweep) for module in modules.values()}}) == 1
assert sys.modules[package + "_sweep"] is modules[names[0]]._sweep
digests = bits(modules, data)
assert bits(modules, data) == digests
for name in names:
    assert bits({{name: modules[name]}}, data) == {{name: digests[name]}}
def results(module, data):
    return [np.asarray(getattr(module, function)(*data)).tolist() for function in {FUNCTIONS!r}]
print(json.dumps({{name: results(modules[name], data[name]) for name in names}}))
"""
    results = run(program, by_hand, rows, "-", *RISKS)
    for name, module in modules.items():
        for function, found in zip(FUNCTIONS, results[name], strict=True):
            expected = np.asarray(getattr(module, function)(*data[name]))
            if name == "gauss1":  # libmvec's exp is good to four units in the last place, for any width of vectors
                terms = module.per_sample_gradient(*data[name]) if "gradient" in function else expected
                np.testing.assert_allclose(found, expected, rtol=0, atol=4e-15 * np.abs(terms).max())
            else:
                assert np.asarray(found).tobytes() == expected.tobytes()


# --- exported libraries -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(modules: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package `generated`: two models, and one of them in float32 too, each one file."""
    above = tmp_path_factory.mktemp("exported")
    single = sg.EmpiricalRisk(sg.Model(a * x**3 + b * x, [x], [a, b]), SQUARES, name="cubic_single")
    (above / "generated").mkdir()
    (above / "generated" / "__init__.py").touch()
    libraries = (modules["cubic"].path, modules["layer"].path, sg.compile(single, dtype="float32").path)
    for library in libraries:
        shutil.copy(library, above / "generated")
    assert {path.name for path in (above / "generated").iterdir()} == {
        "__init__.py", *(f"{name}{EXTENSION_SUFFIX}" for name in ("cubic", "layer", "cubic_single")),
    }  # fmt: skip
    return above


def test_models_of_both_dtypes_in_one_process_give_what_each_gives_alone(exported: Path, rows: str) -> None:
    program = """
import importlib
data["cubic_single"] = data["cubic"]
modules = {name: importlib.import_module("generated." + name) for name in sys.argv[2].split(",")}
assert not {"_sweep", "_sweep_float32", *modules} & set(sys.modules)  # no bare name that others could take
assert len({id(module._sweep) for module in modules.values()}) == len(modules)
print(json.dumps(bits(modules, data)))
"""
    names = ("cubic", "layer", "cubic_single")
    together = run(program, exported, rows, ",".join(names), "cubic", "layer")
    for name in names:
        assert run(program, exported, rows, name, "cubic", "layer")[name] == together[name]
    assert together["cubic"] != together["cubic_single"]


def test_functions_are_pickled_by_reference_and_run_in_another_process(exported: Path, rows: str) -> None:
    program = """
import multiprocessing, pickle
from generated import cubic, layer
if __name__ == "__main__":
    names = ("risk", "gradient", "risk_and_gradient", "bind", "partial_sums", "merge_sums", "reduce", "pack", "unpack")
    functions = [getattr(module, name) for module in (cubic, layer) for name in names]
    assert all(pickle.loads(pickle.dumps(function)) is function for function in functions)
    assert pickle.loads(pickle.dumps(cubic.gradient)) is not layer.gradient
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pairs = [(module, data[name]) for name, module in (("cubic", cubic), ("layer", layer))]
        there = [pool.apply(module.gradient, arguments).tobytes() for module, arguments in pairs]
    print(json.dumps([bits == module.gradient(*rows).tobytes() for bits, (module, rows) in zip(there, pairs)]))
"""
    assert run(program, exported, rows, "-", "cubic", "layer") == [True, True]


def test_functions_of_a_compiled_risk_are_pickled_with_it(modules: dict[str, Any]) -> None:
    """`symgrad.compile` enters nothing into sys.modules: the declaration travels."""
    assert pickle.loads(pickle.dumps(modules["cubic"].gradient)) is modules["cubic"].gradient  # noqa: S301


def test_docstrings_hold_the_models_own_shapes(modules: dict[str, Any]) -> None:
    shapes = {"cubic": ("(2,)", "(N, 1)", "(6, 2)"), "layer": ("(180,)", "(N, 20)", "(184, 2)")}
    for name, wanted in shapes.items():
        functions = {f: getattr(modules[name].module, f) for f in sg.build.load.FUNCTIONS}
        texts = "\n".join(inspect.getdoc(function) or "" for function in functions.values())
        for shape in wanted:
            assert shape in texts
        for other in set(sum(shapes.values(), ())) - set(wanted):
            assert other not in texts
        for symbol in ("(P,", "(P ", ", P)", ", D)", ", M)", ", K)"):
            assert symbol not in texts
        signature = inspect.signature(functions["gradient"])
        assert str(signature) == "(theta, inputs, targets=Ellipsis, weights=None, *, out=None, threads=None)"
        assert str(inspect.signature(functions["merge_sums"])) == "(theta, *parts)"


# --- what is built, and how often -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own_cache")


@pytest.fixture
def commands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that are run from now on: a cache that is shared by the tests below, and a quick compiler."""
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", str(folder / "cache"))
    monkeypatch.setenv("CFLAGS", "-O0")
    started: list[str] = []
    real = Step.run

    def noted(self: Step) -> float:
        started.append(" ".join(self.command))
        return real(self)

    monkeypatch.setattr(Step, "run", noted)
    return started


def entries() -> list[str]:
    return [entry.name for entry in Cache.open().entries()]


def test_the_sweep_is_built_once_for_a_dtype(commands: list[str]) -> None:
    assert entries() == []
    first = sg.compile(CUBIC)
    assert entries() == ["_sweep", "cubic"]
    assert sum("_sweep" in command for command in commands) == 2  # Cython, and the compiler
    commands.clear()
    second = sg.compile(SLOPE)
    assert entries() == ["_sweep", "cubic", "slope"]
    assert [command for command in commands if "_sweep" in command] == []
    assert len(commands) == 3  # Cython, the compiler, the library
    assert first.module._sweep is not second.module._sweep  # each library has its own
    commands.clear()
    sg.compile(SLOPE, dtype="float32")
    assert entries() == ["_sweep", "_sweep_float32", "cubic", "slope", "slope"]
    assert sum("_sweep_float32" in command for command in commands) == 2


def test_generate_again_builds_nothing_and_compile_finds_what_it_built(
    commands: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "declared.py").write_text(
        "import sympy as sp\nimport symgrad as sg\na, x, y, z = sp.symbols('a x y z')\n"
        "loss = sg.Loss((z - y)**2, prediction=z, target=y)\n"
        "squared = sg.EmpiricalRisk(sg.Model(a**2 * x, [x], [a]), loss, name='squared')\n"
        "rooted = sg.EmpiricalRisk(sg.Model(sp.sqrt(a) * x, [x], [a]), loss, name='rooted')\n",
        encoding="utf-8",
    )
    assert main(["generate", "declared.py"]) == 0
    assert sum("cython_process.py" in command for command in commands) in (2, 3)  # each model once, perhaps the sweep
    commands.clear()
    before = entries()
    assert {"_sweep", "rooted", "squared"} <= set(before)
    files = {path.name: path.read_bytes() for path in (tmp_path / "generated").iterdir()}
    assert main(["generate", "declared.py"]) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "generated").iterdir()} == files
    a = sp.Symbol("a")
    compiled = sg.compile(sg.EmpiricalRisk(sg.Model(a**2 * x, [x], [a]), SQUARES, name="squared"))
    assert (commands, entries()) == ([], before)
    assert compiled.path.read_bytes() == files[f"squared{EXTENSION_SUFFIX}"]
    assert compiled.gradient([2.0], [1.0], [0.0]) == [32.0]


def test_a_sweep_that_is_there_needs_no_lock(monkeypatch: pytest.MonkeyPatch, commands: list[str]) -> None:
    """A cache that cannot be written to (a container's, say) still gives the sweep that is in it."""
    sg.compile(CUBIC)
    published = []
    original = Cache.publish

    def publish(self: Cache, key: str, key_text: str, make: Any) -> Any:
        published.append(json.loads(key_text))
        return original(self, key, key_text, make)

    monkeypatch.setattr(Cache, "publish", publish)
    sg.compile(sg.EmpiricalRisk(sg.Model(a * x**2, [x], [a]), SQUARES, name="square"))
    assert len(published) == 1
    assert "sweep" not in published[0]


def test_a_damaged_sweep_is_built_anew(commands: list[str]) -> None:
    sg.compile(SLOPE)
    sweep = next(entry for entry in Cache.open().entries() if entry.name == SWEEPS["float64"])
    sweep.library.write_bytes(b"")
    commands.clear()
    assert sg.compile(SLOPE) is not None  # which has its own, and needs none
    assert commands == []
    constant = sg.EmpiricalRisk(sg.Model(a, [], [a]), SQUARES, name="constant")
    with pytest.warns(sg.errors.CacheWarning, match="is damaged"):
        assert sg.compile(constant).gradient([2.0], None, [1.0, 3.0]) == [0.0]
    assert sum("_sweep" in command for command in commands) == 2
