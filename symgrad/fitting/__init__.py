"""Fits that use a compiled gradient."""

from .least_squares import Fit, agreeing_digits, fit, residual_risk, scipy_optimize
from .training import Epoch, accuracy, adam, held_back

__all__ = ["Epoch", "Fit", "accuracy", "adam", "agreeing_digits", "fit", "held_back", "residual_risk", "scipy_optimize"]
