"""Logistic regression: with two classes in scalars, with three as a matrix of weights."""

from sympy import MatrixSymbol, Trace, symbols

from symgrad.declare import EmpiricalRisk, Model
from symgrad.losses import logistic, softmax_cross_entropy

radius, texture, smoothness, concave_points = symbols("radius texture smoothness concave_points")
b0, b1, b2, b3, b4 = symbols("b0:5")

# The log-odds of a benign tumour; the loss turns them into minus the logarithm of the probability of the label 0 or 1.
log_odds = Model(
    b0 + b1 * radius + b2 * texture + b3 * smoothness + b4 * concave_points,
    inputs=[radius, texture, smoothness, concave_points],
    parameters=[b0, b1, b2, b3, b4],
)
breast_cancer_logistic = EmpiricalRisk(log_odds, logistic(), name="breast_cancer_logistic")

# Multinomial: a score for each of three species of iris. A constant added to all scores would change no probability,
# and one species can be told apart for certain: the ridge makes the minimum one, and finite.
x = MatrixSymbol("x", 4, 1)
W, b = MatrixSymbol("W", 3, 4), MatrixSymbol("b", 3, 1)

scores = Model(W * x + b, inputs=[x], parameters=[W, b])
ridge = (Trace(W.T * W) + Trace(b.T * b)) / 2000
iris_softmax = EmpiricalRisk(scores, softmax_cross_entropy(3), penalty=ridge, name="iris_softmax")
