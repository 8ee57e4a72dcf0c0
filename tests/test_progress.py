"""The line on the terminal: said after a second, gone in the end, and nothing where stderr is no terminal."""

import io
import sys
import time

import pytest

from symgrad.progress import telling


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_takes_long_says_so_and_cleans_up(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr("symgrad.progress.PATIENCE", 0.05)
    with telling("compiling decay"):
        time.sleep(0.5)
    written = screen.getvalue()
    assert "compiling decay" in written
    assert written.endswith("\r")
    assert written.split("\r")[-2].strip() == ""


def test_what_is_quick_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with telling("compiling decay"):
        pass
    assert screen.getvalue() == ""


def test_a_pipe_gets_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("symgrad.progress.PATIENCE", 0.01)
    with telling("compiling decay"):
        time.sleep(0.2)
    assert capsys.readouterr().err == ""
