"""A compiled risk as a cost function of iminuit, with gradient and Hessian.

f = symgrad.compile(risk).bind(inputs, targets)
print(minuit(f, {"A": 1.0, "k": 1.0}).migrad().minos())
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from symgrad.errors import MissingExtraError
from symgrad.fitting import squares

from .bound import Array, check_bound, space_of, theta_of

try:
    import iminuit
except ModuleNotFoundError as error:
    raise MissingExtraError(
        f'this adapter needs iminuit, which is not installed ({error}): python -m pip install "symgrad[iminuit]"'
    ) from error


class Cost:
    """The sum of the losses of bound rows, and the penalty times their number: for a likelihood, -log of it.

    Minuit finds the names of the numbers in theta (``b[0]`` of a matrix), the bounds that their symbols' signs say,
    gradient and Hessian by itself. ``errordef`` is 0.5, as for any -log likelihood, also where the loss is
    ``(prediction - target)**2/2`` with targets in units of their errors; ``ndata`` is the number of targets there, and
    infinite for other losses, as for all unbinned fits. Where a symbol has a sign, Minuit is given no Hessian: with
    limits, iminuit 2.33 goes astray with one. Set ``has_hessian`` False before you set limits of your own.

    Raises `ArrayTypeError` for rows that no compiled risk has bound.
    """

    errordef = iminuit.Minuit.LIKELIHOOD

    def __init__(self, f: Any) -> None:
        check_bound(f)
        self.f = f
        space, risk = space_of(f), f.compiled.declared
        self._parameters = {
            name: (low, high) if np.isfinite(low) or np.isfinite(high) else None
            for name, low, high in zip(space.names, space.lower, space.upper, strict=True)
        }
        self.has_hessian = self.has_g2 = not any(self._parameters.values())
        self.ndata = np.inf
        if risk.model is not None and squares(risk) is not None:
            self.ndata = f.total * np.size(f.arrays[1]) / len(f.arrays[1])

    def __call__(self, *theta: float) -> float:
        """Return the sum."""
        return float(self.f(np.array(theta, np.float64))[0]) * float(self.f.total)

    def grad(self, *theta: float) -> Array:
        """Return its derivatives, (P,)."""
        return np.asarray(self.f(np.array(theta, np.float64))[1] * self.f.total, np.float64)

    def hessian(self, *theta: float) -> Array:
        """Return its second derivatives, (P, P)."""
        return np.asarray(self.f.hessian(np.array(theta, np.float64)) * self.f.total, np.float64)

    def g2(self, *theta: float) -> Array:
        """Return the Hessian's diagonal, (P,): iminuit 2.33 asks for it where the Hessian is not positive definite."""
        return self.hessian(*theta).diagonal().copy()

    def __repr__(self) -> str:
        return f"<Cost of {self.f!r}>"


def minuit(f: Any, start: Any) -> iminuit.Minuit:
    """Return a `iminuit.Minuit` of bound rows, ready for ``migrad()``.

    ``start`` is a flat theta (P,) or a dictionary by the parameters' names. Raises `ArrayTypeError` for rows that no
    compiled risk has bound, `ArrayError` for what is no theta.
    """
    cost = Cost(f)
    with warnings.catch_warnings():
        # "hessian overrides g2, passing g2 has no effect": see g2.
        warnings.simplefilter("ignore", iminuit.util.IMinuitWarning)
        return iminuit.Minuit(cost, *theta_of(f, start))
