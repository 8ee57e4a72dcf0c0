"""Random matrix expressions: whatever is shown of their derivatives is true, and most of it is shown."""

import random
from typing import Any

import pytest
import sympy as sp

from symgrad import functions
from symgrad.declare import EmpiricalRisk, Loss, Model
from symgrad.errors import DeclarationError
from symgrad.explain.layers import formulae, has_matrices
from tests.helpers.declaring import used_of

from .test_calculus import assert_true

SIZES = (1, 2, 3)
SEEDS = range(60)
SCALARS = sp.symbols("s t")
PARAMETERS = {(m, n): sp.MatrixSymbol(f"P{m}{n}", m, n) for m in SIZES for n in SIZES}
INPUTS = {(m, n): sp.MatrixSymbol(f"U{m}{n}", m, n) for m in SIZES for n in SIZES}
FUNCTIONS = [
    sp.tanh,
    sp.sin,
    functions.sigmoid,
    functions.softplus,
    lambda x: x**2,
    lambda x: x * sp.cos(SCALARS[0] * x),
]


class Draw:
    """Draws expressions of a given shape; parts that were drawn before come again."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.before: dict[tuple[int, int], list[Any]] = {}

    def matrix(self, m: int, n: int, depth: int) -> Any:
        if depth == 0 or self.random.random() < 0.15:
            return self.random.choice([PARAMETERS, PARAMETERS, INPUTS])[m, n]
        known = self.before.setdefault((m, n), [])
        if known and self.random.random() < 0.2:
            return self.random.choice(known)
        known.append(
            self.random.choice([self.product, self.sum, self.applied, self.hadamard, self.turned, self.scaled])(
                m, n, depth - 1
            )
        )
        return known[-1]

    def product(self, m: int, n: int, depth: int) -> Any:
        k = self.random.choice(SIZES)
        return self.matrix(m, k, depth) * self.matrix(k, n, depth)

    def sum(self, m: int, n: int, depth: int) -> Any:
        return self.matrix(m, n, depth) + self.random.choice([1, -2, sp.Rational(1, 3)]) * self.matrix(m, n, depth)

    def applied(self, m: int, n: int, depth: int) -> Any:
        single = m == n == 1  # SymPy tries a function of several operations on the whole 1x1 matrix, and fails
        return self.matrix(m, n, depth).applyfunc(self.random.choice(FUNCTIONS[:4] if single else FUNCTIONS))

    def hadamard(self, m: int, n: int, depth: int) -> Any:
        return sp.HadamardProduct(self.matrix(m, n, depth), self.matrix(m, n, depth))

    def turned(self, m: int, n: int, depth: int) -> Any:
        return self.matrix(n, m, depth).T

    def scaled(self, m: int, n: int, depth: int) -> Any:
        return self.random.choice([SCALARS[1], sp.sin(SCALARS[0]), SCALARS[0] * SCALARS[1]]) * self.matrix(m, n, depth)

    def loss(self, z: Any) -> Any:
        """A scalar of the placeholder, whole and by its elements."""
        m, n = map(int, z.shape)
        i, j = sp.Idx("i", m), sp.Idx("j", n)
        y = sp.MatrixSymbol("y", m, n)
        whole = sp.Trace((z - y).T * self.random.choice([z, y, z - y]))
        body = self.random.choice([sp.exp(z[i, j] / 8), (z[i, j] - y[i, j]) ** 2, sp.sin(z[i, j]) * z[0, j]])
        elements = sp.Sum(body, (i, 0, m - 1), (j, 0, n - 1))
        return self.random.choice([whole, elements, sp.sin(whole) + elements, sp.log(2 + elements**2) * z[m - 1, 0]]), y


def risk_of(seed: int) -> EmpiricalRisk | None:
    draw = Draw(seed)
    m, n = draw.random.choice(SIZES), draw.random.choice(SIZES)
    output, z = draw.matrix(m, n, 4), sp.MatrixSymbol("z", m, n)
    loss, y = draw.loss(z)
    try:
        model = Model(output, list(INPUTS.values()), used_of([*PARAMETERS.values(), *SCALARS], output))
        return EmpiricalRisk(model, Loss(loss, z, y))
    except DeclarationError:
        return None  # there is no parameter in it


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_shown_of_a_random_risk_is_true(seed: int) -> None:
    risk = risk_of(seed)
    if risk is not None and has_matrices(risk):
        assert_true(risk)


def test_most_random_risks_are_shown_whole() -> None:
    risks = [risk for risk in map(risk_of, SEEDS) if risk is not None and has_matrices(risk)]
    assert len(risks) > 40
    assert sum(formulae(risk).complete for risk in risks) > 0.8 * len(risks)
