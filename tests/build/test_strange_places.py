"""A program that is started strangely builds all the same; where a limit of the system forbids it, that is named."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import sympy as sp

import symgrad as sg
from symgrad.build import Cache, Toolchain, build_sweep, load_module, ulimits
from symgrad.errors import BuildError, CacheWarning
from symgrad.progress import telling
from tests.helpers.entries import KEY, TEXT, make

PROGRAM = """
import sys
said = open(sys.argv[1], "w")
import sympy as sp, symgrad as sg
b, y = sp.symbols("b y")
formula = (b - y)**2 / int(sys.argv[2])
risk = sg.EmpiricalRisk.from_expression(formula, inputs=[], targets=[y], parameters=[b], name="strange_place")
sys.setrecursionlimit(int(sys.argv[3]))
try:
    compiled = sg.compile(risk)
    said.write(repr(float(compiled.gradient([1.0], None, [0.0, 7.0])[0]) * int(sys.argv[2])))
except Exception as error:
    said.write(f"{type(error).__name__}: {error}")
said.close()
"""


@pytest.fixture(scope="module", autouse=True)
def _sweep_is_there() -> None:
    """What all modules run on is built before: the cache is shared."""
    b, y = sp.symbols("b y")
    sg.compile(sg.EmpiricalRisk.from_expression((b - y) ** 2, inputs=[], targets=[y], parameters=[b], name="before"))


def said(
    folder: Path, divisor: int, *, shell: str = "true", flags: tuple[str, ...] = (), depth: int = 1000, **more: str
) -> str:
    """Return what the program says in a process of its own, after ``shell``; each divisor is another risk."""
    told = folder / "said"
    command = [sys.executable, *flags, "-c", PROGRAM, str(told), str(divisor), str(depth)]
    shelled = ["bash", "-c", f'{shell}; exec "$@"', "bash", *command]
    settings = {**os.environ, "OPENBLAS_NUM_THREADS": "1", **more}
    subprocess.run(shelled, cwd=folder, timeout=100, check=True, env=settings)
    return told.read_text(encoding="utf-8")


def test_without_any_stream(tmp_path: Path) -> None:
    """As a service is started, or a program of windows: `sys.stderr` is None then."""
    assert said(tmp_path, 4, shell="exec <&- >&- 2>&-") == "-5.0"


def test_children_ignored_and_no_docstrings(tmp_path: Path) -> None:
    assert said(tmp_path, 8, shell="trap '' CHLD", flags=("-OO", "-bb")) == "-5.0"


def test_developers_mode_little_recursion_and_little_memory(tmp_path: Path) -> None:
    assert said(tmp_path, 16, shell="ulimit -v 500000", depth=150, PYTHONDEVMODE="1") == "-5.0"


@pytest.mark.parametrize(
    ("limit", "what", "first"),
    [
        ("n 12", "the number of open files is limited to 12 here: raise it (ulimit -n)", "Too many open files"),
        ("n 8", "the number of open files is limited to 8 here: raise it (ulimit -n)", "Too many open files"),
        (
            "f 20",
            "the size of a file is limited to 20 kB here: raise it (ulimit -f)",
            "first error: OSError: [Errno 27]",
        ),
    ],
)
def test_a_limit_that_is_too_small_is_named(limit: str, what: str, first: str, tmp_path: Path) -> None:
    text = said(tmp_path, 32, shell=f"ulimit -{limit}")
    assert text.startswith("BuildError: ")
    assert what in text
    assert first in text


CRASH = """
import sys
from pathlib import Path
from symgrad.build import Toolchain, build_sweep
from symgrad.render import render_sweep
try:
    build_sweep(render_sweep("float64"), "_sweep", Toolchain.detect(), folder=Path(sys.argv[1]))
    print("built")
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


def test_a_compiler_that_crashes_for_want_of_stack(tmp_path: Path) -> None:
    """GCC's passes need 200 kB and more; Python, 64."""
    command = ["bash", "-c", 'ulimit -s 128; exec "$@"', "bash", sys.executable, "-c", CRASH, str(tmp_path)]
    text = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout
    if text != "built\n":
        assert text.startswith("BuildError: ")
        assert "the stack of a process is limited to 128 kB here: raise it (ulimit -s)" in text


def test_only_a_limit_that_there_is_and_a_failure_speaks_of_is_named() -> None:
    assert ulimits.limit_behind("decay.c:1:1: error: expected ';'") is None
    assert "(ulimit -n)" in (ulimits.limit_behind("[Errno 24] Too many open files") or "")


def test_a_compiler_that_crashes_is_told_with_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "cc"
    says = "echo 'x.c:1: Error: cut off'; echo 'cc: internal compiler error: in some_pass, at pass.cc:7'"
    compiler.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exec echo cc 1\n{says}; exit 4\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    with pytest.raises(BuildError) as caught:
        build_sweep("", "sweep", Toolchain.detect(), folder=tmp_path)
    assert "first error: cc: internal compiler error: in some_pass" in str(caught.value)
    assert "next step:   the compiler itself has crashed: set CC to another one" in str(caught.value)


def test_a_working_folder_that_was_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that was to be in it is told, and one of this process used."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", "cache")
    with pytest.warns(CacheWarning, match="the cache folder cache cannot be used .*the working folder was deleted"):
        store = Cache.open()
    assert store.private
    assert store.publish(KEY, TEXT, make).library.exists()


REFUSED = """
import threading, sys
def refuse(*arguments, **named): raise RuntimeError("can't start new thread")
threading._start_new_thread = refuse
exec(sys.argv.pop(4))
"""


def test_where_the_system_refuses_threads(tmp_path: Path) -> None:
    """What threads are for, a line on the terminal, a clock and a sweep meanwhile, is done without."""
    told = tmp_path / "said"
    settings = {**os.environ, "SYMGRAD_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-c", REFUSED, str(told), "64", "1000", PROGRAM]
    subprocess.run(command, timeout=100, check=True, env=settings)
    assert told.read_text() == "-5.0"


def test_a_stream_that_is_closed_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "closed").open("w") as closed:
        pass
    monkeypatch.setattr(sys, "stderr", closed)
    with telling("compiling decay"):
        pass


ODD_SLOT = """
#include <Python.h>
static PyModuleDef_Slot slots[] = {{12345, 0}, {0}};
static struct PyModuleDef m = {PyModuleDef_HEAD_INIT, "odd", 0, 0, 0, slots};
PyMODINIT_FUNC PyInit_odd(void) { return PyModuleDef_Init(&m); }
"""


def test_a_library_of_another_binary_interface(tmp_path: Path) -> None:
    """As `-fpack-struct` makes one: Python raises a SystemError, which nobody expects of loading."""
    (tmp_path / "odd.c").write_text(ODD_SLOT, encoding="utf-8")
    command = [*Toolchain.detect().cc, "-shared", "-fPIC", "-w", f"-I{sysconfig.get_path('include')}", "odd.c"]
    subprocess.run([*command, "-o", "odd.so"], cwd=tmp_path, check=True)
    with pytest.raises(ImportError, match=r"odd\.so was built for another binary interface: .*12345"):
        load_module(tmp_path / "odd.so", "odd")
