"""The command line as its users meet it: what is said, what is written, and the exit status."""

import io
import os
import re
import shlex
import subprocess
import sys
import warnings
from argparse import Namespace
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from symgrad import cli, gallery
from symgrad.build import Cache
from symgrad.cli import COMMANDS, main
from symgrad.commands import inspect, machine
from symgrad.errors import CacheWarning
from symgrad.progress import Progress, progress
from symgrad.verification.judge import LEAST_DIGITS
from tests.helpers.entries import KEY, TEXT, make

DECAY = """
import sympy as sp
import symgrad as sg

x, y, A, k, yhat = sp.symbols("x y A k yhat")
model = sg.Model(A * sp.exp(-k * x), inputs=[x], parameters=[A, k])
loss = sg.Loss((yhat - y) ** 2 / 2, prediction=yhat, target=y)
decay = sg.EmpiricalRisk(model, loss, name="decay")
"""

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
        try:
            status = main(shlex.split(line))
        except SystemExit as end:  # argparse's way
            status = int(end.code or 0)
        return (status, *capsys.readouterr())

    return command


# --- help ----------------------------------------------------------------------------------------------------------


def test_help_comes_without_the_heavy_libraries() -> None:
    program = """if True:
        import sys
        from symgrad.cli import main
        try:
            main(["--help"])
        except SystemExit:
            print(sorted({"sympy", "mpmath", "numpy", "jinja2", "Cython", "symgrad.build.library"} & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert done.stderr == ""


def test_help_has_a_sentence_and_an_example_for_each_command(run: Run) -> None:
    status, out, _ = run("--help")
    assert status == 0
    for name, command in COMMANDS.items():
        assert re.search(rf"^    {name} +{re.escape(command.summary)}$", out, re.MULTILINE)
        assert f"\n  {command.example}\n" in out
        status, own, _ = run(f"{name} --help")
        assert status == 0
        assert command.summary in own
        assert command.example in own
    for code in ("0  all is well", "1  check found a difference", "2  the command could not be carried out"):
        assert code in out


def test_the_examples_of_the_help_can_be_run() -> None:
    for name, command in COMMANDS.items():
        program, *arguments = shlex.split(command.example)
        assert program == "symgrad"
        parsed = cli.parser().parse_args(arguments)
        assert parsed.command == name
        module, _, function = parsed.function.partition(":")
        assert callable(getattr(import_module(f"symgrad.{module}"), function))


def test_no_command_at_all_is_answered_with_the_help(run: Run) -> None:
    status, out, err = run("")
    assert (status, out) == (2, "")
    assert "The first minutes: symgrad doctor" in err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("frobnicate", "'frobnicate'"),
        ("generate", "SOURCE"),
        ("generate decay.py --dtype int32", "float64"),
        ("verify decay.py --samples 0", "at least 1, got '0'"),
        ("verify decay.py --samples ten", "at least 1, got 'ten'"),
        (f"verify decay.py --digits {LEAST_DIGITS - 1}", f"at least {LEAST_DIGITS}"),
        ("show decay.py --latex --source", "not allowed"),
        ("cache", "action"),
        ("cache empty", "'empty'"),
    ],
)
def test_wrong_usage_is_status_2(line: str, told: str, run: Run) -> None:
    status, out, err = run(line)
    assert (status, out) == (2, "")
    assert told in err


# --- generate, check and verify; more of the first two in test_generated.py ------------------------------------------


def test_without_a_compiler_nothing_is_written(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    status, _, err = run("generate decay.py")
    assert status == 2
    assert "no C compiler was found" in err
    assert not Path("generated").exists()
    assert run("generate decay.py --no-build")[0] == 0


def test_check_of_nothing_named_is_of_the_gallery(run: Run) -> None:
    status, out, _ = run("check -o nowhere")
    assert status == 1
    assert all(f"nowhere/{name}.pyx: missing" in out for name in gallery.names())
    assert "compared with symgrad.gallery" in out
    assert not Path("nowhere").exists()


def test_verify_passes_what_is_right(run: Run) -> None:
    status, out, err = run("verify decay.py --samples 20 --seed 3")
    assert (status, err) == (0, "")
    assert "at 20 samples (seed 3)" in out
    assert "PASSED" in out
    assert "d/d k" in out


class Wrong:
    """A compiled gradient whose second component has the wrong sign."""

    def __init__(self, right: Any) -> None:
        self.per_sample_loss = right.per_sample_loss
        self.right = right

    def per_sample_gradient(self, *data: Any) -> Any:
        return self.right.per_sample_gradient(*data) * np.array([1.0, -1.0])


def test_verify_finds_what_is_wrong(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    compile_right = import_module("symgrad.verification.judge").compile_risk
    monkeypatch.setattr("symgrad.verification.judge.compile_risk", lambda risk: Wrong(compile_right(risk)))
    status, out, _ = run("verify decay.py --samples 20")
    assert status == 1
    assert "FAILED: k" in out


# --- doctor and cache ----------------------------------------------------------------------------------------------


def test_doctor_builds_something(run: Run) -> None:
    status, out, err = run("doctor")
    assert (status, err) == (0, "")
    for part in ("symgrad 0.", "numpy", "compiler version", "processor", "cache folder", "its gradient is right"):
        assert part in out
    assert "->" not in out


def test_doctor_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    absent = ("cython", "scipy")
    monkeypatch.setattr(machine, "installed_version", lambda name: "not installed" if name in absent else "1.0")
    status, out, _ = run("doctor")
    assert status == 1
    assert "-> install cython:" in out
    assert "-> no C compiler was found" in out
    assert out.count("no C compiler was found") == 1
    assert 'pip install "symgrad[scipy]"' in out


def test_doctor_without_a_compiler_says_that_the_cache_runs(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    run("doctor")  # its module is in the cache from then on
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    status, out, _ = run("doctor")
    assert status == 1
    assert "none that works: nothing can be built, but modules in the cache run" in out
    assert "its gradient is right" in out
    assert out.count("-> ") == 1


def test_doctor_does_not_trust_a_wrong_number(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    wrong = Namespace(gradient=lambda *data: [6.000000000000001])
    monkeypatch.setattr(machine, "compile_risk", lambda risk: wrong)
    status, out, _ = run("doctor")
    assert status == 1
    assert "6.000000000000001, and 6.0 is right" in out


def test_doctor_and_cache_refuse_a_folder_that_others_can_write(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", str(tmp_path / "open"))
    status, out, _ = run("doctor")
    assert status == 1
    assert "remove it (rm -r " in out
    status, _, err = run("cache list")
    assert status == 2
    assert "symgrad cache: the cache folder" in err


def test_cache_lists_and_clears(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run: Run) -> None:
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", str(tmp_path / "own"))
    assert run("cache list")[1] == f"0 compiled modules, 0.00 MB, in {tmp_path / 'own'}\n"
    run("verify decay.py --samples 1")
    entries = sorted(path.parent for path in (tmp_path / "own").glob("[0-9a-f]*/entry.json"))
    assert len(entries) == 2  # the model, and what it is linked with
    (entry,) = (folder for folder in entries if (folder / "decay.pyx").exists())
    os.utime(next(entry.glob("*.so")), (1, 1))
    bytes_of = {folder: sum(path.stat().st_size for path in folder.iterdir()) for folder in entries}
    size, whole = (f"{number / 1e6:.2f} MB" for number in (bytes_of[entry], sum(bytes_of.values())))
    head, sweep, line, total = run("cache list")[1].splitlines()
    assert head.split() == ["key", "name", "size", "age"]
    assert sweep.split()[1] == "_sweep"
    assert re.fullmatch(rf"{entry.name[:12]}  decay  +{size}  \d{{5}} days", line)
    assert total == f"2 compiled modules, {whole}, in {tmp_path / 'own'}"
    status, out, _ = run("cache clear")
    assert (status, out) == (0, f"removed 2 compiled modules, {whole}, from {tmp_path / 'own'}\n")
    assert not entry.exists()


def test_an_entry_that_is_cleared_away_while_it_is_listed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run: Run
) -> None:
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", str(tmp_path / "own"))
    entry = Cache.open().publish(KEY, TEXT, make)
    Cache.open().clear()
    monkeypatch.setattr(Cache, "entries", lambda store: (entry,))
    assert "gone by now" in run("cache list")[1]


def test_cache_prune(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run: Run) -> None:
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", str(tmp_path / "own"))
    Cache.open().publish(KEY, TEXT, make)
    assert run("cache prune")[1] == f"removed 0 compiled modules, 0.00 MB, from {tmp_path / 'own'}\n"
    assert run("cache prune --limit 1")[1] == f"removed 1 compiled module, 0.01 MB, from {tmp_path / 'own'}\n"
    for command, said in (
        ("prune --limit much", "--limit: got 'much', expected"),
        ("list --limit 1", "--limit is for"),
    ):
        status, _, err = run(f"cache {command}")
        assert status == 2
        assert said in err


# --- around all of them --------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_for_terminals_and_for_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, clock = Terminal(), [0.0]
    monkeypatch.setattr("symgrad.progress.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress() as line:
        line.count("samples", 1, 9)
        assert terminal.getvalue() == ""
        clock[0] = 1.5
        line.count("samples", 2, 9)
        clock[0] = 1.55
        line.count("samples", 3, 9)
        assert terminal.getvalue() == "\rsamples: 2 of 9"
        line.say("short")
        assert terminal.getvalue().endswith("\rshort          ")
    assert terminal.getvalue().endswith("\r     \r")
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    quiet = Progress()
    quiet.say("hello")
    quiet.clear()
    assert file.getvalue() == ""


def test_a_warning_of_the_cache_is_one_plain_line(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    def warn(arguments: Namespace) -> int:
        warnings.warn("the cache is elsewhere", CacheWarning, stacklevel=1)
        return 0

    monkeypatch.setattr(inspect, "show", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert run("show decay.py") == (0, "", "symgrad: warning: the cache is elsewhere\n")


def test_ctrl_c_is_status_130(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    def interrupted(arguments: Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(inspect, "show", interrupted)
    assert run("show decay.py") == (130, "", "symgrad: stopped\n")


def test_what_symgrad_did_not_foresee_is_not_hidden(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(inspect, "show", lambda arguments: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        run("show decay.py")
