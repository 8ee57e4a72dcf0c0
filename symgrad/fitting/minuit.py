"""MINUIT's search for a minimum, by iminuit, with exact gradients and Hessians."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from symgrad.errors import ArrayError

from .extras import iminuit
from .parameters import Array
from .problem import Problem

METHODS = ("migrad", "simplex")


def searched_by_minuit(
    problem: Problem, phi: Array, scale: Array, method: str, options: Mapping[str, Any], has_hessian: bool
) -> tuple[Array, str]:
    """Return where MINUIT ends, and its own words.

    It sees the sum of the losses, by phi in units of ``scale``. ``options`` are those of its ``migrad`` or ``simplex``,
    and ``strategy`` and ``tol``. With bounds it must not have Hessians: iminuit 2.33 goes astray at a bound with them.
    Raises `ArrayError` for another method, `MissingExtraError` without iminuit.
    """
    module = iminuit()
    chosen = "migrad" if method == "auto" else method
    if chosen not in METHODS:
        raise ArrayError(f"method: expected 'auto' or one of {list(METHODS)} of iminuit, got {method!r}; choose one")
    space, total = problem.space, problem.data.total

    def hessian(x: Array) -> Array:
        found = problem.hessian(x * scale) * np.outer(scale, scale) * total
        return found if np.isfinite(found).all() else np.eye(len(x))

    # g2 is asked for where the Hessian is not positive definite, and warned of where there is a Hessian.
    curvature = {"hessian": hessian, "g2": lambda x: hessian(x).diagonal().copy()} if has_hessian else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", module.util.IMinuitWarning)
        minuit = module.Minuit(
            lambda x: problem.value(x * scale)[0] * total, phi / scale,
            grad=lambda x: problem.value(x * scale)[1] * scale * total, **curvature,
        )  # fmt: skip
        minuit.errordef = module.Minuit.LIKELIHOOD
        minuit.limits = list(zip(space.lower / scale, space.upper / scale, strict=True))
        more = dict(options)
        minuit.strategy, minuit.tol = more.pop("strategy", 1), more.pop("tol", 0.01)
        getattr(minuit, chosen)(**more)
    end = "valid minimum" if minuit.valid else "no valid minimum"
    found = np.clip(np.array(minuit.values) * scale, space.lower, space.upper)
    return found, f"{chosen} of iminuit: {end}, estimated distance {minuit.fmin.edm:.0e}"
