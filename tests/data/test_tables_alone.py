"""What a generated module makes of a table where symgrad is not: whatever gives its columns by ``table[name]``."""

import subprocess
import sys
from pathlib import Path

import pytest

from symgrad.cli import main

USE = """if True:
    import sys
    for absent in ("symgrad", "sympy", "narwhals"):
        sys.modules[absent] = None
    import numpy as np
    from generated import misra1a
    theta, inputs, targets = [200.0, 1e-3], np.array([70.0, 80.0, 90.0]), np.array([10.0, 12.0, 13.0])
    expected = misra1a.gradient(theta, inputs, targets).tobytes()
    table = {"other": targets * 0, "y": targets, "x": inputs}
    records = np.zeros(3, [("y", float), ("x", float)])
    records["x"], records["y"] = inputs, targets
    for given in (table, {"x": list(inputs), "y": tuple(targets)}, records):
        assert misra1a.gradient(theta, given).tobytes() == expected
        assert misra1a.bind(given)(theta)[1].tobytes() == expected
        assert misra1a.predict(theta, given).shape == (3,)
    assert misra1a.gradient(theta, table, targets).tobytes() == expected
    for wrong in ({"other": targets}, {**table, "x": ["a", "b", "c"]}, {"x": inputs, "y": targets[:2]}, inputs):
        try:
            misra1a.gradient(theta, wrong)
        except (ValueError, TypeError) as error:
            print(error)
"""


def test_tables_without_symgrad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["generate", "symgrad.gallery:misra1a"]) == 0
    done = subprocess.run([sys.executable, "-c", USE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    absent, text, short, none = done.stdout.splitlines()
    assert absent == "inputs: expected a column 'x', got the columns ['other']; rename one, or pass arrays"
    assert text.startswith("inputs: column 'x': expected an array of shape (N,) of real numbers, got <U1")
    assert short.startswith(
        "inputs, targets, weights: expected one row for each sample in all of them, got [3, 2] rows"
    )
    assert none == "targets: expected an array, got none; pass inputs and targets, or a table that has both"
