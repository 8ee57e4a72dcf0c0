"""`symgrad generate --with curvature`: second derivatives for NumPy alone."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from symgrad import compile as compile_risk
from symgrad.cli import main
from symgrad.commands.source import read_risks

from .test_generate import DECAY, TWO

BESIDE = """
import sys
import numpy as np
import generated.decay as decay, plain.decay as plain
theta, x = [1.0, 2.0], np.linspace(0, 1, 9)
names = "hessian hessian_diagonal gauss_newton normal_equations residuals".split()
found = [getattr(decay, name)(theta, x, x) for name in names]
found += [decay.hessian_vector(theta, np.eye(2), x, x), decay.jacobian(theta, x)]
print([np.hstack([np.ravel(part) for part in (f if isinstance(f, tuple) else (f,))]).tolist() for f in found])
for name in ("hessian", "nothing"):
    try:
        getattr(plain, name)
    except AttributeError as error:
        print(error)
try:
    decay.hessian_vector(theta, [1.0], x, x)
except ValueError as error:
    print(error)
assert not {"sympy", "symgrad"} & set(sys.modules)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with decay.py."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "decay.py").write_text(DECAY, encoding="utf-8")
    return tmp_path


def run(line: str) -> int:
    return main(shlex.split(line))


def test_generate_with_curvature(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Modules that need NumPy alone; one that has none beside it says how to get them."""
    compiled, theta, x = compile_risk(read_risks(["decay.py"])[0]), [1.0, 2.0], np.linspace(0, 1, 9)
    hessian = compiled.hessian(theta, x, x)  # whose module in the cache has another name than the one that is written
    assert run("generate decay.py -o plain") == 0
    assert run("generate decay.py --with curvature") == 0
    told = subprocess.run([sys.executable, "-c", BESIDE], capture_output=True, text=True, cwd=here)
    assert told.returncode == 0, told.stderr
    values, *errors = told.stdout.splitlines()
    expected: list[Any] = [hessian, compiled.hessian_diagonal(theta, x, x)]
    expected += [compiled.gauss_newton(theta, x, x), compiled.normal_equations(theta, x, x)]
    expected += [compiled.residuals(theta, x, x), compiled.hessian(theta, x, x), compiled.jacobian(theta, x)]
    flat = [np.hstack([np.ravel(p) for p in (e if isinstance(e, tuple) else (e,))]) for e in expected]
    for found, true in zip(json.loads(values), flat, strict=True):
        assert np.allclose(found, true, rtol=1e-14, atol=1e-16)
    assert errors == [
        "plain.decay.hessian: expected the module plain.decay_curvature beside it, got none; write it with "
        "`symgrad generate SOURCE --with curvature`, or call symgrad.compile",
        "module 'plain.decay' has no attribute 'nothing'",
        "v: expected an array of shape (2,) or (2, K), got (1,); a column is one vector, as long as theta",
    ]
    assert run("check decay.py --with curvature") == 0
    assert run("check decay.py") == 1
    assert "Were they written with --with curvature?" in capsys.readouterr().out


def test_names_of_modules_beside_a_model_are_no_risks(capsys: pytest.CaptureFixture[str]) -> None:
    Path("two.py").write_text(TWO.replace("slow_decay", "decay_hessian"), encoding="utf-8")
    assert run("generate two.py --with curvature --no-build") == 2
    assert "a risk is called 'decay_hessian', and so would be a module of 'decay'" in capsys.readouterr().err
    assert not Path("generated").exists()
