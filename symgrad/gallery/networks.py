"""Networks: two whose weights are matrices and stay matrices, and a small one in scalars.

The digits have the shape of a textbook's classifier: a layer of tanh units, a score for each class, and the softmax
cross-entropy with the label. Diabetes is regression with weight decay.
"""

from sympy import Idx, MatrixSymbol, Rational, Sum, Symbol, Trace, exp, log, symbols, tanh

from symgrad.declare import EmpiricalRisk, Loss, Model
from symgrad.functions import softplus
from symgrad.losses import squared

# Handwritten digits: 64 grey values, 32 hidden units, 10 scores; 2,410 parameters.
u = MatrixSymbol("u", 64, 1)
W1, b1 = MatrixSymbol("W1", 32, 64), MatrixSymbol("b1", 32, 1)
W2, b2 = MatrixSymbol("W2", 10, 32), MatrixSymbol("b2", 10, 1)

scores = Model(W2 * (W1 * u + b1).applyfunc(tanh) + b2, inputs=[u], parameters=[W1, b1, W2, b2])

z = MatrixSymbol("z", 10, 1)
label = Symbol("label", integer=True)
i = Idx("i", 10)
cross_entropy = Loss(log(Sum(exp(z[i, 0]), (i, 0, 9))) - z[label, 0], prediction=z, target=label)
digits = EmpiricalRisk(scores, cross_entropy, name="digits")

# The progression of diabetes from all ten measurements of a patient: 8 hidden units, one output; 97 parameters.
x = MatrixSymbol("x", 10, 1)
V1, c1 = MatrixSymbol("V1", 8, 10), MatrixSymbol("c1", 8, 1)
V2, c2 = MatrixSymbol("V2", 1, 8), MatrixSymbol("c2", 1, 1)

layers = Model(V2 * (V1 * x + c1).applyfunc(softplus) + c2, inputs=[x], parameters=[V1, c1, V2, c2])
decay = sum((Trace(M.T * M) for M in (V1, c1, V2, c2)), start=Rational(0)) / 10_000
diabetes_layers = EmpiricalRisk(layers, squared(), penalty=decay, name="diabetes_layers")

# The same in scalars: two inputs, four hidden units with tanh, one output; 17 parameters.
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
