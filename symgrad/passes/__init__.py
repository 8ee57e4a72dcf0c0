"""From program to program: stable forms, derivatives, and only operations that C has."""

from .differentiate import derive
from .lowering import lower, turn
from .quantities import following, is_derived, quantity
from .stable import as_declared, stabilise

__all__ = ["as_declared", "derive", "following", "is_derived", "lower", "quantity", "stabilise", "turn"]
