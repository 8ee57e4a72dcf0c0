"""Data that are not in memory: in place of an array, for every function of a compiled risk."""

from .files import FileRows

__all__ = ["FileRows"]
