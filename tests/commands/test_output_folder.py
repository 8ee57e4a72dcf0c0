"""Where `symgrad generate` writes to: what cannot be a folder is told, and no link is written through."""

from pathlib import Path

import pytest

from symgrad.cli import main

DECAY = """
import sympy as sp
import symgrad as sg

x, y, A, k = sp.symbols("x y A k")
decay = sg.EmpiricalRisk.from_expression(
    (A * sp.exp(-k * x) - y) ** 2 / 2, inputs=[x], targets=[y], parameters=[A, k], name="decay"
)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with decay.py."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "decay.py").write_text(DECAY, encoding="utf-8")
    return tmp_path


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder in which nothing can be made")
def test_a_folder_that_cannot_be_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "decay.py", "-o", "/proc/symgrad", "--no-build"]) == 2
    said = capsys.readouterr().err
    assert "-o /proc/symgrad cannot be made" in said
    assert "name another folder" in said


@pytest.mark.parametrize("target", ["victim", "nothing"])
def test_a_link_in_a_modules_place_is_never_written_through(target: str, here: Path) -> None:
    """One to a file of somebody's is refused; one that leads nowhere is replaced, and nothing is made where it led."""
    Path("victim").write_text("precious\n", encoding="utf-8")
    Path("generated").mkdir()
    Path("generated/decay.pyx").symlink_to(here / target)
    assert main(["generate", "decay.py", "--no-build"]) == (2 if target == "victim" else 0)
    assert Path("victim").read_text("utf-8") == "precious\n"
    assert not Path("nothing").exists()
