"""`symgrad generate` and `symgrad check`, and the modules they are for: the committed ones and freshly built ones."""

import fcntl
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from symgrad import gallery
from symgrad.build import EXTENSION_SUFFIX
from symgrad.cli import main
from symgrad.commands import generate as generating
from symgrad.commands.source import read_risks
from symgrad.errors import BuildError
from symgrad.pipeline import Generated, generate
from symgrad.pipeline import compile as compile_risk
from symgrad.render import render_sweep

DECAY = """
import sympy as sp
import symgrad as sg

x, y, A, k, yhat = sp.symbols("x y A k yhat")
model = sg.Model(A * sp.exp(-k * x), inputs=[x], parameters=[A, k])
loss = sg.Loss((yhat - y) ** 2 / 2, prediction=yhat, target=y)
decay = sg.EmpiricalRisk(model, loss, name="decay")
"""
TWO = f"{DECAY}\nslow = sg.EmpiricalRisk(model, loss, penalty=k**2, name='slow_decay')\n"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with decay.py."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "decay.py").write_text(DECAY, encoding="utf-8")
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run one command line: its exit status, and what it wrote to stdout and stderr."""

    def command(line: str) -> tuple[int, str, str]:
        return (main(shlex.split(line)), *capsys.readouterr())

    return command


def write(name: str, text: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, encoding="utf-8")


def files(folder: str = "generated") -> set[str]:
    return {path.name for path in Path(folder).iterdir()}


# --- generate ------------------------------------------------------------------------------------------------------


SWEEPS = {"_sweep.pyx", "_sweep_float32.pyx"}


@pytest.fixture
def no_compiler(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file takes a library's place where it does not matter what the compiler makes."""
    cache = tmp_path_factory.mktemp("cache")

    def stand_in(
        risks: object, generated: Mapping[str, Generated], dtype: str, toolchain: object, done: Callable[[int], None]
    ) -> dict[str, Path]:
        libraries = {name: cache / f"{name}{EXTENSION_SUFFIX}" for name in generated}
        for name, library in libraries.items():
            library.write_text(f"built from {generated[name].source}", encoding="utf-8")
        done(len(libraries))
        return libraries

    monkeypatch.setattr(generating, "build_all", stand_in)


@pytest.mark.usefixtures("no_compiler")
def test_generate_writes_source_library_and_package(run: Run) -> None:
    write("two.py", TWO)
    status, out, err = run("generate two.py")
    assert (status, err) == (0, "")
    models = {f"{n}{s}" for n in ("decay", "slow_decay") for s in (".pyx", EXTENSION_SUFFIX)}
    assert files() == models | SWEEPS | {"__init__.py"}
    generated = generate(read_risks(["two.py:decay"])[0])
    assert Path("generated/decay.pyx").read_bytes() == generated.source.encode()
    for dtype, name in (("float64", "_sweep"), ("float32", "_sweep_float32")):
        assert Path(f"generated/{name}.pyx").read_text("utf-8") == render_sweep(dtype)
    for name in ("decay", "slow_decay"):
        built = Path(f"generated/{name}{EXTENSION_SUFFIX}").read_text("utf-8")
        assert built == "built from " + Path(f"generated/{name}.pyx").read_text("utf-8")
    lines, operations = generated.source.count("\n"), generated.kernel.counts["loss"]
    assert f"generated/decay.pyx: {lines} lines; for each sample {operations} operations" in out
    assert out.splitlines()[-1] == "from generated import decay, slow_decay"
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("out", "from out import decay"),
        ("app/models", "from app.models import decay"),
        ("deep/models", "from models import decay (in {here}/deep, or with that folder on sys.path)"),
        ("my-models", "my-models is no name for a Python package"),
    ],
)
@pytest.mark.usefixtures("no_compiler")
def test_generate_says_how_to_import(folder: str, told: str, here: Path, run: Run) -> None:
    write("app/__init__.py", "")
    status, out, _ = run(f"generate decay.py -o {folder}")
    assert status == 0
    assert told.format(here=here.resolve()) in out.splitlines()[-1]


