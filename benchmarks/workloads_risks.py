"""The workloads as symgrad's users declare them."""

from types import SimpleNamespace
from typing import Any

import sympy as sp

import symgrad as sg

from .workloads import SIZES
from .workloads_formulas import FORMULAS, WRITTEN_OUT, Formula

FUNCTIONS = SimpleNamespace(
    **{name: getattr(sp, name) for name in ("exp", "log", "sin", "cos", "atan", "sqrt", "tanh", "loggamma", "pi")},
    log1p=lambda x: sp.log(1 + x),
    softplus=lambda x: sp.log(1 + sp.exp(x)),
    logsumexp=lambda terms: sp.log(sp.Add(*map(sp.exp, terms))),
    add=lambda terms: sp.Add(*terms),
)


def symbols_of(formula: Formula) -> tuple[list[Any], list[Any], list[Any]]:
    counts = {"p": formula.parameters, "u": formula.inputs, "y": formula.targets}
    p, u, y = ([sp.Symbol(f"{letter}{i}", real=True) for i in range(n)] for letter, n in counts.items())
    return p, u, y


def risk_of(model: str) -> sg.EmpiricalRisk:
    """The risk of a workload's model."""
    name = f"benchmark_{model}"
    if model in SIZES:
        return _network(name, *SIZES[model])
    if model.startswith(("linear", "logistic")):
        return _regression(name, model)
    formula = {**FORMULAS, **WRITTEN_OUT}[model]
    p, u, y = symbols_of(formula)
    loss = formula.loss(FUNCTIONS, p, u, y)
    return sg.EmpiricalRisk.from_expression(loss, inputs=u, targets=y, parameters=p, name=name)


def _regression(name: str, model: str) -> sg.EmpiricalRisk:
    features = int(model.removeprefix("linear").removeprefix("logistic"))
    beta, u = sp.MatrixSymbol("beta", features, 1), sp.MatrixSymbol("u", features, 1)
    y = sp.Symbol("y", real=True)
    z = (beta.T * u)[0, 0]
    loss = (z - y) ** 2 / 2 if model.startswith("linear") else sp.log(1 + sp.exp(z)) - y * z
    return sg.EmpiricalRisk.from_expression(loss, inputs=[u], targets=[y], parameters=[beta], name=name)


def _network(name: str, d: int, h: int, c: int) -> sg.EmpiricalRisk:
    u = sp.MatrixSymbol("u", d, 1)
    first, shift = sp.MatrixSymbol("W1", h, d), sp.MatrixSymbol("b1", h, 1)
    second, last = sp.MatrixSymbol("W2", c, h), sp.MatrixSymbol("b2", c, 1)
    scores = second * (first * u + shift).applyfunc(sp.tanh) + last
    model = sg.Model(scores, inputs=[u], parameters=[first, shift, second, last])
    return sg.EmpiricalRisk(model, sg.losses.softmax_cross_entropy(c), name=name)
