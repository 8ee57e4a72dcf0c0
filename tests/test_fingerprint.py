"""The fingerprint of a declaration: the same in every process, another for whatever differs."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import sympy as sp

import symgrad.problem
from symgrad.problem import EmpiricalRisk, Loss, Model

x, y, A, k, p = sp.symbols("x y A k p")
SQUARED = Loss((p - y) ** 2 / 2, prediction=p, target=y)


def risk_of(output: Any = A * x, **changes: Any) -> str:
    declared = {"inputs": [x], "parameters": [A, k], "name": "risk", "penalty": None, "loss": SQUARED} | changes
    built = Model(output, inputs=declared["inputs"], parameters=declared["parameters"])
    return EmpiricalRisk(built, declared["loss"], penalty=declared["penalty"], name=declared["name"]).fingerprint


def test_the_same_declaration_has_the_same_fingerprint() -> None:
    assert risk_of() == risk_of()
    shared = sp.sin(A * x)
    apart = sp.Add(shared, sp.sin(sp.Mul(A, x, evaluate=False), evaluate=False) ** 2, evaluate=False)
    assert risk_of(sp.Add(shared, shared**2, evaluate=False)) == risk_of(apart)
    real = sp.Symbol("x", real=True)
    assert risk_of(A * real, inputs=[real]) == risk_of()


def test_whatever_differs_has_another_fingerprint() -> None:
    q, b, n = sp.Symbol("q"), sp.Symbol("B"), sp.Symbol("y", integer=True)
    one = sp.MatrixSymbol("A", 1, 1)
    tall, wide = sp.MatrixSymbol("A", 3, 2), sp.MatrixSymbol("A", 2, 3)
    different = [
        risk_of(),
        risk_of(name="other"),
        risk_of(A * x * 2),
        risk_of(k * x),
        risk_of(parameters=[k, A]),
        risk_of(parameters=[A]),
        risk_of(b * x, parameters=[b, k]),
        risk_of(inputs=[x, q]),
        risk_of(inputs=[q, x]),
        risk_of(inputs=[x], parameters=[A, k, q]),
        risk_of(penalty=A),
        risk_of(penalty=k),
        risk_of(loss=Loss((p - y) ** 2, prediction=p, target=y)),
        risk_of(loss=Loss((p - n) ** 2 / 2, prediction=p, target=n)),
        risk_of(sp.Matrix([A * x])),
        risk_of(A * x + 0.1),
        risk_of(A * x + sp.Float("0.1", 50)),
        risk_of(A * x + sp.Rational(1, 10)),
        risk_of(A * x + 0.5),
        risk_of(A * x + sp.Float("0.5", 50)),
        risk_of(one[0, 0] * x, parameters=[one, k]),
        risk_of(tall[1, 1] * x, parameters=[tall, k]),
        risk_of(wide[1, 1] * x, parameters=[wide, k]),
        risk_of(wide[1, 0] * x, parameters=[wide, k]),
        EmpiricalRisk.from_expression((A * x - y) ** 2 / 2, inputs=[x], targets=[y], parameters=[A, k]).fingerprint,
        EmpiricalRisk.from_expression((A * x - y) ** 2 / 2, inputs=[x, y], targets=[], parameters=[A, k]).fingerprint,
    ]
    assert len(set(different)) == len(different)


def test_a_placeholder_that_is_the_parameters_own_object() -> None:
    assert risk_of(loss=Loss((A - y) ** 2 / 2, prediction=A, target=y)) == risk_of(
        loss=Loss((x - y) ** 2 / 2, prediction=x, target=y)
    )


FRESH = """
import sympy as sp
from symgrad.problem import EmpiricalRisk, Loss, Model
for _ in range({dummies}):
    sp.Dummy("noise")
a, b, c = (sp.Dummy(name) for name in "abc")
x, y, p = sp.symbols("x y p")
z, label = sp.MatrixSymbol("z", 3, 1), sp.Dummy("label", integer=True)
i, j = sp.Dummy("i", integer=True), sp.Dummy("i", integer=True)
f = a * sp.exp(-b * x) + sp.Max(a, b, c, x) + sp.Piecewise((a, (x > 0) & (b > c) | (x < -1)), (c, True)) + 2**70 * x
m = Model(sp.Matrix([f, a, b]), inputs=[x], parameters=[a, b, c])
s = sp.Sum(sp.exp(z[i, 0]) * sp.Sum(z[j, 0] * i, (j, 0, 2)), (i, 0, 2))
print(EmpiricalRisk(m, Loss(sp.log(s) - z[label, 0] + 0.1 * y, prediction=z, target=[label, y])).fingerprint)
"""


def test_the_fingerprint_is_the_same_for_20_hash_seeds_and_fresh_dummies() -> None:
    root = str(Path(symgrad.problem.__file__).parents[1])
    seen = set()
    for seed in range(20):
        environment = os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": root}
        script = FRESH.format(dummies=seed * 7)
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=120
        )
        seen.add(done.stdout.strip())
    assert len(seen) == 1
    assert len(seen.pop()) == 64
