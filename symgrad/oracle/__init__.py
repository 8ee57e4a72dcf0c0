"""Exact values and derivatives of what was declared, by code that shares nothing with what it judges."""

from .oracle import Reference, Sample, flat_names
from .rounding import Bound, Result, Rounding

__all__ = ["Bound", "Reference", "Result", "Rounding", "Sample", "flat_names"]
