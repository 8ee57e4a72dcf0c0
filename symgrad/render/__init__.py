"""From the kernel to Cython text."""

from .environment import SWEEPS, render_curvature, render_sweep
from .interface import Interface
from .module import render

__all__ = ["SWEEPS", "Interface", "render", "render_curvature", "render_sweep"]