@pytest.mark.usefixtures("no_compiler")
def test_generate_leaves_the_packages_own_file_alone(run: Run) -> None:
    write("generated/__init__.py", "mine = 1\n")
    assert run("generate decay.py")[0] == 0
    assert Path("generated/__init__.py").read_text("utf-8") == "mine = 1\n"


def test_generate_without_building(run: Run) -> None:
    status, out, _ = run("generate decay.py --no-build --dtype float32")
    assert status == 0
    assert files() == {"__init__.py", "decay.pyx"} | SWEEPS
    assert "ctypedef float real" in Path("generated/decay.pyx").read_text("utf-8")
    assert "Not built" in out
    assert "import" not in out


def test_a_library_of_other_source_is_removed(run: Run) -> None:
    run("generate decay.py --no-build")
    library = Path(f"generated/decay{EXTENSION_SUFFIX}")
    library.write_bytes(b"of this source")
    run("generate decay.py --no-build")
    assert library.exists()
    write("decay.py", DECAY.replace("-k * x", "-k * x**2"))
    _, out, _ = run("generate decay.py --no-build")
    assert not library.exists()
    assert f"removed {library}" in out


def test_generate_writes_over_nothing_that_it_has_not_written(run: Run) -> None:
    write("generated/decay.pyx", "# by hand\n")
    status, out, err = run("generate decay.py --no-build")
    assert (status, out) == (2, "")
    assert "generated/decay.pyx was not written by symgrad and would be lost" in err
    assert files() == {"decay.pyx"}
    assert Path("generated/decay.pyx").read_text("utf-8") == "# by hand\n"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("decay", "two risks are called 'decay', bad.py:decay and bad.py:slow"),
        ("__init__", "got '__init__'"),
        ("_sweep", "got '_sweep': names that begin with '_sweep' are those of what all modules run on"),
        ("_sweep_float32", "got '_sweep_float32': names that begin with '_sweep' are"),
        ("class", "the Python keyword 'class'"),
    ],
)
def test_names_that_cannot_be_files_are_refused_before_anything_is_written(name: str, told: str, run: Run) -> None:
    write("bad.py", f"{DECAY}\nslow = sg.EmpiricalRisk(model, loss, name={name!r})\n")
    status, out, err = run("generate bad.py --no-build")
    assert (status, out) == (2, "")
    assert told in err
    assert not Path("generated").exists()


def test_a_file_is_no_folder_to_write_to(run: Run) -> None:
    status, _, err = run("generate decay.py -o decay.py --no-build")
    assert status == 2
    assert "-o decay.py is a file, expected a folder" in err


