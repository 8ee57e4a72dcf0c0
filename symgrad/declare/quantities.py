"""What else than a gradient a risk has, by name, and whether a risk has it."""

from __future__ import annotations

from typing import Any

import sympy as sp

from symgrad.errors import DeclarationError

from .risk import EmpiricalRisk, leaves
from .words import show

OF_RESIDUALS = ("residuals", "normal_equations", "normal_rows")
OF_PREDICTIONS = ("jacobian", "gauss_newton", *OF_RESIDUALS)


def check_quantity(name: str, risk: EmpiricalRisk) -> None:
    """Raise `DeclarationError` where a risk has no such quantity: without a model, or without residuals."""
    if name in OF_PREDICTIONS and not risk.outputs:
        raise DeclarationError(
            f"{name}: expected a risk with a model, got {risk.name!r} of a single expression, which has no prediction; "
            "declare a Model and a Loss: EmpiricalRisk(Model(...), Loss(...))"
        )
    if name in OF_RESIDUALS and not _is_of_residuals(risk):
        raise DeclarationError(
            f"{name}: expected a loss that is a function of prediction - target, got {show(risk.loss)}; what this loss "
            "has are jacobian (of predict) and gauss_newton"
        )


def _is_of_residuals(risk: EmpiricalRisk) -> bool:
    """Do the targets vanish from the loss when each prediction is its target and a difference?"""
    predictions, targets = leaves(*risk.predictions), leaves(*risk.targets)
    if len(predictions) != len(targets):
        return False
    loss: Any = risk.loss.as_explicit()[0, 0] if isinstance(risk.loss, sp.MatrixExpr) else risk.loss
    moved = {p: t + sp.Dummy(real=True) for p, t in zip(predictions, targets, strict=True)}
    return not sp.expand(loss.xreplace(moved)).has(*targets)
