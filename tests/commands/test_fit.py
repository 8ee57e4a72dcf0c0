"""`symgrad fit`: from a file of a model and a table to a report."""

import re
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pytest

import symgrad as sg
from symgrad.cli import main

MODELS = """
import sympy as sp
import symgrad as sg

x, y, A, k, yhat = sp.symbols("x y A k yhat")
decay = sg.EmpiricalRisk(
    sg.Model(A * sp.exp(-k * x), [x], [A, k]), sg.Loss((yhat - y)**2 / 2, yhat, y), name="decay"
)
odd = sg.EmpiricalRisk(
    sg.Model(sp.Symbol("<b>") * x, [x], [sp.Symbol("<b>")]), sg.Loss((yhat - y)**2 / 2, yhat, y), name="odd"
)
"""
RANDOM = np.random.default_rng(3)
X = RANDOM.uniform(0, 5, 100)
Y = 3 * np.exp(-0.7 * X) + 0.05 * RANDOM.normal(size=100)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("models.py").write_text(MODELS)
    table = pyarrow.table({"y": Y, "batch": np.arange(100) % 5, "x": X, "dose": X, "w": np.arange(100) % 2.0})
    pyarrow.csv.write_csv(table, "data.csv")
    pyarrow.parquet.write_table(table, "data.parquet")
    pyarrow.csv.write_csv(table.drop_columns("x"), "dose.csv")
    return tmp_path


def expected() -> sg.Fit:
    import sympy as sp

    x, y, A, k, yhat = sp.symbols("x y A k yhat")
    loss = sg.Loss((yhat - y) ** 2 / 2, yhat, y)
    return sg.fit(sg.EmpiricalRisk(sg.Model(A * sp.exp(-k * x), [x], [A, k]), loss, name="decay"), (X, Y))


@pytest.mark.parametrize("data", ["data.csv", "data.parquet", "dose.csv --columns x=dose"])
def test_the_report_is_that_of_a_fit(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "models.py:decay", *data.split(), "--start", "A=1,k=1"]) == 0
    out = capsys.readouterr().out
    assert "decay: least squares, 100 samples, 2 free parameters" in out
    fit = expected()
    for name, value, error in zip(fit.names, fit.theta, fit.standard_errors(), strict=True):
        line = next(line for line in out.splitlines() if re.match(rf"{name} +", line))
        assert [float(cell) for cell in line.split()[1:3]] == pytest.approx([value, error], rel=5e-3)
        assert float(line.split()[1]) == pytest.approx(value, rel=1e-7)


def test_covariances_weights_and_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--covariance", "cluster", "--groups", "batch", "--weights", "w", "-o", "report.html"]
    assert main(["fit", "models.py:decay", "data.csv", *more]) == 0
    out = capsys.readouterr().out
    assert "error (cluster)" in out
    assert "50 samples" in out
    assert out.endswith("written: report.html\n")
    page = Path("report.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "error (cluster)" in page
    assert page.count("<svg") == 1
    assert [path.name for path in Path().glob("*.html")] == ["report.html"]


def test_names_are_escaped_in_the_page() -> None:
    assert main(["fit", "models.py:odd", "data.csv", "-o", "odd.html"]) == 0
    page = Path("odd.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;" in page
    assert "<b>" not in page


def test_missing_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    Path("gaps.csv").write_text("x,y\n1,2\n,3\n2,1\n3,0.5\n")
    assert main(["fit", "models.py:decay", "gaps.csv"]) == 2
    assert "missing value in row 1 of column 'x'" in capsys.readouterr().err
    assert main(["fit", "models.py:decay", "gaps.csv", "--missing", "omit"]) == 0
    assert "3 samples, 1 rows omitted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["models.py", "data.csv"], "SOURCE: expected one risk, got decay, odd; say which: models.py:decay"),
        (["models.py:decay", "no.csv"], "there is no such file"),
        (["models.py:decay", "data.csv", "--start", "A"], "--start: expected name=value, name=value, got 'A'"),
        (["models.py:decay", "data.csv", "--start", "A=one"], "--start: expected a number for 'A', got 'one'"),
        (["models.py:decay", "data.csv", "--start", "B=1"], "parameters: expected one of ['A', 'k'], got 'B'"),
        (["models.py:decay", "data.csv", "--columns", "q=x"], "--columns: expected symbols among ['x', 'y'], got 'q'"),
        (["models.py:decay", "data.csv", "-o", "report.txt"], "--output: expected the name of a page"),
        (["models.py:decay", "data.csv", "-o", "no/report.html"], "--output: expected a folder 'no'"),
        (["models.py:decay", "dose.csv"], "inputs: expected a column 'x', got the columns 'y', 'batch', 'dose', 'w'"),
    ],
)
def test_what_cannot_be_meant_is_said(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert list(Path().glob("*.html")) == []
