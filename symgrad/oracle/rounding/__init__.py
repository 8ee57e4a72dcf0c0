"""What correct code may lose in double precision: the bound that a result is judged by."""

from .bound import Bound, Place, Rounding

__all__ = ["Bound", "Place", "Rounding"]
