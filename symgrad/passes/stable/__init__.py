"""Forms that lose digits, rewritten to ones that keep them."""

from .rewrite import as_declared, stabilise

__all__ = ["as_declared", "stabilise"]
