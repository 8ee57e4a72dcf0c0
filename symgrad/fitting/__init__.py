"""Fits that use a compiled gradient, and what may be said of them."""

from .covariances import covariance
from .examples import ExampleFit, agreeing_digits, fit_example, residual_risk
from .extras import scipy_optimize
from .fitted import fit
from .kinds import squares
from .parameters import Parameter, Parameters, Space
from .problem import Problem, weighted
from .report import page_of
from .result import Fit
from .solve import Solution, solved
from .training import Epoch, accuracy, adam, held_back

__all__ = [
    "Epoch", "ExampleFit", "Fit", "Parameter", "Parameters", "Problem", "Solution", "Space", "accuracy", "adam",
    "agreeing_digits", "covariance", "fit", "fit_example", "held_back", "page_of", "residual_risk", "scipy_optimize",
    "solved", "squares", "weighted",
]  # fmt: skip
