"""From program to program: stable forms, derivatives, and only operations that C has."""

from .curvature import (
    gauss_newton,
    hessian,
    hessian_diagonal,
    hessian_vector,
    jacobian,
    normal_equations,
    objective,
    residuals,
)
from .differentiate import derive
from .lowering import lower, turn
from .stable import as_declared, stabilise

__all__ = [
    "as_declared", "derive", "gauss_newton", "hessian", "hessian_diagonal", "hessian_vector", "jacobian", "lower",
    "normal_equations", "objective", "residuals", "stabilise", "turn",
]  # fmt: skip
