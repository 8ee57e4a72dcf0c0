"""Counts: damage to cargo ships, as a Poisson and as a negative binomial regression on the same rows.

Both have the logarithm of the mean linear in the inputs. The second lets the variance grow beyond the mean:
Var(y) = mu + alpha mu**2, with log(alpha) as one more parameter to be estimated.
"""

from sympy import exp, log, loggamma, symbols

from symgrad.declare import EmpiricalRisk, Model
from symgrad.losses import poisson

yr_con, op_75_79, y = symbols("yr_con op_75_79 y")
b_year, b_service, b0, log_alpha = symbols("b_year b_service b0 log_alpha")

log_mean = b_year * yr_con + b_service * op_75_79 + b0

# A generalised linear model: a linear predictor, and a ready-made loss for it.
predictor = Model(log_mean, inputs=[yr_con, op_75_79], parameters=[b_year, b_service, b0])
ships_poisson = EmpiricalRisk(predictor, poisson(), name="ships_poisson")

# A likelihood written out: minus the logarithm of the probability of y incidents, with r = 1 / alpha.
r = exp(-log_alpha)
log_probability = (
    loggamma(y + r) - loggamma(r) - loggamma(y + 1) + y * (log_alpha + log_mean)
    - (y + r) * log(1 + exp(log_alpha + log_mean))
)  # fmt: skip
ships_negbin = EmpiricalRisk.from_expression(
    -log_probability,
    inputs=[yr_con, op_75_79],
    targets=[y],
    parameters=[b_year, b_service, b0, log_alpha],
    name="ships_negbin",
)
