"""A model too large to compile in about a minute is refused at once, and says how to go on; nothing is quadratic."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import sympy as sp

import symgrad as sg
from symgrad.cli import main
from symgrad.errors import DeclarationError
from symgrad.limits import OPERATIONS
from symgrad.schedule.scratch import Rows

x, a, b = sp.symbols("x a b")


def declared(expression: sp.Expr) -> sg.EmpiricalRisk:
    return sg.EmpiricalRisk.from_expression(expression, inputs=[x], targets=[], parameters=[a, b], name="large")


def deep(levels: int) -> sg.EmpiricalRisk:
    expression = a * x + b
    for _ in range(levels):
        expression = sp.tanh(expression, evaluate=False)
    return declared(expression)


def test_the_message_names_size_limit_and_option() -> None:
    with pytest.raises(DeclarationError) as caught:
        sg.generate(deep(20), limit=50)
    message = str(caught.value)
    assert "risk 'large': expected a program of at most 50 operations (limit=50), got" in message
    assert "limit=None" in message
    assert "--limit" in message


@pytest.mark.parametrize("make", [sg.compile, sg.generate])
def test_thousands_of_levels_are_refused_by_default(make: Any) -> None:
    with pytest.raises(DeclarationError, match=rf"at most {OPERATIONS} operations .* got \d{{5}} or more"):
        make(deep(3_200))


def test_what_the_message_advises_is_accepted() -> None:
    """And the header of a module is written at once: SymPy asked of each of 20 tanh whether it is real, for minutes."""
    risk = deep(20)
    with pytest.raises(DeclarationError):
        sg.generate(risk, limit=100)
    default = sg.generate(risk).source
    assert sg.generate(risk, limit=None).source == sg.generate(risk, limit=10_000).source == default


@pytest.mark.parametrize("limit", [0, -1, 2.5, True, "many"])
def test_a_limit_is_a_number_of_operations(limit: Any) -> None:
    for make in (sg.compile, sg.generate):
        with pytest.raises(DeclarationError, match=f"limit: expected .*{OPERATIONS}"):
            make(declared(a * x + b), limit=limit)


def test_what_is_done_to_a_whole_matrix_counts_once() -> None:
    u, w, v, z = (
        sp.MatrixSymbol(n, *shape) for n, shape in zip("uwvz", [(40, 1), (500, 40), (1, 500), (1, 1)], strict=True)
    )
    network = sg.Model(v * (w * u).applyfunc(sp.tanh), inputs=[u], parameters=[w, v])
    risk = sg.EmpiricalRisk(network, sg.Loss(z[0, 0] ** 2, prediction=z, target=sp.Symbol("y")), name="wide")
    assert sg.generate(risk, limit=100).source


def test_the_commands_have_the_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "decay.py"
    source.write_text(
        "import sympy as sp, symgrad as sg\n"
        "x, a = sp.symbols('x a')\n"
        "r = sg.EmpiricalRisk.from_expression(sp.exp(a * x), inputs=[x], targets=[], parameters=[a], name='decay')\n"
    )
    for command in (
        f"generate {source} -o {tmp_path}/out --no-build",
        f"check {source} -o {tmp_path}",
        f"show {source}",
    ):
        assert main(shlex.split(f"{command} --limit 2")) == 2
        assert "at most 2 operations" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(shlex.split(f"generate {source} -o {tmp_path}/out --no-build --limit 0")) == 0


def test_rows_given_back_join_their_neighbours_alone() -> None:
    """A search through all of them for each made deep models quadratic: 9 s where 2000 levels take 2."""
    rows = Rows(0)
    starts = [rows.take(2) for _ in range(6)]
    for start in (starts[1], starts[3], starts[2], starts[5], starts[0]):
        rows.give(start, 2)
    assert rows.take(8) == 0  # 0 to 3 are one gap
    assert rows.take(3) == 12  # behind the one that is still taken, only two rows are free: at the end
