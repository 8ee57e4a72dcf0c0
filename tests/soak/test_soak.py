"""The soak with small counts (``pytest -m soak tests/soak``), and that it tells a failure."""

import os
import signal
from pathlib import Path

import pytest

from .kills import kills_in_publishing, kills_of_builds
from .running import running
from .starts import PLACES, starts
from .watch import Log, fork


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "soak.log")


@pytest.mark.soak
@pytest.mark.parametrize("place", PLACES)
def test_cold_starts(log: Log, place: str) -> None:
    starts(log, 4, seed=1, at_once=4, places=(place,))
    assert log.failures == []


@pytest.mark.soak
def test_kills_of_builds(log: Log) -> None:
    kills_of_builds(log, 2, seed=1)
    assert log.failures == []


@pytest.mark.soak
def test_kills_in_publishing(log: Log) -> None:
    kills_in_publishing(log, 20, seed=1)
    assert log.failures == []


@pytest.mark.soak
def test_everything_at_once(log: Log) -> None:
    running(log, 5.0, seed=1)
    assert log.failures == []


def test_what_fails_is_told(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    def hang() -> str:
        signal.pause()
        return "never"

    assert fork(lambda: "fine").result() == "fine"
    assert "ZeroDivisionError" in fork(lambda: str(1 // 0)).result()
    assert fork(lambda: str(os.abort())).result() == f"killed by signal {signal.SIGABRT.value}"
    assert "in hang" in fork(hang, 0.5).result()
    log.fail("something")
    assert log.failures == ["something"]
    assert "FAILED something" in capsys.readouterr().out + log.path.read_text(encoding="utf-8")
