"""A table of counts in its rows' and columns' own terms: matrix factorisation, as Goodman's association model.

The logarithm of the mean count in row r and column c is a_r + b_c + u_r v_c: where the rows and the columns would be
independent, but for a table of rank one (Goodman, L. A., 1979. Simple Models for the Analysis of Association in
Cross-Classifications Having Ordered Categories. Journal of the American Statistical Association 74, 537-552).
"""

from sympy import MatrixSymbol, Trace

from symgrad.declare import EmpiricalRisk, Model
from symgrad.losses import poisson

# The colour of a person's eyes and hair, each a column of zeros with a one in the place of the colour.
eyes, hair = MatrixSymbol("eyes", 4, 1), MatrixSymbol("hair", 5, 1)
a, b = MatrixSymbol("a", 4, 1), MatrixSymbol("b", 5, 1)
u, v = MatrixSymbol("u", 4, 1), MatrixSymbol("v", 5, 1)

# A bilinear form picks the element of the factorised table. The ridge settles what could be moved between the factors.
log_mean = a.T * eyes + b.T * hair + eyes.T * (u * v.T) * hair
ridge = (Trace(a.T * a) + Trace(b.T * b) + Trace(u.T * u) + Trace(v.T * v)) / 100
colours = Model(log_mean, inputs=[eyes, hair], parameters=[a, b, u, v])
eyes_and_hair = EmpiricalRisk(colours, poisson(), penalty=ridge, name="eyes_and_hair")
