"""From program to program: stable forms, derivatives, and only operations that C has."""

from .curvature import curved
from .differentiate import derive
from .lowering import lower, turn
from .stable import as_declared, stabilise

__all__ = ["as_declared", "curved", "derive", "lower", "stabilise", "turn"]
