"""Regression that a few bad rows cannot spoil: Huber's loss, and a likelihood with heavy tails."""

from sympy import exp, log, loggamma, pi, symbols

from symgrad.declare import EmpiricalRisk, Model
from symgrad.losses import huber

# Stack loss of a plant: residuals count quadratically up to 1.345 times their spread, and linearly beyond.
# 2.4407... is the spread (MAD) that R's MASS::rlm prints for these rows.
air_flow, water_temperature, acid_concentration = symbols("air_flow water_temperature acid_concentration")
b_air, b_water, b_acid, b0 = symbols("b_air b_water b_acid b0")

plant = Model(
    b_air * air_flow + b_water * water_temperature + b_acid * acid_concentration + b0,
    inputs=[air_flow, water_temperature, acid_concentration],
    parameters=[b_air, b_water, b_acid, b0],
)
stackloss_huber = EmpiricalRisk(plant, huber(1.345 * 2.4407137948148447), name="stackloss_huber")

# Returns of a share against the market's: Student's t with scale**2 = phi and nu degrees of freedom, both estimated.
market, share = symbols("x y")
alpha, beta, log_phi, nu = symbols("alpha beta log_phi nu")

residual = share - alpha - beta * market
log_density = (
    loggamma((nu + 1) / 2) - loggamma(nu / 2) - log(pi * nu) / 2 - log_phi / 2
    - (nu + 1) / 2 * log(1 + residual**2 * exp(-log_phi) / nu)
)  # fmt: skip
marietta_student_t = EmpiricalRisk.from_expression(
    -log_density,
    inputs=[market],
    targets=[share],
    parameters=[alpha, beta, log_phi, nu],
    name="marietta_student_t",
)
