"""A recurrent network: next year's sunspots from three years', by a cell of four units that is used three times.

What the cell remembers is a column h, which starts at zero; the same U, W and b lead from one year to the next.
"""

from sympy import MatrixSymbol, Trace, symbols, tanh

from symgrad.declare import EmpiricalRisk, Model
from symgrad.losses import squared

x1, x2, x3 = symbols("x1:4")
U, W, b = MatrixSymbol("U", 4, 1), MatrixSymbol("W", 4, 4), MatrixSymbol("b", 4, 1)
V, c = MatrixSymbol("V", 1, 4), MatrixSymbol("c", 1, 1)

h = (x1 * U + b).applyfunc(tanh)
for x in (x2, x3):
    h = (x * U + W * h + b).applyfunc(tanh)

cell = Model(V * h + c, inputs=[x1, x2, x3], parameters=[U, W, b, V, c])
decay = (Trace(U.T * U) + Trace(W.T * W) + Trace(b.T * b) + Trace(V.T * V) + Trace(c.T * c)) / 20_000
sunspots_recurrent = EmpiricalRisk(cell, squared(), penalty=decay, name="sunspots_recurrent")
