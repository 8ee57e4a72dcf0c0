"""Two classes: logistic regression, the probability of a benign tumour from four measurements of its cells."""

from sympy import symbols

from symgrad.losses import logistic
from symgrad.problem import EmpiricalRisk, Model

radius, texture, smoothness, concave_points = symbols("radius texture smoothness concave_points")
b0, b1, b2, b3, b4 = symbols("b0:5")

# The log-odds of a benign tumour; the loss turns them into minus the logarithm of the probability of the label 0 or 1.
log_odds = Model(
    b0 + b1 * radius + b2 * texture + b3 * smoothness + b4 * concave_points,
    inputs=[radius, texture, smoothness, concave_points],
    parameters=[b0, b1, b2, b3, b4],
)
breast_cancer_logistic = EmpiricalRisk(log_odds, logistic(), name="breast_cancer_logistic")
