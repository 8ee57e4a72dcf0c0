"""lmfit's fits of a compiled risk, with its Jacobian.

f = symgrad.compile(risk).bind(inputs, targets)
params = parameters(f, {"A": 1.0, "k": 1.0})
params["k"].min = 0
print(lmfit.fit_report(minimize(f, params)))
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from symgrad.errors import ArrayError, DeclarationError, MissingExtraError

from .bound import Array, check_bound, check_squares, jacobian, residuals, space_of, theta_of

try:
    import lmfit
except ModuleNotFoundError as error:
    raise MissingExtraError(
        f'this adapter needs lmfit, which is not installed ({error}): python -m pip install "symgrad[lmfit]"'
    ) from error

METHODS = ("leastsq", "least_squares")


def parameters(f: Any, start: Any) -> Any:
    """Return `lmfit.Parameters` of bound rows: names, starts, and the bounds that the symbols' signs say.

    ``start`` is a flat theta or a dictionary by name. Of a matrix b the elements are b_0, b_1, ... or b_0_0, ....
    Raises `DeclarationError` for names that are none for lmfit, `ArrayTypeError` for what is not bound.
    """
    check_bound(f)
    space, theta, found = space_of(f), theta_of(f, start), lmfit.Parameters()
    for name, value, low, high in zip(_names(f), theta, space.lower, space.upper, strict=True):
        found.add(name, value=float(value), min=float(low), max=float(high))
    return found


def minimize(f: Any, params: Any, method: str = "leastsq", **options: Any) -> Any:
    """Return lmfit's `MinimizerResult` of a least-squares fit with the exact Jacobian.

    ``params`` are those that `parameters` made, with bounds and ``vary`` as you like. ``options`` are the other
    arguments of `lmfit.minimize`. Raises `DeclarationError` where the loss is no multiple of (prediction - target)**2,
    `ArrayError` for another method than "leastsq" and "least_squares" and for parameters that are none of ``f`` or
    that an ``expr`` ties: a tie has derivatives of its own, and `symgrad.Parameters` knows them.
    """
    check_bound(f)
    check_squares(f, "lmfit")
    names = _names(f)
    if method not in METHODS:
        raise ArrayError(f"method: expected one of {list(METHODS)}, got {method!r}; these take a Jacobian")
    if list(params) != names:
        raise ArrayError(
            f"params: expected those named {names}, got {list(params)}; make them with parameters(f, start)"
        )
    tied = [name for name in names if params[name].expr]
    if tied:
        raise ArrayError(
            f"params: expected none with an expr, got {tied}; tie parameters with symgrad.Parameters and symgrad.fit"
        )

    def theta(params: Any) -> Array:
        return np.array([params[name].value for name in names])

    def slopes(params: Any) -> Array:
        moved = [place for place, name in enumerate(names) if params[name].vary]
        rows = jacobian(f, theta(params))[:, moved]
        return rows.T if method == "leastsq" else rows

    given = {"Dfun": slopes, "col_deriv": 1} if method == "leastsq" else {"jac": slopes}
    return lmfit.minimize(lambda params: residuals(f, theta(params)), params, method, **given, **options)


def _names(f: Any) -> list[str]:
    """The names of the numbers in theta, as lmfit takes them."""
    names = [re.sub(r"\[(\d+)(?:, (\d+))?\]$", _places, name) for name in space_of(f).names]
    wrong = [name for name in names if not name.isidentifier()]
    if wrong or len(set(names)) < len(names):
        raise DeclarationError(
            f"parameters: expected names that are Python identifiers, as lmfit wants them, got {wrong or names}; "
            "declare symbols with such names"
        )
    return names


def _places(match: re.Match[str]) -> str:
    return "".join(f"_{place}" for place in match.groups() if place is not None)
