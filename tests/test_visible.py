"""Whatever a symbol is called, no control or format character of its name reaches a terminal raw."""

import io
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.build import CompiledRisk
from symgrad.cli import main
from symgrad.errors import BuildError, CacheWarning, visible
from symgrad.explain import latex, text
from symgrad.progress import progress

NAMES = [
    "\x1b[31mred\x1b]0;title\x07", "\u202eevil", "a\rX", "a\nX", "nul\0nul", "\x85", "\x9b1m", "\x0c", "\u2028line",
    "\u200b", "\ufeff", "\u2066x\u2069", "\U000e0001", "\x7f", "\x08\x08",
]  # fmt: skip
x, y, k = sp.symbols("x y k")


def is_shown_safely(shown: str) -> bool:
    return all(c.isprintable() or c in "\n\t" for c in shown)


def declared(names: list[str], name: str = "odd") -> sg.EmpiricalRisk:
    parameters = [sp.Symbol(n) for n in names]
    output = sum(p * sp.exp(-(i + 1) * x) for i, p in enumerate(parameters))
    return sg.EmpiricalRisk.from_expression(
        (output - y) ** 2, inputs=[x], targets=[y], parameters=parameters, penalty=parameters[0] ** 4, name=name
    )


@pytest.fixture(scope="module")
def compiled() -> CompiledRisk:
    return sg.compile(declared(NAMES))


def message_of(action: Callable[[], Any]) -> str:
    with pytest.raises((ValueError, TypeError)) as caught:
        action()
    return f"{caught.value}\n{caught.value!r}"


def told_of(name: str) -> Iterator[str]:
    """Every text that is made from a symbol's name before anything is compiled."""
    symbol, matrix = sp.Symbol(name), sp.MatrixSymbol(name, 2, 1)
    z = sp.Symbol("z")
    model = sg.Model(symbol * x + k, inputs=[x], parameters=[symbol, k])
    loss = sg.Loss((z - symbol) ** 2, prediction=z, target=symbol)
    whole = matrix[0, 0] * x + matrix[1, 0]
    risks = [
        declared([name, "k"]),
        sg.EmpiricalRisk.from_expression(whole, inputs=[x], targets=[], parameters=[matrix], name="m"),
        sg.EmpiricalRisk.from_expression(k * symbol, inputs=[symbol], targets=[], parameters=[k], name="u"),
    ]
    yield from map(repr, (model, loss, *risks))
    for risk in risks:
        stages = sg.generate(risk)
        yield from (text(risk, stages.kernel), latex(risk, stages.kernel), stages.source)
        yield from map(str, (stages.traced, stages.differentiated, stages.lowered, stages.kernel, stages.rewrites))
    yield message_of(lambda: sg.Model(symbol * x, inputs=[x], parameters=[k]))
    yield message_of(lambda: sg.Model(symbol * x, inputs=[symbol], parameters=[symbol]))
    yield message_of(lambda: sg.Model(sp.Function(name)(x) * k, inputs=[x], parameters=[k]))
    yield message_of(lambda: declared(["k"], name=name))
    yield message_of(lambda: sg.compile(risks[0], dtype=name))


@pytest.mark.parametrize("name", NAMES)
def test_declarations_errors_and_explanations(name: str) -> None:
    for shown in told_of(name):
        assert is_shown_safely(shown), ascii(shown)


def test_a_compiled_risk_and_its_report(compiled: CompiledRisk) -> None:
    few = sg.compile(declared(NAMES[:8]))  # so few that all are named
    report = sg.verify(declared(NAMES), samples=3)
    theta, data = np.ones(len(NAMES)), np.ones(3)
    unpacked = compiled.unpack(theta)
    wrong = message_of(lambda: compiled.pack({**unpacked, NAMES[0]: np.ones(7)}))
    missing = message_of(lambda: compiled.pack({}))
    shape = message_of(lambda: compiled.gradient(theta[:2], data, data))
    for shown in (
        repr(compiled),
        repr(few),
        str(report),
        repr(report),
        *map(str, report.findings),
        wrong,
        missing,
        shape,
    ):
        assert is_shown_safely(shown), ascii(shown)
    assert r"\x1b[31mred" in repr(few)
    assert r"\x1b[31mred" in str(report)
    assert list(unpacked) == NAMES  # the names themselves stay what they are


@pytest.mark.parametrize("name", NAMES)
def test_what_a_compiler_says_and_what_is_warned_of(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert is_shown_safely(str(BuildError(f"first error: {name}")))
    with pytest.warns(CacheWarning) as caught:
        warnings.warn(f"{name}; it will be built anew", CacheWarning, stacklevel=1)
    assert is_shown_safely(str(caught[0].message))
    if "\0" not in name:
        main(["show", f"{name}.py"])
        assert is_shown_safely(capsys.readouterr().err)


def test_a_line_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with progress() as line:
        line.say("compiling \x1b[31m\n\u202e")
    assert is_shown_safely(screen.getvalue().replace("\r", ""))
    assert "\n" not in screen.getvalue()


def test_doctor_shows_no_escapes_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compiler = tmp_path / "\x1b[31mcc"
    compiler.write_text("#!/bin/sh\nprintf 'made by \\033[31m me'\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", f"'{compiler}'")
    main(["doctor"])
    captured = capsys.readouterr()
    assert is_shown_safely(captured.out + captured.err), ascii(captured)
    assert r"made by \x1b[31m" in captured.out


@pytest.mark.parametrize("plain", ["", "k", "λ_1", "о", "x y", "𝒙", "日本"])
def test_what_can_be_read_stays(plain: str) -> None:
    assert visible(plain) == plain
