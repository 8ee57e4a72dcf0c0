"""What else than a gradient is compiled of a risk: second derivatives, derivatives of the prediction.

Each is a program like that of the gradient (`passes.curvature`), in a small module of its own on the same sweep.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp

from .declare import EmpiricalRisk, leaves, n_leaves
from .errors import DeclarationError
from .passes import (
    derive,
    gauss_newton,
    hessian,
    hessian_diagonal,
    hessian_vector,
    jacobian,
    normal_equations,
    objective,
    residuals,
)
from .program import Program
from .trace import trace_loss

Improve = Callable[[Program], tuple[Program, tuple[str, ...]]]

_OF_GRADIENTS = {
    "hessian": hessian,
    "hessian_diagonal": hessian_diagonal,
    "hessian_vector": hessian_vector,
    "objective": objective,
}
_OF_PREDICTIONS = {"jacobian": jacobian, "residuals": residuals, "normal_equations": normal_equations}
QUANTITIES = (*_OF_GRADIENTS, *_OF_PREDICTIONS, "gauss_newton")


def quantity(name: str, risk: EmpiricalRisk, differentiated: Program, improve: Improve) -> Program:
    """Return the program of a quantity, from the risk's program with its gradient; ``improve`` puts in stable forms.

    Raises `DeclarationError` where the risk has none: no model, or a loss that is no function of prediction - target.
    """
    if name in _OF_GRADIENTS:
        return _OF_GRADIENTS[name](differentiated)
    if not risk.outputs:
        raise DeclarationError(
            f"{name}: expected a risk with a model, got {risk.name!r} of a single expression, which has no prediction; "
            "declare a Model and a Loss: EmpiricalRisk(Model(...), Loss(...))"
        )
    if name in _OF_PREDICTIONS:
        if name != "jacobian":
            _check_residuals(name, risk)
        return _OF_PREDICTIONS[name](differentiated)
    of_loss, _ = improve(derive(improve(trace_loss(risk))[0]))
    return gauss_newton(differentiated, improve(hessian(of_loss))[0])


def directions(name: str, risk: EmpiricalRisk) -> int:
    """Return how many numbers follow theta in what the quantity's module is given."""
    return n_leaves(risk.parameters) if name == "hessian_vector" else 0


def _check_residuals(name: str, risk: EmpiricalRisk) -> None:
    """Raise unless the loss is a function of prediction - target."""
    predictions, targets = leaves(*risk.predictions), leaves(*risk.targets)
    if len(predictions) != len(targets) or not _is_of_differences(risk.loss, predictions, targets):
        raise DeclarationError(
            f"{name}: expected a loss that is a function of prediction - target, got {risk.loss}; what "
            "this loss has is jacobian (of predict) and gauss_newton"
        )


def _is_of_differences(loss: Any, predictions: tuple[Any, ...], targets: tuple[Any, ...]) -> bool:
    """Do the targets vanish when each prediction is its target and a difference?"""
    loss = loss.as_explicit()[0, 0] if isinstance(loss, sp.MatrixExpr) else loss
    for step in (lambda e: e, lambda e: e.doit(), sp.expand, sp.simplify):
        moved = step(loss.xreplace({p: t + sp.Dummy(real=True) for p, t in zip(predictions, targets, strict=True)}))
        if not moved.has(*targets):
            return True
    return False
