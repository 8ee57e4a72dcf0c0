"""SciPy's optimisers on rows that are bound to a compiled risk, with the exact derivatives that each of them takes.

f = symgrad.compile(risk).bind(inputs, targets)
found = minimize(f, {"A": 1.0, "k": 1.0})
found = least_squares(f, {"A": 1.0, "k": 1.0}, loss="soft_l1", f_scale=0.1)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.fitting import scipy_optimize

from .bound import check_bound, check_squares, jacobian, residuals, space_of, theta_of

OF_HESSIAN = ("Newton-CG", "dogleg", "trust-exact", "trust-constr")
OF_PRODUCTS = ("trust-ncg", "trust-krylov")  # ask for the Hessian's products with vectors alone
OF_BOUNDS = ("L-BFGS-B", "TNC", "SLSQP", "trust-constr", "Nelder-Mead", "Powell", "COBYLA", "COBYQA")
WITHOUT_GRADIENT = ("Nelder-Mead", "Powell", "COBYLA", "COBYQA")


def minimize(f: Any, start: Any, method: str | None = None, **options: Any) -> Any:
    """Return what `scipy.optimize.minimize` finds, where the mean loss is least.

    ``f.compiled.unpack(found.x)`` has the numbers by name.

    Args:
        f: rows bound to a compiled risk.
        start: a flat theta (P,), or a dictionary by the parameters' names.
        method: one of SciPy's; by default "trust-exact", or "L-BFGS-B" where a symbol says of what sign it is.
            Gradients, Hessians and their products with vectors are given to those that take them; so are the
            bounds that the symbols' signs say, unless ``bounds=`` has others.
        options: the other arguments of `scipy.optimize.minimize`; ``tol`` is 1e-10 for methods with a Hessian.

    Raises `ArrayTypeError` and `ArrayError` for what is not bound or no theta; without SciPy `MissingExtraError`.
    """
    check_bound(f)
    theta, space = theta_of(f, start), space_of(f)
    chosen = method or ("L-BFGS-B" if space.has_bounds else "trust-exact")
    if space.has_bounds and chosen in OF_BOUNDS:
        options.setdefault("bounds", list(zip(space.lower, space.upper, strict=True)))
    if chosen in OF_HESSIAN:
        options.setdefault("hess", f.hessian)
    if chosen in OF_PRODUCTS:
        options.setdefault("hessp", f.hessian_vector)
    if chosen in (*OF_HESSIAN, *OF_PRODUCTS):
        options.setdefault("tol", 1e-10)
    if chosen in WITHOUT_GRADIENT:
        return scipy_optimize().minimize(lambda theta: f(theta)[0], theta, method=chosen, **options)
    return scipy_optimize().minimize(f, theta, jac=True, method=chosen, **options)


def least_squares(f: Any, start: Any, **options: Any) -> Any:
    """Return what `scipy.optimize.least_squares` finds, of residuals times the roots of their weights.

    ``options`` are its other arguments; ``x_scale`` is "jac" unless it is given, and ``bounds`` are those that the
    symbols' signs say. ``f`` and ``start`` are those of `minimize`. Raises `DeclarationError` where the loss is no
    multiple of (prediction - target)**2, and what `minimize` raises.
    """
    check_bound(f)
    check_squares(f, "least_squares")
    theta, space = theta_of(f, start), space_of(f)
    options.setdefault("x_scale", "jac")
    if space.has_bounds:
        options.setdefault("bounds", (space.lower, space.upper))
    with np.errstate(over="ignore"):
        return scipy_optimize().least_squares(
            lambda theta: residuals(f, theta), theta, lambda theta: jacobian(f, theta), **options
        )
