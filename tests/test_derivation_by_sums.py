"""The sum rule itself, with symbols: for N = 3 the gradient of the mean is the mean of the gradients.

The left side is SymPy's derivative of the whole mean, every sample written out; the right side what the backward
sweep makes of one sample, its operations written as SymPy again.
"""

import pytest
import sympy as sp

from symgrad import functions, gallery
from symgrad.operations import TABLE, X, Y
from symgrad.pipeline import derive
from symgrad.problem import EmpiricalRisk, leaves
from symgrad.program import Program
from symgrad.trace import trace

N = 3
a, b, u, y = sp.symbols("a b u y", real=True)
_UNNAMED = {
    "select": lambda c, x, y: sp.Piecewise((x, c), (y, True)),
    "lt": sp.Lt, "le": sp.Le, "eq": sp.Eq, "ne": sp.Ne, "and": sp.And, "or": sp.Or, "not": sp.Not,
    "logsumexp": functions.logsumexp,
}  # fmt: skip


def written_out(program: Program, name: str, known: dict[str, list[sp.Expr]]) -> list[sp.Expr]:
    """An output's variables as SymPy expressions of the leaves."""
    values: list[sp.Basic] = []
    for step in program.assignments:
        arguments = [values[v] for v in step.arguments]
        if step.operation == "constant":
            values.append(sp.nsimplify(sp.Float(step.attribute), rational=True))
        elif step.operation in known:
            values.append(known[step.operation][int(step.attribute or 0)])
        elif step.operation == "power":
            values.append(arguments[0] ** sp.Integer(step.attribute))
        elif step.operation == "softmax":
            values.append(sp.exp(arguments[int(step.attribute or 0)]) / sp.Add(*map(sp.exp, arguments)))
        elif step.operation in _UNNAMED:
            values.append(_UNNAMED[step.operation](*arguments))
        else:
            meaning = TABLE[step.operation].meaning
            values.append(meaning.xreplace(dict(zip((X, Y), arguments, strict=False))))
    return [values[v] for v in program.outputs[name]]


RISKS = [risk for risk in gallery.RISKS if risk.name in ("misra1a", "eckerle4", "mgh09", "rat42", "nelson", "boxbod")]
RISKS += [
    EmpiricalRisk.from_expression(
        sp.log(b) + (y - a * u) ** 2 / (2 * b**2),
        inputs=[u],
        targets=[y],
        parameters=[a, b],
        penalty=a**2 / 7 + sp.log(b) ** 2 / 3,
        name="gauss",
    ),
    EmpiricalRisk.from_expression(
        functions.softplus(a * u + b) - y * (a * u + b),
        inputs=[u],
        targets=[y],
        parameters=[a, b],
        penalty=a * b / 5,
        name="logistic",
    ),
]


@pytest.mark.parametrize("risk", RISKS, ids=lambda risk: risk.name)
def test_the_gradient_of_the_mean_is_the_mean_of_the_gradients(risk: EmpiricalRisk) -> None:
    parameters = [leaf for symbol in risk.parameters for leaf in leaves(symbol)]
    samples = [
        {s: sp.Symbol(f"{s.name}_{i}", real=True) for s in (*risk.inputs, *risk.targets)} for i in range(1, N + 1)
    ]
    sample_loss = risk.loss.xreplace(dict(zip(risk.predictions, risk.outputs, strict=True)))
    penalty = risk.penalty if risk.penalty is not None else sp.S.Zero
    mean = sp.Add(*(sample_loss.xreplace(sample) for sample in samples)) / N + penalty
    program = derive(trace(risk))
    rows = []
    for sample in samples:
        known = {
            "parameter": parameters,
            "input": [sample[s] for s in risk.inputs],
            "target": [sample[s] for s in risk.targets],
            "weight": [sp.S.One],
        }
        rows.append(written_out(program, "gradient", known))
    zeros = [sp.S.Zero] * len(parameters)
    penalties = zeros if risk.penalty is None else written_out(program, "penalty_gradient", known)
    for place, parameter in enumerate(parameters):
        whole = sp.diff(mean, parameter)
        by_samples = sp.Add(*(row[place] for row in rows)) / N + penalties[place]
        assert vanishes(whole - by_samples), f"d/d{parameter} of {risk.name}"


def vanishes(difference: sp.Expr) -> bool:
    """Zero as an expression, where SymPy can tell; else zero to 40 digits at eight rational points."""
    difference = sp.nsimplify(difference, rational=True)
    if difference.rewrite(sp.exp).equals(0, failing_expression=False) is True:
        return True
    symbols = sorted(difference.free_symbols, key=str)
    points = [{s: sp.Rational(3 + 2 * k + 5 * p, 11 + p) for k, s in enumerate(symbols)} for p in range(8)]
    return all(abs(difference.xreplace(point).evalf(50)) < sp.Float("1e-14") for point in points)


def test_a_broken_rule_is_seen() -> None:
    assert not vanishes(a * u - a * u * (1 + sp.Rational(1, 10**9)))
    assert vanishes(functions.sigmoid(a) - 1 / (1 + sp.exp(-a)))