@pytest.mark.usefixtures("no_compiler")
def test_all_or_nothing_is_written(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    write("two.py", TWO)
    run("generate two.py")
    before = {path: path.read_bytes() for path in Path("generated").iterdir()}

    def fails(*arguments: object) -> dict[str, Path]:
        raise BuildError("the C compiler failed on slow_decay.pyx")

    monkeypatch.setattr(generating, "build_all", fails)
    write("two.py", TWO.replace("-k * x", "-k * x**2"))
    status, out, err = run("generate two.py")
    assert (status, out) == (2, "")
    assert "symgrad generate: the C compiler failed on slow_decay.pyx" in err
    assert {path: path.read_bytes() for path in Path("generated").iterdir()} == before
    run("generate two.py -o new/folder")
    assert not Path("new").exists()


def test_a_build_that_fails_leaves_what_was_there_and_a_log(
    here: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    """One of two modules is built; the compiler fails on the other."""
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", str(here / "cache"))
    write("cc", '#!/bin/sh\ncase "$*" in *slow_decay*) echo "error: no such thing"; exit 1;; esac\nexec gcc "$@"\n')
    Path("cc").chmod(0o755)
    monkeypatch.setenv("CC", str(here / "cc"))
    monkeypatch.setenv("CFLAGS", "-O0")
    write("two.py", TWO)
    run("generate two.py --no-build")
    library = Path(f"generated/slow_decay{EXTENSION_SUFFIX}")
    library.write_bytes(b"the old one")
    before = {path: path.read_bytes() for path in Path("generated").iterdir()}
    status, _, err = run("generate two.py")
    assert status == 2
    assert "the C compiler failed on slow_decay.pyx" in err
    (log,) = re.findall(r"log: +(.*)", err)
    assert "error: no such thing" in Path(log).read_text("utf-8")
    assert {path: path.read_bytes() for path in Path("generated").iterdir()} == before


# --- check ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def in_step(run: Run) -> None:
    write("two.py", TWO)
    assert run("generate two.py --no-build")[0] == 0


@pytest.mark.usefixtures("in_step")
def test_check_is_silent_about_what_is_in_step(run: Run) -> None:
    write("generated/by_hand.pyx", "# not symgrad's\n")
    status, out, err = run("check two.py")
    assert (status, out, err) == (0, "generated: 4 files in step with two.py\n", "")


@pytest.mark.usefixtures("in_step")
def test_check_shows_the_difference_and_the_command_that_mends_it(run: Run) -> None:
    path = Path("generated/decay.pyx")
    path.write_text(path.read_text("utf-8").replace("LANES = 64", "LANES = 65"), encoding="utf-8")
    standing = path.read_bytes()
    status, out, _ = run("check two.py")
    assert status == 1
    assert re.search(r"^-    LANES = 65.*\n\+    LANES = 64", out, re.MULTILINE)
    assert "--- generated/decay.pyx\n+++ generated/decay.pyx (generated now)" in out
    assert path.read_bytes() == standing
    assert mend(out, run) == 1
    assert run("check two.py")[0] == 0


def mend(out: str, run: Run) -> int:
    """Run what `check` says would mend it; the number of commands."""
    commands = re.findall(r"To mend that: (.*)", out)
    for command in commands:
        if command.startswith("symgrad "):
            assert run(f"{command.removeprefix('symgrad ')} --no-build")[0] == 0
        else:
            subprocess.run(shlex.split(command), check=True)
    return len(commands)


@pytest.mark.usefixtures("in_step")
def test_check_finds_what_is_missing_and_what_is_left_over(run: Run) -> None:
    Path("generated/decay.pyx").unlink()
    Path(f"generated/slow_decay{EXTENSION_SUFFIX}").write_bytes(b"")
    status, out, _ = run("check decay.py")
    assert status == 1
    assert "generated/decay.pyx: missing" in out
    assert "generated/slow_decay.pyx: no risk of decay.py makes it" in out
    assert mend(out, run) == 2
    assert files() == {"__init__.py", "decay.pyx"} | SWEEPS
    assert run("check decay.py")[0] == 0


@pytest.mark.usefixtures("in_step")
def test_check_of_one_risk_looks_at_that_file_alone(run: Run) -> None:
    write("generated/slow_decay.pyx", "# Written by symgrad. To change it, change the declaration of slow_decay\n")
    assert run("check two.py:decay")[0] == 0
    assert run("check two.py:slow")[0] == 1
    assert run("check two.py")[0] == 1


@pytest.mark.usefixtures("in_step")
def test_check_sees_line_ends_and_precision(run: Run) -> None:
    path = Path("generated/decay.pyx")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    status, out, _ = run("check two.py")
    assert status == 1
    assert "generated/decay.pyx: differs in its line ends alone" in out or "\n-" in out
    status, out, _ = run("check two.py --dtype float32")
    assert status == 1
    assert "symgrad generate two.py -o generated --dtype float32" in out


# --- used without symgrad ------------------------------------------------------------------------------------------

# What a user of generated modules runs, where nothing that they were made with can be imported.
USE = """if True:
    import json, sys
    for absent in ("symgrad", "sympy", "mpmath", "Cython", "jinja2", "setuptools", "scipy"):
        sys.modules[absent] = None
    import numpy as np
    from generated import misra1a, ships_negbin
    results = {}
    for module, data in ((misra1a, sys.argv[1]), (ships_negbin, sys.argv[2])):
        theta, inputs, targets = (np.array(part) for part in json.loads(data))
        risk, gradient = module.risk_and_gradient(theta, inputs, targets)
        each = module.per_sample_gradient(theta, inputs, targets)
        results[module.__name__] = [risk, *gradient, *each.ravel()]
        try:
            module.risk(theta[:1], inputs, targets)
        except ValueError as error:
            results[module.__name__ + " error"] = [type(error).__name__, str(error)]
    print(json.dumps(results))
"""


def test_built_modules_need_numpy_alone_and_have_the_same_bits(run: Run) -> None:
    names = ("misra1a", "ships_negbin")
    status, out, err = run("generate " + " ".join(f"symgrad.gallery:{name}" for name in names))
    assert (status, err) == (0, "")
    assert out.splitlines()[-1] == "from generated import misra1a, ships_negbin"
    examples = [gallery.load(name) for name in names]
    data = [json.dumps([part.tolist() for part in (e.theta, e.inputs, e.targets)]) for e in examples]
    done = subprocess.run([sys.executable, "-c", USE, *data], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    for name, example in zip(names, examples, strict=True):
        compiled = compile_risk(example.risk)
        risk, gradient = compiled.risk_and_gradient(example.theta, example.inputs, example.targets)
        each = compiled.per_sample_gradient(example.theta, example.inputs, example.targets)
        assert np.isfinite(gradient).all()
        assert results[f"generated.{name}"] == [risk, *gradient, *each.ravel()]
        kind, message = results[f"generated.{name} error"]
        assert kind == "ValueError"
        assert "theta: expected an array of shape" in message


def test_generating_again_leaves_running_processes_alone(run: Run) -> None:
    """The library is replaced by a rename: one that is loaded goes on with what it has."""
    assert run("generate decay.py")[0] == 0
    program = """if True:
        from generated import decay
        print(decay.risk([1.0, 0.0], [1.0], [3.0]), flush=True)
        input()
        print(decay.risk([1.0, 0.0], [1.0], [3.0]))
    """
    command, pipe = [sys.executable, "-c", program], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as old:
        assert old.stdout is not None
        assert float(old.stdout.readline()) == 2.0
        write("decay.py", DECAY.replace("** 2 / 2", "** 2"))
        assert run("generate decay.py")[0] == 0
        out, _ = old.communicate("go on\n", timeout=60)
    assert float(out) == 2.0
    fresh = subprocess.run(command, input="\n", capture_output=True, text=True, check=True)
    assert fresh.stdout.split() == ["4.0", "4.0"]


def test_what_a_killed_run_left_is_swept(run: Run, here: Path) -> None:
    """When it is old enough, and nobody holds it."""
    for name in ("dead", "alive", "young"):
        (here / "out" / f".symgrad-{name}").mkdir(parents=True)
        (here / "out" / f".symgrad-{name}" / "half.pyx").touch()
        os.utime(here / "out" / f".symgrad-{name}", None if name == "young" else (1, 1))
    held = os.open(here / "out" / ".symgrad-alive", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    assert run("generate decay.py -o out --no-build")[0] == 0
    os.close(held)
    left = {path.name for path in (here / "out").iterdir() if path.name.startswith(".")}
    assert left == {".symgrad-alive", ".symgrad-young"}


def test_a_library_that_is_cleared_away_before_it_is_copied_is_built_again(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, cleared = generating.build_all, []

    def build_all(*arguments: Any) -> dict[str, Path]:
        libraries = real(*arguments)
        if not cleared:
            cleared.append(shutil.rmtree(libraries["decay"].parent))
        return libraries

    monkeypatch.setattr(generating, "build_all", build_all)
    assert run("generate decay.py -o out")[0] == 0
    assert (here / "out" / f"decay{EXTENSION_SUFFIX}").is_file()
