"""What the adapters ask of bound rows, ``f = symgrad.compile(risk).bind(inputs, targets)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symgrad.errors import ArrayTypeError, DeclarationError
from symgrad.fitting import Parameters, Space, squares, weighted

Array = NDArray[np.float64]


def check_bound(f: Any) -> None:
    """Raise `ArrayTypeError` for what no compiled risk has bound."""
    if getattr(getattr(f, "compiled", None), "declared", None) is None:
        raise ArrayTypeError(
            f"f: expected rows bound to a compiled risk, got {type(f).__name__}; bind them: "
            "f = symgrad.compile(risk).bind(inputs, targets)"
        )


def space_of(f: Any) -> Space:
    """Return names and bounds of the numbers in theta; the bounds are those that the symbols' signs say."""
    return Space(Parameters(f.compiled.declared))


def theta_of(f: Any, start: Any) -> Array:
    """Return a start as a flat theta (P,): it is one, or a dictionary by the parameters' names."""
    compiled = f.compiled
    theta = compiled.pack(dict(start)) if isinstance(start, Mapping) else start
    compiled.unpack(theta)  # which checks it
    return np.array(theta, np.float64)


def check_squares(f: Any, what: str) -> None:
    """Raise `DeclarationError` where the loss is no multiple of a squared residual: its minimum is another."""
    risk = f.compiled.declared
    if risk.model is None or squares(risk) is None:
        raise DeclarationError(
            f"f: expected a loss that is a multiple of (prediction - target)**2 for {what}, got {risk.loss!s:.200}; "
            "use minimize of symgrad.adapters.scipy, or symgrad.fit"
        )


def residuals(f: Any, theta: Array) -> Array:
    """Return the residuals times the roots of the weights, one after the other."""
    return weighted(np.asarray(f.residuals(theta), np.float64), _weights(f)).ravel()


def jacobian(f: Any, theta: Array) -> Array:
    """Return the derivatives of `residuals`, with a column for each number in theta."""
    found = np.asarray(f.jacobian(theta), np.float64)
    return weighted(found, _weights(f)).reshape(-1, found.shape[-1])


def _weights(f: Any) -> Array | None:
    weights = f.arrays[2]
    return None if weights is None else np.asarray(weights, np.float64).ravel()
