"""From program to program: stable forms, derivatives, and only operations that C has."""

from .differentiate import derive
from .linearity import curved_pairs
from .lowering import lower, turn
from .quantities import following, is_derived, quantity
from .stable import as_declared, stabilise

__all__ = ["as_declared", "curved_pairs", "derive", "following", "is_derived", "lower", "quantity", "stabilise", "turn"]
