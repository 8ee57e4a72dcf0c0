"""What is written and hashed is the same in every process: whatever its hash seed, and however many dummies it made."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import symgrad

FINGERPRINTS = """
import sympy as sp
from symgrad.declare import EmpiricalRisk, Loss, Model
for _ in range(int(sys.argv[1])):
    sp.Dummy("noise")
a, b, c = (sp.Dummy(name) for name in "abc")
x, y, p = sp.symbols("x y p")
z, label = sp.MatrixSymbol("z", 3, 1), sp.Dummy("label", integer=True)
i, j = sp.Dummy("i", integer=True), sp.Dummy("i", integer=True)
f = a * sp.exp(-b * x) + sp.Max(a, b, c, x) + sp.Piecewise((a, (x > 0) & (b > c) | (x < -1)), (c, True)) + 2**70 * x
m = Model(sp.Matrix([f, a, b]), inputs=[x], parameters=[a, b, c])
s = sp.Sum(sp.exp(z[i, 0]) * sp.Sum(z[j, 0] * i, (j, 0, 2)), (i, 0, 2))
print(EmpiricalRisk(m, Loss(sp.log(s) - z[label, 0] + 0.1 * y, prediction=z, target=[label, y])).fingerprint)
U, V, W = sp.MatrixSymbol("U", 3, 1), sp.MatrixSymbol("V", 3, 1), sp.MatrixSymbol("W", 3, 3)
h = [(W * U).applyfunc(f) for f in (sp.tanh, sp.sin, lambda e: sp.Max(e, 0), lambda e: e * a + b, sp.Lambda(c, c + b))]
g = sp.HadamardProduct(*h, V) + h[3] + h[1] + h[0] + h[4].applyfunc(lambda e: e**2) + sp.DiagMatrix(V) * U
m = Model(g, inputs=[U], parameters=[a, b, W, V])
print(EmpiricalRisk(m, Loss(sp.log(s) - z[label, 0] + z.T[0, 1], prediction=z, target=label)).fingerprint)
"""

LISTING = """
import hashlib, sympy as sp, symgrad as sg
from symgrad.pipeline import generate
a, b, c, d, x, y = sp.symbols("a b c d x y")
e = sp.Dummy("e")
condition = sp.Or(sp.And(a > x, b < y, c > 1), sp.Xor(d > x, a < y), sp.Not(sp.And(b > x, d < 1)))
choice = sp.Piecewise((sp.sqrt(a*x + b), condition), (sp.log(c*x) * e, sp.And(x > d, c > x)), (d * sp.exp(x), True))
kinks = sp.Max(a*x, b*y, c, d*x) + sp.Min(a, b*x, c*y) + sp.Abs(a*x - y) + sg.functions.logsumexp(a*x, b*y, c)
loss = choice + kinks + a*b*c*d*x*y + a/b/c*x + (a + b + c + d + x + y)**3
roles = dict(inputs=[x], targets=[y], parameters=[a, b, c, d, e])
risk = sg.EmpiricalRisk.from_expression(loss, **roles, penalty=a**2 + b**2)
stages = generate(risk)
text = "\\n".join(map(str, (stages.traced, stages.differentiated, stages.kernel, stages.source)))
print(len(text), hashlib.sha256(text.encode()).hexdigest())
"""

SEEDS = (*range(9), 4294967295)


@pytest.fixture(scope="module")
def answers() -> list[list[str]]:
    """The words that each process printed."""
    printed = list[list[str]]()
    for number, seed in enumerate(SEEDS):
        environment = os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(Path(symgrad.__file__).parents[1])}
        script = FINGERPRINTS if number % 2 else FINGERPRINTS + LISTING  # the second takes half a second
        command = [sys.executable, "-c", f"import sys{script}", str(number * 7)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
        printed.append(done.stdout.split())
    return printed


def test_the_fingerprint_is_the_same_for_ten_hash_seeds_and_fresh_dummies(answers: list[list[str]]) -> None:
    seen = {tuple(words[:2]) for words in answers}
    assert len(seen) == 1
    assert [len(fingerprint) for fingerprint in seen.pop()] == [64, 64]


def test_every_stage_is_the_same_for_every_hash_seed(answers: list[list[str]]) -> None:
    length, digest = answers[0][2:]
    assert [words[2:] for words in answers[::2]] == [[length, digest]] * 5
    assert int(length) > 10_000
