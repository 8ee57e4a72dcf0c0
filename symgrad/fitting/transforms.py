"""Transforms of one parameter: what the optimiser moves is free, what the model gets keeps its bounds.

Each is ``theta = value(phi)``, with its first and second derivative and its inverse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Transform(Protocol):
    """What all transforms have."""

    def value(self, phi: float) -> float:
        """Return theta."""

    def slope(self, phi: float) -> float:
        """Return the derivative of theta."""

    def curvature(self, phi: float) -> float:
        """Return the second derivative of theta."""

    def inverse(self, theta: float) -> float:
        """Return phi."""


@dataclass(frozen=True, slots=True)
class Identity:
    """``theta = phi``."""

    def value(self, phi: float) -> float:
        """Return theta."""
        return phi

    def slope(self, phi: float) -> float:
        """Return the derivative of theta."""
        return 1.0

    def curvature(self, phi: float) -> float:
        """Return the second derivative of theta."""
        return 0.0

    def inverse(self, theta: float) -> float:
        """Return phi."""
        return theta


@dataclass(frozen=True, slots=True)
class Log:
    """``theta = exp(phi)``: any positive number."""

    def value(self, phi: float) -> float:
        """Return theta."""
        return float(np.exp(phi))

    slope = curvature = value

    def inverse(self, theta: float) -> float:
        """Return phi."""
        return float(np.log(theta))


@dataclass(frozen=True, slots=True)
class Softplus:
    """``theta = log(1 + exp(phi))``: any positive number, nearly phi itself where that is large."""

    def value(self, phi: float) -> float:
        """Return theta."""
        return float(np.logaddexp(0.0, phi))

    def slope(self, phi: float) -> float:
        """Return the derivative of theta."""
        return _sigmoid(phi)

    def curvature(self, phi: float) -> float:
        """Return the second derivative of theta."""
        return _sigmoid(phi) * _sigmoid(-phi)

    def inverse(self, theta: float) -> float:
        """Return phi."""
        return float(theta + np.log(-np.expm1(-theta)))


@dataclass(frozen=True, slots=True)
class Logit:
    """``theta = lower + (upper - lower)/(1 + exp(-phi))``: any number between the two."""

    lower: float
    upper: float

    def value(self, phi: float) -> float:
        """Return theta."""
        return self.lower + (self.upper - self.lower) * _sigmoid(phi)

    def slope(self, phi: float) -> float:
        """Return the derivative of theta."""
        return (self.upper - self.lower) * _sigmoid(phi) * _sigmoid(-phi)

    def curvature(self, phi: float) -> float:
        """Return the second derivative of theta."""
        return self.slope(phi) * (_sigmoid(-phi) - _sigmoid(phi))

    def inverse(self, theta: float) -> float:
        """Return phi."""
        return float(np.log(theta - self.lower) - np.log(self.upper - theta))


IDENTITY = Identity()


def _sigmoid(p: float) -> float:
    return float(1 / (1 + np.exp(-p))) if p > -700 else 0.0
