"""What else than a gradient a program can be made for, by name."""

from collections.abc import Callable, Mapping

from symgrad.program import Program

from .curvature import (
    gauss_newton,
    hessian,
    hessian_diagonal,
    hessian_vector,
    jacobian,
    normal_equations,
    normal_rows,
    objective,
    residuals,
)
from .moments import moments

_CURVATURE: Mapping[str, Callable[[Program], Program]] = {
    "hessian": hessian,
    "hessian_diagonal": hessian_diagonal,
    "hessian_vector": hessian_vector,
    "jacobian": jacobian,
    "residuals": residuals,
    "normal_equations": normal_equations,
    "normal_rows": normal_rows,
    "objective": objective,
}


def following(name: str, parameters: int) -> int:
    """Return how many numbers follow theta in what a quantity's module is given: a vector's, or bounds."""
    if name in ("hessian_vector", "outer_vector", "along"):
        return parameters
    return name.count(" ") if name.startswith("clipped") else 0


def is_derived(name: str) -> bool:
    """Return whether a quantity is differentiated, and gets stable forms anew; what is made of gradients has them."""
    return name in _CURVATURE or name == "gauss_newton"


def quantity(name: str, program: Program, of_loss: Program | None = None) -> Program:
    """Return the program of what is called so (see `curvature` and `moments`), from that of the gradient.

    ``of_loss``, for "gauss_newton" alone, is the program of the loss' Hessian by the elements of the prediction.
    """
    if of_loss is not None:
        return gauss_newton(program, of_loss)
    return _CURVATURE[name](program) if name in _CURVATURE else moments(name, program)
