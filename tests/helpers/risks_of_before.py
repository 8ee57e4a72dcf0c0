"""Risks that the gallery has not: linear predictors, few lanes, single precision, a penalty beside matrices."""

import sympy as sp

import symgrad as sg

X, Y, YHAT = sp.symbols("x y yhat")
SQUARES = sg.Loss((YHAT - Y) ** 2 / 2, prediction=YHAT, target=Y)


def _linear(features: int, name: str) -> sg.EmpiricalRisk:
    """A logistic regression: its features are read by rows."""
    u, beta, b = sp.MatrixSymbol("u", features, 1), sp.MatrixSymbol("beta", features, 1), sp.Symbol("b")
    model = sg.Model((beta.T * u)[0, 0] + b, inputs=[u], parameters=[beta, b])
    loss = sg.Loss(sp.log(1 + sp.exp(YHAT)) - Y * YHAT, prediction=YHAT, target=Y)
    penalty = sum(beta[i, 0] ** 2 for i in range(features)) / 100
    return sg.EmpiricalRisk(model, loss, penalty=penalty, name=name)


def _waves(parameters: int, name: str) -> sg.EmpiricalRisk:
    """A sum of sines: so many parameters that fewer samples lie side by side."""
    weights = sp.symbols(f"a:{parameters}")
    model = sg.Model(sum(a * sp.sin((k + 1) * X) for k, a in enumerate(weights)), inputs=[X], parameters=weights)
    return sg.EmpiricalRisk(model, SQUARES, name=name)


def _network() -> sg.EmpiricalRisk:
    u, w = sp.MatrixSymbol("u", 5, 1), sp.MatrixSymbol("w", 3, 5)
    b, v = sp.MatrixSymbol("b", 3, 1), sp.MatrixSymbol("v", 1, 3)
    hidden = (w * u + b).applyfunc(sp.tanh)
    penalty = sum(v[0, i] ** 2 for i in range(3))
    model = sg.Model((v * hidden)[0, 0], inputs=[u], parameters=[w, b, v])
    return sg.EmpiricalRisk(model, SQUARES, penalty=penalty, name="network")


LINEAR_16, LINEAR_200 = _linear(16, "linear_16"), _linear(200, "linear_200")
WAVES_30, WAVES_60 = _waves(30, "waves_30"), _waves(60, "waves_60")
NETWORK = _network()
RISKS = (LINEAR_16, LINEAR_200, WAVES_30, WAVES_60, NETWORK)
