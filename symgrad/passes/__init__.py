"""From program to program: stable forms, derivatives, and only operations that C has."""

from .differentiate import derive
from .lowering import lower, turn
from .quantities import WITH_A_VECTOR, quantity
from .stable import as_declared, stabilise

__all__ = ["WITH_A_VECTOR", "as_declared", "derive", "lower", "quantity", "stabilise", "turn"]
