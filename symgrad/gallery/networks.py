"""A small network in scalars: two inputs, four hidden units with tanh, one output; 17 parameters."""

from sympy import symbols, tanh

from symgrad.problem import EmpiricalRisk, Loss, Model

bmi, bp, y, yhat = symbols("bmi bp y yhat")
W = [symbols(f"W{unit}_bmi W{unit}_bp") for unit in range(1, 5)]
c = symbols("c1:5")
v = symbols("v1:5")
v0 = symbols("v0")

hidden = [tanh(w_bmi * bmi + w_bp * bp + shift) for (w_bmi, w_bp), shift in zip(W, c, strict=True)]
output = sum((weight * unit for weight, unit in zip(v, hidden, strict=True)), start=v0)

progression = Model(output, inputs=[bmi, bp], parameters=[*(w for pair in W for w in pair), *c, *v, v0])
half_square = Loss((yhat - y) ** 2 / 2, prediction=yhat, target=y)
diabetes_network = EmpiricalRisk(progression, half_square, name="diabetes_network")
