"""From the declared risk to the program that computes its loss."""

from .risk_to_program import trace, trace_loss
from .scalars import SCALAR_RULES
from .tracer import Tracer

__all__ = ["SCALAR_RULES", "Tracer", "trace", "trace_loss"]
