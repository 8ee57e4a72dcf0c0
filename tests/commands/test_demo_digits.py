"""`symgrad demo digits`: a network is trained before the reader's eyes."""

import io
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from symgrad import gallery
from symgrad.cli import main
from symgrad.commands import demo as command
from symgrad.commands import train as training
from symgrad.commands.train import TRAINED, Plan, train
from symgrad.progress import Progress, progress

SHORT = Plan(epochs=3, batch=32, rate=0.01, wanted=0.5)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class ByHand:
    """The compiled functions that training calls, for a linear classifier of three classes, in NumPy."""

    def predict(self, theta: Any, inputs: Any) -> Any:
        return inputs @ theta.reshape(3, 4).T

    def _shares(self, theta: Any, inputs: Any) -> Any:
        scores = np.exp(self.predict(theta, inputs))
        return scores / scores.sum(axis=1, keepdims=True)

    def risk(self, theta: Any, inputs: Any, targets: Any) -> float:
        shares = self._shares(theta, inputs)
        return -float(np.log(shares[np.arange(len(shares)), targets.ravel().astype(int)]).mean())

    def gradient(self, theta: Any, inputs: Any, targets: Any) -> Any:
        surplus = self._shares(theta, inputs) - np.eye(3)[targets.ravel().astype(int)]
        return (surplus.T @ inputs / len(inputs)).ravel()


@pytest.fixture(scope="module")
def irises() -> gallery.Example:
    return replace(gallery.load("iris_softmax"), starts={"zero": np.zeros(12)})


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Not a fixture: pytest puts its own stream back between setting up and calling."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def rows_of(out: str) -> list[tuple[int, float, float]]:
    """The table: epoch, mean loss, percentage."""
    found = re.findall(r"^ +(\d+) +(\d+\.\d+) +(\d+\.\d)%$", out, re.MULTILINE)
    return [(int(epoch), float(loss), float(right)) for epoch, loss, right in found]


# --- training ------------------------------------------------------------------------------------------------------


def test_a_classifier_is_trained_and_told_of(irises: gallery.Example, capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan(epochs=60, batch=16, rate=0.02, wanted=0.9)
    assert train(irises, "zero", ByHand(), plan)  # type: ignore[arg-type]
    out, err = capsys.readouterr()
    assert err == ""
    table = rows_of(out)
    assert [epoch for epoch, _, _ in table] == [1, 2, 5, 10, 20, 50, 60]
    losses = [loss for _, loss, _ in table]
    assert losses == sorted(losses, reverse=True)
    assert "on 120 rows, 16 at a time" in out
    assert "Every fifth row is held back: 30 in all" in out
    assert re.search(r"60 epochs in \d+\.\d\d s, \d+\.\d ms each\. (9\d|100)\.\d% of the rows held back", out)


def test_the_rows_held_back_are_not_learnt_from(irises: gallery.Example, capsys: pytest.CaptureFixture[str]) -> None:
    """With nonsense for labels in every fifth row, the training is the same and the accuracy is not."""
    spoiled = irises.targets.copy()
    spoiled[4::5] = (spoiled[4::5] + 1) % 3
    assert train(irises, "zero", ByHand(), replace(SHORT, epochs=20))  # type: ignore[arg-type]
    right = rows_of(capsys.readouterr().out)
    assert not train(replace(irises, targets=spoiled), "zero", ByHand(), replace(SHORT, epochs=20))  # type: ignore[arg-type]
    wrong = rows_of(capsys.readouterr().out)
    assert [loss for _, loss, _ in wrong] == [loss for _, loss, _ in right]
    assert wrong[-1][2] < right[-1][2]


def test_an_accuracy_below_the_one_wanted_is_a_failure(irises: gallery.Example) -> None:
    assert not train(irises, "zero", ByHand(), replace(SHORT, wanted=1.0))  # type: ignore[arg-type]


def test_a_terminal_sees_a_bar_that_is_gone_in_the_end(
    irises: gallery.Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = on_terminal(monkeypatch)
    train(irises, "zero", ByHand(), SHORT)  # type: ignore[arg-type]
    shown = terminal.getvalue()
    assert "\rtraining [##########....................] 1 of 3, mean loss 1.0" in shown
    # The table's second line was written where the bar had stood, and the bar was drawn anew below it.
    assert re.search(r"1 of 3, mean loss \d\.\d+\r +\r\rtraining .* 2 of 3", shown)
    assert re.search(r"\r +\r$", shown)


def test_ctrl_c_ends_the_training_with_a_clean_line(
    irises: gallery.Example, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = on_terminal(monkeypatch)

    def interrupted(*given: Any, **more: Any) -> Iterator[Any]:
        yield from list(adam(*given, **more))[:2]
        raise KeyboardInterrupt

    adam = training.adam
    monkeypatch.setattr(training, "adam", interrupted)
    monkeypatch.setattr(command, "demo", lambda _: train(irises, "zero", ByHand(), SHORT))  # type: ignore[arg-type]
    assert main(["demo", "digits"]) == 130
    assert len(rows_of(capsys.readouterr().out)) == 2
    assert re.search(r"\r +\rsymgrad: stopped\n$", terminal.getvalue())


def test_the_bar_is_drawn_at_once_and_ten_times_in_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, clock = on_terminal(monkeypatch), [0.0]
    monkeypatch.setattr("symgrad.progress.time.monotonic", lambda: clock[0])
    with progress() as line:
        line.bar("training", 0, 4)
        assert terminal.getvalue() == "\rtraining [" + "." * 30 + "] 0 of 4"
        clock[0] = 0.05
        line.bar("training", 1, 4)
        assert "1 of 4" not in terminal.getvalue()
        clock[0] = 0.15
        line.bar("training", 4, 4, "done")
        clock[0] = 0.2
        line.bar("training", 4, 4, "done again")
        assert terminal.getvalue().endswith("\rtraining [" + "#" * 30 + "] 4 of 4, done")


def test_no_bar_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    Progress().bar("training", 1, 4)
    assert file.getvalue() == ""


# --- the command ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_scipy")
def test_the_digits_are_learnt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(command, "SAMPLES_OF_NETWORKS", 2)
    assert main(["demo", "digits"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "\x1b" not in out
    for part in ("1797 samples", "CC BY 4.0", "Compiled in", "on 1438 rows", "359 in all", "PASSED"):
        assert part in out
    assert rows_of(out)[-1][2] > 95
    assert re.search(r"ms each\. 9[5-9]\.\d% of the rows held back are recognised", out)
    assert "symgrad generate symgrad.gallery:digits -o generated" in out


@pytest.fixture
def no_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training needs NumPy alone."""
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)


def test_what_is_trained_is_in_the_gallery() -> None:
    assert set(TRAINED) <= set(gallery.names())


@pytest.mark.parametrize("name", ["diabetes_layers", "iris_softmax", "eyes_and_hair", "sunspots_recurrent"])
def test_the_other_examples_with_matrices_are_fitted(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "SAMPLES", 2)
    assert main(["demo", name]) == 0
    out = capsys.readouterr().out
    assert "BFGS" in out
    assert "has not settled" not in out
    assert re.search(r"^  and \d+ more$", out, re.MULTILINE)
