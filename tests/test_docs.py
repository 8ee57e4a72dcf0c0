"""Every code block of the README and of docs/ runs, page by page, in the order in which a reader meets them."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """``(language, file name or "", text)`` of each fenced block."""
    return [(language, name or "", text) for language, name, text in BLOCK.findall(page.read_text())]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program: list[str] = []
    for language, name, text in blocks(page):
        if name:
            (tmp_path / name).write_text(text)
        elif language == "python":
            program.append(text)
    if program:
        run([sys.executable, "-c", "\n".join(program)], tmp_path)
    for language, _, text in blocks(page):
        if language == "console":
            for line in text.splitlines():
                run_command(line, tmp_path)


def run_command(line: str, folder: Path) -> None:
    assert line.startswith("$ symgrad "), line
    run([sys.executable, "-m", "symgrad", *shlex.split(line)[2:]], folder)


def run(command: list[str], folder: Path) -> None:
    finished = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_no_block_is_in_a_language_that_nothing_runs() -> None:
    languages = {language for page in PAGES for language, _, _ in blocks(page)}
    assert languages <= {"python", "console", "text"}
    assert {"python", "console"} <= languages


def test_the_readme_gives_the_two_commands_and_every_command_of_the_tool() -> None:
    text = (ROOT / "README.md").read_text()
    tool = ("generate", "check", "verify", "show", "fit", "demo", "doctor", "cache")
    for command in ("make demo", "make test", *(f"symgrad {command}" for command in tool)):
        assert command in text
