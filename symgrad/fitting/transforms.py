"""Transforms of one parameter: what the optimiser moves is free, what the model gets keeps its bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Function = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Transform:
    """``theta = value(phi)``, its first and second derivative, and its inverse."""

    value: Function
    slope: Function
    curvature: Function
    inverse: Function


IDENTITY = Transform(lambda p: p, lambda p: 1.0, lambda p: 0.0, lambda t: t)


def _sigmoid(p: float) -> float:
    return float(1 / (1 + np.exp(-p))) if p > -700 else 0.0


def log() -> Transform:
    """Return ``theta = exp(phi)``: any positive number."""
    return Transform(*(lambda p: float(np.exp(p)),) * 3, inverse=lambda t: float(np.log(t)))


def softplus() -> Transform:
    """Return ``theta = log(1 + exp(phi))``: any positive number, nearly phi itself where that is large."""
    return Transform(
        lambda p: float(np.logaddexp(0.0, p)),
        _sigmoid,
        lambda p: _sigmoid(p) * _sigmoid(-p),
        lambda t: float(t + np.log(-np.expm1(-t))),
    )


def logit(lower: float, upper: float) -> Transform:
    """Return ``theta = lower + (upper - lower)/(1 + exp(-phi))``: any number between the two."""
    width = upper - lower
    return Transform(
        lambda p: lower + width * _sigmoid(p),
        lambda p: width * _sigmoid(p) * _sigmoid(-p),
        lambda p: width * _sigmoid(p) * _sigmoid(-p) * (_sigmoid(-p) - _sigmoid(p)),
        lambda t: float(np.log(t - lower) - np.log(upper - t)),
    )
