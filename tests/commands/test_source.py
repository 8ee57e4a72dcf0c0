"""SOURCE[:NAME] on the command line: which risks are meant, and what is said where none can be."""

import re
import shlex
import sys
import textwrap
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from symgrad.cli import main

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
    Path(name).write_text(textwrap.dedent(text), encoding="utf-8")


def shown(out: str) -> list[str]:
    """The names of the risks that `show` has shown."""
    return re.findall(r"^(\w+)\n=+$", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("two.py", ["decay", "slow_decay"]),
        ("two.py:slow", ["slow_decay"]),
        ("two.py:slow_decay", ["slow_decay"]),
        ("two.py:decay two.py:slow two.py:decay", ["decay", "slow_decay"]),
        ("./two.py decay.py:decay", None),
        ("two", ["decay", "slow_decay"]),
        ("package.module", ["decay"]),
        ("listed.py", ["decay", "slow_decay"]),
        ("listed.py:risks", ["decay", "slow_decay"]),
        ("listed.py:slow_decay", ["slow_decay"]),
        ("symgrad.gallery:misra1a", ["misra1a"]),
    ],
)
def test_a_source_is_a_file_or_a_module_and_a_name_takes_some_of_it(
    source: str, names: list[str] | None, run: Run
) -> None:
    write("two.py", TWO)
    write("listed.py", f"{TWO}\nrisks = [decay, slow]\ndel decay, slow\n")
    write("package/__init__.py", "")
    write("package/module.py", DECAY)
    status, out, err = run(f"show {source}")
    if names is None:
        assert status == 2
        assert "two risks are called 'decay', ./two.py:decay and decay.py:decay" in err
    else:
        assert (status, err) == (0, "")
        assert shown(out) == names


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("missing.py", "there is no file missing.py; SOURCE is a Python file"),
        ("some/where.py", "there is no file some/where.py"),
        ("missing", "there is no module 'missing'"),
        ("symgrad.missing", "there is no module 'symgrad.missing'"),
        ("sub.decay", "there is no module 'sub.decay'"),
        (".", ". is a folder"),
        ("notes.txt", "there is no module 'notes.txt' here or among what is installed, and no such file"),
        ("there.ipynb", "there.ipynb is no Python file"),
        ("decay.py:", "expected SOURCE or SOURCE:NAME, got 'decay.py:'"),
        ("decay.py:other", "decay.py has no risk 'other' (there are decay)"),
        ("decay.py:model", "decay.py:model is a Model, expected an EmpiricalRisk"),
        ("empty.py", "empty.py keeps no EmpiricalRisk in a variable; declare one"),
        ("half.py", "but the Model 'model'; put model and loss together"),
        ("wrong.py", "wrong.py:3: ZeroDivisionError: division by zero"),
        ("syntax.py", "syntax.py:2: SyntaxError"),
        ("imports.py", "imports.py:1: ModuleNotFoundError: No module named 'nowhere'"),
        ("exits.py", "exits.py ended Python (SystemExit: 3)"),
        ("declares.py", "declares.py:6: Model(output=...)"),
        ("deeper.py", "wrong.py:3: ZeroDivisionError"),
    ],
)
def test_what_leads_to_no_risk_is_status_2_and_says_why(source: str, told: str, run: Run) -> None:
    write("there.ipynb", "{}")
    write("empty.py", "x = 1\n")
    write("half.py", DECAY.partition("decay = ")[0])
    write("wrong.py", "\nx = 0\n1 / x\n")
    write("syntax.py", "\nx = = 1\n")
    write("imports.py", "import nowhere\n")
    write("exits.py", "raise SystemExit(3)\n")
    write("declares.py", DECAY.replace("parameters=[A, k]", "parameters=[A]"))
    write("deeper.py", "import wrong\n")
    status, out, err = run(f"show {source}")
    assert (status, out) == (2, "")
    assert told in err
    assert "Traceback" not in err
    status, _, err = run(f"show {source} --debug")
    assert status == 2
    assert "Traceback" in err


def test_a_source_reads_its_own_files_and_neighbours(run: Run) -> None:
    """As when Python runs it: relative paths from here, ``__file__``, modules beside it; and nothing is left behind."""
    write("data.txt", "3.5")
    write("sub/beside.txt", "4.5")
    write("sub/neighbour.py", "factor = 2.0\n")
    write(
        "sub/source.py",
        f"""
        from pathlib import Path
        import neighbour
        here, beside = Path("data.txt").read_text(), Path(__file__).with_name("beside.txt").read_text()
        from dataclasses import dataclass
        @dataclass
        class Options:
            size: "int" = 1
        if __name__ == "__main__":
            raise RuntimeError("it is imported, not run")
        {textwrap.indent(DECAY, "        ").strip()}
        factor = neighbour.factor * float(here) * float(beside)
        decay = sg.EmpiricalRisk(model, loss, penalty=factor * k**2, name="decay")
        """,
    )
    before = list(sys.path)
    status, out, err = run("show sub/source.py")
    assert (status, err) == (0, "")
    assert "penalty(theta) = 31.5*k**2" in out
    assert sys.path == before


def test_a_source_does_not_stand_for_a_library_of_its_name(run: Run) -> None:
    queue = import_module("queue")
    write("queue.py", DECAY)
    status, out, _ = run("show queue.py")
    assert status == 0
    assert shown(out) == ["decay"]
    assert sys.modules["queue"] is queue


def test_a_source_is_read_anew_each_time(run: Run) -> None:
    assert "N_theta(u) = A*exp(-k*x)" in run("show decay.py")[1]
    write("decay.py", DECAY.replace("-k * x", "-k * x**2"))
    assert "N_theta(u) = A*exp(-k*x**2)" in run("show decay.py")[1]
