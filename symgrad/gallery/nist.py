"""Nonlinear regression: ten of NIST's Statistical Reference Datasets, with parameters certified to 11 digits.

The loss of a sample is its squared residual, so that N times the risk is the residual sum of squares that NIST prints.
"""

from sympy import cos, exp, log, pi, sin, symbols

from symgrad.declare import EmpiricalRisk, Loss, Model

x, x1, x2, y, yhat = symbols("x x1 x2 y yhat")
b1, b2, b3, b4, b5, b6, b7, b8, b9 = symbols("b1:10")

squared_residual = Loss((yhat - y) ** 2, prediction=yhat, target=y)
squared_log_residual = Loss((yhat - log(y)) ** 2, prediction=yhat, target=y)

# Volume of gas adsorbed at pressure x.
saturation = Model(b1 * (1 - exp(-b2 * x)), inputs=[x], parameters=[b1, b2])
misra1a = EmpiricalRisk(saturation, squared_residual, name="misra1a")

# The same curve, another matter: oxygen used up after x days.
boxbod = EmpiricalRisk(saturation, squared_residual, name="boxbod")

# A Gaussian line in a spectrum: height b1/b2, width b2, place b3.
line = Model(b1 / b2 * exp(-(((x - b3) / b2) ** 2) / 2), inputs=[x], parameters=[b1, b2, b3])
eckerle4 = EmpiricalRisk(line, squared_residual, name="eckerle4")

# Two Gaussian peaks on a decaying exponential.
two_peaks = Model(
    b1 * exp(-b2 * x) + b3 * exp(-((x - b4) ** 2) / b5**2) + b6 * exp(-((x - b7) ** 2) / b8**2),
    inputs=[x],
    parameters=[b1, b2, b3, b4, b5, b6, b7, b8],
)
gauss1 = EmpiricalRisk(two_peaks, squared_residual, name="gauss1")

# The yearly cycle and two more whose periods b4 and b7 (in months) are to be found.
year = 2 * pi * x / 12
first = 2 * pi * x / b4
second = 2 * pi * x / b7
cycles = Model(
    b1 + b2 * cos(year) + b3 * sin(year) + b5 * cos(first) + b6 * sin(first) + b8 * cos(second) + b9 * sin(second),
    inputs=[x],
    parameters=[b1, b2, b3, b4, b5, b6, b7, b8, b9],
)
enso = EmpiricalRisk(cycles, squared_residual, name="enso")

# A ratio of quadratics, whose far starting point lies in a flat valley.
kowalik = Model(b1 * (x**2 + x * b2) / (x**2 + x * b3 + b4), inputs=[x], parameters=[b1, b2, b3, b4])
mgh09 = EmpiricalRisk(kowalik, squared_residual, name="mgh09")

# Parameters that differ by six orders of magnitude, and a residual that grows by twenty on the way.
meyer = Model(b1 * exp(b2 / (x + b3)), inputs=[x], parameters=[b1, b2, b3])
mgh10 = EmpiricalRisk(meyer, squared_residual, name="mgh10")

# Sigmoidal growth of a pasture.
growth = Model(b1 / (1 + exp(b2 - b3 * x)), inputs=[x], parameters=[b1, b2, b3])
rat42 = EmpiricalRisk(growth, squared_residual, name="rat42")

# Line width seen in an electron microscope: a ratio of quadratics again.
line_width = Model((b1 + b2 * x + b3 * x**2) / (1 + b4 * x + b5 * x**2), inputs=[x], parameters=[b1, b2, b3, b4, b5])
kirby2 = EmpiricalRisk(line_width, squared_residual, name="kirby2")

# Log breakdown strength after ageing for a time x1 at a temperature x2.
ageing = Model(b1 - b2 * x1 * exp(-b3 * x2), inputs=[x1, x2], parameters=[b1, b2, b3])
nelson = EmpiricalRisk(ageing, squared_log_residual, name="nelson")
