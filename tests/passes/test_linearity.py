"""Which parameters a prediction is linear in, found on the program; and by derivatives, on random points."""

from itertools import combinations_with_replacement
from typing import Any

import pytest
import sympy as sp

import symgrad as sg
from symgrad import functions, gallery
from symgrad.passes import curved_pairs
from symgrad.trace import trace

x, y, z = sp.symbols("x y z", real=True)
P = a, b, c, d = sp.symbols("a b c d", real=True)
FORMULAS: list[tuple[Any, set[str]]] = [
    (a * sp.exp(-b * x) + c, {"ab", "bb"}),
    ((a + b * x + c * x**2) / (1 + d * x), {"ad", "bd", "cd", "dd"}),
    (a * b * x + c, {"ab"}),
    (a * (b + c), {"ab", "ac"}),
    ((a - 2 * b) / 3 + x / 2, set()),
    (a / b / c, {"ab", "ac", "bb", "bc", "cc"}),
    (a**2 * x + b, {"aa"}),
    (functions.softplus(a * x) + b, {"aa"}),
    (sp.Piecewise((a * x, x > 0), (b, True)), set()),
    (sp.Piecewise((a * x, x > d), (b, True)), {"ad", "bd", "dd"}),
    (sp.Max(a, b * x) + c, {"aa", "ab", "bb"}),
]


def risk(output: Any, parameters: Any, inputs: Any = (x,)) -> sg.EmpiricalRisk:
    return sg.EmpiricalRisk(sg.Model(output, inputs, parameters), sg.Loss((z - y) ** 2, z, y), name="linearity")


@pytest.mark.parametrize(("formula", "curved"), FORMULAS, ids=[str(f[0])[:30] for f in FORMULAS])
def test_pairs_of_a_formula(formula: Any, curved: set[str]) -> None:
    used = [p for p in P if formula.has(p)]
    leaves, pairs = curved_pairs(trace(risk(formula, used)))
    assert leaves == {k: k for k in range(len(used))}
    assert {"".join(sorted((used[min(pair)].name, used[max(pair)].name))) for pair in pairs} == curved
    for p, q in combinations_with_replacement(range(len(used)), 2):  # none is missing
        if frozenset((p, q)) not in pairs:
            assert sp.expand(sp.diff(formula, used[p], used[q])) == 0


def test_a_matrix_is_one_leaf_or_many() -> None:
    """A network is linear in its last layer, as all networks are."""
    leaves, pairs = curved_pairs(trace(gallery.load("digits").risk))
    assert set(leaves.values()) == {0, 2048, 2080, 2400}
    assert leaves[2079] == 2048
    assert pairs == {frozenset(pair) for pair in ([0], [0, 2048], [2048], [0, 2080], [2048, 2080])}
    w = sp.MatrixSymbol("w", 1, 3)
    parts, none = curved_pairs(trace(risk(w[0, 0] * x + w[0, 1] + w[0, 2], [w])))
    assert set(parts) == {0, 1, 2}
    assert none == set()
