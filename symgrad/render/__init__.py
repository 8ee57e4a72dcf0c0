"""From the kernel to Cython text."""

from .module import render

__all__ = ["render"]
