"""What correct code may lose in double precision: the bound that a result is judged by."""

from .bound import Bound, Place, Result, Rounding
from .curvature import Curvature

__all__ = ["Bound", "Curvature", "Place", "Result", "Rounding"]
